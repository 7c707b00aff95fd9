#include "holdfast/cli/choose.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "holdfast/cli/output.hpp"

namespace holdfast::cli {
namespace {

constexpr std::size_t k_prefix_min = 4;

Result<vault::SnapshotEntry> find(const std::vector<vault::SnapshotEntry>& all, const std::string& name,
                                  const FilterArguments& filter) {
    if (name == "latest") {
        const auto latest = std::find_if(all.rbegin(), all.rend(),
                                         [&](const vault::SnapshotEntry& e) { return fits(e.snapshot, filter); });
        if (latest != all.rend()) return *latest;
        return fail(ErrorCode::not_found, "there is no snapshot with the wanted host, paths and tags",
                    "`holdfast snapshots` lists what is there");
    }
    if (name.size() < k_prefix_min || name.size() > 64 ||
        name.find_first_not_of("0123456789abcdef") != std::string::npos)
        return fail(ErrorCode::usage, fmt::format("\"{}\" names no snapshot", name),
                    "give `latest` or at least 4 digits of an ID from `holdfast snapshots`");
    const vault::SnapshotEntry* found = nullptr;
    for (const vault::SnapshotEntry& entry : all) {
        if (!entry.id.hex().starts_with(name)) continue;
        if (found)
            return fail(ErrorCode::usage,
                        fmt::format("several snapshots begin with {}: {} and {}", name, found->id.hex().substr(0, 16),
                                    entry.id.hex().substr(0, 16)),
                        "give more digits");
        found = &entry;
    }
    if (found) return *found;
    return fail(ErrorCode::not_found, fmt::format("no snapshot begins with {}", name),
                "`holdfast snapshots` lists what is there");
}

}    // namespace

bool fits(const format::Snapshot& snapshot, const FilterArguments& filter) {
    const auto has_all = [](const std::vector<std::string>& there, const std::vector<std::string>& wanted) {
        return std::ranges::all_of(wanted,
                                   [&](const std::string& w) { return std::ranges::find(there, w) != there.end(); });
    };
    if (!filter.host.empty() && snapshot.hostname != filter.host) return false;
    return has_all(snapshot.tags, filter.tags) && has_all(snapshot.paths, filter.paths);
}

Result<std::vector<vault::SnapshotEntry>> choose_snapshots(const std::vector<vault::SnapshotEntry>& all,
                                                           const std::vector<std::string>& names,
                                                           const FilterArguments& filter) {
    std::vector<vault::SnapshotEntry> chosen;
    if (names.empty()) {
        std::ranges::copy_if(all, std::back_inserter(chosen),
                             [&](const vault::SnapshotEntry& entry) { return fits(entry.snapshot, filter); });
        return chosen;
    }
    for (const std::string& name : names) {
        HF_TRY(auto entry, find(all, name, filter));
        if (std::ranges::none_of(chosen, [&](const vault::SnapshotEntry& there) { return there.id == entry.id; }))
            chosen.push_back(std::move(entry));
    }
    return chosen;
}

std::string joined(const std::vector<std::string>& words) {
    std::string all;
    for (const std::string& word : words) all += (all.empty() ? "" : ", ") + printable(word);
    return all;
}

std::vector<std::string> snapshot_cells(const vault::SnapshotEntry& entry) {
    return {entry.id.brief(), local_time(entry.snapshot.time), printable(entry.snapshot.hostname),
            joined(entry.snapshot.tags), joined(entry.snapshot.paths)};
}

}    // namespace holdfast::cli
