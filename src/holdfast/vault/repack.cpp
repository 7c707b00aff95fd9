#include "holdfast/vault/repack.hpp"

#include <atomic>
#include <memory>
#include <thread>

#include "holdfast/base/log.hpp"
#include "holdfast/os/crash_point.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/vault/keys.hpp"
#include "holdfast/vault/pack_builder.hpp"
#include "holdfast/vault/parallel.hpp"
#include "holdfast/vault/repository_state.hpp"

namespace holdfast::vault {
namespace {

using format::BlobType;

// One request for neighbours, over a line for more of them; a gap that nobody needs costs less than another request.
constexpr std::uint64_t k_run_max = 1u << 20, k_run_max_far = 4u << 20;
constexpr std::uint64_t k_gap_max = 64u << 10;
// What a thread keeps of a buffer that held a longer blob.
constexpr std::size_t k_kept = 1u << 20;

class Copier {
public:
    Copier(Repository& repository, IndexWriter& index, const RepackOptions& options)
        : repository_(repository), index_(index), options_(options) {}

    Status run(std::size_t count, const std::function<format::IndexPack(std::size_t)>& pack) {
        // One more than compute, so that somebody reads or waits for the disk meanwhile.
        const std::size_t threads = std::min<std::size_t>(worker_count() + 1, count);
        std::vector<std::unique_ptr<Worker>> workers;
        for (std::size_t i = 0; i < threads; ++i) workers.push_back(std::make_unique<Worker>(repository_, options_));
        std::atomic<std::size_t> next = 0;
        HF_DO(for_each_of(threads, static_cast<unsigned>(threads), [&](std::size_t i) -> Status {
            for (std::size_t at = next++; at < count; at = next++) {
                if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped while packs were copied");
                HF_DO(copy_pack(*workers[i], pack(at)));
            }
            return {};
        }));
        // Small remainders become one pack of each type instead of one a thread.
        for (const BlobType type : {BlobType::data, BlobType::tree}) {
            PackBuilder merged(repository_.backend());
            for (auto& worker : workers) {
                PackBuilder& builder = worker->builder(type);
                if (builder.empty()) continue;
                if (builder.can_merge())
                    merged.merge(std::move(builder));
                else
                    HF_DO(seal(*worker, builder));
            }
            if (!merged.empty()) HF_DO(seal(*workers.front(), merged));
        }
        return {};
    }

    std::uint64_t packs_written() const { return packs_written_; }

private:
    struct Worker {
        Worker(Repository& repository, const RepackOptions& options)
            : opener(repository.master_key()),
              compressor(std::max(1, options.compression_level)),
              data(repository.backend()),
              trees(repository.backend()) {}
        PackBuilder& builder(BlobType type) { return type == BlobType::tree ? trees : data; }
        BlobOpener opener;
        format::Compressor compressor;
        PackBuilder data, trees;
        Bytes run, frame;
    };

    Status copy_pack(Worker& worker, const format::IndexPack& pack) {
        const auto& blobs = pack.blobs;
        for (std::size_t from = 0, to = 0; from < blobs.size(); from = to) {
            const std::uint64_t begin = blobs[from].offset;
            std::uint64_t end = begin + blobs[from].length;
            for (to = from + 1; to < blobs.size(); ++to) {
                const std::uint64_t next_end = std::uint64_t(blobs[to].offset) + blobs[to].length;
                // A damaged index may let blobs overlap: each is then read by itself.
                if (blobs[to].offset < end || blobs[to].offset - end > k_gap_max || next_end - begin > run_max_) break;
                end = next_end;
            }
            worker.run.resize(end - begin);
            auto read = repository_.backend().read_at({storage::FileKind::pack, pack.id}, begin, worker.run);
            for (std::size_t i = from; i < to; ++i) {
                const ByteView envelope = ByteView(worker.run).subspan(blobs[i].offset - begin, blobs[i].length);
                HF_DO(copy_blob(worker, pack.id, blobs[i], envelope, read));
                worker.opener.shrink(k_kept);
            }
            if (worker.run.capacity() > std::max<std::size_t>(run_max_, k_kept)) Bytes().swap(worker.run);
        }
        const std::scoped_lock lock(progress_mutex_);
        for (const format::PackedBlob& blob : blobs) copied_ += blob.length;
        if (options_.progress) options_.progress(copied_);
        return {};
    }

    Status copy_blob(Worker& worker, const Id& pack, const format::PackedBlob& blob, ByteView envelope,
                     const Status& read) {
        auto plain = read ? worker.opener.open_copy(envelope, blob) : Result<ByteView>(fail(read.error()));
        if (!plain) {
            // Perhaps the same blob lies whole in another pack.
            auto other = repository_.read_blob(blob.type, blob.id);
            if (!other) {
                Error error = Error(plain.error()).within("pack " + pack.hex());
                error.hint =
                    "no pack that is needed was removed; `holdfast check --read-data` shows all damage, and `holdfast "
                    "prune --max-repack-size 0` frees whole packs without copying any";
                return fail(std::move(error));
            }
            log_warning("a damaged blob was replaced by its copy in another pack",
                        {{"blob", blob.id.brief()}, {"pack", pack.brief()}});
            return append_plain(worker, blob, *other);
        }
        const bool compress = blob.uncompressed_length == 0 && (blob.type == BlobType::tree || options_.compress_plain);
        if (compress) return append_plain(worker, blob, *plain);
        HF_DO(worker.builder(blob.type).append_sealed(blob, envelope));
        return seal_if_full(worker, blob.type);
    }

    Status append_plain(Worker& worker, const format::PackedBlob& blob, ByteView plain) {
        worker.compressor.compress(plain, worker.frame);
        // What was plain and shall be compressed gets a frame even if that is larger by its few bytes, or the next prune
        // would copy it again.
        const bool framed =
            worker.frame.size() < plain.size() || blob.type == BlobType::tree || options_.compress_plain;
        HF_DO(worker.builder(blob.type).append(worker.opener.cipher(), blob.type, blob.id,
                                               framed ? ByteView(worker.frame) : plain,
                                               framed ? static_cast<std::uint32_t>(plain.size()) : 0));
        return seal_if_full(worker, blob.type);
    }

    Status seal_if_full(Worker& worker, BlobType type) {
        if (!worker.builder(type).full(options_.pack_size_target)) return {};
        return seal(worker, worker.builder(type));
    }

    Status seal(Worker& worker, PackBuilder& builder) {
        HF_TRY(PackBuilder full, builder.detach());
        HF_TRY(auto pack, full.seal(worker.opener.cipher()));
        os::crash_point("repack.pack_stored");
        ++packs_written_;
        return index_.add(std::move(pack));
    }

    Repository& repository_;
    IndexWriter& index_;
    const RepackOptions& options_;
    const std::uint64_t run_max_ = is_far(repository_.backend()) ? k_run_max_far : k_run_max;
    std::mutex progress_mutex_;
    std::uint64_t copied_ = 0;
    std::atomic<std::uint64_t> packs_written_ = 0;
};

}    // namespace

Result<std::uint64_t> repack(Repository& repository, std::size_t count,
                             const std::function<format::IndexPack(std::size_t)>& pack, IndexWriter& index,
                             const RepackOptions& options) {
    if (count == 0) return 0;
    Copier copier(repository, index, options);
    HF_DO(copier.run(count, pack));
    return copier.packs_written();
}

}    // namespace holdfast::vault
