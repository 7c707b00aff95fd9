#include "holdfast/recovery/duckdb_moment.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "holdfast/source/duckdb_kept.hpp"
#include "holdfast/source/stack.hpp"
#include "holdfast/vault/restore.hpp"

namespace holdfast::recovery {
namespace {

constexpr std::size_t k_states_max = std::size_t(256) << 20;

struct Span {
    Timestamp from, until;
};

// What the manifest says that a snapshot can bring back of it.
std::optional<Span> span_of(const json::Value& manifest, const std::string& component) {
    for (const json::Value& entry : manifest["components"].items()) {
        if (entry["name"].text() != component || entry["kind"].text() != "duckdb" ||
            entry["status"].text() != "complete")
            continue;
        const auto from = parse_rfc3339(entry["facts"]["states"]["from"].text());
        const auto until = parse_rfc3339(entry["facts"]["states"]["until"].text());
        if (from && until) return Span{*from, *until};
    }
    return std::nullopt;
}

}    // namespace

std::string DuckDbMoment::name() const { return fmt::format("{}+{}", generation, commits); }

Result<DuckDbMoment> find_duckdb_moment(const vault::Repository& repository, const vault::SnapshotEntry& snapshot,
                                        const std::string& folder, const std::string& component, Timestamp time) {
    const std::string path = fmt::format("/{}/{}.states/{}", folder, component, source::k_states_file);
    const auto node = repository.find_node(snapshot.snapshot.tree, path);
    if (!node && node.error().code == ErrorCode::not_found)
        return fail(
            ErrorCode::not_found,
            fmt::format("snapshot {} has {} as it was backed up, and no other moment of it", snapshot.id.brief(),
                        component),
            "`holdfast duckdb watch` keeps moments, which the next backup takes; without --time this one comes back");
    if (!node) return fail(node.error());
    HF_TRY(const Bytes content, vault::read_small(repository, *node, k_states_max));
    HF_TRY(const json::Value states, json::parse(as_text(content), path));
    if (states["version"].natural() != 1)
        return fail(ErrorCode::unsupported, path + " was written by a later program", "use that one");
    std::optional<DuckDbMoment> found;
    std::optional<Timestamp> first;
    for (const json::Value& generation : states["generations"].items())
        for (const json::Value& moment : generation["moments"].items()) {
            HF_TRY(const Timestamp at, parse_rfc3339(moment.items().size() == 2 ? moment.items()[1].text() : ""));
            if (!first || at < *first) first = at;
            if (at > time || (found && at < found->at)) continue;
            found = DuckDbMoment{generation["file"].text(), generation["generation"].natural(),
                                 moment.items()[0].natural(), at};
        }
    if (found) return *found;
    return fail(ErrorCode::not_found,
                first ? fmt::format("the first moment of {} in snapshot {} is {}", component, snapshot.id.brief(),
                                    to_rfc3339(*first))
                      : fmt::format("snapshot {} has no moment of {}", snapshot.id.brief(), component),
                "an earlier snapshot may have it: `holdfast snapshots`");
}

Result<vault::SnapshotEntry> snapshot_of_duckdb_moment(const vault::Repository& repository,
                                                       const std::vector<std::string>& stack_paths,
                                                       const std::string& component, Timestamp time) {
    HF_TRY(const auto entries, repository.snapshots([](const Id&, const Error&) {}));
    std::optional<vault::SnapshotEntry> before;    // ends before the moment
    std::optional<Timestamp> first, last;
    for (const vault::SnapshotEntry& entry : entries) {    // oldest first
        if (entry.snapshot.paths.size() != 1 ||
            std::ranges::find(stack_paths, entry.snapshot.paths[0]) == stack_paths.end())
            continue;
        const auto manifest = source::read_manifest(repository, entry);
        if (!manifest) continue;
        const auto span = span_of(*manifest, component);
        if (!span) continue;
        if (!first || span->from < *first) first = span->from;
        if (!last || span->until > *last) last = span->until;
        if (span->from <= time && time <= span->until) return entry;
        if (span->until < time) before = entry;
    }
    if (!first)
        return fail(ErrorCode::not_found, fmt::format("no snapshot has moments of {} between two backups", component),
                    "`holdfast duckdb watch` keeps them, and the next backup takes them");
    if (time > *last)
        return fail(ErrorCode::not_found,
                    fmt::format("the newest moment of {} in the vault is {}", component, to_rfc3339(*last)),
                    "`holdfast duckdb restore` may have a later one; without --time the newest backup comes back");
    if (before) return *before;
    return fail(ErrorCode::not_found,
                fmt::format("the first moment of {} in the vault is {}", component, to_rfc3339(*first)),
                "`holdfast snapshots` lists the backups before it");
}

}    // namespace holdfast::recovery
