#include "holdfast/recovery/guided.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "holdfast/base/log.hpp"
#include "holdfast/db/redis.hpp"
#include "holdfast/os/crash_point.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/os/process.hpp"
#include "holdfast/recovery/checks.hpp"
#include "holdfast/recovery/stack.hpp"
#include "holdfast/source/redis_login.hpp"
#include "holdfast/source/stack.hpp"

namespace holdfast::recovery {
namespace {

constexpr std::size_t k_said_max = 1000;    // of what a command that failed has to say, its end
constexpr std::string_view k_command = "command", k_flag = "flag", k_engine = "engine ";

std::string in_words(const policy::RestoreConfig::Command& command) {
    std::string text;
    for (const std::string& word : command) text += (text.empty() ? "" : " ") + word;
    return text;
}

}    // namespace

std::vector<std::string> hooks_in_words(const policy::Config& config) {
    const policy::RestoreConfig& restore = config.restore;
    std::vector<std::string> words;
    if (!restore.pause_command.empty()) words.push_back("pause trading: " + in_words(restore.pause_command));
    if (!restore.trading_flag_redis.empty())
        words.push_back(
            fmt::format("pause trading: {} = false in {}", restore.trading_flag_key, restore.trading_flag_redis));
    for (const policy::TradeConfig& trade : config.trade)
        words.push_back(fmt::format("pause trading: the engine of {}, if it runs", trade.account));
    for (const auto& command : restore.stop_commands) words.push_back("stop: " + in_words(command));
    for (const auto& command : restore.start_commands) words.push_back("afterwards start: " + in_words(command));
    return words;
}

double GuidedRestore::seconds_in_all() const { return seconds(clock_.now() - run_.started); }

Status GuidedRestore::save() {
    run_.changed = clock_.now();
    return folder_.save(file_, run_);
}

Status GuidedRestore::enter(RunStep step, NextSave next) {
    run_.step = step;
    if (next == NextSave::now) HF_DO(save());
    os::crash_point("guided", to_text(step));
    return {};
}

// The error stands in the record, too; what was paused stays paused.
Status GuidedRestore::give_up(Error error) {
    if (error.code != ErrorCode::cancelled) {
        run_.state = run_.state == RunState::running ? RunState::failed : run_.state;
        run_.trouble = error;
    }
    HF_DO(save());
    return fail(std::move(error));
}

Status GuidedRestore::run_command(const policy::RestoreConfig::Command& arguments, std::string_view what) {
    options_.say(what, in_words(arguments));
    HF_TRY(const auto scratch, scratch_folder());
    os::Command command;
    command.arguments = arguments;
    // Into a file: a pipe that a program in the background inherits would never end.
    command.output_file = scratch + "/hook.log";
    HF_DO(os::remove_tree(command.output_file));
    command.errors = os::Stream::null;
    command.die_with_parent = false;
    command.new_session = true;
    HF_TRY(os::Process process, os::Process::start(command));
    const auto status = process.wait(std::chrono::seconds(config_.restore.command_max_seconds));
    if (status && status->ok()) return {};
    std::string said = os::read_text(command.output_file).value_or("");
    while (!said.empty() && said.back() == '\n') said.pop_back();
    if (said.size() > k_said_max) said.erase(0, said.size() - k_said_max);
    return fail(
        ErrorCode::store,
        fmt::format("{} failed: {}: {}{}{}", what, in_words(arguments),
                    status ? status->text() : fmt::format("not done after {} s", config_.restore.command_max_seconds),
                    said.empty() ? "" : ": ", said),
        "mend that, then `holdfast restore --resume`; or `holdfast restore --undo`");
}

bool GuidedRestore::is_paused(const std::string& what) const {
    return std::ranges::find(run_.paused, what) != run_.paused.end();
}

Status GuidedRestore::note_paused(const std::string& what) {
    if (is_paused(what)) return {};
    run_.paused.push_back(what);
    return save();
}

Status GuidedRestore::set_flag(bool on) {
    const auto at = std::ranges::find(config_.redis, config_.restore.trading_flag_redis, &policy::RedisConfig::name);
    if (at == config_.redis.end()) return {};
    HF_TRY(const auto login, source::redis_login(*at));
    HF_TRY(auto client, db::RedisClient::connect(login));
    if (!on) {    // an empty server has nobody to tell, and a restore would find it no longer empty
        HF_TRY(const auto keys, client.command({"DBSIZE"}));
        if (keys.integer() == 0) return {};
    }
    HF_TRY([[maybe_unused]] const auto set,
           client.command({"SET", config_.restore.trading_flag_key, on ? "true" : "false"}));
    options_.say("trading", fmt::format("{} = {} in {}", config_.restore.trading_flag_key, on, at->name));
    return {};
}

// Noted before it is done: what may be paused is resumed at the end.
Status GuidedRestore::pause() {
    if (!config_.restore.pause_command.empty()) {
        HF_DO(note_paused(std::string(k_command)));
        HF_DO(run_command(config_.restore.pause_command, "pause_command"));
    }
    for (const EngineSwitch& engine : options_.engines) {
        const auto trades = engine.trades();
        if (!trades && trades.error().code == ErrorCode::unreachable) continue;    // none runs
        if (!trades) return fail(trades.error().within("pausing the engine of " + engine.account));
        if (!*trades) continue;    // paused by somebody: not ours to resume
        HF_DO(note_paused(std::string(k_engine) + engine.account));
        HF_DO(engine.turn(false));
        options_.say("trading", "the engine of " + engine.account + " is paused");
    }
    if (config_.restore.trading_flag_redis.empty()) return {};
    HF_DO(note_paused(std::string(k_flag)));
    auto set = set_flag(false);
    // A server that is down, or lost, tells nobody to trade; it is set again when it is back.
    if (!set && set.error().code == ErrorCode::unreachable) return {};
    return set;
}

Status GuidedRestore::stop() {
    for (std::size_t i = 0; i < config_.restore.stop_commands.size(); ++i) {
        const std::string number = std::to_string(i + 1);
        if (std::ranges::find(run_.stopped, number) == run_.stopped.end()) {
            run_.stopped.push_back(number);
            HF_DO(save());
        }
        HF_DO(run_command(config_.restore.stop_commands[i], "stop_commands"));
    }
    return {};
}

Status GuidedRestore::start() {
    if (run_.stopped.empty()) return {};
    for (const auto& command : config_.restore.start_commands) HF_DO(run_command(command, "start_commands"));
    run_.stopped.clear();
    return save();
}

Result<std::string> GuidedRestore::scratch_folder() {
    if (!scratch_) {
        HF_TRY(auto folder, os::ScratchFolder::create("restore", source::scratch_folder(config_)));
        scratch_.emplace(std::move(folder));
    }
    return scratch_->path();
}

Result<PutBackContext> GuidedRestore::put_back_context() {
    HF_TRY(auto scratch, scratch_folder());
    return PutBackContext{config_, clock_, std::move(scratch),
                          [this](std::string_view event) { options_.say("undo", event); }};
}

Status GuidedRestore::restore_part(const vault::Repository& repository, const vault::SnapshotEntry& snapshot,
                                   RunPart& part) {
    if (part.state == PartState::restored) return {};
    if (!part.replaced.empty()) {
        // Half done, or wrong: first back to what it was, so that undo knows one old state only.
        HF_TRY(const auto context, put_back_context());
        choose_undone_names(part, clock_.now());
        HF_DO(save());
        const auto changed = [this] { return save(); };
        HF_DO(put_back(part, context, changed));
        HF_DO(remove_kept(part, context, changed));
        part.replaced.clear();
    }
    part.state = PartState::restoring;
    part.error.reset();
    part.result = {};
    HF_DO(save());
    os::crash_point("guided.restoring", part.kind);
    StackRestoreOptions options;
    options.only = {part.name};
    for (const RunPart& other : run_.parts) options.among.push_back(other.name);
    options.existing = run_.replace ? WhenExisting::switch_over : WhenExisting::refuse;
    if (run_.tables) options.tables = &*run_.tables;
    options.expiry = run_.expiry;
    options.time = run_.time;
    options.say = options_.say;
    options.will_replace = [&](const Replacement& one) -> Status {
        part.replaced.push_back(one);
        HF_DO(save());
        os::crash_point("guided.replacing", one.what);
        return {};
    };
    HF_TRY(auto outcomes, restore_stack(config_, repository, snapshot, options));
    ComponentOutcome& outcome = outcomes.at(0);
    part.seconds = outcome.seconds;
    part.result = std::move(outcome.result);
    part.error = std::move(outcome.error);
    if (part.error && part.error->code == ErrorCode::cancelled) return fail(*part.error);
    part.state = part.error ? PartState::failed : PartState::restored;
    // The snapshot may have been taken while trading was on: the restored key says so.
    if (part.kind == "redis" && part.name == config_.restore.trading_flag_redis &&
        part.result["started"].boolean(false))
        HF_DO(set_flag(false));
    HF_DO(save());
    os::crash_point("guided.restored", part.kind);
    return {};
}

Status GuidedRestore::restore_parts(const vault::Repository& repository, const vault::SnapshotEntry& snapshot) {
    for (RunPart& part : run_.parts) {
        if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped before " + part.name);
        HF_DO(restore_part(repository, snapshot, part));
    }
    return {};
}

Status GuidedRestore::check(const json::Value& manifest) {
    options_.say("checks", "asking the stores");
    HF_TRY(run_.checks, check_stack(config_, run_.parts, manifest, clock_));
    return {};
}

Status GuidedRestore::resume() {
    // The flag last: programs that look at it begin when all else is up.
    while (!run_.paused.empty()) {
        const std::string what = run_.paused.front();
        if (what == k_command) {
            HF_DO(run_command(config_.restore.resume_command, "resume_command"));
        } else if (what == k_flag) {
            HF_DO(set_flag(true));
        } else {
            for (const EngineSwitch& engine : options_.engines) {
                if (std::string(k_engine) + engine.account != what) continue;
                const auto trades = engine.trades();
                if (!trades && trades.error().code == ErrorCode::unreachable)
                    return fail(ErrorCode::unreachable, fmt::format("the engine of {} does not run", engine.account),
                                "start it, then `holdfast restore --resume`");
                HF_DO(engine.turn(true));
                options_.say("trading", "the engine of " + engine.account + " goes on");
            }
        }
        run_.paused.erase(run_.paused.begin());
        HF_DO(save());
    }
    return {};
}

// So that the next restore can say how long it will take. Not worth an error.
void GuidedRestore::learn_times(const vault::Repository& repository, const vault::SnapshotEntry& snapshot) const {
    const auto manifest = source::read_manifest(repository, snapshot);
    if (!manifest) return;
    auto times = folder_.times();
    for (const RunPart& part : run_.parts)
        if (part.state == PartState::restored)
            for (const json::Value& one : (*manifest)["components"].items())
                if (one["name"].text() == part.name) times[part.name] = {part.seconds, one["bytes"].natural()};
    if (auto saved = folder_.save_times(times); !saved)
        log_warning("how long the restore took is not remembered", {{"error", saved.error().message}});
}

Status GuidedRestore::go_on(const vault::Repository& repository, const vault::SnapshotEntry& snapshot) {
    run_.state = RunState::running;
    run_.trouble.reset();
    const auto all_restored = [&] {
        return std::ranges::all_of(run_.parts, [](const RunPart& part) { return part.state == PartState::restored; });
    };
    const auto steps = [&]() -> Status {
        // Again after an interruption, too: a machine that came up anew may trade.
        HF_DO(enter(RunStep::pause));
        HF_DO(pause());
        if (!all_restored()) {
            HF_DO(enter(RunStep::stop, config_.restore.stop_commands.empty() ? NextSave::later : NextSave::now));
            HF_DO(stop());
            HF_DO(enter(RunStep::restore, NextSave::later));    // with the first component
            HF_DO(restore_parts(repository, snapshot));
            learn_times(repository, snapshot);
        }
        if (!all_restored()) return {};
        HF_DO(enter(RunStep::start));
        HF_DO(start());
        HF_DO(enter(RunStep::check));
        HF_TRY(const json::Value manifest, source::read_manifest(repository, snapshot));
        HF_DO(check(manifest));
        const auto count = [&](RunCheck::State state) {
            return std::ranges::count(run_.checks, state, &RunCheck::state);
        };
        if (count(RunCheck::State::failed) > 0) return {};
        // Nothing goes on while a server waits to be started by hand.
        if (count(RunCheck::State::skipped) > 0 && !run_.paused.empty()) return {};
        HF_DO(enter(RunStep::resume));
        HF_DO(resume());
        run_.step = RunStep::done;
        return {};
    };
    if (auto done = steps(); !done) return give_up(std::move(done).error());
    run_.state = run_.step == RunStep::done ? RunState::passed : RunState::failed;
    return save();
}

Status GuidedRestore::undo() {
    run_.state = RunState::undoing;
    run_.trouble.reset();
    run_.checks.clear();
    const auto steps = [&]() -> Status {
        const Timestamp now = clock_.now();
        for (RunPart& part : run_.parts) choose_undone_names(part, now);
        HF_DO(enter(RunStep::pause));
        HF_DO(pause());
        HF_DO(enter(RunStep::stop));
        HF_DO(stop());
        HF_DO(enter(RunStep::restore));
        HF_TRY(const auto context, put_back_context());
        // The last first.
        for (auto part = run_.parts.rbegin(); part != run_.parts.rend(); ++part)
            HF_DO(put_back(*part, context, [this] { return save(); }));
        if (is_paused(std::string(k_flag))) {
            auto set = set_flag(false);
            if (!set && set.error().code != ErrorCode::unreachable) return set;
        }
        HF_DO(enter(RunStep::start));
        HF_DO(start());
        HF_DO(enter(RunStep::check));
        std::vector<RunPart> parts = run_.parts;
        std::erase_if(parts, [](const RunPart& part) { return part.replaced.empty(); });
        HF_TRY(run_.checks, check_stack(config_, parts, {}, clock_));
        return {};
    };
    if (auto done = steps(); !done) return give_up(std::move(done).error());
    run_.state = RunState::undone;
    if (std::ranges::any_of(run_.checks, [](const RunCheck& one) { return one.state != RunCheck::State::passed; }))
        return save();
    HF_DO(enter(RunStep::resume));
    if (auto resumed = resume(); !resumed) return give_up(std::move(resumed).error());
    run_.step = RunStep::done;
    return save();
}

Status GuidedRestore::commit() {
    run_.state = RunState::committing;
    HF_DO(save());
    HF_TRY(const auto context, put_back_context());
    for (RunPart& part : run_.parts)
        if (auto removed = remove_kept(part, context, [this] { return save(); }); !removed)
            return give_up(std::move(removed).error());
    run_.state = RunState::committed;
    return save();
}

}    // namespace holdfast::recovery
