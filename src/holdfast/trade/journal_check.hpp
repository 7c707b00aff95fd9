#pragma once
// Looks at a whole journal, every record of every segment and every snapshot, without changing anything; also beside the
// process that writes it.
//
//   errors   what is damaged is in the result, each with file and offset, and the look goes on; an Error is only what
//            keeps it from looking
//   memory   one segment at most

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "holdfast/trade/journal_reader.hpp"

namespace holdfast::trade {

struct SegmentFacts {
    Sequence first = 0, last = 0;    // last < first: no record
    std::uint64_t size = 0;    // of the file
    std::uint64_t used = 0;    // bytes up to the end of the last record
};

struct SnapshotFacts {
    Sequence sequence = 0;
    std::uint64_t size = 0;
};

struct JournalFacts {
    std::string account;
    std::vector<SegmentFacts> segments;
    std::vector<SnapshotFacts> snapshots;
    /// What a crash left after the last whole record of the newest segment: the next start cuts it. Only when nobody writes.
    std::optional<std::uint64_t> torn_at;
    /// The last record is protected: damage to it could not pass for a torn tail.
    bool sealed = false;
    bool in_use = false;
    std::vector<Error> damage;

    Sequence first() const { return segments.empty() ? 1 : segments.front().first; }
    Sequence last() const { return segments.empty() ? 0 : segments.back().last; }
};

/// `quick`: reads the newest segment only. `each`: called with every record that is read; its error counts as damage.
Result<JournalFacts> look_at_journal(const JournalFolder& folder, bool quick,
                                     const std::function<Status(const ledger::Record&)>& each = {});

}    // namespace holdfast::trade
