#include "holdfast/trade/journal_check.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "holdfast/os/host.hpp"
#include "holdfast/trade/state_snapshot.hpp"

namespace holdfast::trade {
namespace {

/// Walks one segment to its end. `next`: the first sequence of the one after it; 0: it is the newest.
Status walk(const JournalFolder& folder, Sequence next, SegmentFacts& segment, JournalFacts& facts,
            const std::function<Status(const ledger::Record&)>& each) {
    HF_TRY(auto reader, SegmentReader::open(folder, segment.first));
    if (facts.account.empty()) facts.account = reader.header().account;
    if (reader.header().account != facts.account)
        return fail(ErrorCode::corrupt,
                    fmt::format("journal segment {} belongs to account '{}', the ones before to '{}'",
                                segment_name(segment.first), reader.header().account, facts.account));
    for (;;) {
        const std::uint64_t at = reader.offset();
        HF_TRY(const auto record, reader.next());
        segment.last = reader.sequence() - 1;
        segment.used = reader.offset();
        if (!record) break;
        if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped while reading the journal");
        if (!each) continue;
        if (auto taken = each(*record); !taken)
            return fail(std::move(taken).error().within(
                fmt::format("journal segment {}, offset {}", segment_name(segment.first), at)));
    }
    if (next > 0 && segment.last >= next)
        return fail(ErrorCode::corrupt, fmt::format("journal segment {} goes on to sequence {}, beyond the begin of {}",
                                                    segment_name(segment.first), segment.last, segment_name(next)));
    const bool whole = next > 0 && segment.last + 1 == next;
    if (!whole) HF_DO(reader.check_end(next > 0 ? next - 1 : 0));
    if (next > 0) return {};
    facts.sealed = reader.synced() >= segment.last;
    if (facts.in_use) return {};
    HF_TRY(const bool clean, reader.ends_in_zeros());
    if (!clean) facts.torn_at = reader.offset();
    return {};
}

}    // namespace

Result<JournalFacts> look_at_journal(const JournalFolder& folder, bool quick,
                                     const std::function<Status(const ledger::Record&)>& each) {
    JournalFacts facts;
    HF_TRY(facts.in_use, folder.in_use());
    HF_TRY(const auto names, folder.list());
    const auto keep = [&](Status done) -> Status {
        if (done) return {};
        const ErrorCode code = done.error().code;
        if (code != ErrorCode::corrupt && code != ErrorCode::unsupported) return done;
        facts.damage.push_back(std::move(done).error());
        return {};
    };
    const auto segments = segments_of(names);
    for (std::size_t i = 0; i < segments.size(); ++i) {
        const Sequence next = i + 1 < segments.size() ? segments[i + 1] : 0;
        SegmentFacts segment{segments[i], next > 0 ? next - 1 : segments[i] - 1, 0, 0};
        const auto file = folder.open(segment_name(segment.first), false);
        // Released meanwhile.
        if (!file && file.error().code == ErrorCode::not_found && facts.in_use && next > 0) continue;
        if (!file) return fail(file.error());
        HF_TRY(segment.size, (*file)->size());
        if (!quick || next == 0) HF_DO(keep(walk(folder, next, segment, facts, each)));
        facts.segments.push_back(segment);
    }
    for (const Sequence sequence : snapshots_of(names)) {
        auto snapshot = read_state_snapshot(folder, sequence);
        // Replaced by a newer one meanwhile.
        if (!snapshot && snapshot.error().code == ErrorCode::not_found) continue;
        if (!snapshot) {
            HF_DO(keep(fail(std::move(snapshot).error())));
            continue;
        }
        facts.snapshots.push_back({sequence, snapshot->state.size()});
        if (!facts.in_use && sequence > facts.last() && facts.damage.empty())
            facts.damage.push_back({ErrorCode::corrupt,
                                    fmt::format("a state snapshot covers sequence {}, but the journal ends with {}",
                                                sequence, facts.last()),
                                    {}});
    }
    return facts;
}

}    // namespace holdfast::trade
