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

class Pruner {
public:
    Pruner(Repository& repository, const RepositoryLock& lock, const PruneOptions& options)
        : repository_(repository), lock_(lock), options_(options), index_(repository.state().index) {}

    Result<PruneReport> run() {
        HF_DO(look());
        if (!options_.dry_run) HF_DO(change());
        return std::move(report_);
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
        if (report_.statistics.unindexed.blobs > 0) {
            std::vector<storage::FileName> files;
            for (const auto& [id, size] : usage_.unindexed) files.push_back({FileKind::pack, id});
            HF_DO(remove(files, "removing packs that no index names"));
        }
        IndexWriter index(repository_, lock_);
        HF_DO(copy_needed(index));
        std::vector<storage::FileName> old_index;
        HF_DO(rewrite_index(index, old_index));
        if (old_index.empty() && index.written().empty()) return {};
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
        report_.index_files_removed = old_index.size();
        return {};
    }

    // Blobs of packs to be repacked, by pack. Eight bytes a blob.
    Status copy_needed(IndexWriter& index) {
        std::vector<std::uint32_t> entries;
        for (std::uint32_t n = 0; n < usage_.used.size(); ++n)
            if (usage_.used[n] && fates_[index_.at(n).pack] == PackFate::repack) entries.push_back(n);
        const auto place = [&](std::uint32_t n) {
            const BlobIndex::Numbered entry = index_.at(n);
            return std::pair(entry.pack, entry.blob.offset);
        };
        std::sort(entries.begin(), entries.end(),
                  [&](std::uint32_t a, std::uint32_t b) { return place(a) < place(b); });
        std::vector<std::size_t> starts;
        std::uint64_t total = 0;
        for (std::size_t i = 0; i < entries.size(); ++i) {
            if (i == 0 || index_.at(entries[i]).pack != index_.at(entries[i - 1]).pack) starts.push_back(i);
            total += index_.at(entries[i]).blob.length;
        }
        starts.push_back(entries.size());
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
                                          pack.id = index_.pack_id(index_.at(entries[starts[number]]).pack);
                                          for (std::size_t i = starts[number]; i < starts[number + 1]; ++i)
                                              pack.blobs.push_back(index_.at(entries[i]).blob);
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
            HF_TRY(const std::string json, repository_.read_document({FileKind::index, ids[at]}));
            HF_TRY(auto packs, format::decode_index(json, "index " + ids[at].brief()));
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
        if (small_count >= k_index_small_files_min)
            for (std::size_t at = 0; at < ids.size(); ++at) {
                if (small[at].empty()) continue;
                for (format::IndexPack& pack : small[at]) HF_DO(index.add(std::move(pack)));
                old.push_back({FileKind::index, ids[at]});
            }
        HF_DO(index.finish());
        report_.index_files_written = index.written().size();
        return {};
    }

    bool goes(const Id& id) const {
        const auto pack = index_.pack_number(id);
        return pack && fates_[*pack] != PackFate::keep;
    }

    void forget_index() {
        for (BlobIndex::PackNumber pack = 0; pack < fates_.size(); ++pack) pack_ids_.push_back(index_.pack_id(pack));
        Repository::State& state = repository_.state();
        const std::scoped_lock lock(state.index_files_mutex);
        state.index.clear();
        state.index_files.clear();
        state.index_loaded = false;
    }

    Status remove(const std::vector<storage::FileName>& files, std::string_view step) {
        return remove_files(repository_, lock_, files, [&](std::uint64_t done) { progress(step, done, files.size()); });
    }

    Repository& repository_;
    const RepositoryLock& lock_;
    const PruneOptions& options_;
    const BlobIndex& index_;
    PackUsage usage_;
    std::vector<PackFate> fates_;
    std::vector<Id> pack_ids_;
    PruneReport report_;
};

}    // namespace

Result<PruneReport> prune(Repository& repository, const RepositoryLock& lock, const PruneOptions& options) {
    return Pruner(repository, lock, options).run();
}

}    // namespace holdfast::vault
