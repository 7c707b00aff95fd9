#include "holdfast/cli/newest.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "holdfast/source/stack.hpp"

namespace holdfast::cli {
namespace {

bool is_marked(const format::Snapshot& snapshot, std::string_view tag) {
    return std::ranges::find(snapshot.tags, tag) != snapshot.tags.end();
}

}    // namespace

std::map<std::string, Saved> newest_of_each(const vault::Repository& repository,
                                            const std::vector<vault::SnapshotEntry>& snapshots) {
    std::map<std::string, Saved> all;
    const auto note = [&](const std::string& name, const std::string& kind, const vault::SnapshotEntry& entry,
                          bool whole, const std::string& why, const json::Value& facts) {
        Saved& saved = all[name];
        if (saved.kind.empty()) saved.kind = kind;
        if (saved.complete) return;
        if (whole) {
            saved.complete = entry;
            saved.facts = facts;
        } else if (!saved.incomplete) {
            saved.incomplete = entry;
            saved.why = why;
        }
    };
    for (auto entry = snapshots.rbegin(); entry != snapshots.rend(); ++entry) {
        if (!is_marked(entry->snapshot, "holdfast")) {
            std::string paths;
            for (const std::string& path : entry->snapshot.paths) paths += (paths.empty() ? "" : ", ") + path;
            note(entry->snapshot.hostname + ": " + paths, "paths", *entry, !is_marked(entry->snapshot, "incomplete"),
                 "some files could not be read", {});
            continue;
        }
        const auto manifest = source::read_manifest(repository, *entry);
        if (!manifest) continue;
        const std::string stack = (*manifest)["stack"].text();
        for (const json::Value& component : (*manifest)["components"].items())
            note(fmt::format("{}: {}", stack, component["name"].text()), component["kind"].text(), *entry,
                 component["status"].text() == "complete", component["why"].text(), component["facts"]);
    }
    return all;
}

Result<vault::SnapshotEntry> latest_of_stack(const policy::Config& config, const vault::Repository& repository,
                                             const vault::SnapshotFilter& filter,
                                             const std::vector<std::string>& only) {
    auto latest = repository.find_snapshot("latest", filter);
    if (only.size() != 1 || filter.paths != std::vector<std::string>{source::stack_path(config)}) return latest;
    vault::SnapshotFilter of_one = filter;
    of_one.paths = {source::change_path(config, only[0])};
    auto changed = repository.find_snapshot("latest", of_one);
    if (!changed) return latest;
    return latest && latest->snapshot.time > changed->snapshot.time ? std::move(latest) : std::move(changed);
}

}    // namespace holdfast::cli
