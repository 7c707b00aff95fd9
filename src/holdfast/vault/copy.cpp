#include "holdfast/vault/copy.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <mutex>
#include <tuple>
#include <unordered_map>

#include "holdfast/os/crash_point.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/vault/parallel.hpp"
#include "holdfast/vault/pipeline.hpp"
#include "holdfast/vault/reachable.hpp"
#include "holdfast/vault/repository_state.hpp"

namespace holdfast::vault {
namespace {

using format::BlobType;
using storage::FileKind;

// Read with one request. Larger runs would only hold more memory a thread.
constexpr std::uint32_t k_run_max = 4u << 20;
constexpr std::size_t k_runs_at_once = 256;

// Blobs that lie one after the other in a pack of the source.
struct PackRun {
    Id pack;
    std::vector<format::PackedBlob> blobs;
    std::uint32_t begin() const { return blobs.front().offset; }
    std::uint32_t end() const { return blobs.back().offset + blobs.back().length; }
};

class PartCopier {
public:
    PartCopier(const Repository& from, const Repository& to, Pipeline& pipeline, const CopyOptions& options)
        : from_(from), to_(to), pipeline_(pipeline), options_(options) {}

    Status run(const Reachable& needed) {
        needed.for_each([&](const BlobPlace& place) { total_ += !to_.has_blob(place.blob.type, place.blob.id); });
        Status status;
        needed.for_each([&](const BlobPlace& place) {
            if (!status || to_.has_blob(place.blob.type, place.blob.id)) return;
            add(place);
            if (runs_.size() > k_runs_at_once) status = copy_runs();
        });
        HF_DO(status);
        return copy_runs();
    }

private:
    void add(const BlobPlace& place) {
        PackRun* last = runs_.empty() ? nullptr : &runs_.back();
        if (last && last->pack == place.pack && last->end() == place.blob.offset &&
            std::uint64_t(last->end()) - last->begin() + place.blob.length <= k_run_max)
            last->blobs.push_back(place.blob);
        else
            runs_.push_back({place.pack, {place.blob}});
    }

    Status copy_runs() {
        const std::vector<PackRun> runs = std::exchange(runs_, {});
        return for_each_of(runs.size(), reader_count(from_.backend()),
                           [&](std::size_t i) { return copy_run(runs[i]); });
    }

    Status copy_run(const PackRun& run) {
        Bytes envelopes(run.end() - run.begin());
        const auto read = from_.backend().read_at({FileKind::pack, run.pack}, run.begin(), envelopes);
        const auto opener = from_.state().openers.get();
        const auto content = std::make_shared<Content>();
        Status status;
        for (const format::PackedBlob& blob : run.blobs) {
            status = [&]() -> Status {
                if (read) {
                    const ByteSpan envelope(envelopes.data() + (blob.offset - run.begin()), blob.length);
                    if (const auto plain = opener->open(envelope, blob)) return store(blob, *plain, content);
                }
                // Another pack may hold a good copy.
                auto plain = from_.read_blob(blob.type, blob.id);
                if (!plain) {
                    Error error = std::move(plain).error().within("reading what is to be copied");
                    error.hint = "`holdfast repair packs` saves what is whole; then `holdfast repair snapshots`";
                    return fail(std::move(error));
                }
                return store(blob, *plain, content);
            }();
            if (!status) break;
        }
        content->end([](Content&) {});
        HF_DO(status);
        const std::scoped_lock lock(mutex_);
        progress_.blobs_done += run.blobs.size();
        for (const format::PackedBlob& blob : run.blobs) progress_.bytes_done += blob.plain_length();
        progress_.blobs_total = total_;
        if (options_.progress) options_.progress(progress_);
        return {};
    }

    Status store(const format::PackedBlob& blob, ByteView plain, const std::shared_ptr<Content>& content) {
        if (blob.type == BlobType::tree) {
            HF_TRY(const Id id, pipeline_.store_tree(as_text(plain)));
            HF_ASSERT(id == blob.id);
            return {};
        }
        const auto buffer = pipeline_.buffers().get(plain.size());
        std::copy(plain.begin(), plain.end(), buffer->data());
        return pipeline_.submit(
            {buffer, ByteView(buffer->data(), plain.size()), content, content->expect(plain.size())});
    }

    const Repository& from_;
    const Repository& to_;
    Pipeline& pipeline_;
    const CopyOptions& options_;
    std::vector<PackRun> runs_;
    std::uint64_t total_ = 0;
    std::mutex mutex_;
    CopyProgress progress_;
};

Id persistent_id(const SnapshotEntry& entry) { return entry.snapshot.original.value_or(entry.id); }

class Copier {
public:
    Copier(Repository& from, Repository& to, const CopyOptions& options) : from_(from), to_(to), options_(options) {}

    Result<CopyReport> run(const std::vector<SnapshotEntry>& snapshots) {
        if (from_.config().id == to_.config().id)
            return fail(ErrorCode::usage, "the repository to copy from and the one to copy to are the same",
                        "name another one with --from-repo");
        HF_TRY(from_lock_, from_.lock(LockMode::shared));
        HF_TRY(to_lock_, to_.lock(LockMode::shared));
        HF_TRY(const auto there, to_.snapshots([](const Id&, const Error&) {}));
        HF_DO(from_.load_index(true));
        HF_DO(to_.load_index(true));
        std::unordered_multimap<Id, const SnapshotEntry*> by_original;
        for (const SnapshotEntry& entry : there) {
            by_original.emplace(persistent_id(entry), &entry);
            if (entry.snapshot.original) by_original.emplace(entry.id, &entry);
        }
        std::vector<std::size_t> part;
        for (const SnapshotEntry& entry : snapshots) {
            report_.snapshots.push_back({entry, Id{}, false});
            CopiedSnapshot& copied = report_.snapshots.back();
            const auto [begin, end] = by_original.equal_range(persistent_id(entry));
            for (auto at = begin; at != end && !copied.existed; ++at)
                if (same_content(at->second->snapshot, entry.snapshot)) {
                    copied.existed = true;
                    copied.target = at->second->id;
                }
            if (copied.existed) continue;
            part.push_back(report_.snapshots.size() - 1);
            if (part.size() == options_.snapshots_at_once) HF_DO(copy_part(std::exchange(part, {})));
        }
        if (!part.empty()) HF_DO(copy_part(part));
        return std::move(report_);
    }

private:
    Status copy_part(const std::vector<std::size_t>& part) {
        std::vector<Id> roots;
        for (const std::size_t number : part) roots.push_back(report_.snapshots[number].source.snapshot.tree);
        HF_TRY(const Reachable needed, find_reachable(from_, roots));
        if (!needed.missing().empty())
            return fail(
                ErrorCode::corrupt,
                fmt::format("{} blobs that the snapshots need are in no index of {}, as {}", needed.missing().size(),
                            from_.backend().location(), needed.missing().front().id.brief()),
                "`holdfast repair index`, then `holdfast repair snapshots` on that repository");
        {
            Pipeline pipeline(to_, *to_lock_, options_.storing);
            auto copied = PartCopier(from_, to_, pipeline, options_).run(needed);
            if (!copied) pipeline.fail_with(copied.error());
            HF_DO(pipeline.finish());
            const auto& counters = pipeline.counters();
            report_.blobs += counters.data_blobs + counters.tree_blobs;
            report_.bytes_added += counters.bytes_added;
            report_.bytes_stored += counters.bytes_stored;
        }
        HF_DO(from_lock_->still_held());
        HF_DO(to_lock_->still_held());
        HF_DO(to_.backend().sync());
        os::crash_point("copy.index_synced");
        for (const std::size_t number : part) {
            CopiedSnapshot& copied = report_.snapshots[number];
            format::Snapshot snapshot = copied.source.snapshot;
            snapshot.parent.reset();    // of no meaning there
            snapshot.original = persistent_id(copied.source);
            HF_TRY(copied.target, to_.write_document(FileKind::snapshot, format::encode(snapshot)));
            os::crash_point("copy.snapshot_written");
        }
        return to_.backend().sync();
    }

    Repository& from_;
    Repository& to_;
    const CopyOptions& options_;
    std::unique_ptr<RepositoryLock> from_lock_, to_lock_;
    CopyReport report_;
};

}    // namespace

bool same_content(const format::Snapshot& a, const format::Snapshot& b) {
    const auto facts_of = [](const format::Snapshot& s) {
        return std::tie(s.time, s.tree, s.paths, s.hostname, s.username, s.uid, s.gid, s.excludes, s.tags);
    };
    return facts_of(a) == facts_of(b);
}

Result<CopyReport> copy_snapshots(Repository& from, Repository& to, const std::vector<SnapshotEntry>& snapshots,
                                  const CopyOptions& options) {
    return Copier(from, to, options).run(snapshots);
}

}    // namespace holdfast::vault
