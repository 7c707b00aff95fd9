#include "report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "holdfast/os/host.hpp"

namespace holdfast::bench {
namespace {

using Measure = std::function<double(const Round&)>;

std::vector<double> values(const std::vector<Round>& rounds, const Measure& measure) {
    std::vector<double> all;
    all.reserve(rounds.size());
    for (const Round& round : rounds) all.push_back(measure(round));
    std::sort(all.begin(), all.end());
    return all;
}

double median(const std::vector<Round>& rounds, const Measure& measure) {
    const std::vector<double> all = values(rounds, measure);
    const std::size_t half = all.size() / 2;
    return all.size() % 2 == 1 ? all[half] : (all[half - 1] + all[half]) / 2;
}

Measure wall(const std::string& phase) {
    return [phase](const Round& r) { return r.samples.at(phase).wall_s; };
}
Measure cpu(const std::string& phase) {
    return [phase](const Round& r) { return r.samples.at(phase).cpu_s(); };
}
Measure foreign(const std::string& phase) {
    return [phase](const Round& r) { return r.samples.at(phase).foreign_s; };
}
Measure memory(const std::string& phase) {
    return [phase](const Round& r) { return static_cast<double>(r.samples.at(phase).rss_max_bytes) / (1 << 20); };
}
double cold_megabytes(const Round& r) { return static_cast<double>(r.cold_bytes) / 1e6; }
double change_megabytes(const Round& r) { return static_cast<double>(r.change_bytes) / 1e6; }

void append_phases(std::string& to, const Results& results, const std::vector<Tool>& tools) {
    to += "phase       tool       wall s (min to max)         CPU s   peak MiB   others' CPU s\n";
    for (const std::string& phase : k_phases)
        for (const Tool& tool : tools) {
            const std::vector<Round>& rounds = results.rounds.at(tool.name);
            const std::vector<double> walls = values(rounds, wall(phase));
            to += fmt::format(
                "{:<11} {:<9} {:>8.2f} ({:.2f} to {:.2f}){:<{}}{:>7.2f} {:>10.0f} {:>15.2f}\n", phase, tool.name,
                median(rounds, wall(phase)), walls.front(), walls.back(), "",
                16 - static_cast<int>(fmt::formatted_size("({:.2f} to {:.2f})", walls.front(), walls.back())) + 3,
                median(rounds, cpu(phase)), median(rounds, memory(phase)), median(rounds, foreign(phase)));
        }
}

void append_sizes(std::string& to, const Results& results, const std::vector<Tool>& tools) {
    to += fmt::format("\nrepository of {:.1f} MB       after cold, MB   added by the change, MB\n",
                      static_cast<double>(results.source_bytes) / 1e6);
    for (const Tool& tool : tools) {
        const std::vector<Round>& rounds = results.rounds.at(tool.name);
        to += fmt::format("            {:<9} {:>22.1f} {:>25.1f}\n", tool.name, median(rounds, cold_megabytes),
                          median(rounds, change_megabytes));
    }
}

// Ratios are taken within each round, then the median of them: both of a pair met the same neighbours.
void append_ratios(std::string& to, const Results& results, const std::vector<Tool>& tools) {
    const auto own = results.rounds.find("holdfast");
    if (own == results.rounds.end()) return;
    for (const Tool& tool : tools) {
        if (tool.name == "holdfast") continue;
        const std::vector<Round>& theirs = results.rounds.at(tool.name);
        const auto ratio = [&](const Measure& measure) {
            std::vector<double> ratios;
            ratios.reserve(theirs.size());
            for (std::size_t i = 0; i < theirs.size(); ++i)
                ratios.push_back(measure(own->second[i]) / std::max(measure(theirs[i]), 1e-9));
            std::sort(ratios.begin(), ratios.end());
            return ratios[ratios.size() / 2];
        };
        to += fmt::format("\nholdfast / {:<8}    wall    CPU   peak memory\n", tool.name);
        for (const std::string& phase : k_phases)
            to += fmt::format("            {:<9} {:>6.2f} {:>6.2f} {:>13.2f}\n", phase, ratio(wall(phase)),
                              ratio(cpu(phase)), ratio(memory(phase)));
        to += fmt::format("            repository after cold {:.3f}, added by the change {:.2f}\n",
                          ratio(cold_megabytes), ratio(change_megabytes));
        if (tool.name == "restic") {
            const auto said = [](bool met) { return met ? "met" : "NOT MET"; };
            to += fmt::format("            goals: cold no slower {}, restore no slower {}, size at most 1.05 {}\n",
                              said(ratio(wall("cold")) <= 1), said(ratio(wall("restore")) <= 1),
                              said(ratio(cold_megabytes) <= 1.05));
        }
    }
}

}    // namespace

std::string table(const Plan& plan, const Results& results, const std::vector<Tool>& tools) {
    std::string text =
        fmt::format("\n{} rounds, medians; {} processors; every restored copy compared equal to its source\n",
                    plan.rounds, os::processor_count());
    for (const Tool& tool : tools) text += fmt::format("  {:<9} {}\n", tool.name, tool.version);
    text += "\n";
    append_phases(text, results, tools);
    append_sizes(text, results, tools);
    append_ratios(text, results, tools);
    return text;
}

json::Value document(const Plan& plan, const Results& results, const std::vector<Tool>& tools) {
    json::Value whole = json::Value::object({{"megabytes", plan.megabytes},
                                             {"rounds", plan.rounds},
                                             {"seed", plan.seed},
                                             {"change_percent", plan.change_percent},
                                             {"source_bytes", results.source_bytes},
                                             {"processors", os::processor_count()}});
    json::Value all = json::Value::object();
    for (const Tool& tool : tools) {
        json::Value rounds = json::Value::array();
        for (const Round& round : results.rounds.at(tool.name)) {
            json::Value one = json::Value::object(
                {{"repository_bytes_cold", round.cold_bytes}, {"repository_bytes_added", round.change_bytes}});
            for (const auto& [phase, sample] : round.samples)
                one.set(phase, json::Value::object({{"wall_s", sample.wall_s},
                                                    {"user_s", sample.user_s},
                                                    {"system_s", sample.system_s},
                                                    {"foreign_cpu_s", sample.foreign_s},
                                                    {"rss_max_bytes", sample.rss_max_bytes}}));
            rounds.push(std::move(one));
        }
        all.set(tool.name, json::Value::object({{"version", tool.version}, {"rounds", std::move(rounds)}}));
    }
    whole.set("tools", std::move(all));
    return whole;
}

}    // namespace holdfast::bench
