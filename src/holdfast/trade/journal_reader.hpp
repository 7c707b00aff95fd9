#pragma once
// Reads a journal's records in their order, also while another thread or process appends to it.
//
//   memory   one window of at most 256 KiB (or the largest record); all of one segment only to judge a record that does not check
//   errors   not_found (what was asked for has been released), corrupt (segment and offset in the message)
//   threads  a reader: one at a time; many readers beside the writer

#include <memory>
#include <optional>
#include <string>

#include "holdfast/ledger/record.hpp"
#include "holdfast/trade/journal_disk.hpp"

namespace holdfast::trade {

using ledger::Sequence;

/// "00000000000000000042.journal": a segment is named by its first sequence.
std::string segment_name(Sequence first);
/// The names' numbers, ascending; all other files are passed over.
std::vector<Sequence> segments_of(const std::vector<std::string>& names);

/// One segment, from its first record on. Seals are passed over.
class SegmentReader {
public:
    static Result<SegmentReader> open(const JournalDisk& disk, Sequence first);

    /// The next record that is whole, valid until the next call; nullopt: here is none, for now or at all.
    Result<std::optional<ledger::Record>> next();
    /// After nullopt: corrupt when there should be one. `durable` as for ledger::read_record.
    Status check_end(Sequence durable) const;
    /// Whether only zeros follow: no crash left anything here.
    Result<bool> ends_in_zeros() const;

    const ledger::SegmentHeader& header() const { return header_; }
    /// Of its records' checksums.
    std::uint32_t seed() const { return seed_; }
    /// Of the next record.
    Sequence sequence() const { return sequence_; }
    std::uint64_t offset() const { return offset_; }
    /// The highest `synced` of the records that were read.
    Sequence synced() const { return synced_; }

private:
    SegmentReader() = default;
    Result<std::optional<ledger::Record>> look();
    Status fill(std::size_t size);    // the window, from offset_ on
    ByteView view() const;    // of it, from offset_ on
    Result<Bytes> rest() const;    // of the segment
    std::string text() const;

    std::unique_ptr<JournalFile> file_;
    ledger::SegmentHeader header_;
    std::uint32_t seed_ = 0;
    Sequence sequence_ = 1, synced_ = 0;
    std::uint64_t offset_ = ledger::k_segment_header_size;
    Bytes window_;
    std::size_t window_size_ = 64 * 1024;    // of the next one
    std::uint64_t window_at_ = 0;    // its place in the file
};

class JournalReader {
public:
    /// As a limit: all that is there.
    static constexpr Sequence k_all = ~Sequence{0};

    /// The first record handed out will be `from`; 0: the first that is there. `disk` outlives the reader.
    static Result<JournalReader> open(const JournalDisk& disk, Sequence from);

    /// The next record, valid until the next call, if it is not after `limit`. In a process that writes, `limit` is
    /// durable(): what lies after it may still be lost.
    Result<std::optional<ledger::Record>> next(Sequence limit = k_all);
    /// Where the next record will be read; null: there is no segment yet.
    const SegmentReader* segment() const { return segment_ ? &*segment_ : nullptr; }

private:
    explicit JournalReader(const JournalDisk& disk) : disk_(&disk) {}
    const JournalDisk* disk_;
    std::optional<SegmentReader> segment_;    // none: the folder has no segment yet
};

}    // namespace holdfast::trade
