#include "holdfast/cli/snapshot_json.hpp"

namespace holdfast::cli {

json::Value strings_json(const std::vector<std::string>& strings) {
    json::Value list = json::Value::array();
    for (const std::string& text : strings) list.push(text);
    return list;
}

json::Value summary_json(const format::SnapshotSummary& summary) {
    return json::Value::object({{"started", to_rfc3339(summary.backup_start)},
                                {"finished", to_rfc3339(summary.backup_end)},
                                {"seconds", seconds(summary.backup_end - summary.backup_start)},
                                {"files", summary.total_files_processed},
                                {"files_new", summary.files_new},
                                {"files_changed", summary.files_changed},
                                {"files_unmodified", summary.files_unmodified},
                                {"bytes", summary.total_bytes_processed},
                                {"bytes_added", summary.data_added},
                                {"bytes_stored", summary.data_added_packed}});
}

json::Value snapshot_json(const vault::SnapshotEntry& entry) {
    const format::Snapshot& snapshot = entry.snapshot;
    json::Value value = json::Value::object({{"id", entry.id.hex()},
                                             {"short_id", entry.id.brief()},
                                             {"time", to_rfc3339(snapshot.time)},
                                             {"host", snapshot.hostname},
                                             {"user", snapshot.username},
                                             {"paths", strings_json(snapshot.paths)},
                                             {"tags", strings_json(snapshot.tags)},
                                             {"program", snapshot.program_version},
                                             {"tree", snapshot.tree.hex()}});
    if (snapshot.parent) value.set("parent", snapshot.parent->hex());
    if (snapshot.summary) value.set("summary", summary_json(*snapshot.summary));
    return value;
}

}    // namespace holdfast::cli
