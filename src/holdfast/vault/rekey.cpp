#include "holdfast/vault/rekey.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <set>

#include "holdfast/vault/check.hpp"
#include "holdfast/vault/reachable.hpp"

namespace holdfast::vault {
namespace {

Status check_target(const Repository& source, const Repository& target) {
    if (source.config().polynomial != target.config().polynomial)
        return fail(ErrorCode::exists,
                    fmt::format("{} is another repository: it cuts files in other places", target.backend().location()),
                    "name an empty place, or one that an earlier `holdfast rekey` began");
    if (source.master_key().encrypt == target.master_key().encrypt)
        return fail(ErrorCode::exists, fmt::format("{} has the same master key", target.backend().location()),
                    "name an empty place");
    return {};
}

std::vector<Id> trees_of(const std::vector<SnapshotEntry>& snapshots) {
    std::vector<Id> trees;
    for (const SnapshotEntry& entry : snapshots) trees.push_back(entry.snapshot.tree);
    return trees;
}

std::unexpected<Error> differs(std::string what) {
    return fail(ErrorCode::mismatch, std::move(what),
                "the old repository is untouched: keep it, remove the new one and run the command again");
}

Status verify_snapshots(const std::vector<SnapshotEntry>& ours, const std::vector<SnapshotEntry>& theirs) {
    const auto key = [](const SnapshotEntry& entry) { return entry.snapshot.original.value_or(entry.id); };
    for (const SnapshotEntry& entry : ours) {
        const bool there = std::ranges::any_of(theirs, [&](const SnapshotEntry& other) {
            return key(other) == key(entry) && same_content(other.snapshot, entry.snapshot);
        });
        if (!there) return differs(fmt::format("snapshot {} has no equal in the new repository", entry.id.brief()));
    }
    return {};
}

// Both ways: what one needs the other needs and has.
Result<std::uint64_t> verify_blobs(const Reachable& ours, const Repository& source, const Reachable& theirs,
                                   const Repository& target) {
    std::uint64_t count = 0;
    std::optional<Id> lost, extra;
    ours.for_each([&](const BlobPlace& place) {
        ++count;
        if (!theirs.contains(place.blob.type, place.blob.id)) lost = place.blob.id;
    });
    theirs.for_each([&](const BlobPlace& place) {
        if (!ours.contains(place.blob.type, place.blob.id)) extra = place.blob.id;
    });
    if (lost)
        return differs(
            fmt::format("blob {} is not needed or not there in {}", lost->brief(), target.backend().location()));
    if (extra)
        return differs(fmt::format("blob {} is needed in the new repository, but not in {}", extra->brief(),
                                   source.backend().location()));
    return count;
}

}    // namespace

Result<RekeyReport> rekey(Repository& source, Repository& target, const RekeyOptions& options) {
    HF_DO(check_target(source, target));
    RekeyReport report;
    HF_TRY(const auto snapshots, source.snapshots());
    {
        // Oldest first: the place of a repository that has snapshots which we lack is not ours.
        HF_TRY(const auto there, target.snapshots());
        const auto known = [&](const SnapshotEntry& other) {
            return std::ranges::any_of(
                snapshots, [&](const SnapshotEntry& entry) { return same_content(entry.snapshot, other.snapshot); });
        };
        if (const auto foreign = std::ranges::find_if_not(there, known); foreign != there.end())
            return fail(ErrorCode::exists,
                        fmt::format("{} holds snapshot {}, which the old repository does not have",
                                    target.backend().location(), foreign->id.brief()),
                        "was it forgotten here since? Then forget it there, too; else name another place");
    }
    CopyOptions copying = options.copy;
    if (options.progress)
        copying.progress = [&](const CopyProgress& p) {
            options.progress(RekeyStep::copy, p.blobs_done, p.blobs_total);
        };
    HF_TRY(const CopyReport copied, copy_snapshots(source, target, snapshots, copying));
    report.snapshots = snapshots.size();
    report.snapshots_copied = static_cast<std::uint64_t>(
        std::ranges::count_if(copied.snapshots, [](const CopiedSnapshot& s) { return !s.existed; }));
    report.blobs = copied.blobs;
    report.bytes_added = copied.bytes_added;
    report.bytes_stored = copied.bytes_stored;

    CheckOptions checking;
    checking.read_data = true;
    if (options.progress)
        checking.progress = [&](std::uint64_t done, std::uint64_t total) {
            options.progress(RekeyStep::verify, done, total);
        };
    HF_TRY(const CheckReport checked, check(target, checking));
    if (!checked.ok()) return differs("the new repository has damage: " + checked.errors.front());
    report.bytes_verified = checked.bytes_read;

    HF_TRY(const auto source_lock, source.lock(LockMode::shared));
    HF_TRY(const auto target_lock, target.lock(LockMode::shared));
    HF_TRY(const auto theirs, target.snapshots());
    HF_DO(verify_snapshots(snapshots, theirs));
    HF_DO(source.load_index(true));
    HF_DO(target.load_index(true));
    HF_TRY(const Reachable needed, find_reachable(source, trees_of(snapshots)));
    HF_TRY(const Reachable there, find_reachable(target, trees_of(theirs)));
    if (!there.missing().empty())
        return differs(fmt::format("blob {} is missing in the new repository", there.missing().front().id.brief()));
    HF_TRY(report.blobs_verified, verify_blobs(needed, source, there, target));
    return report;
}

}    // namespace holdfast::vault
