// hf-bench-vault: holdfast, restic and borg on the same files, in turns. See docs/performance.md.

#include <fmt/core.h>

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <sstream>
#include <string_view>

#include "bench.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/os/process.hpp"
#include "report.hpp"
#include "tools.hpp"

namespace {

using namespace holdfast;

constexpr std::string_view k_help =
    R"(usage: hf-bench-vault [OPTION]...
Makes a trading host's files and runs holdfast, restic and borg on them, in turns.

  --size-mb N        how much data (1500)
  --rounds N         how often (3)
  --phases A,B,...   only these of: cold key unchanged changed restore one-file check small random prune kinds memory
                     (and those that they build upon)
  --key KIND         how holdfast's and restic's repositories are opened: by a person's "password", stretched at the cost
                     that holdfast always takes; by a "machine" key, which is not stretched; or "both", one after the
                     other: then what hardly depends on the key (small random kinds memory) is measured once (both)
  --small-files N    of the phase small (200,000)
  --memory-mb N      the larger amount of data of the phase memory (6000)
  --seed N           of the data (42)
  --work DIR         where to work (/var/tmp); needs about six times the data, and 2.5 times --memory-mb
  --holdfast PATH    the program to measure (beside this one); "none": only the others
  --json FILE        where every sample is written (vault-bench.json beside the folder of this program)
)";

struct Options {
    bench::Plan plan;
    std::vector<bench::KeyKind> keys{bench::KeyKind::password, bench::KeyKind::machine};
    std::string work = "/var/tmp";
    std::string holdfast, json;
};

std::optional<Options> parse(int argc, char** argv) {
    Options options;
    const std::string folder = os::parent_folder(os::own_program());
    options.holdfast = folder + "/holdfast";
    options.json = os::parent_folder(folder) + "/vault-bench.json";
    for (int i = 1; i < argc; i += 2) {
        const std::string_view name = argv[i];
        if (i + 1 == argc) return std::nullopt;
        const char* value = argv[i + 1];
        const std::uint64_t number = std::strtoull(value, nullptr, 10);
        if (name == "--work")
            options.work = os::absolute_path(value);
        else if (name == "--holdfast")
            options.holdfast = value == std::string_view("none") ? "" : os::absolute_path(value);
        else if (name == "--json")
            options.json = os::absolute_path(value);
        else if (name == "--seed")
            options.plan.seed = number;
        else if (name == "--size-mb" && number > 0)
            options.plan.megabytes = number;
        else if (name == "--rounds" && number > 0)
            options.plan.rounds = static_cast<unsigned>(number);
        else if (name == "--small-files" && number > 0)
            options.plan.small_files = number;
        else if (name == "--memory-mb" && number > 0)
            options.plan.memory_megabytes = number;
        else if (name == "--key" && value == std::string_view("password"))
            options.keys = {bench::KeyKind::password};
        else if (name == "--key" && value == std::string_view("machine"))
            options.keys = {bench::KeyKind::machine};
        else if (name == "--key" && value == std::string_view("both"))
            options.keys = {bench::KeyKind::password, bench::KeyKind::machine};
        else if (name == "--phases") {
            options.plan.phases.clear();
            std::istringstream list{std::string(value)};
            for (std::string phase; std::getline(list, phase, ',');) {
                if (std::find(bench::k_phases.begin(), bench::k_phases.end(), phase) == bench::k_phases.end())
                    return std::nullopt;
                options.plan.phases.push_back(phase);
            }
        } else
            return std::nullopt;
    }
    return options;
}

Status run(const Options& options) {
    HF_TRY(const std::uint64_t free, os::free_space(options.work));
    const std::uint64_t needed = std::max(options.plan.megabytes * 6'000'000,
                                          options.plan.has("memory") ? options.plan.memory_megabytes * 2'500'000 : 0);
    if (free < needed)
        return fail(
            ErrorCode::disk_full,
            fmt::format("{} has {} free, the bench needs about {}", options.work, human_size(free), human_size(needed)),
            "name another folder with --work, or take less with --size-mb");
    HF_TRY(const auto work, os::TempFolder::create("holdfast-bench", options.work));
    bench::Places places{work.path() + "/data", work.path(), options.holdfast,
                         work.path() + "/data/logs/trading-00.jsonl"};
    std::string tables;
    json::Value documents = json::Value::array();
    for (const bench::KeyKind key : options.keys) {
        places.key = key;
        if (key == bench::KeyKind::machine && places.holdfast.empty())
            return fail(ErrorCode::usage, "only holdfast makes machine keys", "use --key password");
        bench::Plan plan = options.plan;
        if (key != options.keys.front())
            std::erase_if(plan.phases, [](const std::string& phase) {
                return phase == "small" || phase == "random" || phase == "kinds" || phase == "memory";
            });
        HF_TRY(const auto tools, bench::find_tools(places));
        HF_TRY(const auto results, bench::run_rounds(plan, places, tools));
        tables += bench::table(plan, results, tools);
        documents.push(bench::document(plan, results, tools));
    }
    fmt::print("{}", tables);
    HF_DO(os::write_file(options.json, as_bytes(json::dump(documents, 1) + "\n"), 0644));
    fmt::print("\nevery sample: {}\n", options.json);
    return {};
}

}    // namespace

int main(int argc, char** argv) {
    if (argc == 2 && argv[1] == std::string_view("--help")) {
        fmt::print("{}", k_help);
        return 0;
    }
    const auto options = parse(argc, argv);
    if (!options) {
        fmt::print(stderr, "{}", k_help);
        return 2;
    }
    os::install_signal_handlers();
    const Status done = run(*options);
    if (done) return 0;
    fmt::print(stderr, "hf-bench-vault: {}\n", done.error().message);
    if (!done.error().hint.empty()) fmt::print(stderr, "  {}\n", done.error().hint);
    return facts(done.error().code).exit_status;
}
