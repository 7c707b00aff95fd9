#include "holdfast/cli/restore_report.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "holdfast/cli/outcome_text.hpp"
#include "holdfast/cli/output.hpp"

namespace holdfast::cli {
namespace {

using recovery::ComponentPlan;
using recovery::Holding;
using recovery::PartState;
using recovery::RestoreRun;
using recovery::RunCheck;
using recovery::RunPart;
using recovery::RunState;

std::string amount(std::optional<std::uint64_t> value, const std::string& unit) {
    if (!value) return "?";
    return unit == "bytes" ? human_size(*value) : fmt::format("{} {}", *value, unit);
}

std::string lost_text(const Holding& holding) {
    if (holding.changed && *holding.changed > 0) return fmt::format("changes in {} files", *holding.changed);
    if (holding.lost() > 0) return (holding.estimated ? "about " : "") + amount(holding.lost(), holding.unit);
    return holding.now ? "what changed since" : "";
}

std::string target_text(std::uint32_t seconds) { return seconds == 0 ? "-" : human_duration(seconds); }

std::string painted_for(int fd, Colour colour, std::string_view text) {
    return fd == 0 ? std::string(text) : painted(fd, colour, text);
}

// Met, missed, or nobody waits for it.
std::string_view verdict(double took, std::uint32_t target) {
    return target == 0 ? "-" : took <= target ? "met" : "missed";
}

json::Value objective(double took, std::uint32_t target) {
    auto value = json::Value::object({{"seconds", took}});
    if (target != 0) {
        value.set("target_seconds", target);
        value.set("met", took <= target);
    }
    return value;
}

}    // namespace

Forecast Forecast::make(const policy::Config& config, const json::Value& manifest, const vault::SnapshotEntry& entry,
                        recovery::StackPlan plan, const recovery::RunFolder& folder) {
    Forecast forecast{std::move(plan), {}, {}, {}};
    const auto times = folder.times();
    for (const ComponentPlan& component : forecast.plan.components) {
        std::uint64_t bytes = 0;
        for (const json::Value& one : manifest["components"].items()) {
            if (one["name"].text() != component.name || one["kind"].text() != component.kind) continue;
            bytes = one["bytes"].natural();
            if (auto holding = recovery::look_at_holding(config, component.name, component.kind, one["facts"],
                                                         entry.snapshot.time))
                forecast.holdings[component.name] = std::move(*holding);
        }
        if (const auto before = times.find(component.name); before != times.end()) {
            // Time grows with the bytes; what does not (servers that start) is a second or two.
            const double growth =
                before->second.bytes == 0 ? 1 : static_cast<double>(bytes) / static_cast<double>(before->second.bytes);
            forecast.expected[component.name] = before->second.seconds * std::max(0.1, growth);
        }
    }
    return forecast;
}

json::Value forecast_json(const Forecast& forecast, const policy::RestoreConfig& config) {
    json::Value components = json::Value::array();
    for (const ComponentPlan& component : forecast.plan.components) {
        json::Value steps = json::Value::array();
        for (const recovery::PlanStep& step : component.steps)
            steps.push(json::Value::object({{"what", step.what}, {"bytes", step.bytes}, {"replaces", step.replaces}}));
        json::Value one = json::Value::object({{"name", component.name},
                                               {"kind", component.kind},
                                               {"usable", component.usable},
                                               {"steps", std::move(steps)}});
        if (!component.usable) one.set("why_not", component.why_not);
        if (const auto at = forecast.holdings.find(component.name); at != forecast.holdings.end()) {
            const Holding& holding = at->second;
            auto value = json::Value::object(
                {{"unit", holding.unit}, {"estimated", holding.estimated}, {"lost", holding.lost()}});
            if (holding.saved) value.set("snapshot", *holding.saved);
            if (holding.now) value.set("now", *holding.now);
            if (holding.changed) value.set("changed", *holding.changed);
            one.set("holds", std::move(value));
        }
        if (const auto at = forecast.expected.find(component.name); at != forecast.expected.end())
            one.set("expected_seconds", at->second);
        if (const auto target = recovery::rto_seconds(config, component.kind)) one.set("target_seconds", target);
        components.push(std::move(one));
    }
    auto hooks = json::Value::array();
    for (const std::string& hook : forecast.hooks) hooks.push(hook);
    return json::Value::object({{"components", std::move(components)},
                                {"bytes", forecast.plan.bytes},
                                {"age_seconds", forecast.plan.age_seconds},
                                {"around_it", std::move(hooks)}});
}

std::string forecast_text(const Forecast& forecast, const policy::RestoreConfig& config,
                          const vault::SnapshotEntry& entry) {
    const recovery::StackPlan& plan = forecast.plan;
    const auto age = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(plan.age_seconds));
    std::string text = fmt::format("snapshot {} of {}, {} old: {} to read. What happened since then will be lost.\n",
                                   painted(2, Colour::bold, entry.id.brief()), local_time(entry.snapshot.time),
                                   human_age(age), human_size(plan.bytes));
    Table table({"Component", "Kind", "In the snapshot", "There now", "Lost at least", "Expected", "Target"},
                {false, false, true, true, true, true, true});
    double expected = 0;
    bool all_known = true;
    for (const ComponentPlan& component : plan.components) {
        const auto holding = forecast.holdings.find(component.name);
        const auto time = forecast.expected.find(component.name);
        all_known = all_known && time != forecast.expected.end();
        if (time != forecast.expected.end()) expected += time->second;
        const bool known = holding != forecast.holdings.end();
        table.row({component.name, component.kind, known ? amount(holding->second.saved, holding->second.unit) : "?",
                   known ? amount(holding->second.now, holding->second.unit) : "?",
                   known ? lost_text(holding->second) : "",
                   time != forecast.expected.end() ? human_duration(time->second) : "not known yet",
                   target_text(recovery::rto_seconds(config, component.kind))});
    }
    table.row({"all", "", "", "", "", all_known ? human_duration(expected) : "not known yet",
               target_text(config.rto_whole_seconds)});
    text += table.text(2);
    for (const std::string& hook : forecast.hooks) text += fmt::format("  {}\n", printable(hook));
    for (const ComponentPlan& component : plan.components) {
        text += fmt::format("  {} ({})\n", component.name, component.kind);
        for (const recovery::PlanStep& step : component.steps)
            text +=
                fmt::format("    {} {}\n", step.replaces ? painted(2, Colour::yellow, "replaces:") : "-", step.what);
        if (!component.usable)
            text += fmt::format("    {} {}\n", painted(2, Colour::red, "cannot:"), component.why_not);
    }
    return text;
}

std::string run_text(const RestoreRun& run, const policy::RestoreConfig& config, double took, int fd) {
    std::string text;
    if (run.state == RunState::running || run.state == RunState::failed || run.state == RunState::passed) {
        Table table({"Component", "Kind", "Result", "Time", "Target", "", "Restored", "Compared with the backup"},
                    {false, false, false, true, true, false, false, false});
        for (const RunPart& part : run.parts) {
            const OutcomeText outcome = outcome_text(part.result);
            const std::uint32_t target = recovery::rto_seconds(config, part.kind);
            const bool restored = part.state == PartState::restored;
            table.row({part.name, part.kind, std::string(to_text(part.state)), human_duration(part.seconds),
                       target_text(target), restored ? std::string(verdict(part.seconds, target)) : "",
                       outcome.restored, restored ? outcome.compared : ""});
        }
        if (run.is_over())
            table.row({"all", "", run.state == RunState::passed ? "passed" : "not passed", human_duration(took),
                       target_text(config.rto_whole_seconds),
                       run.state == RunState::passed ? std::string(verdict(took, config.rto_whole_seconds)) : "", "",
                       ""});
        text += table.text(fd);
    }
    for (const RunCheck& check : run.checks) {
        const Colour colour = check.state == RunCheck::State::passed   ? Colour::green
                              : check.state == RunCheck::State::failed ? Colour::red
                                                                       : Colour::yellow;
        text += fmt::format("{} {}{}: {}\n", painted_for(fd, colour, fmt::format("{:<7}", to_text(check.state))),
                            check.component.empty() ? "" : check.component + " ", check.name, printable(check.text));
    }
    for (const RunPart& part : run.parts) {
        // What the store says was kept is truer than what was going to be: an empty database, or table, was dropped.
        if (part.state == PartState::restored && !run.room &&
            (run.state == RunState::passed || run.state == RunState::failed))
            for (const std::string& kept : outcome_text(part.result).kept)
                text += fmt::format("the old {} is kept: {}\n", part.name, printable(kept));
        else
            for (const recovery::Replacement& one : part.replaced)
                if (one.stage != recovery::ReplacementStage::gone && !one.kept_as().empty())
                    text += fmt::format("the {} {} is kept: {}\n",
                                        one.stage == recovery::ReplacementStage::back ? "restored" : "old", part.name,
                                        printable(one.kept_as()));
    }
    if (!run.paused.empty()) {
        std::string what;
        for (const std::string& one : run.paused) what += (what.empty() ? "" : ", ") + one;
        text += fmt::format("{} ({})\n", painted_for(fd, Colour::red, "trading stays paused"), printable(what));
    }
    return text;
}

json::Value run_json(const RestoreRun& run, const policy::RestoreConfig& config, double took) {
    json::Value components = json::Value::array(), checks = json::Value::array(), paused = json::Value::array();
    for (const RunPart& part : run.parts) {
        json::Value one =
            json::Value::object({{"name", part.name},
                                 {"kind", part.kind},
                                 {"restored", part.state == PartState::restored},
                                 {"state", to_text(part.state)},
                                 {"seconds", part.seconds},
                                 {"rto", objective(part.seconds, recovery::rto_seconds(config, part.kind))},
                                 {"result", part.result}});
        if (part.error) one.set("error", error_json(*part.error));
        auto kept = json::Value::array();
        for (const recovery::Replacement& replaced : part.replaced) kept.push(recovery::to_json(replaced));
        one.set("replaced", std::move(kept));
        components.push(std::move(one));
    }
    for (const RunCheck& check : run.checks)
        checks.push(json::Value::object({{"state", to_text(check.state)},
                                         {"component", check.component},
                                         {"name", check.name},
                                         {"text", check.text}}));
    for (const std::string& one : run.paused) paused.push(one);
    const bool complete =
        std::ranges::all_of(run.parts, [](const RunPart& part) { return part.state == PartState::restored; });
    auto value = json::Value::object({{"snapshot", run.snapshot},
                                      {"complete", complete},
                                      {"state", to_text(run.state)},
                                      {"step", to_text(run.step)},
                                      {"where", run.where()},
                                      {"components", std::move(components)},
                                      {"checks", std::move(checks)},
                                      {"trading_paused", std::move(paused)},
                                      {"rto", objective(took, config.rto_whole_seconds)},
                                      {"seconds", took}});
    if (run.trouble) value.set("error", error_json(*run.trouble));
    if (run.room)
        value.set("room",
                  json::Value::object({{"time", to_rfc3339(run.room->time)}, {"free_bytes", run.room->free_bytes}}));
    return value;
}

}    // namespace holdfast::cli
