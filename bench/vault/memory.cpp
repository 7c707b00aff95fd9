// Whether holdfast's memory grows with the data: the same phases on two sizes.

#include <fmt/format.h>

#include <algorithm>

#include "holdfast/os/file.hpp"
#include "holdfast/testing/dataset.hpp"
#include "steps.hpp"

namespace holdfast::bench {

Status run_memory(const Plan& plan, const Places& all_places, Results& results) {
    for (const std::uint64_t megabytes : {std::min(plan.megabytes, plan.memory_megabytes), plan.memory_megabytes}) {
        Places places = all_places;
        places.data = all_places.work + "/data-memory";
        places.work = all_places.work + "/memory";
        HF_DO(os::make_folders(places.work));
        HF_TRY(auto tools, find_tools(places));
        std::erase_if(tools, [](const Tool& tool) { return tool.name != "holdfast"; });
        if (tools.empty()) return {};
        const Tool& tool = tools.front();
        fmt::print(stderr, "making {} MB for the phase memory\n", megabytes);
        HF_DO(testing::make_dataset(places.data, plan.seed, megabytes * 1'000'000));
        HF_DO(start_repository(tool, places));
        auto& samples = results.memory[megabytes];
        const auto run = [&](const std::string& phase, const std::vector<std::string>& arguments,
                             const std::string& sync) -> Status {
            HF_TRY(samples[phase], measure_settled({for_phase(arguments, phase), tool.environment, places.work, sync},
                                                   phase, tool.name, places));
            return {};
        };
        HF_DO(run("cold", tool.backup, tool.repository));
        HF_DO(run("check", tool.check, ""));
        HF_DO(os::remove_tree(places.data));    // room for what comes back
        HF_DO(os::make_folders(tool.restored));
        HF_DO(run("restore", tool.restore, tool.restored));
        HF_DO(os::remove_tree(places.work));
    }
    return {};
}

}    // namespace holdfast::bench
