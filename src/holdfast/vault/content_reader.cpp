// read_content and read_small: one file back as a stream, its blobs fetched and opened ahead by a few threads.

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>

#include "holdfast/format/sha256.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/vault/buffer_pool.hpp"
#include "holdfast/vault/parallel.hpp"
#include "holdfast/vault/repository_state.hpp"
#include "holdfast/vault/restore.hpp"

namespace holdfast::vault {
namespace {

Status check_is_file(const format::Node& file) {
    if (file.type == format::NodeType::file) return {};
    return fail(ErrorCode::not_found,
                fmt::format("{} is no file in the snapshot", file.name.empty() ? "/" : file.name));
}

// Blobs that are fetched, and hashed, together: side by side, hashes cost half.
constexpr std::size_t k_batch_max = 31, k_batch_bytes = 512u << 10;
// One read of a pack, and what it may bring along that nobody wants.
constexpr std::uint32_t k_read_max = 4u << 20, k_gap_max = 64u << 10;

// The content of some blobs of a file, one after the other.
struct Batch {
    std::size_t count = 0;
    std::shared_ptr<Buffer> buffer;
    std::size_t size = 0;
};

struct Placed {
    BlobIndex::PackNumber pack = 0;
    format::PackedBlob blob;
};

// Neighbours in the file mostly are neighbours in a pack, too: one read brings them. False: not all of them are good.
bool read_together(const Repository::State& state, std::span<const Placed> blobs, Bytes& envelopes, ByteSpan to) {
    thread_local std::array<format::Sha256, k_batch_max> sums;
    const auto opener = state.openers.get();
    std::array<format::HashWork, k_batch_max> work;
    std::size_t opened = 0;
    bool good = true;
    for (std::size_t from = 0; from < blobs.size() && good;) {
        const std::uint64_t begin = blobs[from].blob.offset;
        std::uint64_t end = begin + blobs[from].blob.length;
        std::size_t next = from + 1;
        for (; next < blobs.size() && blobs[next].pack == blobs[from].pack; ++next) {
            const format::PackedBlob& blob = blobs[next].blob;
            if (blob.offset < end || blob.offset > end + k_gap_max || blob.offset + blob.length - begin > k_read_max)
                break;
            end = blob.offset + blob.length;
        }
        if (envelopes.size() < end - begin) envelopes.resize(end - begin);
        const ByteSpan read = ByteSpan(envelopes).first(end - begin);
        good = state.backend->read_at({storage::FileKind::pack, state.index.pack_id(blobs[from].pack)}, begin, read)
                   .has_value();
        for (; from < next && good; ++from) {
            const format::PackedBlob& blob = blobs[from].blob;
            const ByteSpan room = to.first(blob.plain_length()),
                           envelope = read.subspan(blob.offset - begin, blob.length);
            good = blob.uncompressed_length == 0 ? opener->unpack(envelope, blob, room).has_value()
                                                 : opener->unpack_in_place(envelope, blob, room).has_value();
            work[opened] = {&sums[opened], room};
            ++opened;
            to = to.subspan(room.size());
        }
    }
    format::update_together(std::span(work).first(opened));
    for (std::size_t i = 0; i < opened; ++i)
        if (sums[i].finish() != blobs[i].blob.id) good = false;
    return good;
}

// Blobs in the order of the file, at most `ahead` bytes of them opened and not yet taken.
class ReadAhead {
public:
    ReadAhead(const Repository& repository, const std::vector<Id>& blobs, std::size_t ahead, Processors processors)
        : repository_(repository), blobs_(blobs), ahead_(ahead), buffers_(ahead / 2) {
        unsigned readers = reader_count(repository.backend());
        // More of them wait for a line, and leave processors free anyway.
        if (processors == Processors::spare_one && readers <= worker_count()) --readers;
        const std::size_t count = std::min<std::size_t>(readers, blobs.size());
        for (std::size_t i = 0; i < count; ++i) threads_.emplace_back([this] { fetch_loop(); });
    }
    ~ReadAhead() {
        {
            const std::scoped_lock lock(mutex_);
            ending_ = true;
        }
        room_.notify_all();
        for (std::thread& thread : threads_) thread.join();
    }

    /// What begins with this blob: the one behind the last that were taken.
    Result<Batch> take(std::size_t number) {
        std::unique_lock lock(mutex_);
        taken_ = number;
        room_.notify_all();
        ready_.wait(lock, [&] { return opened_.contains(number); });
        auto batch = std::move(opened_.at(number));
        opened_.erase(number);
        return batch;
    }
    void done_with(std::size_t size) {
        {
            const std::scoped_lock lock(mutex_);
            held_ -= size;
        }
        room_.notify_all();
    }

private:
    void fetch_loop() {
        std::vector<Placed> places;
        Bytes envelopes;
        std::unique_lock lock(mutex_);
        for (;;) {
            // What is waited for may always be fetched, however large it is.
            room_.wait(lock, [&] { return ending_ || next_ == blobs_.size() || held_ < ahead_ || next_ <= taken_; });
            if (ending_ || next_ == blobs_.size()) return;
            const std::size_t first = next_;
            std::size_t expected = 0;
            places.clear();
            // Counted before they are fetched, or every thread would start one too many.
            do expected += look_up(blobs_[next_++], places);
            while (next_ < blobs_.size() && next_ - first < k_batch_max && expected < k_batch_bytes);
            held_ += expected;
            const std::span<const Id> blobs = std::span(blobs_).subspan(first, next_ - first);
            lock.unlock();
            auto batch = fetch(blobs, places, expected, envelopes);
            lock.lock();
            held_ += (batch ? batch->size : 0) - expected;
            opened_.emplace(first, std::move(batch));
            ready_.notify_all();
        }
    }
    // Where the blob lies; nothing if that is nowhere, or its length cannot be true. Returns the length of its content.
    std::size_t look_up(const Id& id, std::vector<Placed>& to) const {
        const auto at = repository_.state().index.first_place(format::BlobType::data, id);
        if (!at || !format::Decompressor::may_hold(at->length, at->uncompressed_length)) return 0;
        to.push_back({at->pack, {id, format::BlobType::data, at->offset, at->length, at->uncompressed_length}});
        return to.back().blob.plain_length();
    }
    Result<Batch> fetch(std::span<const Id> blobs, std::span<const Placed> places, std::size_t size, Bytes& envelopes) {
        if (places.size() == blobs.size()) {
            Batch batch{blobs.size(), buffers_.get(size), size};
            if (read_together(repository_.state(), places, envelopes, {batch.buffer->data(), size})) return batch;
        }
        // One by one: any good copy of a blob serves, and without one its error says best why.
        Bytes content;
        for (const Id& id : blobs) {
            HF_TRY(const Bytes blob, repository_.read_blob(format::BlobType::data, id));
            append(content, blob);
        }
        Batch batch{blobs.size(), buffers_.get(content.size()), content.size()};
        std::copy(content.begin(), content.end(), batch.buffer->data());
        return batch;
    }

    const Repository& repository_;
    const std::vector<Id>& blobs_;
    const std::size_t ahead_;
    BufferPool buffers_;
    std::mutex mutex_;
    std::condition_variable room_, ready_;
    std::map<std::size_t, Result<Batch>> opened_;    // by the first blob's number
    std::size_t next_ = 0, taken_ = 0, held_ = 0;
    bool ending_ = false;
    std::vector<std::thread> threads_;
};

}    // namespace

Status read_content(const Repository& repository, const format::Node& file, const std::function<Status(ByteView)>& sink,
                    Processors processors, std::size_t ahead) {
    HF_DO(check_is_file(file));
    const auto hand_on = [&](const auto& content, const auto& bytes_of) -> Status {
        if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped while reading " + file.name);
        if (!content) return fail(Error(content.error()).within(file.name));
        return sink(bytes_of(*content));
    };
    if (file.content.size() == 1)
        return hand_on(repository.read_blob(format::BlobType::data, file.content[0]),
                       [](const Bytes& blob) { return ByteView(blob); });
    if (file.content.empty()) return {};
    ReadAhead reader(repository, file.content, ahead, processors);
    for (std::size_t i = 0; i < file.content.size();) {
        const auto batch = reader.take(i);
        HF_DO(hand_on(batch, [](const Batch& b) { return ByteView(b.buffer->data(), b.size); }));
        i += batch->count;
        reader.done_with(batch->size);
    }
    return {};
}

Result<FileRanges> FileRanges::of(const Repository& repository, const format::Node& file) {
    HF_DO(check_is_file(file));
    FileRanges ranges(repository, file);
    ranges.starts_.reserve(file.content.size() + 1);
    ranges.starts_.push_back(0);
    for (const Id& id : file.content) {
        const auto place = repository.state().index.first_place(format::BlobType::data, id);
        if (!place)
            return fail(ErrorCode::corrupt, fmt::format("blob {} of {} is in no index", id.brief(), file.name),
                        "run `holdfast check`, and restore from another snapshot");
        ranges.starts_.push_back(ranges.starts_.back() + (place->uncompressed_length
                                                              ? place->uncompressed_length
                                                              : place->length - format::k_envelope_overhead));
    }
    return ranges;
}

Status FileRanges::read(std::uint64_t offset, std::uint64_t size, const std::function<Status(ByteView)>& sink,
                        std::size_t ahead) const {
    if (size == 0) return {};
    if (offset > starts_.back() || size > starts_.back() - offset)
        return fail(ErrorCode::corrupt, fmt::format("{} in the snapshot is shorter than it should be", file_->name));
    const auto blob_at = [&](std::uint64_t place) {
        return std::ranges::upper_bound(starts_, place) - starts_.begin() - 1;
    };
    const std::ptrdiff_t first = blob_at(offset), last = blob_at(offset + size - 1);
    format::Node part;
    part.name = file_->name;
    part.type = file_->type;
    part.content.assign(file_->content.begin() + first, file_->content.begin() + last + 1);
    std::uint64_t before = offset - starts_[static_cast<std::size_t>(first)], left = size;
    return read_content(
        *repository_, part,
        [&](ByteView bytes) -> Status {
            bytes = bytes.subspan(static_cast<std::size_t>(std::min<std::uint64_t>(before, bytes.size())));
            before = 0;
            bytes = bytes.first(static_cast<std::size_t>(std::min<std::uint64_t>(left, bytes.size())));
            left -= bytes.size();
            return sink(bytes);
        },
        Processors::all, ahead);
}

Result<Bytes> read_small(const Repository& repository, const format::Node& file, std::size_t size_max) {
    HF_DO(check_is_file(file));
    Bytes content;
    for (const Id& id : file.content) {
        HF_TRY(const Bytes blob, repository.read_blob(format::BlobType::data, id));
        if (content.size() + blob.size() > size_max)
            return fail(ErrorCode::corrupt,
                        fmt::format("{} in the snapshot is larger than {}", file.name, human_size(size_max)));
        append(content, blob);
    }
    return content;
}

}    // namespace holdfast::vault
