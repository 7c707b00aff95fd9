#pragma once
// What a restore puts aside, so that it can be put back: one live thing, and the name under which the old one is kept.
//
//   order     told (and durable) before the thing changes; what then really happened is seen from the store itself, by
//             `identity`, never from what was told
//   stages    aside ─put back─▶ back ─removed─▶ gone;  aside ─removed─▶ gone. Whatever is not in use lies under `kept_as()`
//   source    docs/formats/restore-run.md

#include <functional>
#include <string>

#include "holdfast/base/json.hpp"

namespace holdfast::recovery {

enum class ReplacementStage { aside, back, gone };

struct Replacement {
    std::string what =
        {};    // "path", "cluster", "duckdb", "redis", "database", "table", "view", "partition", "relation", "schema"
    std::string place = {};    // a path, or the name of a database, table or view
    std::string aside = {};    // where the old one is kept; empty: nothing was there, or nothing that holds rows
    std::string identity = {};    // of the old one: "device:inode" of a path, the OID of a database; else empty
    std::string definition = {};    // of an old view; the ID of a partition; the schema of a relation
    std::string database = {};    // of a table, view, partition, relation or schema
    std::string undone = {};    // where the restored one goes when the old one is put back; empty until then
    ReplacementStage stage = ReplacementStage::aside;

    const std::string& kept_as() const { return stage == ReplacementStage::back ? undone : aside; }
    bool is_path() const { return what == "path" || what == "cluster" || what == "duckdb" || what == "redis"; }
    /// Something lies aside in a file or folder, not in a server.
    bool keeps_files() const { return is_path() && stage != ReplacementStage::gone && !kept_as().empty(); }
};

/// Makes it durable; an error stops the restore before anything changed.
using WillReplace = std::function<Status(const Replacement&)>;

json::Value to_json(const Replacement& one);
Result<Replacement> replacement_from(const json::Value& value);

/// "device:inode" of what is there, a link not followed; empty when nothing is.
std::string file_identity(const std::string& path);

}    // namespace holdfast::recovery
