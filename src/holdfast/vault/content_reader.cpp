// read_content and read_small: one file back as a stream, its blobs fetched and opened ahead by a few threads.

#include <fmt/core.h>

#include <algorithm>
#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>

#include "holdfast/os/host.hpp"
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

// Blobs in the order of the file, at most `ahead` bytes of them opened and not yet taken.
class ReadAhead {
public:
    ReadAhead(const Repository& repository, const std::vector<Id>& blobs, std::size_t ahead)
        : repository_(repository), blobs_(blobs), ahead_(ahead) {
        const std::size_t count = std::min<std::size_t>(reader_count(repository.backend()), blobs.size());
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

    Result<Bytes> take(std::size_t number) {
        std::unique_lock lock(mutex_);
        taken_ = number;
        room_.notify_all();
        ready_.wait(lock, [&] { return opened_.contains(number); });
        auto blob = std::move(opened_.at(number));
        opened_.erase(number);
        return blob;
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
        std::unique_lock lock(mutex_);
        for (;;) {
            // The blob that is waited for may always be fetched, however large it is.
            room_.wait(lock, [&] { return ending_ || next_ == blobs_.size() || held_ < ahead_ || next_ <= taken_; });
            if (ending_ || next_ == blobs_.size()) return;
            const std::size_t number = next_++;
            // Counted before it is fetched, or every thread would start one too many.
            const auto place = repository_.state().index.first_place(format::BlobType::data, blobs_[number]);
            const std::size_t expected = !place                       ? 0
                                         : place->uncompressed_length ? place->uncompressed_length
                                                                      : place->length - format::k_envelope_overhead;
            held_ += expected;
            lock.unlock();
            auto blob = repository_.read_blob(format::BlobType::data, blobs_[number]);
            lock.lock();
            held_ += (blob ? blob->size() : 0) - expected;
            opened_.emplace(number, std::move(blob));
            ready_.notify_all();
        }
    }

    const Repository& repository_;
    const std::vector<Id>& blobs_;
    const std::size_t ahead_;
    std::mutex mutex_;
    std::condition_variable room_, ready_;
    std::map<std::size_t, Result<Bytes>> opened_;
    std::size_t next_ = 0, taken_ = 0, held_ = 0;
    bool ending_ = false;
    std::vector<std::thread> threads_;
};

}    // namespace

Status read_content(const Repository& repository, const format::Node& file, const std::function<Status(ByteView)>& sink,
                    std::size_t ahead) {
    HF_DO(check_is_file(file));
    const auto hand_on = [&](Result<Bytes> blob) -> Status {
        if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped while reading " + file.name);
        if (!blob) return fail(std::move(blob).error().within(file.name));
        return sink(*blob);
    };
    if (file.content.size() == 1) return hand_on(repository.read_blob(format::BlobType::data, file.content[0]));
    if (file.content.empty()) return {};
    ReadAhead reader(repository, file.content, ahead);
    for (std::size_t i = 0; i < file.content.size(); ++i) {
        auto blob = reader.take(i);
        const std::size_t size = blob ? blob->size() : 0;
        HF_DO(hand_on(std::move(blob)));
        reader.done_with(size);
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
        ahead);
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
