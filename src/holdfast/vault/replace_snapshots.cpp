#include "holdfast/vault/replace_snapshots.hpp"

#include <unordered_map>

#include "holdfast/os/crash_point.hpp"
#include "holdfast/vault/parallel.hpp"
#include "holdfast/vault/removal.hpp"

namespace holdfast::vault {

using storage::FileKind;

Status replace_snapshots(Repository& repository, const RepositoryLock& lock, const std::vector<SnapshotEntry>& known,
                         std::vector<Replacement>& replacements, bool remove_old) {
    if (replacements.empty()) return {};
    if (remove_old) HF_DO(check_removal_allowed(repository));
    std::unordered_map<std::string, Id> by_content;
    for (const SnapshotEntry& entry : known) by_content.emplace(format::encode(entry.snapshot), entry.id);
    HF_DO(lock.still_held());
    HF_DO(for_each_of(replacements.size(), k_request_threads, [&](std::size_t i) -> Status {
        Replacement& one = replacements[i];
        if (!one.fresh.original) one.fresh.original = one.old.id;
        const std::string json = format::encode(one.fresh);
        if (const auto there = by_content.find(json); there != by_content.end()) {
            one.id = there->second;
            return {};
        }
        HF_TRY(one.id, repository.write_document(FileKind::snapshot, json));
        os::crash_point("replace_snapshots.written");
        return {};
    }));
    HF_DO(repository.backend().sync());
    os::crash_point("replace_snapshots.safe");
    if (!remove_old) return {};
    std::vector<storage::FileName> old;
    for (const Replacement& one : replacements)
        if (one.old.id != one.id) old.push_back({FileKind::snapshot, one.old.id});
    return remove_files(repository, lock, old);
}

}    // namespace holdfast::vault
