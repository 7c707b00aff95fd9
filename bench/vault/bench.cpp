#include "bench.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/testing/dataset.hpp"

namespace holdfast::bench {
namespace {

std::vector<std::string> for_phase(std::vector<std::string> arguments, const std::string& phase) {
    for (std::string& argument : arguments)
        if (const auto at = argument.find("%PHASE%"); at != std::string::npos) argument.replace(at, 7, phase);
    return arguments;
}

Result<Sample> run_phase(const Tool& tool, const std::string& phase, const Places& places) {
    Invocation invocation{{}, tool.environment, places.work, {}};
    if (phase == "restore") {
        HF_DO(os::make_folders(tool.restored));
        invocation.arguments = for_phase(tool.restore, "changed");
        invocation.folder = tool.restored;
        invocation.sync_path = tool.restored;
    } else if (phase == "check") {
        invocation.arguments = for_phase(tool.check, "changed");
    } else {
        invocation.arguments = for_phase(tool.backup, phase);
        invocation.sync_path = tool.repository;
    }
    return measure(invocation);
}

Status compare_restored(const Tool& tool, const Places& places) {
    const auto equal = measure({{"diff", "-r", "--brief", places.data, tool.restored + places.data}, {}, {}, {}});
    if (!equal)
        return fail(ErrorCode::mismatch, fmt::format("what {} restored differs: {}", tool.name, equal.error().message));
    return os::remove_tree(tool.restored);
}

Status start_repository(const Tool& tool, const Places& places) {
    HF_DO(os::remove_tree(tool.repository));
    HF_DO(os::remove_tree(tool.cache));
    HF_DO(os::make_folders(tool.cache));
    HF_TRY(const Sample ignored, measure({tool.init, tool.environment, places.work, {}}));
    static_cast<void>(ignored);
    return {};
}

Status run_tool(const Tool& tool, const std::string& phase, const Places& places, Round& round) {
    if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped by a signal");
    if (phase == "cold") HF_DO(start_repository(tool, places));
    HF_TRY(const std::uint64_t before, folder_bytes(tool.repository));
    HF_TRY(const Sample settled, measure({{"sync", "-f", places.work}, {}, {}, {}}));
    static_cast<void>(settled);
    HF_TRY(const Sample sample, run_phase(tool, phase, places));
    round.samples[phase] = sample;
    HF_TRY(const std::uint64_t after, folder_bytes(tool.repository));
    if (phase == "cold") round.cold_bytes = after;
    if (phase == "changed") round.change_bytes = after - before;
    if (phase == "restore") HF_DO(compare_restored(tool, places));
    fmt::print(stderr, "  {:<10} {:<9} {:>7.2f} s wall {:>7.2f} s CPU {:>5} MiB\n", phase, tool.name, sample.wall_s,
               sample.cpu_s(), sample.rss_max_bytes >> 20);
    return {};
}

}    // namespace

Result<Results> run_rounds(const Plan& plan, const Places& places, const std::vector<Tool>& tools) {
    fmt::print(stderr, "making {} MB of a trading host's files (seed {})\n", plan.megabytes, plan.seed);
    HF_DO(testing::make_dataset(places.data, plan.seed, plan.megabytes * 1'000'000));
    Results results;
    HF_TRY(results.source_bytes, folder_bytes(places.data));
    for (unsigned number = 0; number < plan.rounds; ++number) {
        fmt::print(stderr, "round {} of {}\n", number + 1, plan.rounds);
        // Who goes first changes from round to round.
        std::vector<Tool> order = tools;
        std::rotate(order.begin(), order.begin() + number % order.size(), order.end());
        for (const Tool& tool : order) results.rounds[tool.name].emplace_back();
        for (const std::string& phase : k_phases) {
            if (phase == "changed") HF_DO(testing::change_dataset(places.data, plan.change_percent));
            for (const Tool& tool : order) HF_DO(run_tool(tool, phase, places, results.rounds[tool.name].back()));
        }
        for (const Tool& tool : order) {
            HF_DO(os::remove_tree(tool.repository));
            HF_DO(os::remove_tree(tool.cache));
        }
    }
    return results;
}

}    // namespace holdfast::bench
