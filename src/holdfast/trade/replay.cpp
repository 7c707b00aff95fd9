#include "holdfast/trade/replay.hpp"

#include <fmt/core.h>

#include "holdfast/base/log.hpp"
#include "holdfast/ledger/fact.hpp"
#include "holdfast/trade/journal_reader.hpp"

namespace holdfast::trade {

Result<Replayed> replay_state(const JournalDisk& disk, const FoundSnapshot& found, ledger::Horizon horizon,
                              Sequence limit) {
    Replayed replayed{ledger::State(horizon)};
    for (const Error& error : found.passed_over)
        log_warning("a state snapshot does not check; an older one is used", {{"error", error.message}});
    if (found.snapshot) {
        HF_TRY(replayed.state, ledger::State::read_snapshot(found.snapshot->state, horizon));
        replayed.snapshot = found.snapshot->sequence;
    }
    HF_TRY(JournalReader reader, JournalReader::open(disk, found.snapshot ? replayed.snapshot + 1 : 0));
    for (;;) {
        HF_TRY(const auto record, reader.next(limit));
        if (!record) return replayed;
        if (!found.snapshot && replayed.state.sequence() == 0 && record->sequence != 1)
            return fail(
                ErrorCode::corrupt,
                fmt::format("the journal begins at {} and no state snapshot says what was before", record->sequence),
                "bring the folder back from the vault, or start with an empty one: the stores and the broker are then "
                "asked");
        HF_TRY(const ledger::Fact fact, ledger::parse_fact(record->payload));
        replayed.state.apply(record->sequence, fact);
    }
}

}    // namespace holdfast::trade
