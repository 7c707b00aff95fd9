#include "holdfast/trade/journal_reader.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>

namespace holdfast::trade {
namespace {

constexpr std::size_t k_window_min = 16 * 1024, k_window_max = 256 * 1024;
constexpr std::string_view k_suffix = ".journal";
constexpr std::size_t k_digits = 20;

}    // namespace

std::string segment_name(Sequence first) { return fmt::format("{:020}{}", first, k_suffix); }

std::vector<Sequence> segments_of(const std::vector<std::string>& names) {
    std::vector<Sequence> all;
    for (const std::string& name : names) {
        if (name.size() != k_digits + k_suffix.size() || !name.ends_with(k_suffix)) continue;
        Sequence first = 0;
        const auto [end, error] = std::from_chars(name.data(), name.data() + k_digits, first);
        if (error == std::errc() && end == name.data() + k_digits && first > 0) all.push_back(first);
    }
    std::ranges::sort(all);
    return all;
}

Result<SegmentReader> SegmentReader::open(const JournalDisk& disk, Sequence first) {
    SegmentReader reader;
    HF_TRY(reader.file_, disk.open(segment_name(first), false));
    Bytes head(ledger::k_segment_header_size);
    HF_TRY(const std::size_t size, reader.file_->read(head, 0));
    head.resize(size);
    auto header = ledger::read_segment_header(head);
    if (!header) return fail(std::move(header).error().within("journal segment " + segment_name(first)));
    if (header->first != first)
        return fail(ErrorCode::corrupt, fmt::format("journal segment {} says that it begins with sequence {}",
                                                    segment_name(first), header->first));
    reader.header_ = *std::move(header);
    reader.seed_ = ledger::record_seed(head);
    reader.sequence_ = first;
    reader.synced_ = first - 1;
    return reader;
}

ByteView SegmentReader::view() const {
    return ByteView(window_).subspan(std::min<std::uint64_t>(offset_ - window_at_, window_.size()));
}

Status SegmentReader::fill(std::size_t size) {
    window_.resize(size);
    window_at_ = offset_;
    HF_TRY(const std::size_t read, file_->read(window_, offset_));
    window_.resize(read);
    return {};
}

Result<std::optional<ledger::Record>> SegmentReader::look() {
    auto record = ledger::whole_record(view(), seed_);
    if (record) return record;
    // The window ends inside the record: more is there, so read ahead. Or it is older than the record: this reader keeps up
    // with the writer and needs little at a time.
    const auto claimed = ledger::claimed_size(view());
    const bool behind = !claimed || *claimed > view().size();
    window_size_ = behind ? std::min(window_size_ * 2, k_window_max) : k_window_min;
    HF_DO(fill(window_size_));
    record = ledger::whole_record(view(), seed_);
    if (record) return record;
    if (const auto size = ledger::claimed_size(view()); size && *size > window_.size()) {
        HF_DO(fill(*size));
        record = ledger::whole_record(view(), seed_);
    }
    return record;
}

Result<std::optional<ledger::Record>> SegmentReader::next() {
    for (;;) {
        HF_TRY(const auto record, look());
        if (!record) return record;
        if (auto placed = ledger::check_place(*record, sequence_, offset_); !placed)
            return fail(std::move(placed).error().within(text()));
        offset_ += record->size();
        synced_ = std::max(synced_, record->synced);
        if (record->is_seal()) continue;
        ++sequence_;
        return record;
    }
}

Result<Bytes> SegmentReader::rest() const {
    HF_TRY(const std::uint64_t size, file_->size());
    Bytes rest(size > offset_ ? size - offset_ : 0);
    HF_TRY(const std::size_t read, file_->read(rest, offset_));
    rest.resize(read);
    return rest;
}

Status SegmentReader::check_end(Sequence durable) const {
    Result<std::optional<ledger::Record>> found;
    // Twice: beside a writer in another process the first look may have mixed two moments, and what seemed to be missing
    // is there now.
    for (int i = 0; i < 2; ++i) {
        HF_TRY(const Bytes bytes, rest());
        found = ledger::read_record(bytes, offset_, sequence_, durable, seed_);
        if (found) return {};
    }
    return fail(std::move(found).error().within(text()));
}

Result<bool> SegmentReader::ends_in_zeros() const {
    HF_TRY(const Bytes bytes, rest());
    return std::ranges::all_of(bytes, [](std::byte b) { return b == std::byte{0}; });
}

std::string SegmentReader::text() const { return "journal segment " + segment_name(header_.first); }

Result<JournalReader> JournalReader::open(const JournalDisk& disk, Sequence from) {
    JournalReader reader(disk);
    HF_TRY(const auto names, disk.list());
    const std::vector<Sequence> segments = segments_of(names);
    if (segments.empty()) {
        if (from > 1) return fail(ErrorCode::not_found, fmt::format("the journal has no sequence {} yet", from));
        return reader;
    }
    if (from == 0) from = segments.front();
    auto after = std::ranges::upper_bound(segments, from);
    if (after == segments.begin())
        return fail(ErrorCode::not_found,
                    fmt::format("the journal begins with sequence {}: {} has been released", segments.front(), from));
    HF_TRY(reader.segment_, SegmentReader::open(disk, *std::prev(after)));
    while (reader.segment_->sequence() < from) {
        // What is skipped must be there and whole, too.
        HF_TRY(const auto record, reader.next(from - 1));
        if (!record) return fail(ErrorCode::not_found, fmt::format("the journal has no sequence {} yet", from));
    }
    return reader;
}

Result<std::optional<ledger::Record>> JournalReader::next(Sequence limit) {
    for (;;) {
        if (!segment_) {
            HF_TRY(const auto names, disk_->list());
            const std::vector<Sequence> segments = segments_of(names);
            if (segments.empty()) return std::nullopt;
            HF_TRY(segment_, SegmentReader::open(*disk_, segments.front()));
        }
        if (segment_->sequence() > limit) return std::nullopt;
        HF_TRY(const auto record, segment_->next());
        if (record) return record;
        // A segment ends where the next one begins; all before that had been durable when it was made.
        HF_TRY(const auto names, disk_->list());
        const std::vector<Sequence> segments = segments_of(names);
        const auto later =
            std::ranges::lower_bound(segments, std::max(segment_->sequence(), segment_->header().first + 1));
        if (later != segments.end() && *later == segment_->sequence()) {
            HF_TRY(segment_, SegmentReader::open(*disk_, *later));
            continue;
        }
        if (!segments.empty() && segments.front() > segment_->header().first)
            return fail(ErrorCode::not_found, fmt::format("the journal begins with sequence {}: {} has been released",
                                                          segments.front(), segment_->sequence()));
        HF_DO(segment_->check_end(later != segments.end() ? *later - 1 : limit == k_all ? 0 : limit));
        return std::nullopt;
    }
}

}    // namespace holdfast::trade
