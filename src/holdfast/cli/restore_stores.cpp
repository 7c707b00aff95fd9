// restore SNAPSHOT into the stores, and what may follow: --resume, --undo, --commit, --status.

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "holdfast/base/log.hpp"
#include "holdfast/cli/output.hpp"
#include "holdfast/cli/restore.hpp"
#include "holdfast/cli/restore_report.hpp"
#include "holdfast/cli/time_argument.hpp"
#include "holdfast/cli/trade_desk.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/recovery/guided.hpp"
#include "holdfast/recovery/make_room.hpp"
#include "holdfast/source/stack.hpp"
#include "holdfast/vault/mirror_memory_file.hpp"

namespace holdfast::cli {
namespace {

using recovery::ComponentPlan;
using recovery::GuidedRestore;
using recovery::PartState;
using recovery::RestoreRun;
using recovery::RunFolder;
using recovery::RunState;
using recovery::StackPlan;

bool replaces(const StackPlan& plan) {
    return std::ranges::any_of(plan.components, [](const ComponentPlan& component) {
        return std::ranges::any_of(component.steps, &recovery::PlanStep::replaces);
    });
}

Status confirm(const std::string& question, const char* otherwise) {
    if (!is_terminal(0) || !is_terminal(2))
        return fail(ErrorCode::usage, "this changes live stores and needs a yes, and there is no terminal to ask on",
                    otherwise);
    print_note(question + " Type yes to go on: ");
    std::string line;
    char c = 0;
    while (line.size() < 100 && ::read(0, &c, 1) == 1 && c != '\n') line += c;
    if (line == "yes" && !os::stop_requested()) return {};
    return fail(ErrorCode::cancelled, "not confirmed; nothing was changed");
}

std::string state_folder(const policy::Config& config) { return vault::state_folder(config.state_folder); }

recovery::GuidedOptions options_of(const Session& session, const policy::Config& config) {
    recovery::GuidedOptions options;
    options.say = [&session](std::string_view subject, std::string_view event) {
        if (session.people()) print_note(fmt::format("{}: {}\n", subject, printable(std::string(event))));
    };
    for (const policy::TradeConfig& trade : config.trade) {
        const auto account = find_account(config, trade.account);
        if (!account) continue;
        const auto who = os::user_name() + "@" + os::host_name();
        options.engines.push_back(
            {trade.account,
             [one = *account]() -> Result<bool> {
                 HF_TRY(const json::Value status, EngineDoor(one).get("/v1/status"));
                 return status["trading"].boolean();
             },
             [one = *account, who](bool on) -> Status {
                 HF_TRY([[maybe_unused]] const auto turned,
                        EngineDoor(one).post("/v1/trading",
                                             json::Value::object({{"on", on}, {"who", who + " (restore)"}})));
                 return {};
             }});
    }
    return options;
}

int exit_of(const RestoreRun& run) {
    if (run.state == RunState::passed || run.state == RunState::committed) return 0;
    if (run.state == RunState::undone && run.step == recovery::RunStep::done) return 0;
    const auto failed = std::ranges::count(run.parts, PartState::failed, &recovery::RunPart::state);
    if (failed != static_cast<std::ptrdiff_t>(run.parts.size())) return facts(ErrorCode::incomplete).exit_status;
    const auto& error = run.parts[0].error;
    return facts(error ? error->code : ErrorCode::incomplete).exit_status;
}

// What to do next is the last that a tired person reads.
std::string next_step(const RestoreRun& run) {
    switch (run.state) {
        case RunState::passed:
            if (run.room) return run.keeps() ? "remove what is still kept: holdfast restore --commit\n" : "";
            return run.keeps() ? "undo it: holdfast restore --undo; remove what is kept: holdfast restore --commit\n"
                               : "";
        case RunState::running:
        case RunState::failed:
            return "go on when it is mended: holdfast restore --resume; put everything back: holdfast restore --undo\n";
        case RunState::undoing:
            return "go on: holdfast restore --undo\n";
        case RunState::undone:
            return (run.paused.empty() ? "" : "see why, then let trading go on yourself\n") +
                   std::string(run.keeps() ? "remove the restored data: holdfast restore --commit\n" : "");
        case RunState::committing:
            return "go on: holdfast restore --commit\n";
        case RunState::committed:
            return "";
    }
    return "";
}

// The report, also as a file beside the record; then the error that ended the run, if one did.
Result<int> report(const Session& session, const policy::Config& config, const RunFolder& folder,
                   const GuidedRestore& guided, const Status& done) {
    const RestoreRun& run = guided.run();
    const double took = guided.seconds_in_all();
    const std::string head = fmt::format("restore of {}, snapshot {} of {}: {}\n", run.stack, run.snapshot.substr(0, 8),
                                         local_time(run.snapshot_time), run.where());
    std::string errors;
    for (const recovery::RunPart& part : run.parts)
        if (part.error)
            errors += fmt::format("not restored: {}: {}\n              {}\n", part.name, part.error->message,
                                  part.error->hint);
    if (run.trouble) errors += fmt::format("stopped: {}\n         {}\n", run.trouble->message, run.trouble->hint);
    const auto kept =
        folder.save_report(guided.file(), head + run_text(run, config.restore, took, 0) + errors + next_step(run));
    if (!kept && session.people()) print_note(fmt::format("the report is not kept: {}\n", kept.error().message));
    const std::string file = folder.path_of(guided.file().substr(0, guided.file().size() - 5) + ".txt");
    if (session.global.json) {
        json::Value value = run_json(run, config.restore, took);
        value.set("report_file", file);
        print_json(value);
    } else if (!session.global.quiet || exit_of(run) != 0) {
        print(run_text(run, config.restore, took, 1));
        for (const recovery::RunPart& part : run.parts) {
            if (!part.error) continue;
            print_note(
                fmt::format("{} {}: {}\n", painted(2, Colour::red, "not restored:"), part.name, part.error->message));
            if (!part.error->hint.empty()) print_note(fmt::format("              {}\n", part.error->hint));
        }
        if (session.people()) print_note(fmt::format("{}report: {}\n", next_step(run), file));
    }
    if (done) return exit_of(run);
    // Printed already as part of the document.
    if (session.global.json) return facts(done.error().code).exit_status;
    return fail(done.error());
}

std::size_t make_room(const Session& session, const policy::Config& config, const RunFolder& folder) {
    const auto made = recovery::make_room(config, folder, session.clock, [&session](std::string_view event) {
        if (session.people())
            print_note(fmt::format("restore: {}\n", event));
        else
            log_warning(event);
    });
    if (made) return *made;
    if (made.error().code != ErrorCode::cancelled)
        log_warning("what earlier restores kept could not be removed, though the disk may be short",
                    {{"why", made.error().message}, {"next", "holdfast restore --commit"}});
    return 0;
}

RestoreRun new_run(const policy::Config& config, const vault::SnapshotEntry& entry, const StackPlan& plan,
                   const recovery::StackRestoreOptions& options, Timestamp now) {
    RestoreRun run;
    run.stack = source::stack_name(config);
    run.snapshot = entry.id.hex();
    run.snapshot_time = entry.snapshot.time;
    run.started = run.changed = now;
    run.replace = options.existing == recovery::WhenExisting::switch_over;
    if (options.tables) run.tables = *options.tables;
    run.expiry = options.expiry;
    run.time = options.time;
    for (const ComponentPlan& component : plan.components) {
        recovery::RunPart& part = run.parts.emplace_back();
        part.name = component.name;
        part.kind = component.kind;
    }
    return run;
}

bool is_same(const RestoreRun& left, const RestoreRun& right) {
    return left.snapshot == right.snapshot && left.replace == right.replace && left.tables == right.tables &&
           left.expiry == right.expiry && left.time == right.time &&
           std::ranges::equal(left.parts, right.parts, {}, &recovery::RunPart::name, &recovery::RunPart::name);
}

std::string where_text(const RestoreRun& run) {
    return fmt::format("the restore of snapshot {} that began at {} was interrupted while {}",
                       run.snapshot.substr(0, 8), local_time(run.started), run.where());
}

}    // namespace

Result<int> restore_stores(const Session& session, const RestoreArguments& arguments, const policy::Config& config,
                           const vault::Repository& repository, const vault::SnapshotEntry& entry,
                           const std::optional<recovery::TableChoice>& tables) {
    recovery::StackRestoreOptions options;
    options.only = arguments.only;
    options.existing = arguments.replace ? recovery::WhenExisting::switch_over : recovery::WhenExisting::refuse;
    if (tables) options.tables = &*tables;
    options.expiry = expiry_of(arguments);
    if (!arguments.time.empty()) {
        HF_TRY(options.time, parse_time(arguments.time, "--time"));
    }
    const std::string stack = source::stack_name(config);
    HF_TRY(StackPlan plan, recovery::plan_stack(config, repository, entry, options));
    const bool usable = std::ranges::all_of(plan.components, &ComponentPlan::usable);
    HF_TRY(const json::Value manifest, source::read_manifest(repository, entry));
    const RestoreRun fresh = new_run(config, entry, plan, options, session.clock.now());
    Forecast forecast =
        Forecast::make(config, manifest, entry, std::move(plan), RunFolder::look(state_folder(config), stack));
    forecast.hooks = recovery::hooks_in_words(config);
    if (arguments.dry_run) {
        if (session.global.json) {
            json::Value value = forecast_json(forecast, config.restore);
            value.set("snapshot", entry.id.hex());
            value.set("dry_run", true);
            print_json(value);
        } else {
            print(forecast_text(forecast, config.restore, entry));
        }
        return usable ? 0 : facts(ErrorCode::incomplete).exit_status;
    }

    HF_TRY(const RunFolder folder, RunFolder::enter(state_folder(config), stack));
    HF_TRY(const auto runs, folder.list());
    std::string file = folder.new_name(fresh.started);
    RestoreRun run = fresh;
    std::string question = replaces(forecast.plan) ? "What is replaced is kept aside." : "Nothing is replaced.";
    if (!runs.empty() && !runs.back().run.is_over()) {
        const RestoreRun& interrupted = runs.back().run;
        if (interrupted.state != RunState::running || !is_same(interrupted, fresh))
            return fail(
                ErrorCode::exists, where_text(interrupted),
                "`holdfast restore --resume` goes on with it, `holdfast restore --undo` puts back what it replaced");
        file = runs.back().file;
        run = interrupted;
        question = "It goes on from there.";
        if (session.people()) print_note(where_text(interrupted) + "\n");
    } else {
        if (session.people()) print_note(forecast_text(forecast, config.restore, entry));
        // All or nothing until the user chooses: half a stack of one instant and half of another is seldom what is wanted.
        for (const ComponentPlan& component : forecast.plan.components)
            if (!component.usable)
                return fail(component.code, fmt::format("{} cannot be restored: {}", component.name, component.why_not),
                            "nothing was changed; mend that, or choose the others with --only");
    }
    if (!arguments.yes) HF_DO(confirm(question, "add --yes; --dry-run shows the plan"));
    make_room(session, config, folder);
    // The time that a person took to read does not count.
    if (runs.empty() || file != runs.back().file) run.started = session.clock.now();

    // An earlier one that did not pass has paused and stopped things: they are this one's to resume now.
    if (!runs.empty() && runs.back().run.is_over() &&
        !(runs.back().run.paused.empty() && runs.back().run.stopped.empty())) {
        RestoreRun earlier = runs.back().run;
        run.paused = std::exchange(earlier.paused, {});
        run.stopped = std::exchange(earlier.stopped, {});
        HF_DO(folder.save(file, run));
        HF_DO(folder.save(runs.back().file, earlier));
    }

    GuidedRestore guided(config, folder, file, std::move(run), session.clock, options_of(session, config));
    const Status done = guided.go_on(repository, entry);
    return report(session, config, folder, guided, done);
}

std::size_t make_room(const Session& session, const policy::Config& config) {
    const std::string stack = source::stack_name(config);
    const auto known = RunFolder::look(state_folder(config), stack).list();
    if (known && std::ranges::none_of(*known, [](const RunFolder::Entry& entry) { return entry.run.keeps_files(); }))
        return 0;
    const auto folder = RunFolder::enter(state_folder(config), stack);
    if (!folder) {    // another process is at a restore
        log_debug("no room is made", {{"why", folder.error().message}});
        return 0;
    }
    return make_room(session, config, *folder);
}

Result<int> resume_restore(const Session& session, const RestoreArguments& arguments, const policy::Config& config) {
    HF_TRY(const RunFolder folder, RunFolder::enter(state_folder(config), source::stack_name(config)));
    HF_TRY(const auto runs, folder.list());
    if (runs.empty() || (runs.back().run.is_over() && runs.back().run.state != RunState::failed))
        return fail(ErrorCode::not_found, "no restore of this stack waits to go on",
                    "`holdfast restore --status` lists them");
    const RunFolder::Entry& last = runs.back();
    if (session.people())
        print_note(fmt::format("the restore of snapshot {} goes on; it was {}\n", last.run.snapshot.substr(0, 8),
                               last.run.where()));
    GuidedRestore guided(config, folder, last.file, last.run, session.clock, options_of(session, config));
    if (last.run.state == RunState::undoing) return report(session, config, folder, guided, guided.undo());
    if (last.run.state == RunState::committing) return report(session, config, folder, guided, guided.commit());
    HF_TRY(const auto repository, open_repository(session, &config));
    HF_TRY(const auto lock, lock_for_reading(*repository, arguments.no_lock));
    HF_TRY(const auto entry, repository->find_snapshot(last.run.snapshot, {}));
    HF_DO(repository->load_index());
    const Status done = guided.go_on(*repository, entry);
    return report(session, config, folder, guided, done);
}

Result<int> undo_restore(const Session& session, const RestoreArguments& arguments, const policy::Config& config) {
    HF_TRY(const RunFolder folder, RunFolder::enter(state_folder(config), source::stack_name(config)));
    HF_TRY(const auto runs, folder.list());
    const auto last = std::find_if(runs.rbegin(), runs.rend(), [](const RunFolder::Entry& entry) {
        return entry.run.state != RunState::undone && entry.run.state != RunState::committed;
    });
    // Those before it are not to be undone across one that cannot be.
    const auto newest = std::find_if(runs.rbegin(), runs.rend(),
                                     [](const RunFolder::Entry& entry) { return entry.run.state != RunState::undone; });
    if (newest != runs.rend() && newest->run.room)
        return fail(
            ErrorCode::not_found,
            fmt::format("what the restore of {} replaced was {}", local_time(newest->run.started),
                        newest->run.room->text()),
            fmt::format("{}restore an earlier snapshot; keep_free_mib in [restore] says how much stays free",
                        newest->run.keeps() ? "`holdfast restore --status` names what servers still keep; " : ""));
    if (last == runs.rend())
        return fail(ErrorCode::not_found, "there is no restore of this stack that can be undone",
                    "`holdfast restore --status` lists them");
    if (last->run.state == RunState::committing)
        return fail(ErrorCode::exists, "what that restore replaced is being removed",
                    "`holdfast restore --commit` finishes it");
    if (session.people()) {
        print_note(fmt::format("undo the restore of snapshot {} that began at {} ({}):\n",
                               last->run.snapshot.substr(0, 8), local_time(last->run.started), last->run.where()));
        for (const recovery::RunPart& part : last->run.parts)
            for (const recovery::Replacement& one : part.replaced)
                print_note(
                    fmt::format("  {}: {}\n", part.name,
                                printable(one.aside.empty() ? "take away " + one.place
                                                            : fmt::format("{} back to {}", one.aside, one.place))));
        print_note("What the stores took in since the restore goes aside with the restored data.\n");
    }
    if (!arguments.yes)
        HF_DO(confirm("The restored data is kept aside.", "add --yes; --status shows what would be put back"));
    GuidedRestore guided(config, folder, last->file, last->run, session.clock, options_of(session, config));
    const Status done = guided.undo();
    return report(session, config, folder, guided, done);
}

Result<int> commit_restore(const Session& session, const RestoreArguments& arguments, const policy::Config& config) {
    HF_TRY(const RunFolder folder, RunFolder::enter(state_folder(config), source::stack_name(config)));
    HF_TRY(const auto runs, folder.list());
    if (!runs.empty() && (runs.back().run.state == RunState::running || runs.back().run.state == RunState::failed ||
                          runs.back().run.state == RunState::undoing))
        return fail(ErrorCode::exists,
                    fmt::format("the newest restore has not passed: it was {}", runs.back().run.where()),
                    "first `holdfast restore --resume`, or `holdfast restore --undo`");
    std::vector<const RunFolder::Entry*> chosen;
    for (const RunFolder::Entry& entry : runs)
        if (entry.run.state == RunState::committing || (entry.run.state != RunState::committed && entry.run.keeps()))
            chosen.push_back(&entry);
    if (chosen.empty()) {
        if (session.people()) print("nothing is kept aside\n");
        if (session.global.json) print_json(json::Value::object({{"committed", json::Value::array()}}));
        return 0;
    }
    if (session.people()) {
        for (const RunFolder::Entry* entry : chosen)
            for (const recovery::RunPart& part : entry->run.parts)
                for (const recovery::Replacement& one : part.replaced)
                    if (!one.kept_as().empty() && one.stage != recovery::ReplacementStage::gone)
                        print_note(fmt::format("  remove {}: {}\n", part.name, printable(one.kept_as())));
    }
    if (!arguments.yes)
        HF_DO(confirm("It cannot be undone after that.", "add --yes; --status shows what would be removed"));
    json::Value committed = json::Value::array();
    for (const RunFolder::Entry* entry : chosen) {
        GuidedRestore guided(config, folder, entry->file, entry->run, session.clock, options_of(session, config));
        HF_DO(guided.commit());
        committed.push(run_json(guided.run(), config.restore, guided.seconds_in_all()));
    }
    if (session.global.json)
        print_json(json::Value::object({{"committed", std::move(committed)}}));
    else if (!session.global.quiet)
        print("what was kept aside is removed\n");
    return 0;
}

Result<int> restore_status(const Session& session, const policy::Config& config) {
    const RunFolder folder = RunFolder::look(state_folder(config), source::stack_name(config));
    HF_TRY(const auto runs, folder.list());
    if (session.global.json) {
        auto list = json::Value::array();
        for (const RunFolder::Entry& entry : runs) {
            auto one = run_json(entry.run, config.restore, seconds(entry.run.changed - entry.run.started));
            one.set("file", folder.path_of(entry.file));
            list.push(std::move(one));
        }
        print_json(json::Value::object({{"restores", std::move(list)}}));
        return 0;
    }
    if (runs.empty()) print("no restore of this stack is remembered here\n");
    for (const RunFolder::Entry& entry : runs) {
        std::uint64_t kept = 0;
        for (const recovery::RunPart& part : entry.run.parts) kept += recovery::kept_bytes(part);
        print(fmt::format("{}  snapshot {}  {}: {}{}\n", local_time(entry.run.started), entry.run.snapshot.substr(0, 8),
                          entry.run.state == RunState::running ? "at work, or interrupted" : to_text(entry.run.state),
                          entry.run.where(),
                          kept == 0 ? "" : fmt::format("; {} of files kept aside", human_size(kept))));
    }
    if (!runs.empty()) {
        print(run_text(runs.back().run, config.restore, seconds(runs.back().run.changed - runs.back().run.started), 1));
        if (session.people()) print_note(next_step(runs.back().run));
    }
    return 0;
}

}    // namespace holdfast::cli
