#include "holdfast/vault/blob_entries.hpp"

#include <algorithm>

#include "holdfast/base/log.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"

namespace holdfast::vault {
namespace {

std::uint64_t place_of(std::uint32_t number) { return std::uint64_t(number) * sizeof(BlobEntry); }

}    // namespace

BlobEntries::BlobEntries(std::string folder) : folder_(std::move(folder)) {}
BlobEntries::~BlobEntries() = default;

void BlobEntries::add(const BlobEntry& entry) {
    HF_ASSERT(count_ < UINT32_MAX);
    if (count_ % k_block == 0) {
        // The block before the last goes: what was added last is asked for first.
        if (blocks_.size() >= 2) write_out(static_cast<std::uint32_t>(blocks_.size()) - 2);
        blocks_.push_back(spare_ ? std::move(spare_) : std::make_unique_for_overwrite<BlobEntry[]>(k_block));
    }
    blocks_.back()[count_++ % k_block] = entry;
}

void BlobEntries::write_out(std::uint32_t block) {
    if (stay_) return;
    const auto write = [&]() -> Status {
        if (!file_) {
            HF_TRY(file_, os::unnamed_file(folder_.empty() ? os::environment("TMPDIR").value_or("/var/tmp") : folder_));
            cache_ = std::make_unique<std::array<Cached, k_cached>>();
        }
        return os::pwrite_all(file_.get(), std::as_bytes(std::span(blocks_[block].get(), k_block)),
                              place_of(block * k_block));
    };
    if (const auto status = write(); !status) {
        // Slower is no better than larger: what is known must not be lost.
        log_warning("the index is kept in memory, as there is no room for it in the folder for temporary files",
                    {{"error", status.error().message}});
        stay_ = true;
        return;
    }
    spare_ = std::move(blocks_[block]);
}

void BlobEntries::clear() {
    blocks_.clear();
    spare_.reset();
    cache_.reset();
    file_ = {};
    count_ = 0;
    stay_ = false;
}

BlobEntry BlobEntries::at(std::uint32_t number) const {
    HF_ASSERT(number < count_);
    if (const Block& block = blocks_[number / k_block]) return block[number % k_block];
    const std::uint32_t piece = number / k_piece;
    Cached& cached = (*cache_)[piece % k_cached];
    const std::scoped_lock lock(cached.mutex);
    if (cached.number != piece) {
        cached.number.reset();
        if (!read(piece * k_piece, cached.entries)) return {};
        cached.number = piece;
    }
    return cached.entries[number % k_piece];
}

void BlobEntries::for_each(const std::function<void(std::uint32_t, const BlobEntry&)>& each) const {
    Block room;
    for (std::uint32_t first = 0; first < count_; first += std::min(k_block, count_ - first)) {
        const BlobEntry* entries = blocks_[first / k_block].get();
        const std::uint32_t count = std::min(k_block, count_ - first);
        if (entries == nullptr) {
            if (!room) room = std::make_unique_for_overwrite<BlobEntry[]>(k_block);
            if (!read(first, {room.get(), count})) return;
            entries = room.get();
        }
        for (std::uint32_t i = 0; i < count; ++i) each(first + i, entries[i]);
    }
}

bool BlobEntries::read(std::uint32_t first, std::span<BlobEntry> to) const {
    const auto bytes = std::as_writable_bytes(to);
    const auto got = os::pread_full(file_.get(), bytes, place_of(first));
    if (got && *got == bytes.size()) return true;
    const std::scoped_lock lock(error_mutex_);
    if (!error_) {
        error_ = got ? Error{ErrorCode::io, "the index's temporary file became shorter", ""} : got.error();
        error_->hint = "look at the disk that holds the folder for temporary files, or name another folder by TMPDIR";
    }
    return false;
}

Status BlobEntries::status() const {
    const std::scoped_lock lock(error_mutex_);
    if (error_) return fail(Error(*error_).within("the index's temporary file"));
    return {};
}

}    // namespace holdfast::vault
