#include "holdfast/recovery/restore_run.hpp"

#include <fcntl.h>
#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "holdfast/base/log.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/file_lock.hpp"

namespace holdfast::recovery {
namespace {

constexpr std::int64_t k_version = 1;
constexpr std::array<std::string_view, 7> k_states{"running", "failed",     "passed",   "undoing",
                                                   "undone",  "committing", "committed"};
constexpr std::array<std::string_view, 7> k_steps{"pause", "stop", "restore", "start", "check", "resume", "done"};
constexpr std::array<std::string_view, 4> k_part_states{"waiting", "restoring", "restored", "failed"};
constexpr std::array<std::string_view, 3> k_expiries{"now", "shifted", "never"};
constexpr std::array<std::string_view, 3> k_check_states{"passed", "failed", "skipped"};

template <class Enum, std::size_t N>
bool read_word(const json::Value& value, const std::array<std::string_view, N>& words, Enum& to) {
    const auto at = std::ranges::find(words, value.text());
    if (at == words.end()) return false;
    to = static_cast<Enum>(at - words.begin());
    return true;
}

json::Value error_value(const Error& error) {
    return json::Value::object({{"code", facts(error.code).name}, {"message", error.message}, {"hint", error.hint}});
}

std::optional<Error> error_from(const json::Value& value) {
    if (!value.is_object()) return std::nullopt;
    Error error{ErrorCode::internal, value["message"].text(), value["hint"].text()};
    for (int code = 0; code <= static_cast<int>(ErrorCode::internal); ++code)
        if (facts(static_cast<ErrorCode>(code)).name == value["code"].text()) error.code = static_cast<ErrorCode>(code);
    return error;
}

json::Value texts(const std::vector<std::string>& list) {
    auto value = json::Value::array();
    for (const std::string& one : list) value.push(one);
    return value;
}

std::vector<std::string> texts_from(const json::Value& value) {
    std::vector<std::string> list;
    for (const json::Value& one : value.items()) list.push_back(one.text());
    return list;
}

json::Value part_value(const RunPart& part) {
    auto replaced = json::Value::array();
    for (const Replacement& one : part.replaced) replaced.push(to_json(one));
    auto value = json::Value::object({{"name", part.name},
                                      {"kind", part.kind},
                                      {"state", to_text(part.state)},
                                      {"seconds", part.seconds},
                                      {"replaced", std::move(replaced)}});
    if (!part.result.is_null()) value.set("result", part.result);
    if (part.error) value.set("error", error_value(*part.error));
    return value;
}

Result<RunPart> part_from(const json::Value& value) {
    RunPart part;
    part.name = value["name"].text();
    part.kind = value["kind"].text();
    part.seconds = value["seconds"].number();
    part.result = value["result"];
    part.error = error_from(value["error"]);
    if (part.name.empty() || part.kind.empty() || !read_word(value["state"], k_part_states, part.state))
        return fail(ErrorCode::corrupt, "a component has no name, or a state that is none");
    for (const json::Value& one : value["replaced"].items()) {
        HF_TRY(auto replaced, replacement_from(one));
        part.replaced.push_back(std::move(replaced));
    }
    return part;
}

Result<RestoreRun> run_from(const json::Value& value) {
    if (value["restore_version"].integer(0) != k_version)
        return fail(ErrorCode::corrupt, fmt::format("it has version {}, this program knows {}",
                                                    value["restore_version"].integer(0), k_version));
    RestoreRun run;
    run.stack = value["stack"].text();
    run.snapshot = value["snapshot"].text();
    for (const auto& [key, to] : {std::pair("snapshot_time", &run.snapshot_time), std::pair("started", &run.started),
                                  std::pair("changed", &run.changed)}) {
        HF_TRY(*to, parse_rfc3339(value[key].text()));
    }
    run.replace = value["replace"].boolean(false);
    if (value["tables"].is_object()) {
        TableChoice& choice = run.tables.emplace();
        choice.patterns = texts_from(value["tables"]["patterns"]);
        choice.partition = value["tables"]["partition"].text();
        for (const json::Value& one : value["tables"]["renames"].items())
            choice.renames.emplace_back(one["from"].text(), one["to"].text());
    }
    if (!value["expiry"].is_null() && !read_word(value["expiry"], k_expiries, run.expiry))
        return fail(ErrorCode::corrupt, "it treats expired keys in a way that is none");
    if (!value["time"].is_null()) {
        HF_TRY(run.time, parse_rfc3339(value["time"].text()));
    }
    if (!read_word(value["state"], k_states, run.state) || !read_word(value["step"], k_steps, run.step))
        return fail(ErrorCode::corrupt, "it has a state or a step that is none");
    for (const json::Value& one : value["components"].items()) {
        HF_TRY(auto part, part_from(one));
        run.parts.push_back(std::move(part));
    }
    run.paused = texts_from(value["paused"]);
    run.stopped = texts_from(value["stopped"]);
    for (const json::Value& one : value["checks"].items()) {
        RunCheck check{{}, one["component"].text(), one["name"].text(), one["text"].text()};
        if (!read_word(one["state"], k_check_states, check.state))
            return fail(ErrorCode::corrupt, "a check has a state that is none");
        run.checks.push_back(std::move(check));
    }
    run.trouble = error_from(value["trouble"]);
    if (!value["room"].is_null()) {
        MadeRoom& room = run.room.emplace();
        HF_TRY(room.time, parse_rfc3339(value["room"]["time"].text()));
        room.free_bytes = value["room"]["free_bytes"].natural();
    }
    return run;
}

constexpr std::string_view k_times = "times.json", k_lock = "lock";

}    // namespace

std::string_view to_text(RunState state) { return k_states[static_cast<std::size_t>(state)]; }
std::string_view to_text(RunStep step) { return k_steps[static_cast<std::size_t>(step)]; }
std::string_view to_text(PartState state) { return k_part_states[static_cast<std::size_t>(state)]; }
std::string_view to_text(RunCheck::State state) { return k_check_states[static_cast<std::size_t>(state)]; }

std::string MadeRoom::text() const {
    return fmt::format("removed on {}Z because only {} was free", to_rfc3339(time).substr(0, 19),
                       human_size(free_bytes));
}

bool RestoreRun::keeps_files() const {
    return std::ranges::any_of(
        parts, [](const RunPart& part) { return std::ranges::any_of(part.replaced, &Replacement::keeps_files); });
}

bool RestoreRun::keeps() const {
    return std::ranges::any_of(parts, [](const RunPart& part) {
        return std::ranges::any_of(part.replaced, [](const Replacement& one) {
            return one.stage != ReplacementStage::gone && !one.kept_as().empty();
        });
    });
}

std::string RestoreRun::where() const {
    const auto restored = std::ranges::count(parts, PartState::restored, &RunPart::state);
    std::string now;
    switch (state) {
        case RunState::passed:
            return fmt::format("restored {} components, all checks passed{}", restored,
                               room ? "; the files that it replaced were " + room->text() : "");
        case RunState::failed:
        case RunState::running:
            now = std::string(step == RunStep::pause    ? "pausing trading"
                              : step == RunStep::stop   ? "stopping what uses the stores"
                              : step == RunStep::start  ? "starting what uses the stores"
                              : step == RunStep::check  ? "checking"
                              : step == RunStep::resume ? "resuming trading"
                                                        : "restoring");
            for (const RunPart& part : parts)
                if (step == RunStep::restore && (part.state == PartState::restoring || part.state == PartState::failed))
                    now += " " + part.name;
            break;
        case RunState::undoing:
            now = "putting back what was replaced";
            break;
        case RunState::undone:
            return "undone: what was replaced is back";
        case RunState::committing:
            now = "removing what was kept aside";
            break;
        case RunState::committed:
            return room ? "committed: what was replaced was " + room->text()
                        : "committed: what was replaced is removed";
    }
    return fmt::format("{} ({} of {} components are restored)", now, restored, parts.size());
}

std::string encode(const RestoreRun& run) {
    auto parts = json::Value::array(), checks = json::Value::array();
    for (const RunPart& part : run.parts) parts.push(part_value(part));
    for (const RunCheck& check : run.checks)
        checks.push(json::Value::object({{"state", to_text(check.state)},
                                         {"component", check.component},
                                         {"name", check.name},
                                         {"text", check.text}}));
    auto value = json::Value::object({{"restore_version", k_version},
                                      {"stack", run.stack},
                                      {"snapshot", run.snapshot},
                                      {"snapshot_time", to_rfc3339(run.snapshot_time)},
                                      {"started", to_rfc3339(run.started)},
                                      {"changed", to_rfc3339(run.changed)},
                                      {"replace", run.replace},
                                      {"state", to_text(run.state)},
                                      {"step", to_text(run.step)},
                                      {"components", std::move(parts)},
                                      {"paused", texts(run.paused)},
                                      {"stopped", texts(run.stopped)},
                                      {"checks", std::move(checks)}});
    if (run.tables) {
        auto renames = json::Value::array();
        for (const auto& [from, to] : run.tables->renames)
            renames.push(json::Value::object({{"from", from}, {"to", to}}));
        value.set("tables", json::Value::object({{"patterns", texts(run.tables->patterns)},
                                                 {"partition", run.tables->partition},
                                                 {"renames", std::move(renames)}}));
    }
    if (run.expiry != Expiry::as_now) value.set("expiry", k_expiries[static_cast<std::size_t>(run.expiry)]);
    if (run.time) value.set("time", to_rfc3339(*run.time));
    if (run.trouble) value.set("trouble", error_value(*run.trouble));
    if (run.room)
        value.set("room",
                  json::Value::object({{"time", to_rfc3339(run.room->time)}, {"free_bytes", run.room->free_bytes}}));
    return json::dump(value, 2) + "\n";
}

Result<RestoreRun> decode_restore_run(std::string_view text, const std::string& what) {
    const auto value = json::parse(text, what);
    auto run = value ? run_from(*value) : Result<RestoreRun>(fail(value.error()));
    if (run) return run;
    return fail(ErrorCode::corrupt, fmt::format("{} is no record of a restore: {}", what, run.error().message),
                "move it away; what it says was replaced still lies beside its place");
}

namespace {

// A stack's name is a person's word: it must not lead out of the folder.
std::string folder_for(const std::string& state_folder, const std::string& stack) {
    std::string name;
    for (const char c : stack) name += c == '/' || c == '\0' ? '_' : c;
    if (name.empty() || name.starts_with('.')) name = "_" + name;
    return fmt::format("{}/restores/{}", state_folder, name);
}

}    // namespace

Result<RunFolder> RunFolder::enter(const std::string& state_folder, const std::string& stack) {
    const std::string path = folder_for(state_folder, stack);
    if (auto made = os::make_folders(path); !made) {
        Error error = std::move(made).error().within("what a restore does must be remembered");
        error.hint = "set state_folder in holdfast.toml to a folder that this user may write to";
        return fail(std::move(error));
    }
    HF_TRY(os::Fd lock, os::open_file(fmt::format("{}/{}", path, k_lock), O_RDWR | O_CREAT));
    HF_DO(os::lock_alone(lock.get(), "another restore of this stack is at work",
                         "wait for it; `holdfast restore --status`"));
    return RunFolder(path, std::move(lock));
}

RunFolder RunFolder::look(const std::string& state_folder, const std::string& stack) {
    return RunFolder(folder_for(state_folder, stack), {});
}

Result<std::vector<RunFolder::Entry>> RunFolder::list() const {
    std::vector<Entry> entries;
    const auto names = os::list_folder(path_);
    if (!names && names.error().code == ErrorCode::not_found) return entries;
    if (!names) return fail(names.error());
    for (const std::string& name : *names) {
        if (!name.ends_with(".json") || name == k_times) continue;
        HF_TRY(const std::string text, os::read_text(path_of(name)));
        HF_TRY(auto run, decode_restore_run(text, path_of(name)));
        entries.push_back({name, std::move(run)});
    }
    std::ranges::sort(entries, {}, [](const Entry& entry) { return entry.run.started.nanoseconds; });
    return entries;
}

std::string RunFolder::new_name(Timestamp now) const {
    std::string stamp = to_rfc3339(now).substr(0, 19);
    std::erase(stamp, '-');
    std::erase(stamp, ':');
    std::string name = stamp + ".json";
    for (int n = 2; os::exists(path_of(name)); ++n) name = fmt::format("{}-{}.json", stamp, n);
    return name;
}

Status RunFolder::save(const std::string& file, const RestoreRun& run) const {
    return os::write_file(path_of(file), as_bytes(encode(run)));
}

Status RunFolder::save_report(const std::string& file, std::string_view text) const {
    return os::write_file(path_of(file.substr(0, file.size() - 5) + ".txt"), as_bytes(text));
}

std::map<std::string, RunFolder::Measured> RunFolder::times() const {
    std::map<std::string, Measured> times;
    const auto text = os::read_text(path_of(std::string(k_times)));
    if (!text) return times;
    const auto value = json::parse(*text, std::string(k_times));
    if (!value) {
        log_warning("how long restores took before cannot be read", {{"error", value.error().message}});
        return times;
    }
    for (const auto& [name, one] : value->members())
        times[name] = {std::max(0.0, one["seconds"].number()), one["bytes"].natural()};
    return times;
}

Status RunFolder::save_times(const std::map<std::string, Measured>& times) const {
    auto value = json::Value::object();
    for (const auto& [name, one] : times)
        value.set(name, json::Value::object({{"seconds", one.seconds}, {"bytes", one.bytes}}));
    return os::write_file(path_of(std::string(k_times)), as_bytes(json::dump(value, 2) + "\n"));
}

}    // namespace holdfast::recovery
