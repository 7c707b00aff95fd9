// hf-bench-trade: the promises of the trade path in figures, each beside what this machine allows. See docs/performance.md.

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

namespace holdfast::bench {
namespace {

struct Phase {
    std::string_view name;
    Result<Report> (*run)(const Plan&, const std::string& folder);
};
// Memory first: what others have freed would be counted as taken already.
constexpr Phase k_phases[] = {
    {"memory", bench_memory},     {"journal", bench_journal},   {"latency", bench_latency},
    {"recovery", bench_recovery}, {"catch-up", bench_catch_up},
};

constexpr std::string_view k_help =
    R"(usage: hf-bench-trade [OPTION]...
Measures what the trade path promises, beside what the disk, Redis and ClickHouse do in the same minutes.

  --phases A,B,...   only these of: memory journal latency recovery catch-up
  --seconds N        of each measurement of a rate or a latency (2)
  --rounds N         how often each is made, in turns (5)
  --orders N         of the phase recovery, ten facts each (100,000)
  --rows N           of the phase catch-up (1,000,000)
  --work DIR         on the disk to measure (/var/tmp)
  --json FILE        where every sample is written (trade-bench.json beside the folder of this program)
)";

struct Options {
    Plan plan;
    std::string work = "/var/tmp", json;
};

std::optional<Options> parse(int argc, char** argv) {
    Options options;
    options.json = os::parent_folder(os::parent_folder(os::own_program())) + "/trade-bench.json";
    for (int i = 1; i < argc; i += 2) {
        const std::string_view name = argv[i];
        if (i + 1 == argc) return std::nullopt;
        const char* value = argv[i + 1];
        const std::uint64_t number = std::strtoull(value, nullptr, 10);
        if (name == "--work")
            options.work = os::absolute_path(value);
        else if (name == "--json")
            options.json = os::absolute_path(value);
        else if (name == "--seconds")
            options.plan.seconds = std::max(0.1, std::strtod(value, nullptr));
        else if (name == "--rounds" && number > 0)
            options.plan.rounds = static_cast<unsigned>(number);
        else if (name == "--orders" && number > 0)
            options.plan.orders = number;
        else if (name == "--rows" && number > 0)
            options.plan.rows = number;
        else if (name == "--phases") {
            std::istringstream list{std::string(value)};
            for (std::string phase; std::getline(list, phase, ',');) {
                if (std::ranges::find(k_phases, phase, &Phase::name) == std::end(k_phases)) return std::nullopt;
                options.plan.phases.push_back(phase);
            }
        } else
            return std::nullopt;
    }
    return options;
}

Status run(const Options& options) {
    ::setenv("TMPDIR", options.work.c_str(), 1);    // for the servers, too: on the same disk
    HF_TRY(const os::TempFolder folder, os::TempFolder::create("holdfast-bench", options.work));
    json::Value samples = json::Value::object();
    std::vector<Line> lines;
    for (const Phase& phase : k_phases) {
        const auto& wanted = options.plan.phases;
        if (!wanted.empty() && std::ranges::find(wanted, phase.name) == wanted.end()) continue;
        fmt::print(stderr, "-- {}\n", phase.name);
        HF_TRY(Report report, phase.run(options.plan, folder.path()));
        samples.set(phase.name, std::move(report.samples));
        std::ranges::move(report.lines, std::back_inserter(lines));
    }
    fmt::print("medians of {} rounds\n\n| what | measured | target | |\n|---|---|---|---|\n", options.plan.rounds);
    for (const Line& line : lines)
        fmt::print("| {} | {} | {} | {} |\n", line.what, line.measured, line.target, line.met ? "met" : "**not met**");
    HF_DO(os::write_file(options.json, as_bytes(json::dump(samples, 1) + "\n"), 0644));
    fmt::print("\nevery sample: {}\n", options.json);
    return {};
}

}    // namespace

double quantile(std::vector<double> values, double share) {
    if (values.empty()) return 0;
    const auto at = std::min(values.size() - 1, static_cast<std::size_t>(share * static_cast<double>(values.size())));
    std::ranges::nth_element(values, values.begin() + static_cast<std::ptrdiff_t>(at));
    return values[at];
}

double ratio(const std::vector<double>& of, const std::vector<double>& to) {
    std::vector<double> each;
    for (std::size_t i = 0; i < of.size(); ++i) each.push_back(of[i] / to[i]);
    return median(each);
}

json::Value list(const std::vector<double>& values) {
    json::Value array = json::Value::array();
    for (const double value : values) array.push(value);
    return array;
}

}    // namespace holdfast::bench

int main(int argc, char** argv) {
    using namespace holdfast;
    if (argc == 2 && argv[1] == std::string_view("--help")) {
        fmt::print("{}", bench::k_help);
        return 0;
    }
    const auto options = bench::parse(argc, argv);
    if (!options) {
        fmt::print(stderr, "{}", bench::k_help);
        return 2;
    }
    const Status done = bench::run(*options);
    if (done) return 0;
    fmt::print(stderr, "hf-bench-trade: {}\n", done.error().message);
    if (!done.error().hint.empty()) fmt::print(stderr, "  {}\n", done.error().hint);
    return facts(done.error().code).exit_status;
}
