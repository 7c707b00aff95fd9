// Repository's view of snapshots: which there are, and what lies under a path in one.

#include <fmt/core.h>

#include <algorithm>

#include "holdfast/base/log.hpp"
#include "holdfast/vault/parallel.hpp"
#include "holdfast/vault/repository_state.hpp"

namespace holdfast::vault {
namespace {

constexpr std::size_t k_prefix_min = 4;
constexpr std::size_t k_read_at_once_min = 32;

}    // namespace

bool passes(const format::Snapshot& snapshot, const SnapshotFilter& filter) {
    if (!filter.host.empty() && snapshot.hostname != filter.host) return false;
    if (!filter.paths.empty()) {
        auto wanted = filter.paths, there = snapshot.paths;
        std::sort(wanted.begin(), wanted.end());
        std::sort(there.begin(), there.end());
        if (wanted != there) return false;
    }
    return std::all_of(filter.tags.begin(), filter.tags.end(), [&](const std::string& tag) {
        return std::find(snapshot.tags.begin(), snapshot.tags.end(), tag) != snapshot.tags.end();
    });
}

namespace {

// Those whose ID begins with `prefix`, oldest first.
Result<std::vector<SnapshotEntry>> read_snapshots(const Repository& repository, std::string_view prefix,
                                                  const std::function<void(const Id&, const Error&)>& skipped) {
    std::vector<Id> ids;
    HF_DO(repository.backend().list(storage::FileKind::snapshot, [&](const Id& id, std::uint64_t) {
        if (prefix.empty() || id.hex().starts_with(prefix)) ids.push_back(id);
    }));
    std::vector<std::optional<Result<SnapshotEntry>>> read(ids.size());
    const auto read_one = [&](const Id& id) -> Result<SnapshotEntry> {
        HF_TRY(const std::string json, repository.read_document({storage::FileKind::snapshot, id}));
        HF_TRY(auto snapshot, format::decode_snapshot(json, "snapshot " + id.brief()));
        return SnapshotEntry{id, std::move(snapshot)};
    };
    // Each is a small file, and there may be thousands: what takes time is the way to the storage.
    HF_DO(
        for_each_of(ids.size(), ids.size() < k_read_at_once_min ? 1 : k_request_threads, [&](std::size_t i) -> Status {
            read[i] = read_one(ids[i]);
            return {};
        }));
    std::vector<SnapshotEntry> entries;
    entries.reserve(ids.size());
    for (std::size_t i = 0; i < ids.size(); ++i) {
        Result<SnapshotEntry>& entry = *read[i];
        if (entry)
            entries.push_back(*std::move(entry));
        else if (entry.error().code == ErrorCode::not_found)
            continue;    // forgotten since the listing
        else if (skipped)
            skipped(ids[i], entry.error());
        else
            return fail(std::move(entry).error());
    }
    std::sort(entries.begin(), entries.end(), [](const SnapshotEntry& a, const SnapshotEntry& b) {
        return a.snapshot.time != b.snapshot.time ? a.snapshot.time < b.snapshot.time : a.id < b.id;
    });
    return entries;
}

}    // namespace

Result<std::vector<SnapshotEntry>> Repository::snapshots(
    const std::function<void(const Id&, const Error&)>& skipped) const {
    return read_snapshots(*this, "", skipped);
}

Result<SnapshotEntry> Repository::find_snapshot(std::string_view spec, const SnapshotFilter& filter) const {
    // One damaged snapshot must not keep the others from being found.
    std::vector<std::pair<Id, Error>> damaged;
    const auto note = [&](const Id& id, const Error& error) { damaged.emplace_back(id, error); };
    if (spec == "latest") {
        HF_TRY(auto entries, snapshots(note));
        for (const auto& [id, error] : damaged)
            log_warning("a snapshot cannot be read and does not count as the latest",
                        {{"snapshot", id.brief()}, {"error", error.message}});
        for (auto entry = entries.rbegin(); entry != entries.rend(); ++entry)
            if (passes(entry->snapshot, filter)) return std::move(*entry);
        return fail(ErrorCode::not_found,
                    entries.empty()
                        ? fmt::format("the repository {} holds no snapshot yet", backend().location())
                        : fmt::format("none of the {} snapshots has the wanted host, paths and tags", entries.size()),
                    entries.empty() ? "run a backup first" : "`holdfast snapshots` lists what is there");
    }
    if (spec.size() < k_prefix_min || spec.size() > 64 ||
        spec.find_first_not_of("0123456789abcdef") != std::string_view::npos)
        return fail(ErrorCode::usage, fmt::format("\"{}\" names no snapshot", spec),
                    "give `latest` or at least 4 digits of an ID from `holdfast snapshots`");
    HF_TRY(auto entries, read_snapshots(*this, spec, note));
    if (!damaged.empty()) return fail(std::move(damaged.front().second));
    std::optional<SnapshotEntry> found;
    for (SnapshotEntry& entry : entries) {
        if (found)
            return fail(ErrorCode::usage,
                        fmt::format("several snapshots begin with {}: {} and {}", spec, found->id.hex().substr(0, 16),
                                    entry.id.hex().substr(0, 16)),
                        "give more digits");
        found = std::move(entry);
    }
    if (!found)
        return fail(ErrorCode::not_found, fmt::format("no snapshot begins with {}", spec),
                    "`holdfast snapshots` lists what is there");
    return *std::move(found);
}

Result<format::Node> find_numbered_node(const Repository& repository, const Id& tree, std::string_view path) {
    format::Node node;
    node.type = format::NodeType::dir;
    node.subtree = tree;
    for (std::size_t at = 0; at < path.size();) {
        const std::size_t end = std::min(path.find('/', at), path.size());
        const std::string_view part = path.substr(at, end - at);
        at = end + 1;
        if (part.empty()) continue;
        const std::string_view so_far = path.substr(0, end);
        if (node.type != format::NodeType::dir)
            return fail(ErrorCode::not_found,
                        fmt::format("the snapshot has no {}: {} is no folder", so_far, node.name));
        HF_TRY(format::Tree level, repository.read_numbered_tree(node.subtree));
        const format::Node* found = level.find(part);
        if (!found)
            return fail(ErrorCode::not_found, fmt::format("the snapshot has no {}", so_far),
                        "`holdfast ls` shows what it has");
        node = std::move(level.nodes[static_cast<std::size_t>(found - level.nodes.data())]);
    }
    return node;
}

Result<format::Node> Repository::find_node(const Id& tree, std::string_view path) const {
    HF_TRY(format::Node node, find_numbered_node(*this, tree, path));
    if (node.numbers.empty()) return node;
    node.content.reserve(node.numbers.size());
    for (const std::uint32_t number : node.numbers) node.content.push_back(state_->index.at(number).blob.id);
    node.numbers = {};
    HF_DO(state_->index.status());
    return node;
}

}    // namespace holdfast::vault
