// Half of 50 snapshots are forgotten, then each tool prunes a copy of the same repository.

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/testing/dataset.hpp"
#include "steps.hpp"

namespace holdfast::bench {
namespace {

constexpr unsigned k_snapshots = 50;

Status copy_tree(const std::string& from, const std::string& to) {
    HF_DO(os::remove_tree(to));
    HF_TRY(const Sample ignored, measure({{"cp", "-r", from, to}, {}, {}, {}}));
    static_cast<void>(ignored);
    return {};
}

// Written by restic where it is installed, so that nobody prunes what was laid out for him; one per cent changes from
// snapshot to snapshot.
Status make_template(const Plan& plan, const Places& places, const Tool& writer) {
    HF_DO(testing::make_dataset(places.data, plan.seed, plan.megabytes * 1'000'000 / 5));
    HF_DO(start_repository(writer, places));
    for (unsigned i = 0; i < k_snapshots; ++i) {
        if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped by a signal");
        if (i > 0) HF_DO(testing::change_dataset(places.data, plan.change_percent));
        HF_TRY(const Sample ignored,
               measure({for_phase(writer.backup, fmt::format("{}", i)), writer.environment, places.work, {}}));
        static_cast<void>(ignored);
    }
    HF_TRY(const auto ids, os::list_folder(writer.repository + "/snapshots"));
    std::vector<std::string> forget = writer.forget;
    // By their names, which are hashes: any half of them.
    for (std::size_t i = 0; i < ids.size(); i += 2) forget.push_back(ids[i]);
    HF_TRY(const Sample ignored, measure({forget, writer.environment, places.work, {}}));
    static_cast<void>(ignored);
    return {};
}

}    // namespace

Status run_prune(const Plan& plan, const Places& all_places, Results& results) {
    Places places = all_places;
    places.data = all_places.work + "/data-prune";
    places.work = all_places.work + "/prune";
    HF_DO(os::make_folders(places.work));
    HF_TRY(auto tools, find_tools(places));
    std::erase_if(tools, [](const Tool& tool) { return tool.prune.empty(); });
    if (tools.empty()) return {};
    const Tool writer = tools.back();
    fmt::print(stderr, "making {} snapshots with {}\n", k_snapshots, writer.name);
    HF_DO(make_template(plan, places, writer));
    HF_TRY(results.key_costs[writer.name], key_cost(writer));
    const std::string repository = places.work + "/template", cache = places.work + "/template-cache";
    HF_DO(copy_tree(writer.repository, repository));
    HF_DO(copy_tree(writer.cache, cache));
    for (unsigned number = 0; number < plan.rounds; ++number) {
        for (std::size_t i = 0; i < tools.size(); ++i) {
            Tool tool = tools[(i + number) % tools.size()];
            HF_DO(copy_tree(repository, tool.repository));
            HF_DO(os::remove_tree(tool.cache));
            // restic keeps what it has seen of its repository beside the user, and holdfast nothing.
            HF_DO(tool.name == writer.name ? copy_tree(cache, tool.cache) : os::make_folders(tool.cache));
            // One repository has one key.
            if (!writer.machine_key.empty() && tool.name != writer.name) {
                HF_DO(os::remove_tree(tool.machine_key));
                std::filesystem::copy_file(writer.machine_key, tool.machine_key);
            }
            Round& round = results.rounds[tool.name][number];
            HF_TRY(round.samples["prune"], measure_settled({tool.prune, tool.environment, places.work, tool.repository},
                                                           "prune", tool.name, places));
            HF_TRY(round.pruned_bytes, folder_bytes(tool.repository));
            HF_TRY(const Sample sound, measure({tool.check, tool.environment, places.work, {}}));
            static_cast<void>(sound);
            HF_DO(os::remove_tree(tool.repository));
        }
    }
    HF_DO(os::remove_tree(places.data));
    return os::remove_tree(places.work);
}

}    // namespace holdfast::bench
