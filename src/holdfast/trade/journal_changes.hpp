#pragma once
// What a journal in this process holds, as the changes that its facts made: where projections read from.
//
//   cost      to read on from where the last read ended: what is read. From any other place: the newest state snapshot before
//             it, and all facts from there up to it
//   released  what is left begins with the orders that were open at the oldest state snapshot, under the last of the sequences
//             that are gone: so a store that was emptied, or is new to this journal, gets every open order
//   memory    the open orders, one record, and what is handed out
//   errors    changed: what was to be read next has been released; oldest() says what is left. corrupt: a segment, or no state
//             snapshot says what was before the oldest record
//   threads   as ChangeSource says; any number of sources, beside the writer

#include <memory>

#include "holdfast/ledger/state.hpp"
#include "holdfast/trade/journal.hpp"
#include "holdfast/trade/projection.hpp"

namespace holdfast::trade {

/// `journal` outlives it. `horizon` as its engine has it. A place before oldest() reads as the oldest one.
std::unique_ptr<ChangeSource> journal_changes(Journal& journal, ledger::Horizon horizon = {});

}    // namespace holdfast::trade
