#pragma once
// The engine's state as its journal tells it: the newest state snapshot that checks, and the records after it.

#include "holdfast/ledger/state.hpp"
#include "holdfast/trade/state_snapshot.hpp"

namespace holdfast::trade {

struct Replayed {
    ledger::State state;
    Sequence snapshot = 0;    // where it began; 0: with the first record
};

/// Up to `limit`, which must be durable. `found`: newest_state_snapshot(disk). corrupt, also when records before the oldest one
/// that is there are needed.
Result<Replayed> replay_state(const JournalDisk& disk, const FoundSnapshot& found, ledger::Horizon horizon,
                              Sequence limit);

}    // namespace holdfast::trade
