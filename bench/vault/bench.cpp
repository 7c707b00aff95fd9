#include "bench.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <random>

#include "holdfast/format/documents.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/testing/dataset.hpp"
#include "steps.hpp"

namespace holdfast::bench {

std::vector<std::string> for_phase(std::vector<std::string> arguments, const std::string& phase) {
    for (std::string& argument : arguments)
        if (const auto at = argument.find("%PHASE%"); at != std::string::npos) argument.replace(at, 7, phase);
    return arguments;
}

Status start_repository(const Tool& tool, const Places& places) {
    HF_DO(os::remove_tree(tool.repository));
    HF_DO(os::remove_tree(tool.cache));
    HF_DO(os::make_folders(tool.cache));
    if (!tool.machine_key.empty()) HF_DO(os::remove_tree(tool.machine_key));
    HF_TRY(const Sample ignored, measure({tool.init, tool.environment, places.work, {}}));
    static_cast<void>(ignored);
    return {};
}

Result<std::string> key_cost(const Tool& tool) {
    const std::string folder = tool.repository + "/keys";
    if (!os::exists(folder)) return std::string();
    HF_TRY(const auto names, os::list_folder(folder));
    if (names.size() != 1) return fail(ErrorCode::internal, folder + " holds several keys");
    HF_TRY(const std::string text, os::read_text(folder + '/' + names[0]));
    HF_TRY(const auto file, format::decode_key_file(text, names[0]));
    return fmt::format("scrypt N={}, r={}, p={}", file.cost.n, file.cost.r, file.cost.p);
}

Result<Sample> measure_settled(const Invocation& invocation, const std::string& phase, const std::string& name,
                               const Places& places) {
    if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped by a signal");
    HF_TRY(const Sample settled, measure({{"sync", "-f", places.work}, {}, {}, {}}));
    static_cast<void>(settled);
    HF_TRY(const Sample sample, measure(invocation));
    fmt::print(stderr, "  {:<10} {:<9} {:>7.2f} s wall {:>7.2f} s CPU {:>5} MiB\n", phase, name, sample.wall_s,
               sample.cpu_s(), sample.rss_max_bytes >> 20);
    return sample;
}

namespace {

Result<Sample> run_phase(const Tool& tool, const std::string& phase, const Places& places) {
    Invocation invocation{{}, tool.environment, places.work, {}};
    if (phase == "restore" || phase == "one-file") {
        HF_DO(os::make_folders(tool.restored));
        invocation.arguments = for_phase(phase == "restore" ? tool.restore : tool.restore_one, "changed");
        invocation.folder = tool.restored;
        invocation.sync_path = tool.restored;
    } else if (phase == "check") {
        invocation.arguments = for_phase(tool.check, "changed");
    } else if (phase == "key") {
        invocation.arguments = tool.key;
    } else {
        invocation.arguments = for_phase(tool.backup, phase);
        invocation.sync_path = tool.repository;
    }
    return measure_settled(invocation, phase, tool.name, places);
}

Status compare_restored(const Tool& tool, const std::string& source) {
    const auto equal = measure({{"diff", "-r", "--brief", source, tool.restored + source}, {}, {}, {}});
    if (!equal)
        return fail(ErrorCode::mismatch, fmt::format("what {} restored differs: {}", tool.name, equal.error().message));
    return os::remove_tree(tool.restored);
}

Status run_tool(const Tool& tool, const std::string& phase, const Places& places, Round& round) {
    if ((phase == "one-file" && tool.restore_one.empty()) || (phase == "key" && tool.key.empty())) return {};
    if (phase == "cold" || phase == "random") HF_DO(start_repository(tool, places));
    HF_TRY(const std::uint64_t before, folder_bytes(tool.repository));
    HF_TRY(round.samples[phase], run_phase(tool, phase, places));
    HF_TRY(const std::uint64_t after, folder_bytes(tool.repository));
    if (phase == "cold") round.cold_bytes = after;
    if (phase == "changed") round.change_bytes = after - before;
    if (phase == "restore") HF_DO(compare_restored(tool, places.data));
    if (phase == "one-file") HF_DO(compare_restored(tool, places.one_file));
    return {};
}

// Both have to pay the same for their keys, or the bench compares those.
Status note_key_costs(const std::vector<Tool>& tools, Results& results) {
    for (const Tool& tool : tools) {
        HF_TRY(std::string cost, key_cost(tool));
        if (!cost.empty()) results.key_costs[tool.name] = std::move(cost);
    }
    const auto& costs = results.key_costs;
    if (costs.contains("holdfast") && costs.contains("restic") && costs.at("holdfast") != costs.at("restic"))
        return fail(ErrorCode::mismatch, fmt::format("the keys cost differently: holdfast {}, restic {}",
                                                     costs.at("holdfast"), costs.at("restic")));
    return {};
}

Result<std::vector<Tool>> real_tools(Places places, const std::string& name) {
    places.data = fmt::format("{}/data-{}", places.work, name);
    places.work = fmt::format("{}/{}", places.work, name);
    HF_DO(os::make_folders(places.work));
    HF_TRY(auto tools, find_tools(places));
    std::erase_if(tools, [](const Tool& tool) { return tool.name == "floor"; });
    return tools;
}

Status write_small_files(const std::string& folder, const Plan& plan) {
    std::mt19937_64 random(plan.seed);
    std::string content;
    std::string below;
    for (std::uint64_t i = 0; i < plan.small_files; ++i) {
        if (i % 100 == 0) {
            below = fmt::format("{}/{:03}/{:03}", folder, i / 10'000, i / 100 % 100);
            HF_DO(os::make_folders(below));
        }
        content = fmt::format("{{\"order\":{},\"note\":\"", i);
        content.append(random() % 700, 'x');
        content += fmt::format("\",\"nonce\":{}{}}}\n", random(), random());
        HF_TRY(const os::Fd fd, os::open_file(fmt::format("{}/{:02}.json", below, i % 100), O_WRONLY | O_CREAT));
        HF_DO(os::write_all(fd.get(), as_bytes(content)));
    }
    return {};
}

Status write_random_file(const std::string& folder, std::uint64_t bytes) {
    HF_DO(os::make_folders(folder));
    HF_TRY(const os::Fd fd, os::open_file(folder + "/random.bin", O_WRONLY | O_CREAT));
    Bytes piece;
    piece.resize(1u << 20);
    for (std::uint64_t at = 0; at < bytes; at += piece.size()) {
        os::random_bytes(piece);
        HF_DO(os::write_all(fd.get(), piece));
    }
    return {};
}

Status run_small(const Plan& plan, const Places& places, Results& results) {
    fmt::print(stderr, "making {} small files\n", plan.small_files);
    HF_DO(write_small_files(places.work + "/data-small", plan));
    HF_TRY(const auto tools, real_tools(places, "small"));
    for (const Tool& tool : tools) {
        HF_DO(start_repository(tool, places));
        HF_TRY(const Sample ignored, measure({for_phase(tool.backup, "cold"), tool.environment, places.work, {}}));
        static_cast<void>(ignored);
    }
    for (unsigned number = 0; number < plan.rounds; ++number)
        for (const Tool& tool : tools) {
            Tool one = tool;
            for (std::string& argument : one.backup)
                if (const auto at = argument.find("%PHASE%"); at != std::string::npos)
                    argument.replace(at, 7, fmt::format("small{}", number));
            HF_DO(run_tool(one, "small", places, results.rounds[tool.name][number]));
        }
    for (const Tool& tool : tools) HF_DO(os::remove_tree(tool.repository));
    return os::remove_tree(places.work + "/data-small");
}

Status run_random(const Plan& plan, const Places& places, Results& results) {
    results.random_bytes = (plan.megabytes / 2 + 1) << 20;
    HF_DO(write_random_file(places.work + "/data-random", results.random_bytes));
    HF_TRY(const auto tools, real_tools(places, "random"));
    for (unsigned number = 0; number < plan.rounds; ++number) {
        HF_TRY(const Limits limits, measure_limits(places.work, results.random_bytes));
        results.limits.push_back(limits);
        for (const Tool& tool : tools) {
            HF_DO(run_tool(tool, "random", places, results.rounds[tool.name][number]));
            HF_DO(os::remove_tree(tool.repository));
        }
    }
    return os::remove_tree(places.work + "/data-random");
}

// A phase that a chosen one builds upon runs, too, and is reported as well.
bool is_needed(const Plan& plan, const std::string& phase) {
    const auto any = [&](std::initializer_list<const char*> phases) {
        return std::any_of(phases.begin(), phases.end(), [&](const char* one) { return plan.has(one); });
    };
    if (phase == "small" || phase == "random" || phase == "prune" || phase == "kinds" || phase == "memory")
        return false;
    if (phase == "cold") return any({"cold", "key", "unchanged", "changed", "restore", "one-file", "check"});
    if (phase == "changed") return any({"changed", "restore", "one-file", "check"});
    return plan.has(phase);
}

}    // namespace

bool Plan::has(const std::string& phase) const {
    return std::find(phases.begin(), phases.end(), phase) != phases.end();
}

Result<Results> run_rounds(const Plan& plan, const Places& places, const std::vector<Tool>& tools) {
    Results results;
    results.key = places.key;
    if (std::any_of(k_phases.begin(), k_phases.end(), [&](const auto& phase) { return is_needed(plan, phase); })) {
        fmt::print(stderr, "making {} MB of a trading host's files (seed {})\n", plan.megabytes, plan.seed);
        HF_DO(os::remove_tree(places.data));
        HF_DO(testing::make_dataset(places.data, plan.seed, plan.megabytes * 1'000'000));
        HF_TRY(results.source_bytes, folder_bytes(places.data));
    }
    for (unsigned number = 0; number < plan.rounds; ++number) {
        fmt::print(stderr, "round {} of {}\n", number + 1, plan.rounds);
        // Who goes first changes from round to round.
        std::vector<Tool> order = tools;
        std::rotate(order.begin(), order.begin() + number % order.size(), order.end());
        for (const Tool& tool : order) results.rounds[tool.name].emplace_back();
        for (const std::string& phase : k_phases) {
            if (!is_needed(plan, phase)) continue;
            if (phase == "changed") HF_DO(testing::change_dataset(places.data, plan.change_percent));
            for (const Tool& tool : order) HF_DO(run_tool(tool, phase, places, results.rounds[tool.name].back()));
            if (phase == "cold") HF_DO(note_key_costs(tools, results));
        }
        for (const Tool& tool : order) {
            HF_DO(os::remove_tree(tool.repository));
            HF_DO(os::remove_tree(tool.cache));
        }
    }
    if (plan.has("small")) HF_DO(run_small(plan, places, results));
    if (plan.has("random")) HF_DO(run_random(plan, places, results));
    if (plan.has("prune")) HF_DO(run_prune(plan, places, results));
    if (plan.has("kinds")) HF_DO(run_kinds(plan, places, results));
    if (plan.has("memory")) HF_DO(run_memory(plan, places, results));
    return results;
}

}    // namespace holdfast::bench
