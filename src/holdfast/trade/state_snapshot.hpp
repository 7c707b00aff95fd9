#pragma once
// The engine's state at one sequence, beside the journal, so that a start need not replay everything. Opaque here.
//
//   shape     file "snapshot-<sequence, 20 digits>": "HFJSNAP1" | u32 crc32c of all but itself | u32 version | u64 sequence |
//             u64 length | state
//   promises  a snapshot is there whole or not at all; one that does not check is passed over for the one before
//   source    docs/formats/journal.md

#include <optional>
#include <vector>

#include "holdfast/ledger/record.hpp"
#include "holdfast/trade/journal_disk.hpp"

namespace holdfast::trade {

using ledger::Sequence;

struct StateSnapshot {
    Sequence sequence = 0;    // the state after this record
    Bytes state;
};

std::string snapshot_name(Sequence sequence);
/// Ascending.
std::vector<Sequence> snapshots_of(const std::vector<std::string>& names);

/// Durable on return. What a crash left of others goes.
Status save_state_snapshot(JournalDisk& disk, Sequence sequence, ByteView state);
/// The newest two stay, and the newest one up to `needed`: from it the state at `needed`, or any later one, can be worked out.
/// All others go. Returns up to which sequence no replay needs records any more.
Result<Sequence> remove_old_snapshots(JournalDisk& disk, Sequence needed);
/// corrupt or unsupported when it does not check.
Result<StateSnapshot> read_state_snapshot(const JournalDisk& disk, Sequence sequence);

struct FoundSnapshot {
    std::optional<StateSnapshot> snapshot;
    std::vector<Error> passed_over;    // newer ones that do not check: for a warning
};
/// The newest one that checks.
Result<FoundSnapshot> newest_state_snapshot(const JournalDisk& disk);

}    // namespace holdfast::trade
