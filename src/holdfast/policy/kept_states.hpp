#pragma once
// Which kept states of a DuckDB may go, and for how long a verification speaks for those that came after it.
//
//   rule      a generation's states end when the next one begins. They stay while that is less than `age` ago, while fewer than
//             `moments` newer ones are kept, and, once verified, while fewer than `verified` newer generations are. The newest stays
//   threads   values only; safe anywhere

#include <cstdint>
#include <vector>

#include "holdfast/base/clock.hpp"

namespace holdfast::policy {

struct KeptStates {
    std::uint32_t generation = 0;
    Timestamp begun;
    std::uint64_t moments = 0;    // states that were taken of it
    bool verified = false;
};
struct KeepStatesRule {
    Duration age;
    std::uint64_t moments = 1, verified = 1;
};
/// `kept` and what is returned: oldest first.
std::vector<std::uint32_t> expired_states(const std::vector<KeptStates>& kept, Timestamp now,
                                          const KeepStatesRule& rule);

/// Commits that libduckdb has not read through go into the vault on trust for this long after the first of them.
Duration trust_after_verification(std::uint32_t verify_every_minutes);

}    // namespace holdfast::policy
