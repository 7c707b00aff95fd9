// Sizes only: a repository of each kind of data alone, cold, and with what one change adds.

#include <fmt/format.h>

#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/testing/dataset.hpp"
#include "steps.hpp"

namespace holdfast::bench {

Status run_kinds(const Plan& plan, const Places& all_places, Results& results) {
    const std::string data = all_places.work + "/data-kinds";
    HF_DO(testing::make_dataset(data, plan.seed, plan.megabytes * 1'000'000));
    struct Entry {
        std::string kind;
        Places places;
        Tool tool;
    };
    std::vector<Entry> entries;
    for (const std::string kind : {"duckdb", "sql", "redis", "logs", "archive"}) {
        Places places = all_places;
        places.data = data + '/' + kind;
        places.work = all_places.work + "/kind-" + kind;
        HF_DO(os::make_folders(places.work));
        HF_TRY(const auto tools, find_tools(places));
        for (const Tool& tool : tools)
            if (tool.name != "floor") entries.push_back({kind, places, tool});
    }
    const auto back_up = [&](const Entry& entry, const std::string& phase) -> Result<std::uint64_t> {
        if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped by a signal");
        HF_TRY(const Sample ignored,
               measure({for_phase(entry.tool.backup, phase), entry.tool.environment, entry.places.work, {}}));
        static_cast<void>(ignored);
        return folder_bytes(entry.tool.repository);
    };
    fmt::print(stderr, "sizes of each kind alone\n");
    for (const Entry& entry : entries) {
        HF_DO(start_repository(entry.tool, entry.places));
        HF_TRY(results.kinds[entry.kind][entry.tool.name].cold_bytes, back_up(entry, "cold"));
    }
    HF_DO(testing::change_dataset(data, plan.change_percent));
    for (const Entry& entry : entries) {
        HF_TRY(results.kinds[entry.kind][entry.tool.name].changed_bytes, back_up(entry, "changed"));
        HF_DO(os::remove_tree(entry.places.work + "/repository-" + entry.tool.name));
    }
    for (const Entry& entry : entries) HF_DO(os::remove_tree(entry.places.work));
    return os::remove_tree(data);
}

}    // namespace holdfast::bench
