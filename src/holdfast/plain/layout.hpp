#pragma once
// The plain layout: a folder that gunzip, sha256sum, tar, psql and redis-server read with no holdfast at hand.
//
//   TIME/database/NAME_TIME.sql.gz    redis/dump_TIME.rdb.gz    config/NAME_TIME.tar.gz    logs/NAME_TIME.tar.gz
//        duckdb/…  clickhouse/…  journal/…                      each with a .sha256 beside it
//        metadata/backup_info.json, backup_summary.txt, manifest.json
//
//   source   docs/formats/plain-export.md; NS-02

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "holdfast/base/clock.hpp"
#include "holdfast/base/json.hpp"
#include "holdfast/policy/config.hpp"
#include "holdfast/vault/repository.hpp"

namespace holdfast::plain {

inline constexpr const char* k_info_name = "metadata/backup_info.json";

struct ExportedFile {
    std::string component, kind;
    std::string path;    // inside the folder: "database/trading_20240101_020000.sql.gz"
    std::uint64_t size = 0, plain_size = 0;
    std::string sha256;    // of the file as it lies there
};

struct ExportOptions {
    std::string target;    // the folder that holds exports: made if absent
    std::vector<std::string> only, without;    // components, by name or kind
    std::string program_version;
    std::string stamp;    // the folder's name: "20240101_020000", the snapshot's time in the machine's zone
    std::function<void(std::string_view component, std::string_view event)> say;    // may be empty
    std::function<std::string(std::string_view component)> bin_folder;    // of PostgreSQL's programs; may be empty
    /// Makes one RDB of a base and increments and hands on its path, good for the call; not_found: there is no redis-server. Empty:
    /// the parts go into a tar.
    std::function<Status(const std::string& component, const json::Value& facts,
                         const std::function<Status(const std::string& rdb)>& use)>
        replay_redis;
};

struct ExportReport {
    std::string folder;
    std::vector<ExportedFile> files;
    struct Missing {
        std::string component, kind, why;
        bool by_choice = false;    // --only, --without
    };
    std::vector<Missing> missing;    // what the snapshot does not hold whole
    bool complete() const { return missing.empty(); }
    /// The snapshot lacks what was asked for.
    bool lacking() const {
        return std::ranges::any_of(missing, [](const Missing& one) { return !one.by_choice; });
    }
};

/// [{path, component, kind, size, plain_size, sha256}, …] and [{component, kind, why}, …]: of `--json`, and of the folder's metadata.
json::Value files_json(const ExportReport& report);
json::Value missing_json(const ExportReport& report);

/// Lays a stack's snapshot out below options.target, under a provisional name until all is durable. Errors: exists (a folder of
/// that name), not_found (a snapshot without a manifest), locked (the same export runs), disk_full … Nothing is left then
/// but, after a kill, the provisional folder ".TIME.partial", which the next export of this snapshot removes.
Result<ExportReport> export_snapshot(const vault::Repository& repository, const vault::SnapshotEntry& snapshot,
                                     const ExportOptions& options);

/// One file of such a folder, and what is wrong with it.
struct ValidatedFile {
    std::string path, kind;    // kind: "database", "redis", "config", "logs", …
    std::uint64_t size = 0;
    std::string facts;    // "12 keys", "31 files", for people
    std::string problem, hint;    // empty: it is good
    bool good() const { return problem.empty(); }
};
struct ValidationReport {
    std::vector<ValidatedFile> files;
    std::vector<std::string> problems;    // of the folder: parts that are missing, metadata that does not fit
    std::vector<std::string> notes;    // no reason to distrust it
    bool good() const;
};
struct ValidationOptions {
    std::function<void(std::string_view path)> say;    // before each file; may be empty
};
/// NS-16. Each file once, as a stream: its SHA-256 beside the one that is written down, its gzip checksum, and its content: an
/// RDB by the reader that checks all of it, an SQL dump by its first and last lines, an archive by its headers and its
/// end. Of ours and of the scripts that this layout comes from. not_found: no such folder.
Result<ValidationReport> validate_folder(const std::string& folder, const ValidationOptions& options = {});

struct ImportOptions {
    std::vector<std::string> without;    // components, by kind or name
    std::string stack;    // of folders that do not say it
    std::string root;    // absolute: where the names in config and log archives of scripts belong
    std::vector<std::string> tags;
    std::string program_version;
    std::string scratch;    // archives are unpacked here on their way: room for the largest
    std::function<std::string(std::string_view kind)> name_of;    // of a component of this kind that scripts saved
    std::function<Result<Timestamp>(const std::string& stamp)>
        time_of;    // of "20240101_020000", in the machine's zone
    std::function<void(std::string_view component, std::string_view event)> say;    // may be empty
};
struct ImportReport {
    Id snapshot;
    Timestamp time;
    json::Value manifest;
    format::SnapshotSummary summary;
};
/// Takes a plain folder into the vault as a snapshot of its own time, tagged "imported", from which `restore` goes on as from any
/// other. It is validated first. Errors: corrupt (not good: nothing is taken), exists (a snapshot of that stack and time is there),
/// usage (config or logs of scripts without `root`), mismatch (not what its manifest says) …
Result<ImportReport> import_folder(const std::string& folder, vault::Repository& repository,
                                   const ImportOptions& options);

}    // namespace holdfast::plain
