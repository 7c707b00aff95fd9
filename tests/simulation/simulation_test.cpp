// The promises of docs/trade-path.md, on virtual time. A seed that fails: `hf-simulate --from SEED --seeds 1 --print`.
// HF_SIMULATION_SEEDS: how many (5,000 in the normal run; `./run soak` takes more).

#include <gtest/gtest.h>

#include <cstdlib>

#include "world.hpp"

namespace holdfast::simulation {
namespace {

constexpr std::uint64_t k_shards = 4;

std::uint64_t seeds() {
    const char* told = std::getenv("HF_SIMULATION_SEEDS");
    return told == nullptr ? 5000 : std::strtoull(told, nullptr, 10);
}

std::uint64_t first_seed() {
    const char* told = std::getenv("HF_SIMULATION_FROM");
    return told == nullptr ? 1 : std::strtoull(told, nullptr, 10);
}

class Seeds : public testing::TestWithParam<std::uint64_t> {};

// Requirements: HA-05, DD-09, MT-07, MT-08, MT-10, MT-15, EA-13.
TEST_P(Seeds, KeepAllPromises) {
    std::uint64_t executions = 0, crashes = 0;
    for (std::uint64_t seed = first_seed() + GetParam(); seed < first_seed() + seeds(); seed += k_shards) {
        const Outcome outcome = simulate(seed);
        executions += outcome.executions;
        crashes += outcome.crashes;
        for (const std::string& violation : outcome.violations) ADD_FAILURE() << "seed " << seed << ": " << violation;
        if (HasFailure()) return;
    }
    // The schedules do something.
    EXPECT_GT(executions, seeds() / k_shards * 20);
    EXPECT_GT(crashes, seeds() / k_shards * 2);
}

INSTANTIATE_TEST_SUITE_P(Simulation, Seeds, testing::Range(std::uint64_t{0}, k_shards));

TEST(Simulation, TheSameSeedGivesTheSameTrace) {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) EXPECT_EQ(simulate(seed).trace, simulate(seed).trace) << seed;
    EXPECT_NE(simulate(1).trace, simulate(2).trace);
}

/// What is wrong around the real code must be found: a simulation that finds nothing proves nothing.
class Mutants : public testing::TestWithParam<Mutant> {};

TEST_P(Mutants, AreCaughtWithinAThousandSeeds) {
    for (std::uint64_t seed = 1; seed <= 1000; ++seed)
        if (!simulate(seed, GetParam()).violations.empty()) return;
    FAIL() << "1,000 seeds did not find it";
}

INSTANTIATE_TEST_SUITE_P(Simulation, Mutants,
                         testing::Values(Mutant::ack_before_fsync, Mutant::resend_on_timeout,
                                         Mutant::trim_before_confirm, Mutant::dedupe_by_time_only,
                                         Mutant::lease_by_wall_clock, Mutant::trust_every_token));

}    // namespace
}    // namespace holdfast::simulation
