#pragma once
// A damaged DuckDB log: how much of it is whole, and what exactly is lost with the rest. DuckDB itself refuses such a log, or drops all
// behind the damage (or the whole log) without a word.
//
//   kept      the commits before the damage. Those behind it could be read, but not without the damaged one: they are told, not kept
//   limits    what is behind is found again by its checksums; an entry that is damaged itself is counted, not read
//   errors    unsupported (encrypted)
//   threads   values only
//   source    docs/formats/duckdb.md

#include <map>
#include <string>

#include "holdfast/base/json.hpp"
#include "holdfast/db/duckdb_file.hpp"
#include "holdfast/db/duckdb_wal.hpp"

namespace holdfast::db {

struct DuckDbLogDamage {
    enum class Kind {
        none,    // whole; at most its end was torn by a crash, which nobody was told of
        header,    // entry 0: DuckDB ignores the log
        entry,    // the checksum of an entry: DuckDB refuses the log
        size,    // the size of an entry: DuckDB drops what follows
        zeros    // after a power failure: DuckDB refuses the log, and nothing is lost
    } kind = Kind::none;
    std::uint64_t at = 0;    // where the damaged entry begins
    std::uint64_t kept_bytes = 0, kept_commits = 0;    // before it
    std::uint64_t lost_bytes = 0;
    std::uint64_t lost_commits = 0;    // the damaged one and those behind it, as far as they end
    std::uint64_t unreadable_bytes = 0;    // of the lost ones: of what they were nothing can be told
    /// "main.trades": how often something was done to it in the lost commits: "inserts", "deletes", "updates"; "" for the rest.
    std::map<std::string, std::map<std::string, std::uint64_t>> lost;

    bool damaged() const { return kind != Kind::none; }
    /// One sentence or two, for people.
    std::string text() const;
    json::Value to_json() const;
};
std::string_view to_text(DuckDbLogDamage::Kind kind);

/// `headers` are those of the file that the log lies beside: an entry 0 that is damaged is made anew from them.
Result<DuckDbLogDamage> examine_duckdb_log(ByteView bytes, const DuckDbHeaders& headers, std::string_view path);

/// The bytes of a log that DuckDB opens: entry 0 and the commits that are kept. Empty: none is kept.
Bytes mended_duckdb_log(ByteView bytes, const DuckDbLogDamage& damage, const DuckDbHeaders& headers);

}    // namespace holdfast::db
