#include <fmt/core.h>

#include <array>

#include "holdfast/format/documents.hpp"
#include "holdfast/format/go_json.hpp"

namespace holdfast::format {
namespace {

// The counters of the summary, in written order.
struct Counter {
    std::string_view key;
    std::uint64_t SnapshotSummary::* member;
};
constexpr std::array<Counter, 12> k_counters = {{
    {"files_new", &SnapshotSummary::files_new},
    {"files_changed", &SnapshotSummary::files_changed},
    {"files_unmodified", &SnapshotSummary::files_unmodified},
    {"dirs_new", &SnapshotSummary::dirs_new},
    {"dirs_changed", &SnapshotSummary::dirs_changed},
    {"dirs_unmodified", &SnapshotSummary::dirs_unmodified},
    {"data_blobs", &SnapshotSummary::data_blobs},
    {"tree_blobs", &SnapshotSummary::tree_blobs},
    {"data_added", &SnapshotSummary::data_added},
    {"data_added_packed", &SnapshotSummary::data_added_packed},
    {"total_files_processed", &SnapshotSummary::total_files_processed},
    {"total_bytes_processed", &SnapshotSummary::total_bytes_processed},
}};

void append_summary(std::string& json, const SnapshotSummary& summary) {
    json += '{';
    append_key(json, "backup_start");
    append_time(json, summary.backup_start);
    append_key(json, "backup_end");
    append_time(json, summary.backup_end);
    for (const Counter& counter : k_counters) {
        append_key(json, counter.key);
        append_number(json, summary.*counter.member);
    }
    json += '}';
}

Result<SnapshotSummary> read_summary(simdjson::dom::element from, const Place& place) {
    simdjson::dom::object object;
    if (from.get(object)) return wrong_field(place, "is not an object");
    SnapshotSummary summary;
    for (const auto [key, value] : object) {
        const Place inner{place.document, key};
        if (key == "backup_start") HF_DO(read(value, inner, summary.backup_start));
        if (key == "backup_end") HF_DO(read(value, inner, summary.backup_end));
        for (const Counter& counter : k_counters)
            if (key == counter.key) HF_DO(read(value, inner, summary.*counter.member));
    }
    return summary;
}

}    // namespace

std::string encode(const Snapshot& snapshot) {
    std::string json = "{";
    const auto text = [&](std::string_view key, const std::string& value) {
        if (value.empty()) return;
        append_key(json, key);
        append_go_string(json, value);
    };
    const auto number = [&](std::string_view key, std::uint64_t value) {
        if (value == 0) return;
        append_key(json, key);
        append_number(json, value);
    };
    const auto id = [&](std::string_view key, const std::optional<Id>& value) {
        if (!value) return;
        append_key(json, key);
        append_id(json, *value);
    };
    const auto strings = [&](std::string_view key, const std::vector<std::string>& value) {
        if (value.empty()) return;
        append_key(json, key);
        append_strings(json, value);
    };
    append_key(json, "time");
    append_time(json, snapshot.time);
    id("parent", snapshot.parent);
    id("tree", snapshot.tree);
    append_key(json, "paths");
    append_strings(json, snapshot.paths);
    text("hostname", snapshot.hostname);
    text("username", snapshot.username);
    number("uid", snapshot.uid);
    number("gid", snapshot.gid);
    strings("excludes", snapshot.excludes);
    strings("tags", snapshot.tags);
    id("original", snapshot.original);
    text("program_version", snapshot.program_version);
    if (snapshot.summary) {
        append_key(json, "summary");
        append_summary(json, *snapshot.summary);
    }
    return json + '}';
}

Result<Snapshot> decode_snapshot(std::string_view json, std::string_view what) {
    HF_TRY(const simdjson::dom::object root, parse_object(json, what));
    Snapshot snapshot;
    bool has_time = false;
    std::optional<Id> tree;
    for (const auto [key, value] : root) {
        const Place place{what, key};
        if (key == "time") {
            HF_DO(read(value, place, snapshot.time));
            has_time = !value.is_null();
        }
        if (key == "parent") HF_DO(read(value, place, snapshot.parent));
        if (key == "tree") HF_DO(read(value, place, tree));
        if (key == "paths") HF_DO(read(value, place, snapshot.paths));
        if (key == "hostname") HF_DO(read(value, place, snapshot.hostname));
        if (key == "username") HF_DO(read(value, place, snapshot.username));
        if (key == "uid") HF_DO(read(value, place, snapshot.uid));
        if (key == "gid") HF_DO(read(value, place, snapshot.gid));
        if (key == "excludes") HF_DO(read(value, place, snapshot.excludes));
        if (key == "tags") HF_DO(read(value, place, snapshot.tags));
        if (key == "original") HF_DO(read(value, place, snapshot.original));
        if (key == "program_version") HF_DO(read(value, place, snapshot.program_version));
        if (key == "summary" && !value.is_null()) {
            HF_TRY(snapshot.summary, read_summary(value, place));
        }
    }
    if (!has_time) return fail(ErrorCode::corrupt, fmt::format("{}: the field 'time' is missing", what));
    if (!tree) return fail(ErrorCode::corrupt, fmt::format("{}: the field 'tree' is missing", what));
    snapshot.tree = *tree;
    return snapshot;
}

}    // namespace holdfast::format
