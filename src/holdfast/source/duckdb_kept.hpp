#pragma once
// A DuckDB database into the vault out of the states that `holdfast duckdb watch` keeps of it. The live file is not read, and of the kept
// blocks only those that the repository does not have; the snapshot holds whole files all the same.
//
//   when      the newest kept generation is the file: the same headers, and nothing was written into the file since; the log begins
//             with what is kept; and libduckdb has read a kept state through not long ago. In all other cases: not, and why()
//   promise   every commit acknowledged before take() is in what it puts into the snapshot
//   states    <name>.states/: the states since the earlier copy, each generation as a database file with its log, so that restic reads
//             them, too, and no snapshot needs another one; states.json names them and their moments
//   never     as LiveDuckDb: not in the process that has the database open
//   threads   one
//   source    docs/decisions/0032-duckdb-states-in-the-vault.md

#include "holdfast/source/capture.hpp"
#include "holdfast/source/duckdb_blob_ids.hpp"
#include "holdfast/source/duckdb_copy.hpp"
#include "holdfast/source/duckdb_states.hpp"

namespace holdfast::source {

inline constexpr const char* k_states_file = "states.json";

class KeptDuckDb {
public:
    /// `options`: what the file in the snapshot looks like, but for its cut.
    KeptDuckDb(const policy::DuckDbConfig& config, CaptureContext& context, vault::StreamOptions options);

    struct Taken {
        DuckDbCopy copy;
        std::uint64_t blocks = 0, blocks_read = 0;
        json::Value kept;    // for the manifest: "generation", "commits", "at", "verified"
        json::Value checked;    // what libduckdb found in exactly this state, if it was that one; else null
        std::string proof;    // of `checked`
    };
    /// Puts the database, and its log, at `name` in the snapshot. Nullopt: it must be read; nothing is in the snapshot then.
    Result<std::optional<Taken>> take(const std::string& name);
    /// Empty: nobody keeps states.
    const std::string& why() const { return why_; }

    /// Puts the states since generation `since` into the snapshot; nullopt: there are none, or they could not be taken (which is told).
    std::optional<json::Value> add_states(std::uint32_t since, const std::optional<Taken>& taken);

private:
    struct Fit {
        KeptGeneration generation;
        std::vector<KeptFrame> frames;
        DuckDbCopy copy;
        Timestamp at;
    };
    std::optional<json::Value> fresh_verification();
    Result<bool> fits(Fit& fit);
    Result<std::optional<Fit>> wait_for_fit();
    Result<std::uint64_t> stream_blocks(const KeptGeneration& generation, const std::string& to);
    Result<json::Value> add_generation(const KeptGeneration& generation, const std::vector<KeptFrame>& frames);
    std::string log_copy() const { return context_.scratch + "/kept-" + config_.name + ".wal"; }

    const policy::DuckDbConfig& config_;
    CaptureContext& context_;
    const vault::StreamOptions options_;
    const std::string folder_;
    KeptBlockFiles files_;
    DuckDbBlobIds ids_;
    std::string why_;
};

/// Puts a file of this machine at `to`; to be finished.
Result<std::unique_ptr<vault::StreamWriter>> stream_file(vault::Backup& backup, const std::string& from,
                                                         const std::string& to, const vault::StreamOptions& options);

}    // namespace holdfast::source
