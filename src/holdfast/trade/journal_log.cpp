#include "holdfast/trade/journal_log.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "holdfast/os/crash_point.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/trade/journal_reader.hpp"

namespace holdfast::trade {
namespace {

constexpr std::string_view k_spare = "spare";
constexpr std::size_t k_buffers_max = 2;
constexpr std::size_t k_buffer_size_max = std::size_t(4) << 20;

}    // namespace

JournalLog::JournalLog(JournalDisk& disk, JournalOptions options) : disk_(&disk), options_(std::move(options)) {
    if (options_.salt == 0) {
        std::array<std::byte, 8> bytes;
        os::random_bytes(bytes);
        options_.salt = load_le<std::uint64_t>(bytes.data());
    }
    zeros_.assign(std::min(options_.zero_ahead, options_.segment_size), std::byte{0});
}

Result<std::unique_ptr<JournalLog>> JournalLog::open(JournalDisk& disk, JournalOptions options, Sequence proven) {
    if (options.account.empty() || options.account.size() > ledger::k_account_max)
        return fail(ErrorCode::config, fmt::format("an account's name has 1 to {} bytes", ledger::k_account_max));
    std::unique_ptr<JournalLog> log(new JournalLog(disk, std::move(options)));
    HF_DO(log->recover(proven));
    return log;
}

Status JournalLog::recover(Sequence proven) {
    HF_TRY(const auto names, disk_->list());
    if (std::ranges::binary_search(names, k_spare)) HF_DO(disk_->remove(std::string(k_spare)));
    recovery_.restored = std::ranges::binary_search(names, k_restored_marker);
    segments_ = segments_of(names);
    if (segments_.empty()) {
        if (proven > 0)
            return fail(ErrorCode::corrupt,
                        fmt::format("the journal's segments are gone, but a state snapshot covers sequence {}", proven),
                        "restore the journal from the last backup, or move the folder away to start from the stores");
        HF_DO(make_segment(1));
        new_segments_.clear();
        segments_ = {1};
        tail_ = position_;
        return {};
    }
    for (const Sequence first : segments_) {
        HF_TRY(const auto segment, SegmentReader::open(*disk_, first));
        if (segment.header().account != options_.account)
            return fail(ErrorCode::config,
                        fmt::format("the journal belongs to account '{}', not to '{}'", segment.header().account,
                                    options_.account),
                        "each account has a journal folder of its own");
    }
    HF_TRY(auto newest, SegmentReader::open(*disk_, segments_.back()));
    for (;;) {
        HF_TRY(const auto record, newest.next());
        if (!record) break;
    }
    // A sequence that is proven and not here fails this, too.
    HF_DO(newest.check_end(proven));
    HF_TRY(file_, disk_->open(segment_name(segments_.back()), true));
    HF_TRY(const bool clean, newest.ends_in_zeros());
    if (!clean) {
        recovery_.torn_at = newest.offset();
        HF_DO(file_->truncate(newest.offset()));
    }
    os::crash_point("journal.cut");
    // Without room for it the log opens all the same: what is there can be read, and appending says what is wrong.
    if (auto reserved = file_->reserve(options_.segment_size);
        !reserved && reserved.error().code != ErrorCode::disk_full)
        return reserved;
    // What a killed process left may be in the page cache only: the records, and the names of the segment and of the
    // snapshot that stands for segments that are released.
    HF_DO(file_->sync());
    HF_DO(disk_->sync_names());
    recovery_.first = segments_.front();
    recovery_.last = synced_ = durable_ = newest.sequence() - 1;
    said_ = sealed_ = newest.synced();
    seed_ = newest.seed();
    next_ = durable_ + 1;
    tail_ = position_ = zeroed_ = newest.offset();
    return {};
}

bool JournalLog::must_wait(std::size_t payload_size) const {
    return !failure_ && !stuck_ && pending_size_ > 0 &&
           pending_size_ + ledger::record_size(payload_size) > options_.pending_max;
}

JournalLog::Part& JournalLog::tail_part(std::size_t size) {
    // A record that is larger than a segment gets one of its own.
    const bool opens = !fits(size) && tail_ > ledger::k_segment_header_size;
    if (opens) {
        tail_ = ledger::k_segment_header_size;
        ++segments_ahead_;
    }
    if (opens || pending_.empty()) {
        Part& part = pending_.emplace_back();
        part.first = next_;
        part.last = next_ - 1;
        part.opens_segment = opens;
        if (!buffers_.empty()) {
            part.bytes = std::move(buffers_.back());
            buffers_.pop_back();
        }
    }
    tail_ += size;
    pending_size_ += size;
    return pending_.back();
}

Result<Sequence> JournalLog::append(ByteView payload) {
    HF_ASSERT(!payload.empty() && payload.size() <= ledger::k_payload_max);
    if (failure_) return fail(*failure_);
    if (stuck_) return fail(*stuck_);
    const std::size_t size = ledger::record_size(payload.size());
    if (no_room_ && (segments_ahead_ > 0 || !fits(size))) return fail(*no_room_);
    Part& part = tail_part(size);
    ledger::append_unfinished(part.bytes, next_, payload);
    part.last = next_;
    return next_++;
}

bool JournalLog::needs_seal() const {
    // No seal opens a segment: a segment's header says as much.
    return !failure_ && !stuck_ && pending_.empty() && durable_ == next_ - 1 && sealed_ < durable_ &&
           fits(ledger::k_record_header_size);
}

bool JournalLog::seal() {
    if (!needs_seal()) return false;
    ledger::append_unfinished(tail_part(ledger::k_record_header_size).bytes, next_ - 1, {});
    return true;
}

bool JournalLog::begin() {
    if (failure_) return false;
    if (batch_.empty()) {
        std::swap(batch_, pending_);
        pending_size_ = 0;
    }
    return !batch_.empty();
}

Status JournalLog::write() {
    outcome_ = {};
    while (outcome_ && written_ < batch_.size()) {
        outcome_ = write_part(batch_[written_]);
        if (outcome_) ++written_;
    }
    return outcome_;
}

Status JournalLog::write_part(Part& part) {
    if (part.opens_segment) {
        HF_DO(make_segment(part.first));
        part.opens_segment = false;
    }
    for (std::size_t at = 0; at < part.bytes.size();)
        at += ledger::finish_record(part.bytes.data() + at, synced_, seed_);
    const std::uint64_t end = position_ + part.bytes.size();
    if (end > zeroed_ && !zeros_.empty()) {
        const std::uint64_t step = zeros_.size();
        const std::uint64_t to = std::min((end / step + 2) * step, options_.segment_size);
        for (std::uint64_t at = end; at < to;) {
            const std::size_t piece = std::min<std::uint64_t>(step, to - at);
            HF_DO(file_->write(ByteView(zeros_).first(piece), at));
            at += piece;
        }
        zeroed_ = std::max(to, end);
    }
    HF_DO(file_->write(part.bytes, position_));
    os::crash_point("journal.written");
    HF_DO(file_->sync());
    os::crash_point("journal.synced");
    position_ = end;
    said_ = synced_;
    synced_ = std::max(synced_, part.last);
    return {};
}

Status JournalLog::spare() {
    spare_outcome_.reset();
    const auto reserve = [&]() -> Status {
        HF_TRY(auto file, disk_->create(std::string(k_spare)));
        HF_DO(file->reserve(options_.segment_size));
        HF_DO(file->sync());
        spare_ = std::move(file);
        return {};
    };
    auto reserved = reserve();
    if (!reserved) {
        spare_outcome_ = reserved.error();
        // What it got until then is worth more to others.
        if (auto removed = disk_->remove(std::string(k_spare)); !removed) spare_outcome_ = removed.error();
        return fail(*spare_outcome_);
    }
    return {};
}

Status JournalLog::make_segment(Sequence first) {
    if (!spare_) HF_DO(spare());
    Bytes header;
    ledger::append_segment_header(header, {options_.account, first, options_.salt});
    HF_DO(spare_->write(header, 0));
    HF_DO(spare_->sync());
    os::crash_point("journal.segment_made");
    HF_DO(disk_->rename(std::string(k_spare), segment_name(first)));
    os::crash_point("journal.segment_named");
    HF_DO(disk_->sync_names());
    file_ = std::move(spare_);
    seed_ = ledger::record_seed(header);
    position_ = zeroed_ = header.size();
    new_segments_.push_back(first);
    return {};
}

void JournalLog::finish() {
    durable_ = synced_;
    sealed_ = said_;
    segments_ahead_ -= std::min(segments_ahead_, new_segments_.size());
    segments_.insert(segments_.end(), new_segments_.begin(), new_segments_.end());
    new_segments_.clear();
    for (std::size_t i = 0; i < written_; ++i) {
        if (buffers_.size() >= k_buffers_max || batch_[i].bytes.capacity() > k_buffer_size_max) continue;
        batch_[i].bytes.clear();
        buffers_.push_back(std::move(batch_[i].bytes));
    }
    batch_.erase(batch_.begin(), batch_.begin() + static_cast<std::ptrdiff_t>(written_));
    written_ = 0;
    stuck_.reset();
    if (!outcome_) (outcome_.error().code == ErrorCode::disk_full ? stuck_ : failure_) = outcome_.error();
    no_room_ = spare_outcome_;
}

std::vector<std::string> JournalLog::release(Sequence sequence) {
    std::vector<std::string> names;
    std::size_t n = 0;
    // A segment ends before the next one's first.
    while (n + 1 < segments_.size() && segments_[n + 1] - 1 <= sequence) names.push_back(segment_name(segments_[n++]));
    segments_.erase(segments_.begin(), segments_.begin() + static_cast<std::ptrdiff_t>(n));
    return names;
}

}    // namespace holdfast::trade
