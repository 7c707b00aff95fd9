#include "holdfast/vault/pipeline.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "holdfast/base/log.hpp"
#include "holdfast/os/crash_point.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/vault/index_writer.hpp"
#include "holdfast/vault/keys.hpp"
#include "holdfast/vault/repository_state.hpp"

namespace holdfast::vault {
namespace {

// What a killed run has stored is found by the next one up to here.
constexpr auto k_index_every = std::chrono::seconds(15);
// And what is not in an index takes more memory than what is. A little less than an index file may hold: a pack's blobs stay
// together.
constexpr std::size_t k_unindexed_max = k_index_blobs_max / 4 * 3;
// Packs that wait for the disk. More would only hide that the disk is the slowest part.
constexpr std::size_t k_packs_waiting_max = 4;
constexpr std::uint64_t k_in_flight_min = 4u << 20;
// Enough that workers seldom wait for a reader; more would only be memory.
constexpr std::uint64_t k_in_flight_per_worker = 4u << 20;
// Chunks that a worker takes at once: two, or more while they are small. Side by side, hashes cost half: while less than that is
// there the sources are the slower part, and a worker waits a moment for more.
constexpr std::size_t k_batch_max = 31, k_batch_bytes = 1u << 20;
constexpr auto k_batch_wait = std::chrono::milliseconds(5);
// Room for which a source is woken before the batch is done.
constexpr std::uint64_t k_worth_waking = 256u << 10;
// A compressor's buffer beyond this is given back at once: the longest chunks are rare.
constexpr std::size_t k_frame_kept = 3u << 20;
// What goes into a pack at once, and the pieces of what is longer.
constexpr std::size_t k_pack_whole_max = 2u << 20, k_pack_piece = 512u << 10;
// Level 3 costs little on JSON trees and makes them a tenth smaller than 1.
constexpr int k_tree_compression_level = 3;
// The text of a folder with huge files is written twice, piece by piece, instead of being held in memory.
constexpr std::size_t k_tree_in_pieces = 512u << 10;

}    // namespace

std::size_t Content::expect(std::size_t length) {
    const std::scoped_lock lock(mutex_);
    size += length;
    ++open_;
    ids.emplace_back();
    return ids.size() - 1;
}

void Content::stored(std::size_t number, const Id& id, std::uint64_t added) {
    std::unique_lock lock(mutex_);
    ids[number] = id;
    bytes_added += added;
    finished_one(std::move(lock));
}

void Content::end(std::function<void(Content&)> done) {
    std::unique_lock lock(mutex_);
    done_ = std::move(done);
    finished_one(std::move(lock));
}

void Content::finished_one(std::unique_lock<std::mutex> lock) {
    if (--open_ != 0) return;
    const auto done = std::move(done_);
    lock.unlock();
    done(*this);
}

struct Pipeline::Sealer {
    Sealer(const format::Key& key, int level) : cipher(key), opener(key), compressor(level) {}
    format::Cipher cipher;
    BlobOpener opener;
    format::Compressor compressor;
    Bytes frame;
};

struct Pipeline::Worker {
    Worker(Repository& repository, int level) : sealer(repository.master_key(), level), pack(repository.backend()) {}
    Sealer sealer;
    PackBuilder pack;
    std::array<format::Sha256, k_batch_max> sums;
    std::thread thread;
};

Pipeline::Pipeline(Repository& repository, const RepositoryLock& lock, const BackupOptions& options)
    : repository_(repository),
      lock_(lock),
      memory_max_(options.memory_max),
      pack_size_target_(std::clamp(options.pack_size_target, 1u << 20, 128u << 20)),
      compression_level_(options.compression_level),
      verify_writes_(options.verify_writes),
      buffers_(options.memory_max / 6),
      tree_sealer_(std::make_unique<Sealer>(repository.master_key(), k_tree_compression_level)),
      tree_pack_(repository.backend()),
      indexed_at_(repository.clock().instant()) {
    const unsigned count = options.workers ? options.workers : std::max(2u, os::processor_count());
    for (unsigned i = 0; i < count; ++i)
        workers_.push_back(std::make_unique<Worker>(repository, std::max(1, compression_level_)));
    for (auto& worker : workers_) worker->thread = std::thread([this, &w = *worker] { work(w); });
    for (unsigned i = 0; i < std::max(1u, repository.backend().connections()); ++i)
        syncers_.emplace_back([this] { sync_loop(); });
}

Pipeline::~Pipeline() {
    // What is stored already is worth keeping: the next run finds it.
    if (const auto status = finish(); !status)
        log_info("an unfinished backup left without a last index", {{"error", status.error().message}});
}

Status Pipeline::status() const {
    const std::scoped_lock lock(error_mutex_);
    if (error_) return fail(*error_);
    return {};
}

void Pipeline::fail_with(Error error) {
    {
        const std::scoped_lock lock(error_mutex_);
        if (!error_) error_ = std::move(error);
        failed_.store(true, std::memory_order_release);
    }
    // Taken and released so that nobody misses the call between looking and waiting.
    {
        const std::scoped_lock lock(queue_mutex_);
    }
    {
        const std::scoped_lock lock(pack_mutex_);
    }
    room_.notify_all();
    chunk_ready_.notify_all();
    pack_room_.notify_all();
    pack_ready_.notify_all();
}

std::shared_ptr<void> Pipeline::reserve(std::size_t bytes) {
    {
        const std::scoped_lock lock(queue_mutex_);
        reserved_ += 2 * bytes;
    }
    return {nullptr, [this, bytes](void*) {
                {
                    const std::scoped_lock lock(queue_mutex_);
                    reserved_ -= 2 * bytes;
                }
                room_.notify_all();
            }};
}

Status Pipeline::submit(Chunk chunk) {
    const std::uint64_t length = chunk.bytes.size();
    {
        std::unique_lock lock(queue_mutex_);
        HF_ASSERT(!no_more_chunks_);
        // One chunk may always go in: sources cannot block each other for ever.
        const auto has_room = [&] {
            const std::uint64_t left = memory_max_ > reserved_ ? memory_max_ - reserved_ : 0;
            const std::uint64_t limit = std::clamp(left, k_in_flight_min, k_in_flight_per_worker * workers_.size());
            return failed() || in_flight_ == 0 || in_flight_ + length <= limit;
        };
        if (!has_room()) {
            ++waiting_;
            chunk_ready_.notify_one();
            room_.wait(lock, has_room);
            --waiting_;
        }
        if (!failed()) {
            in_flight_ += length;
            queued_ += length;
            last_ones_ += chunk.last ? 1 : 0;
            chunks_.push_back(std::move(chunk));
            const bool wake = gathering_ == 0 || is_urgent();
            lock.unlock();
            if (wake) chunk_ready_.notify_one();
            return {};
        }
    }
    chunk.content->stored(chunk.number, Id{}, 0);
    return status();
}

bool Pipeline::is_urgent() const {
    return no_more_chunks_ || waiting_ > 0 || last_ones_ > 0 || queued_ >= k_batch_bytes;
}

std::vector<Chunk> Pipeline::next_batch() {
    std::vector<Chunk> batch;
    std::unique_lock lock(queue_mutex_);
    do {
        chunk_ready_.wait(lock, [&] { return !chunks_.empty() || no_more_chunks_; });
        ++gathering_;
        chunk_ready_.wait_for(lock, k_batch_wait, [&] { return is_urgent(); });
        --gathering_;
    } while (chunks_.empty() && !no_more_chunks_);    // another worker has taken them
    std::size_t bytes = 0;
    while (!chunks_.empty() && batch.size() < k_batch_max && (batch.size() < 2 || bytes < k_batch_bytes)) {
        bytes += chunks_.front().bytes.size();
        last_ones_ -= chunks_.front().last ? 1 : 0;
        batch.push_back(std::move(chunks_.front()));
        chunks_.pop_front();
    }
    queued_ -= bytes;
    if (!chunks_.empty()) chunk_ready_.notify_one();
    return batch;
}

void Pipeline::work(Worker& worker) {
    for (;;) {
        std::vector<Chunk> batch = next_batch();
        if (batch.empty()) return;
        std::vector<format::HashWork> work;
        work.reserve(batch.size() + 1);
        for (std::size_t i = 0; i < batch.size(); ++i) work.push_back({&worker.sums[i], batch[i].bytes});
        work.push_back(worker.pack.take_hash_work());
        format::update_together(work);
        std::uint64_t done = 0;
        for (std::size_t i = 0; i < batch.size(); ++i) {
            Chunk& chunk = batch[i];
            const Id id = worker.sums[i].finish();
            Result<std::uint64_t> added = 0;
            if (!failed()) added = store(worker, chunk, id);
            if (!added) fail_with(added.error());
            const std::uint64_t length = chunk.bytes.size();
            counters_.bytes_done += length;
            chunk.buffer.reset();
            chunk.content->stored(chunk.number, id, added.value_or(0));
            chunk.content.reset();
            done += length;
            // A source that is woken for a small chunk finds no room for its next one, and sleeps again.
            if (done < k_worth_waking && i + 1 < batch.size()) continue;
            bool wake = false;
            {
                const std::scoped_lock lock(queue_mutex_);
                in_flight_ -= std::exchange(done, 0);
                wake = waiting_ > 0;
            }
            if (wake) room_.notify_all();
        }
    }
}

bool Pipeline::claim(format::BlobType type, const Id& id) {
    if (repository_.has_blob(type, id)) return false;
    const std::scoped_lock lock(claim_mutex_);
    // Looked up again: it may have gone from the claims to the index meanwhile.
    return !repository_.has_blob(type, id) &&
           (type == format::BlobType::tree ? claimed_trees_ : claimed_data_).insert(id);
}

bool Pipeline::has(format::BlobType type, const Id& id) {
    if (repository_.has_blob(type, id)) return true;
    const std::scoped_lock lock(claim_mutex_);
    // Looked up again, as above.
    return repository_.has_blob(type, id) ||
           (type == format::BlobType::tree ? claimed_trees_ : claimed_data_).contains(id);
}

// Of what an index names nothing else needs to be kept. Told by who has written it: the index would read each entry.
void Pipeline::drop_claims(IdSet& claimed, const IdSet& indexed) {
    const std::scoped_lock lock(claim_mutex_);
    IdSet open;
    claimed.for_each([&](const Id& id) {
        if (!indexed.contains(id)) open.insert(id);
    });
    claimed = std::move(open);
}

Result<std::uint64_t> Pipeline::store(Worker& worker, const Chunk& chunk, const Id& id) {
    if (!claim(format::BlobType::data, id)) return 0;
    counters_.data_blobs += 1;
    HF_DO(append(worker.sealer, worker.pack, format::BlobType::data, id, chunk.bytes));
    return chunk.bytes.size();
}

Result<Id> Pipeline::store_tree(std::string_view json) {
    const Id id = format::sha256(as_bytes(json));
    if (!claim(format::BlobType::tree, id)) return id;
    counters_.tree_blobs += 1;
    const std::scoped_lock lock(tree_mutex_);
    if (auto status = append(*tree_sealer_, tree_pack_, format::BlobType::tree, id, as_bytes(json)); !status) {
        fail_with(status.error());
        return fail(std::move(status).error());
    }
    return id;
}

Result<Id> Pipeline::store_tree(std::span<const format::Node* const> nodes) {
    const BlobIndex& index = repository_.state().index;
    // Returns an error if an ID of what was written may be wrong.
    const auto write = [&](const std::function<void(std::string_view piece)>& take) -> Status {
        bool numbered = false;
        format::write_tree(nodes, take, [&](std::uint32_t number) {
            numbered = true;
            return index.at(number).blob.id;
        });
        return numbered ? index.status() : Status();
    };
    const auto failed_with = [&](Error error) {
        fail_with(error);
        return fail(std::move(error));
    };
    std::size_t length = 0;
    for (const format::Node* node : nodes) length += format::json_length(*node);
    if (length < k_tree_in_pieces) {
        std::string json;
        json.reserve(length);
        if (auto status = write([&](std::string_view piece) { json += piece; }); !status)
            return failed_with(std::move(status).error());
        return store_tree(json);
    }
    format::Sha256 sum;
    std::size_t size = 0;
    auto hashed = write([&](std::string_view piece) {
        sum.update(as_bytes(piece));
        size += piece.size();
    });
    if (!hashed) return failed_with(std::move(hashed).error());
    const Id id = sum.finish();
    if (!claim(format::BlobType::tree, id)) return id;
    counters_.tree_blobs += 1;
    const std::scoped_lock lock(tree_mutex_);
    Sealer& sealer = *tree_sealer_;
    HF_ASSERT(size < std::uint64_t(1) << 31);
    const auto compress = [&](const PackBuilder::Take& take) -> Status {
        Status taken;
        const auto hand_on = [&] {
            if (taken) taken = take(sealer.frame);
            sealer.frame.clear();
        };
        sealer.compressor.begin(size, sealer.frame);
        auto written = write([&](std::string_view piece) {
            sealer.compressor.add(as_bytes(piece), sealer.frame);
            hand_on();
        });
        sealer.compressor.end(sealer.frame);
        hand_on();
        sealer.frame = {};
        HF_DO(written);
        return taken;
    };
    if (auto status = append_pieces(sealer, tree_pack_, id, static_cast<std::uint32_t>(size), compress); !status)
        return failed_with(std::move(status).error());
    return id;
}

Status Pipeline::append_pieces(Sealer& sealer, PackBuilder& pack, const Id& tree, std::uint32_t size,
                               const std::function<Status(const PackBuilder::Take&)>& compress) {
    if (verify_writes_) {    // who verifies needs it whole
        Bytes frame;
        HF_DO(compress([&](ByteView piece) -> Status {
            holdfast::append(frame, piece);
            return {};
        }));
        return append_stored(sealer, pack, {tree, format::BlobType::tree, 0, 0, size}, frame);
    }
    HF_TRY(const std::uint32_t length,
           pack.append_pieces(repository_.master_key(), format::BlobType::tree, tree, size, compress));
    return appended(pack, size, length);
}

Status Pipeline::append(Sealer& sealer, PackBuilder& pack, format::BlobType type, const Id& id, ByteView plain) {
    HF_ASSERT(!plain.empty() && plain.size() < std::uint64_t(1) << 31);
    ByteView stored = plain;
    std::uint32_t uncompressed_length = 0;
    // Trees are always compressed: restic's prune rewrites packs with plain trees.
    if (compression_level_ > 0 || type == format::BlobType::tree) {
        sealer.compressor.compress(plain, sealer.frame);
        if (sealer.frame.size() < plain.size() || type == format::BlobType::tree) {
            stored = sealer.frame;
            uncompressed_length = static_cast<std::uint32_t>(plain.size());
        }
    }
    return append_stored(sealer, pack, {id, type, 0, 0, uncompressed_length}, stored);
}

// `blob` without the place and length that it will have.
Status Pipeline::append_stored(Sealer& sealer, PackBuilder& pack, const format::PackedBlob& blob, ByteView stored) {
    if (verify_writes_) {
        Bytes envelope;
        sealer.cipher.seal(stored, random_nonce(), envelope);
        format::PackedBlob sealed = blob;
        sealed.length = static_cast<std::uint32_t>(envelope.size());
        if (const auto again = sealer.opener.open(envelope, sealed); !again)
            return fail(Error(again.error())
                            .within("verifying a blob before it is written (is the memory of this machine sound?)"));
    }
    // The longest would make the pack's buffer four times as long.
    const auto in_pieces = [&](const PackBuilder::Take& take) -> Status {
        for (std::size_t at = 0; at < stored.size(); at += k_pack_piece)
            HF_DO(take(stored.subspan(at, std::min(k_pack_piece, stored.size() - at))));
        return {};
    };
    HF_TRY(const std::uint32_t length,
           stored.size() > k_pack_whole_max
               ? pack.append_pieces(repository_.master_key(), blob.type, blob.id, blob.uncompressed_length, in_pieces)
               : pack.append(sealer.cipher, blob.type, blob.id, stored, blob.uncompressed_length));
    if (sealer.frame.capacity() > k_frame_kept) sealer.frame = {};
    return appended(pack, blob.uncompressed_length ? blob.uncompressed_length : stored.size(), length);
}

Status Pipeline::appended(PackBuilder& pack, std::uint64_t plain_length, std::uint32_t length) {
    counters_.bytes_added += plain_length;
    counters_.bytes_stored += length;
    if (!pack.full(pack_size_target_)) return {};
    HF_TRY(PackBuilder full, pack.detach());
    return hand_over(std::move(full));
}

Status Pipeline::hand_over(PackBuilder pack) {
    std::unique_lock lock(pack_mutex_);
    pack_room_.wait(lock, [&] { return failed() || full_packs_.size() < k_packs_waiting_max; });
    if (failed()) {
        lock.unlock();
        return status();
    }
    full_packs_.push_back(std::move(pack));
    lock.unlock();
    pack_ready_.notify_one();
    return {};
}

void Pipeline::sync_loop() {
    format::Cipher cipher(repository_.master_key());
    for (;;) {
        std::unique_lock lock(pack_mutex_);
        // Woken also by time, so that a slow source's packs do not wait for the next pack to be indexed.
        pack_ready_.wait_for(lock, k_index_every, [&] { return failed() || no_more_packs_ || !full_packs_.empty(); });
        if (failed() || (full_packs_.empty() && no_more_packs_)) break;
        if (!full_packs_.empty()) {
            PackBuilder pack = std::move(full_packs_.front());
            full_packs_.pop_front();
            lock.unlock();
            pack_room_.notify_one();
            auto sealed = pack.seal(cipher);
            if (!sealed) {
                fail_with(std::move(sealed).error());
                break;
            }
            const std::scoped_lock sealed_lock(sealed_mutex_);
            unindexed_blobs_ += sealed->blobs.size();
            unindexed_.push_back(*std::move(sealed));
        } else {
            lock.unlock();
        }
        if (!index_is_due()) continue;
        if (auto status = write_index(); !status) {
            fail_with(std::move(status).error());
            break;
        }
    }
}

// True for one of those who ask at once.
bool Pipeline::index_is_due() {
    const Instant now = repository_.clock().instant();
    const std::scoped_lock lock(sealed_mutex_);
    if (now - indexed_at_ < k_index_every && unindexed_blobs_ < k_unindexed_max) return false;
    indexed_at_ = now;
    unindexed_blobs_ = 0;
    return true;
}

Status Pipeline::write_index() {
    const std::scoped_lock one_at_a_time(index_mutex_);
    // Taken out before sync(): what is sealed while that runs may not be safe when it returns.
    std::vector<format::IndexPack> sealed;
    {
        const std::scoped_lock lock(sealed_mutex_);
        sealed.swap(unindexed_);
    }
    if (sealed.empty()) return {};
    auto status = write_index_of(sealed);
    if (!status) {    // the rest for another try
        const std::scoped_lock lock(sealed_mutex_);
        unindexed_.insert(unindexed_.begin(), std::make_move_iterator(sealed.begin()),
                          std::make_move_iterator(sealed.end()));
    }
    return status;
}

// Takes out of `sealed` what an index names.
Status Pipeline::write_index_of(std::vector<format::IndexPack>& sealed) {
    HF_DO(lock_.still_held());
    os::crash_point("backup.packs_written");
    HF_DO(repository_.backend().sync());
    os::crash_point("backup.packs_synced");
    IdSet data, trees;
    while (!sealed.empty()) {
        std::size_t blobs = 0, packs = 0;
        while (packs < sealed.size() && (packs == 0 || blobs + sealed[packs].blobs.size() <= k_index_blobs_max))
            blobs += sealed[packs++].blobs.size();
        const auto end = sealed.begin() + static_cast<std::ptrdiff_t>(packs);
        const std::vector<format::IndexPack> part(std::make_move_iterator(sealed.begin()),
                                                  std::make_move_iterator(end));
        sealed.erase(sealed.begin(), end);
        HF_TRY(const Id id, repository_.write_document(storage::FileKind::index, format::encode_index(part)));
        os::crash_point("backup.index_written");
        log_debug("wrote an index", {{"index", id.brief()}, {"packs", std::to_string(packs)}});
        for (const format::IndexPack& pack : part) {
            repository_.state().index.add(pack);
            for (const format::PackedBlob& blob : pack.blobs)
                (blob.type == format::BlobType::tree ? trees : data).insert(blob.id);
        }
        const std::scoped_lock lock(repository_.state().index_files_mutex);
        repository_.state().index_files.insert(id);
    }
    drop_claims(claimed_data_, data);
    drop_claims(claimed_trees_, trees);
    return {};
}

Status Pipeline::finish() {
    if (std::exchange(finished_, true)) return status();
    {
        const std::scoped_lock lock(queue_mutex_);
        no_more_chunks_ = true;
    }
    chunk_ready_.notify_all();
    for (auto& worker : workers_) worker->thread.join();
    // Small remainders become one pack instead of one a worker.
    std::vector<PackBuilder> last;
    PackBuilder merged(repository_.backend());
    for (auto& worker : workers_) {
        if (worker->pack.can_merge())
            merged.merge(std::move(worker->pack));
        else
            last.push_back(std::move(worker->pack));
    }
    last.push_back(std::move(merged));
    {
        const std::scoped_lock lock(tree_mutex_);
        last.push_back(std::exchange(tree_pack_, PackBuilder(repository_.backend())));
    }
    for (PackBuilder& pack : last)
        if (!pack.empty() && !failed()) static_cast<void>(hand_over(std::move(pack)).has_value());
    {
        const std::scoped_lock lock(pack_mutex_);
        no_more_packs_ = true;
    }
    pack_ready_.notify_all();
    for (std::thread& syncer : syncers_) syncer.join();
    // Also after a failure: the packs that are safe save the next run their work. What failed before may fail again.
    if (auto written = write_index(); !written) fail_with(std::move(written).error());
    return status();
}

}    // namespace holdfast::vault
