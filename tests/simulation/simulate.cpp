// hf-simulate [--from SEED] [--seeds N] [--mutant NAME] [--print]: the trade path's simulation by hand. A seed that fails is
// named; `hf-simulate --from SEED --seeds 1 --print` shows all that happened in it.

#include <fmt/core.h>

#include <chrono>
#include <cstdlib>
#include <string_view>

#include "world.hpp"

using namespace holdfast::simulation;

int main(int argc, char** argv) {
    std::uint64_t from = 1, seeds = 5000;
    Mutant mutant = Mutant::none;
    bool print = false;
    for (int i = 1; i < argc; ++i) {
        const std::string_view arg = argv[i];
        const std::string_view value = i + 1 < argc ? argv[i + 1] : "";
        if (arg == "--print") {
            print = true;
            continue;
        }
        ++i;
        if (arg == "--from")
            from = std::strtoull(value.data(), nullptr, 10);
        else if (arg == "--seeds")
            seeds = std::strtoull(value.data(), nullptr, 10);
        else if (arg == "--mutant" && value == "ack_before_fsync")
            mutant = Mutant::ack_before_fsync;
        else if (arg == "--mutant" && value == "resend_on_timeout")
            mutant = Mutant::resend_on_timeout;
        else if (arg == "--mutant" && value == "trim_before_confirm")
            mutant = Mutant::trim_before_confirm;
        else if (arg == "--mutant" && value == "dedupe_by_time_only")
            mutant = Mutant::dedupe_by_time_only;
        else if (arg == "--mutant" && value == "lease_by_wall_clock")
            mutant = Mutant::lease_by_wall_clock;
        else if (arg == "--mutant" && value == "trust_every_token")
            mutant = Mutant::trust_every_token;
        else {
            fmt::print(stderr, "hf-simulate: unknown argument {} {}\n", arg, value);
            return 2;
        }
    }
    Outcome all;
    std::uint64_t failed = 0;
    const auto start = std::chrono::steady_clock::now();
    for (std::uint64_t seed = from; seed < from + seeds; ++seed) {
        const Outcome one = simulate(seed, mutant, print);
        all.signals += one.signals;
        all.executions += one.executions;
        all.crashes += one.crashes;
        all.facts += one.facts;
        all.trace = all.trace * 31 + one.trace;
        if (one.violations.empty()) continue;
        ++failed;
        if (failed <= 20) fmt::print("seed {}: {} ({} in all)\n", seed, one.violations.front(), one.violations.size());
    }
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    fmt::print("{} seeds in {:.1f} s: {} failed; {} signals, {} executions, {} crashes, {} facts; trace {:016x}\n",
               seeds, took.count(), failed, all.signals, all.executions, all.crashes, all.facts, all.trace);
    return failed == 0 ? 0 : 1;
}
