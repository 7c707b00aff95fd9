#pragma once
// What the phases share.

#include "bench.hpp"

namespace holdfast::bench {

/// The arguments with `phase` in the place of %PHASE%.
std::vector<std::string> for_phase(std::vector<std::string> arguments, const std::string& phase);

/// An empty repository, a new key if it is a machine's, and no cache.
Status start_repository(const Tool& tool, const Places& places);
/// The cost that the key file of a holdfast or restic repository states; empty for others.
Result<std::string> key_cost(const Tool& tool);

/// One command of a phase, after everything that was written before has settled; says on stderr how it went.
Result<Sample> measure_settled(const Invocation& invocation, const std::string& phase, const std::string& name,
                               const Places& places);

// The phases that have data of their own.
Status run_prune(const Plan& plan, const Places& places, Results& results);
Status run_kinds(const Plan& plan, const Places& places, Results& results);
Status run_memory(const Plan& plan, const Places& places, Results& results);

}    // namespace holdfast::bench
