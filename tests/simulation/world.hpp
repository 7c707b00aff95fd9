#pragma once
// The trade path on virtual time, from one seed: the real ledger, the real pump and the real journal (its log, its
// readers, its state snapshots and releases) over a disk that loses what was not synced, by sector and by name, a broker that
// answers late, twice, out of order or never, stores that are away and time out after applying, clocks that jump, instances
// that stop and go on. All that is random comes from the seed, so the same seed
// gives the same trace.

#include <cstdint>
#include <string>
#include <vector>

namespace holdfast::simulation {

/// A way to be wrong, put around the real code, that the checks must catch.
enum class Mutant {
    none,
    ack_before_fsync,    // the log says durable at once
    resend_on_timeout,    // an adapter that takes silence for "unknown"
    trim_before_confirm,    // the journal is cut before the stores have confirmed
    dedupe_by_time_only,    // UUIDs are forgotten with their day
    lease_by_wall_clock,    // the lease is looked at with a clock that jumps
    trust_every_token,    // whoever held the lease before is taken for ourselves
};

struct Outcome {
    std::vector<std::string> violations;    // empty: all promises were kept
    std::uint64_t trace = 0;    // hash of everything that happened
    std::uint64_t signals = 0, executions = 0, crashes = 0, facts = 0;
};

Outcome simulate(std::uint64_t seed, Mutant mutant = Mutant::none, bool print = false);

}    // namespace holdfast::simulation
