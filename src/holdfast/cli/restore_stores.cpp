#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>

#include "holdfast/cli/outcome_text.hpp"
#include "holdfast/cli/output.hpp"
#include "holdfast/cli/progress.hpp"
#include "holdfast/cli/restore.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/recovery/stack.hpp"

namespace holdfast::cli {
namespace {

using recovery::ComponentOutcome;
using recovery::ComponentPlan;
using recovery::StackPlan;

json::Value plan_json(const StackPlan& plan) {
    json::Value components = json::Value::array();
    for (const ComponentPlan& component : plan.components) {
        json::Value steps = json::Value::array();
        for (const recovery::PlanStep& step : component.steps)
            steps.push(json::Value::object({{"what", step.what}, {"bytes", step.bytes}, {"replaces", step.replaces}}));
        json::Value one = json::Value::object({{"name", component.name},
                                               {"kind", component.kind},
                                               {"usable", component.usable},
                                               {"steps", std::move(steps)}});
        if (!component.usable) one.set("why_not", component.why_not);
        components.push(std::move(one));
    }
    return json::Value::object(
        {{"components", std::move(components)}, {"bytes", plan.bytes}, {"age_seconds", plan.age_seconds}});
}

std::string plan_text(const StackPlan& plan, const vault::SnapshotEntry& entry) {
    std::string text =
        fmt::format("snapshot {} of {}, {} old: {} to read\n", painted(2, Colour::bold, entry.id.brief()),
                    local_time(entry.snapshot.time),
                    human_age(std::chrono::duration_cast<Duration>(std::chrono::duration<double>(plan.age_seconds))),
                    human_size(plan.bytes));
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

bool replaces(const StackPlan& plan) {
    return std::ranges::any_of(plan.components, [](const ComponentPlan& component) {
        return std::ranges::any_of(component.steps, &recovery::PlanStep::replaces);
    });
}

Status confirm(const StackPlan& plan) {
    if (!is_terminal(0) || !is_terminal(2))
        return fail(ErrorCode::usage, "a restore into live stores needs a yes, and there is no terminal to ask on",
                    "add --yes; --dry-run shows the plan");
    print_note(fmt::format("{} Type yes to go on: ",
                           replaces(plan) ? "What is replaced is kept aside." : "Nothing is replaced."));
    std::string line;
    char c = 0;
    while (line.size() < 100 && ::read(0, &c, 1) == 1 && c != '\n') line += c;
    if (line == "yes" && !os::stop_requested()) return {};
    return fail(ErrorCode::cancelled, "not confirmed; nothing was changed");
}

json::Value outcome_json(const ComponentOutcome& outcome) {
    json::Value one = json::Value::object({{"name", outcome.name},
                                           {"kind", outcome.kind},
                                           {"restored", outcome.restored},
                                           {"seconds", outcome.seconds},
                                           {"result", outcome.result}});
    if (outcome.error) one.set("error", error_json(*outcome.error));
    return one;
}

void print_outcomes(const std::vector<ComponentOutcome>& outcomes) {
    Table table({"Component", "Kind", "Result", "Time", "Restored", "Compared with the backup"},
                {false, false, false, true, false, false});
    for (const ComponentOutcome& outcome : outcomes) {
        const OutcomeText text = outcome_text(outcome.result);
        table.row({outcome.name, outcome.kind, outcome.restored ? "restored" : "failed",
                   human_duration(outcome.seconds), text.restored, outcome.restored ? text.compared : ""});
    }
    print(table.text(1));
    for (const ComponentOutcome& outcome : outcomes) {
        for (const std::string& kept : outcome_text(outcome.result).kept)
            print(fmt::format("the old {} is kept: {}\n", outcome.name, printable(kept)));
        if (!outcome.error) continue;
        print_note(
            fmt::format("{} {}: {}\n", painted(2, Colour::red, "not restored:"), outcome.name, outcome.error->message));
        if (!outcome.error->hint.empty()) print_note(fmt::format("              {}\n", outcome.error->hint));
    }
}

}    // namespace

Result<int> restore_stores(const Session& session, const RestoreArguments& arguments, const policy::Config& config,
                           const vault::Repository& repository, const vault::SnapshotEntry& entry) {
    recovery::StackRestoreOptions options;
    options.only = arguments.only;
    options.existing = arguments.replace ? recovery::WhenExisting::switch_over : recovery::WhenExisting::refuse;
    options.say = [&](std::string_view component, std::string_view event) {
        if (session.people()) print_note(fmt::format("{}: {}\n", component, event));
    };
    HF_TRY(const StackPlan plan, recovery::plan_stack(config, repository, entry, options));
    const bool usable = std::ranges::all_of(plan.components, &ComponentPlan::usable);
    if (arguments.dry_run) {
        if (session.global.json) {
            json::Value value = plan_json(plan);
            value.set("snapshot", entry.id.hex());
            value.set("dry_run", true);
            print_json(value);
        } else {
            print(plan_text(plan, entry));
        }
        return usable ? 0 : facts(ErrorCode::incomplete).exit_status;
    }
    if (session.people()) print_note(plan_text(plan, entry));
    // All or nothing until the user chooses: half a stack of one instant and half of another is seldom what is wanted.
    for (const ComponentPlan& component : plan.components)
        if (!component.usable)
            return fail(component.code, fmt::format("{} cannot be restored: {}", component.name, component.why_not),
                        "nothing was changed; mend that, or choose the others with --only");
    if (!arguments.yes) HF_DO(confirm(plan));

    const Instant started = session.clock.instant();
    HF_TRY(const std::vector<ComponentOutcome> outcomes, recovery::restore_stack(config, repository, entry, options));
    const auto failed = std::ranges::count(outcomes, false, &ComponentOutcome::restored);
    const bool none = failed == static_cast<std::ptrdiff_t>(outcomes.size());
    if (session.global.json) {
        json::Value list = json::Value::array();
        for (const ComponentOutcome& outcome : outcomes) list.push(outcome_json(outcome));
        print_json(json::Value::object({{"snapshot", entry.id.hex()},
                                        {"complete", failed == 0},
                                        {"components", std::move(list)},
                                        {"seconds", seconds(session.clock.instant() - started)}}));
    } else if (!session.global.quiet || failed != 0) {
        print_outcomes(outcomes);
    }
    if (failed == 0) return 0;
    for (const ComponentOutcome& outcome : outcomes)
        if (outcome.error && outcome.error->code == ErrorCode::cancelled)
            return facts(ErrorCode::cancelled).exit_status;
    return none ? facts(outcomes[0].error->code).exit_status : facts(ErrorCode::incomplete).exit_status;
}

}    // namespace holdfast::cli
