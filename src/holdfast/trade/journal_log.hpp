#pragma once
// The journal without its threads: what is appended, in which order it reaches the disk, what is durable when, and what a
// crash leaves. Runs alike on a real folder (trade/journal.hpp) and on a simulated disk.
//
//   promises  a sequence up to durable() is read back after any crash; what is read back is a prefix of what was appended
//   room      append takes nothing for which it is known that the disk has no room: the next segment is reserved early.
//             What was taken waits in memory until it can be written; it is not durable, and nothing is lost by waiting
//   errors    disk_full: later. All else from append and write is final for this object: open the journal anew
//   threads   two sides: begin(), write() and spare() by one thread, each alone; append(), seal(), finish() and the rest
//             may run beside write() and spare(), but not beside each other or begin()
//   source    docs/formats/journal.md

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "holdfast/ledger/record.hpp"
#include "holdfast/trade/journal_disk.hpp"

namespace holdfast::trade {

using ledger::Sequence;

struct JournalOptions {
    std::string account;    // written into each segment; another one's journal is refused
    std::uint64_t segment_size = std::uint64_t(64) << 20;
    /// Blocks are written with zeros this far ahead of the records: then a sync carries data only (docs/decisions/0014).
    std::uint64_t zero_ahead = std::uint64_t(1) << 20;
    std::size_t pending_max = std::size_t(32) << 20;    // bytes appended and not yet written
    std::uint64_t salt = 0;    // of new segments; 0: a random one
};

/// A file of this name lies in a journal that came out of a backup: more may have happened since than it knows.
inline constexpr std::string_view k_restored_marker = "restored";

/// What open() found and did.
struct Recovery {
    Sequence first = 1;    // of the oldest record that is there
    Sequence last = 0;
    std::optional<std::uint64_t> torn_at;    // offset in the newest segment at which a torn tail was cut
    bool restored = false;    // it came out of a backup: compare with broker and stores before anything is sent
};

class JournalLog {
public:
    /// Reads the newest segment, cuts a torn tail and syncs what stays. `proven`: known to have been durable from
    /// elsewhere (a state snapshot). `disk` outlives the log.
    static Result<std::unique_ptr<JournalLog>> open(JournalDisk& disk, JournalOptions options, Sequence proven = 0);

    /// Takes one record over into memory. `payload` has 1 to ledger::k_payload_max bytes.
    Result<Sequence> append(ByteView payload);
    /// Whether append has to be put off until the next finish().
    bool must_wait(std::size_t payload_size) const;
    /// Takes a seal over, if anything is durable that no record on the disk says so; false: not needed.
    bool seal();
    bool needs_seal() const;

    /// Whether there is something to write; if so it becomes the batch of the next write().
    bool begin();
    /// Writes the batch and syncs it, with new segments as needed. After disk_full the rest of the batch stays.
    Status write();
    /// Publishes what write() did.
    void finish();

    /// The last write() found no room: nothing is taken until one succeeds.
    bool stuck() const { return stuck_.has_value(); }
    bool wants_spare() const { return !spare_; }
    /// Reserves the next segment; finish() publishes the outcome. disk_full: append refuses what would need it, until a
    /// later call succeeds.
    Status spare();
    /// What keeps the log from taking more, while it lasts: disk_full.
    const std::optional<Error>& trouble() const { return stuck_ ? stuck_ : no_room_; }

    Sequence last() const { return next_ - 1; }    // appended
    Sequence durable() const { return durable_; }
    const Recovery& recovery() const { return recovery_; }
    const std::optional<Error>& failure() const { return failure_; }

    /// Takes whole segments out of the list in which all sequences are at most `sequence`; their files are the caller's to
    /// remove, in this order. The newest segment stays.
    std::vector<std::string> release(Sequence sequence);
    Sequence first() const { return segments_.front(); }

private:
    /// Records that go into one segment.
    struct Part {
        Bytes bytes;
        Sequence first = 0, last = 0;
        bool opens_segment = false;
    };

    JournalLog(JournalDisk& disk, JournalOptions options);
    Status recover(Sequence proven);
    Status make_segment(Sequence first);
    Status write_part(Part& part);
    Part& tail_part(std::size_t size);
    bool fits(std::size_t size) const { return tail_ + size <= options_.segment_size; }

    JournalDisk* disk_;
    JournalOptions options_;
    Recovery recovery_;

    // The appending side.
    Sequence next_ = 1;
    Sequence durable_ = 0;
    Sequence sealed_ = 0;    // what the disk itself says to be durable
    std::uint64_t tail_ = 0;    // where the next record will begin in its segment
    std::vector<Part> pending_;
    std::size_t pending_size_ = 0;
    std::size_t segments_ahead_ = 0;    // that appended records will open
    std::vector<Sequence> segments_;
    std::vector<Bytes> buffers_;    // emptied ones, for their memory
    std::optional<Error> failure_, stuck_, no_room_;

    // The writing side; finish() hands over.
    std::vector<Part> batch_;
    std::size_t written_ = 0;    // parts of it
    std::unique_ptr<JournalFile> file_, spare_;
    std::uint32_t seed_ = 0;
    std::uint64_t position_ = 0, zeroed_ = 0;    // in file_
    Sequence synced_ = 0, said_ = 0;
    std::vector<Sequence> new_segments_;
    Bytes zeros_;
    Status outcome_;
    std::optional<Error> spare_outcome_;
};

}    // namespace holdfast::trade
