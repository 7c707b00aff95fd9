#include "holdfast/vault/tag.hpp"

#include <fmt/core.h>

#include <algorithm>

namespace holdfast::vault {

std::vector<std::string> changed_tags(std::vector<std::string> tags, const TagChange& change) {
    if (change.set) {
        tags.clear();
        for (const std::string& one : *change.set)
            if (std::ranges::find(tags, one) == tags.end()) tags.push_back(one);
        return tags;
    }
    for (const std::string& one : change.add)
        if (std::ranges::find(tags, one) == tags.end()) tags.push_back(one);
    std::erase_if(tags,
                  [&](const std::string& one) { return std::ranges::find(change.remove, one) != change.remove.end(); });
    return tags;
}

Status check_tags(const std::vector<std::string>& tags) {
    for (const std::string& one : tags)
        if (one.empty() || one.find(',') != std::string::npos)
            return fail(ErrorCode::usage, fmt::format("\"{}\" cannot be a tag", one),
                        "a tag has at least one character and no comma");
    return {};
}

Result<std::vector<Replacement>> tag(Repository& repository, const RepositoryLock& lock,
                                     const std::vector<SnapshotEntry>& known, const std::vector<SnapshotEntry>& chosen,
                                     const TagChange& change) {
    if (change.set) HF_DO(check_tags(*change.set));
    HF_DO(check_tags(change.add));
    std::vector<Replacement> replacements;
    for (const SnapshotEntry& entry : chosen) {
        Replacement one{entry, entry.snapshot, {}};
        one.fresh.tags = changed_tags(entry.snapshot.tags, change);
        if (one.fresh.tags != entry.snapshot.tags) replacements.push_back(std::move(one));
    }
    HF_DO(replace_snapshots(repository, lock, known, replacements, true));
    return replacements;
}

}    // namespace holdfast::vault
