#include "holdfast/vault/prune.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <atomic>

#include "holdfast/base/log.hpp"
#include "holdfast/os/crash_point.hpp"
#include "holdfast/vault/index_writer.hpp"
#include "holdfast/vault/pack_usage.hpp"
#include "holdfast/vault/parallel.hpp"
#include "holdfast/vault/reachable.hpp"
#include "holdfast/vault/removal.hpp"
#include "holdfast/vault/repack.hpp"
#include "holdfast/vault/repository_state.hpp"

namespace holdfast::vault {
namespace {

using storage::FileKind;

// Index files below this size are merged once there are as many of them: each run leaves at least one, and each costs a
// reader a request.
constexpr std::size_t k_index_small = 10'000;
constexpr std::size_t k_index_small_files_min = 10;

// No upload lives that long; a mirror of another machine may send here without our lock.
constexpr auto k_leftover_age = std::chrono::hours(24);

class Pruner {
public:
    Pruner(Repository& repository, const RepositoryLock* lock, const PruneOptions& options)
        : repository_(repository), lock_(lock), options_(options), index_(repository.state().index) {
        HF_ASSERT(!options.index_goes_first || options.limits.max_repack == 0);
    }

    Result<PruneReport> run() {
        HF_DO(look());
        if (options_.dry_run) return report_;
        if (auto changed = change(); !changed) return fail(explained(std::move(changed).error()));
        return report_;
    }

    Result<std::vector<storage::FileName>> needless() {
        HF_DO(look());
        HF_TRY(const Dead dead, find_dead());
        std::vector<storage::FileName> files = unindexed();
        files.insert(files.end(), dead.index_files.begin(), dead.index_files.end());
        return files;
    }

private:
    void progress(std::string_view step, std::uint64_t done, std::uint64_t total) {
        if (options_.progress) options_.progress(step, done, total);
    }

    Status look() {
        progress("reading the index", 0, 0);
        HF_DO(repository_.load_index(true));
        HF_TRY(const auto snapshots, repository_.snapshots());
        std::vector<Id> roots;
        for (const SnapshotEntry& entry : snapshots)
            if (!options_.without.contains(entry.id)) roots.push_back(entry.snapshot.tree);
        report_.snapshots = roots.size();
        MarkOptions mark;
        mark.progress = [&](std::uint64_t trees) { progress("looking for what is needed", trees, 0); };
        HF_TRY(const Reachable needed, find_reachable(repository_, roots, mark));
        HF_DO(refuse_if_missing(needed));
        HF_TRY(usage_, pack_usage(repository_, needed));
        report_.statistics = usage_.totals;
        fates_ = plan_prune(usage_.packs, options_.limits, report_.statistics);
        return {};
    }

    static Status refuse_if_missing(const Reachable& needed) {
        if (needed.missing().empty()) return {};
        const Reachable::Missing& one = needed.missing().front();
        return fail(ErrorCode::corrupt,
                    fmt::format("{} needed blob{} in no index, among them {} blob {}{}", needed.missing().size(),
                                needed.missing().size() == 1 ? " is" : "s are",
                                one.type == format::BlobType::tree ? "tree" : "data", one.id.hex(),
                                one.needed_by == Id{} ? "" : " of tree " + one.needed_by.brief()),
                    "nothing was removed; run `holdfast check`, and bring back the lost index or pack files first");
    }

    Status change() {
        HF_DO(check_removal_allowed(repository_));
        if (report_.statistics.unindexed.blobs > 0) HF_DO(remove(unindexed(), "removing packs that no index names"));
        if (options_.limits.max_repack == 0) HF_DO(remove_dead());
        IndexWriter index(repository_, *lock_);
        HF_DO(copy_needed(index));
        std::vector<storage::FileName> old_index;
        HF_DO(options_.index_goes_first ? rewrite_index_in_its_room() : rewrite_index(index, old_index));
        if (old_index.empty() && index.written().empty() && report_.index_files_removed == 0) return {};
        os::crash_point("prune.index_written");
        HF_DO(remove(old_index, "removing old index files"));
        os::crash_point("prune.index_replaced");
        // From here on what the index in memory says is history.
        forget_index();
        std::vector<storage::FileName> old_packs;
        for (BlobIndex::PackNumber pack = 0; pack < fates_.size(); ++pack)
            if (fates_[pack] != PackFate::keep) old_packs.push_back({FileKind::pack, pack_ids_[pack]});
        HF_DO(remove(old_packs, "removing old packs"));
        os::crash_point("prune.packs_removed");
        report_.index_files_removed += old_index.size();
        return {};
    }

    std::vector<storage::FileName> unindexed() const {
        std::vector<storage::FileName> files;
        for (const auto& [id, size] : usage_.unindexed) files.push_back({FileKind::pack, id});
        return files;
    }

    // Index files that name only packs that go, and those packs as far as no other file names them.
    struct Dead {
        std::vector<storage::FileName> index_files, packs;
    };
    Result<Dead> find_dead() {
        Dead dead;
        std::set<Id> of_dead, of_others;
        for (const Id& id : std::set<Id>(repository_.state().index_files)) {
            HF_TRY(const auto packs, repository_.read_index(id));
            const bool is_dead = !packs.empty() && std::ranges::all_of(packs, [&](const format::IndexPack& pack) {
                return fate_of(pack.id) == PackFate::remove;
            });
            if (is_dead) dead.index_files.push_back({FileKind::index, id});
            for (const format::IndexPack& pack : packs) (is_dead ? of_dead : of_others).insert(pack.id);
        }
        for (const Id& id : of_dead)
            if (!of_others.contains(id)) dead.packs.push_back({FileKind::pack, id});
        return dead;
    }
    Status remove_dead() {
        HF_TRY(const Dead dead, find_dead());
        HF_DO(remove(dead.index_files, "removing index files that name nothing needed"));
        report_.index_files_removed += dead.index_files.size();
        {
            Repository::State& state = repository_.state();
            const std::scoped_lock guard(state.index_files_mutex);
            for (const storage::FileName& file : dead.index_files) state.index_files.erase(file.id);
        }
        return remove(dead.packs, "removing packs");
    }

    // The full disk: what helps then depends on what was tried.
    Error explained(Error error) const {
        if (error.code != ErrorCode::disk_full) return error;
        if (options_.limits.max_repack > 0)
            error.hint = "`holdfast prune --max-repack-size 0` copies nothing and frees whole packs first";
        else if (!options_.index_goes_first)
            error.hint = fmt::format(
                "free some room elsewhere on that disk, or forget more snapshots and try again. As a last resort: "
                "`holdfast prune --unsafe-recover-no-free-space {}`",
                repository_.config().id.hex());
        else
            error.hint = "every pack that is needed is there; free some room, then `holdfast repair index`";
        return error;
    }

    // Blobs of packs to be repacked, by pack. Twelve bytes a blob.
    Status copy_needed(IndexWriter& index) {
        struct Copied {
            BlobIndex::PackNumber pack = 0;
            std::uint32_t offset = 0, number = 0;
        };
        std::vector<Copied> entries;
        std::uint64_t total = 0;
        for (std::uint32_t n = 0; n < usage_.used.size(); ++n) {
            if (!usage_.used[n]) continue;
            const BlobIndex::Numbered entry = index_.at(n);
            if (fates_[entry.pack] != PackFate::repack) continue;
            entries.push_back({entry.pack, entry.blob.offset, n});
            total += entry.blob.length;
        }
        std::sort(entries.begin(), entries.end(), [](const Copied& a, const Copied& b) {
            return std::pair(a.pack, a.offset) < std::pair(b.pack, b.offset);
        });
        std::vector<std::size_t> starts;
        for (std::size_t i = 0; i < entries.size(); ++i)
            if (i == 0 || entries[i].pack != entries[i - 1].pack) starts.push_back(i);
        starts.push_back(entries.size());
        HF_DO(index_.status());
        RepackOptions repacking;
        repacking.pack_size_target = static_cast<std::uint32_t>(options_.limits.pack_size_target);
        repacking.compress_plain = options_.limits.uncompressed;
        repacking.compression_level = options_.compression_level;
        repacking.progress = [&](std::uint64_t bytes) { progress("copying what is needed", bytes, total); };
        report_.new_bytes = total;
        HF_TRY(report_.new_packs, repack(
                                      repository_, starts.size() - 1,
                                      [&](std::size_t number) {
                                          format::IndexPack pack;
                                          pack.id = index_.pack_id(entries[starts[number]].pack);
                                          for (std::size_t i = starts[number]; i < starts[number + 1]; ++i)
                                              pack.blobs.push_back(index_.at(entries[i].number).blob);
                                          return pack;
                                      },
                                      index, repacking));
        return {};
    }

    // Index files that name a pack that goes are written anew without it. The others stay as they are, unless there are
    // many small ones.
    Status rewrite_index(IndexWriter& index, std::vector<storage::FileName>& old) {
        const std::set<Id> files = repository_.state().index_files;
        std::vector<Id> ids(files.begin(), files.end());
        if (report_.statistics.nothing_to_do() && ids.size() < k_index_small_files_min) return {};
        std::vector<std::vector<format::IndexPack>> small(ids.size());
        std::atomic<std::size_t> done = 0, small_count = 0;
        std::mutex mutex;
        HF_DO(for_each_of(ids.size(), worker_count(), [&](std::size_t at) -> Status {
            HF_TRY(auto packs, repository_.read_index(ids[at]));
            std::size_t blobs = 0;
            for (const format::IndexPack& pack : packs) blobs += pack.blobs.size();
            const std::size_t removed =
                std::erase_if(packs, [&](const format::IndexPack& pack) { return goes(pack.id); });
            {
                const std::scoped_lock lock(mutex);
                progress("writing the index", ++done, ids.size());
            }
            if (removed == 0 && !packs.empty()) {
                if (blobs < k_index_small) {
                    ++small_count;
                    small[at] = std::move(packs);
                }
                return {};
            }
            for (format::IndexPack& pack : packs) HF_DO(index.add(std::move(pack)));
            const std::scoped_lock lock(mutex);
            old.push_back({FileKind::index, ids[at]});
            return {};
        }));
        if (small_count >= k_index_small_files_min && options_.limits.max_repack > 0)
            for (std::size_t at = 0; at < ids.size(); ++at) {
                if (small[at].empty()) continue;
                for (format::IndexPack& pack : small[at]) HF_DO(index.add(std::move(pack)));
                old.push_back({FileKind::index, ids[at]});
            }
        HF_DO(index.finish());
        report_.index_files_written = index.written().size();
        return {};
    }

    // One after the other, each in the room of the old one.
    Status rewrite_index_in_its_room() {
        for (const Id& id : std::set<Id>(repository_.state().index_files)) {
            HF_TRY(auto packs, repository_.read_index(id));
            const std::size_t gone = std::erase_if(packs, [&](const format::IndexPack& pack) { return goes(pack.id); });
            if (gone == 0 && !packs.empty()) continue;
            HF_DO(remove({{FileKind::index, id}}, "writing the index"));
            ++report_.index_files_removed;
            os::crash_point("prune.index_gone");
            if (packs.empty()) continue;
            HF_TRY(const Id written, repository_.write_document(FileKind::index, format::encode_index(packs)));
            log_warning("an index file was replaced in its own room", {{"old", id.brief()}, {"new", written.brief()}});
            ++report_.index_files_written;
            HF_DO(repository_.backend().sync());
        }
        return {};
    }

    PackFate fate_of(const Id& id) const {
        const auto pack = index_.pack_number(id);
        return pack ? fates_[*pack] : PackFate::keep;
    }
    bool goes(const Id& id) const { return fate_of(id) != PackFate::keep; }

    void forget_index() {
        for (BlobIndex::PackNumber pack = 0; pack < fates_.size(); ++pack) pack_ids_.push_back(index_.pack_id(pack));
        Repository::State& state = repository_.state();
        const std::scoped_lock lock(state.index_files_mutex);
        state.index.clear();
        state.index_files.clear();
        state.index_loaded = false;
    }

    Status remove(const std::vector<storage::FileName>& files, std::string_view step) {
        return remove_files(repository_, *lock_, files,
                            [&](std::uint64_t done) { progress(step, done, files.size()); });
    }

    Repository& repository_;
    const RepositoryLock* const lock_;    // null: nothing is changed
    const PruneOptions& options_;
    const BlobIndex& index_;
    PackUsage usage_;
    std::vector<PackFate> fates_;
    std::vector<Id> pack_ids_;
    PruneReport report_;
};

}    // namespace

Result<PruneReport> prune(Repository& repository, const RepositoryLock& lock, const PruneOptions& options) {
    HF_TRY(PruneReport report, Pruner(repository, &lock, options).run());
    if (options.dry_run) return report;
    const auto swept = repository.backend().remove_leftovers(repository.clock().now() - k_leftover_age);
    if (!swept && swept.error().code == ErrorCode::cancelled) return fail(swept.error());
    if (!swept)    // the repository itself is pruned and whole
        log_warning("what killed uploads left could not be removed", {{"error", swept.error().message}});
    else if (*swept > 0)
        log_info("removed what killed uploads had left", {{"files", std::to_string(*swept)}});
    return report;
}

Result<PruneReport> plan_prune(Repository& repository, PruneOptions options) {
    options.dry_run = true;
    return Pruner(repository, nullptr, options).run();
}

Result<std::vector<storage::FileName>> needless_files(Repository& repository) {
    PruneOptions options;
    options.limits.max_repack = 0;
    return Pruner(repository, nullptr, options).needless();
}

}    // namespace holdfast::vault
