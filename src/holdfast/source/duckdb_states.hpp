#pragma once
// The kept states of one DuckDB database, read: which there are, and one of them as a file that DuckDB opens.
//
//   state     "12" is generation 12 with all of its log; "12+340" with the first 340 commits of it
//   promise   what is written is exactly what was kept: each block and each piece of the log is compared with its checksum
//   errors    not_found (no such state, or it expired meanwhile), corrupt (the kept files are damaged), usage (no state's name), disk_full
//   threads   any; a keeper may be at work

#include "holdfast/base/json.hpp"
#include "holdfast/source/duckdb_door.hpp"
#include "holdfast/source/duckdb_generation.hpp"

namespace holdfast::source {

struct DuckDbState {
    std::uint32_t generation = 0;
    std::uint64_t commits = 0;    // of its log
    Timestamp at;    // every commit acknowledged by then is in it
    std::string name() const;
};

/// One generation and the states that it has.
struct KeptStates {
    KeptGeneration generation;
    std::vector<KeptFrame> frames;
    json::Value verified;    // null, or {"commits", "checked", …}: what libduckdb found in this generation's state
    std::uint64_t log_bytes() const;
    std::uint64_t commits() const { return frames.empty() ? 0 : frames.back().commits; }
    Timestamp until() const { return frames.empty() ? generation.at : frames.back().at; }
};

class DuckDbStates {
public:
    explicit DuckDbStates(std::string folder) : folder_(std::move(folder)) {}
    const std::string& folder() const { return folder_; }

    /// Oldest first; what is damaged is left out and counted.
    struct List {
        std::vector<KeptStates> states;
        std::size_t damaged = 0;
    };
    Result<List> list() const;
    /// The newest one that was kept at or before this time; nullopt: the newest.
    Result<DuckDbState> find(std::optional<Timestamp> at) const;
    /// The newest one that libduckdb has read through.
    Result<DuckDbState> find_verified() const;
    Result<DuckDbState> find(std::string_view name) const;

    struct Written {
        std::uint64_t file_bytes = 0, log_bytes = 0;
    };
    /// `to`, and `to`.wal when the state has commits in its log; both made durable when asked.
    Result<Written> write(const DuckDbState& state, const std::string& to, bool durable) const;

private:
    std::string folder_;
};

}    // namespace holdfast::source
