// `holdfast duckdb watch|states|restore|repair`.

#include <fmt/core.h>
#include <stdio_ext.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <mutex>
#include <thread>

#include "holdfast/cli/commands.hpp"
#include "holdfast/cli/output.hpp"
#include "holdfast/cli/progress.hpp"
#include "holdfast/cli/restore.hpp"
#include "holdfast/cli/time_argument.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/os/service.hpp"
#include "holdfast/recovery/duckdb_repair.hpp"
#include "holdfast/source/duckdb_keeper.hpp"
#include "holdfast/trade/duckdb_sink.hpp"

namespace holdfast::cli {
namespace {

using namespace std::chrono_literals;
using source::DuckDbKeeper;
using source::DuckDbState;
using source::DuckDbStates;

// One database and how its states are kept: as [[duckdb]] says, or the defaults for a file that no configuration names.
struct Watched {
    policy::DuckDbConfig config;
    std::string folder, scratch;
};

Watched watched(policy::DuckDbConfig config, std::string scratch) {
    config.path = os::absolute_path(config.path);
    std::string folder = source::duckdb_states_folder(config.path, config.states_folder);
    return {std::move(config), std::move(folder), std::move(scratch)};
}

Result<std::vector<Watched>> all_watched(const Session& session) {
    HF_TRY(const LoadedConfig loaded, load_config(session.global));
    std::vector<Watched> all;
    all.reserve(loaded.config.duckdb.size());
    for (const auto& one : loaded.config.duckdb) all.push_back(watched(one, loaded.config.scratch_folder));
    if (all.empty())
        return fail(ErrorCode::config, fmt::format("{} has no [[duckdb]]", loaded.file),
                    "add [[duckdb]] and path = \"/srv/trades.duckdb\" below it, or name a FILE");
    return all;
}

// A component's name, or the path of a file.
Result<Watched> find_watched(const Session& session, const std::string& word) {
    const std::string path = os::absolute_path(word);
    if (find_config(session.global)) {
        HF_TRY(const LoadedConfig loaded, load_config(session.global));
        for (policy::DuckDbConfig one : loaded.config.duckdb) {
            if (one.name != word && os::absolute_path(one.path) != path) continue;
            one.rebuild = trade::duckdb_rebuild_rules(loaded.config, one);
            return watched(std::move(one), loaded.config.scratch_folder);
        }
    }
    policy::DuckDbConfig config;
    config.path = path;
    config.name = policy::duckdb_name_from_path(path);
    return watched(std::move(config), {});
}

// What no state and no repair brings back, other stores may have.
std::unexpected<Error> damaged(Error error, const Watched& one) {
    if (error.code == ErrorCode::corrupt && !one.config.rebuild.empty())
        error.hint += fmt::format("{}`holdfast duckdb rebuild {} --dry-run`: what other stores have",
                                  error.hint.empty() ? "" : "; ", one.config.name);
    return fail(std::move(error));
}

constexpr const char* k_database_help = "the database file, or its name in holdfast.toml";

// ---- watch

class DuckDbWatchCommand final : public Command {
    std::string_view name() const override { return "duckdb watch"; }
    std::string_view help() const override { return "keep states of live DuckDB files, as often as twice a second"; }
    std::string_view examples() const override {
        return R"(Until it is stopped (SIGTERM, Ctrl-C), each database of [[duckdb]] in holdfast.toml is looked at every keep_every_milliseconds. What
was committed since the last time is kept beside the database; after a checkpoint, the blocks that changed. The database is only read,
without any lock. From time to time the newest state is opened and read through by libduckdb in a process of its own.

States are no backup: they lie on the same disk. `holdfast backup` takes the database into the vault.

Examples
  holdfast duckdb watch                            all databases of holdfast.toml
  holdfast duckdb watch /srv/trades.duckdb         one that no holdfast.toml names
  holdfast duckdb watch --each --json              one line for each state
  holdfast duckdb watch --once                     keep one state, verify it, and end; for cron
)";
    }
    void declare(Options& options) override {
        options.argument("DATABASE", database_, Options::Need::optional, k_database_help);
        options.flag("--once", once_, "keep one state of each database, verify it, then end");
        options.flag("--each", each_, "tell each state, not only what is verified and what goes wrong");
    }

    Result<int> run(const Session& session) override {
        std::vector<Watched> all;
        if (database_.empty()) {
            HF_TRY(all, all_watched(session));
        } else {
            HF_TRY(Watched one, find_watched(session, database_));
            all.push_back(std::move(one));
        }
        if (const auto loaded = load_config(session.global)) make_room(session, loaded->config);
        std::vector<std::unique_ptr<DuckDbKeeper>> keepers;
        for (const Watched& one : all) {
            HF_TRY(auto keeper, DuckDbKeeper::open({.path = one.config.path,
                                                    .folder = one.folder,
                                                    .keep = std::chrono::minutes(one.config.keep_minutes),
                                                    .keep_last = one.config.keep_last,
                                                    .keep_verified = one.config.keep_verified,
                                                    .scratch = one.scratch},
                                                   session.clock));
            keepers.push_back(std::move(keeper));
        }
        if (once_) return run_once(session, all, keepers);
        std::vector<std::jthread> threads;
        for (std::size_t i = 0; i < all.size(); ++i) {
            threads.emplace_back([&, i] { keep_on(session, all[i], *keepers[i]); });
            threads.emplace_back([&, i] { verify_on(session, all[i], *keepers[i]); });
        }
        os::tell_service_manager("READY=1");
        say(session, json::Value::object({{"event", "watching"}, {"databases", std::uint64_t(all.size())}}),
            fmt::format("watching  {} {}\n", all.size(), all.size() == 1 ? "database" : "databases"));
        threads.clear();    // until they are told to stop
        // To be stopped is its ordinary end: what it was just telling is no output that failed.
        ::__fpurge(stdout);
        std::clearerr(stdout);
        os::tell_service_manager("STOPPING=1");
        return 0;
    }

    int run_once(const Session& session, const std::vector<Watched>& all,
                 const std::vector<std::unique_ptr<DuckDbKeeper>>& keepers) {
        bool bad = false;
        for (std::size_t i = 0; i < all.size(); ++i) {
            const auto taken = keepers[i]->take();
            if (taken) tell(session, all[i], *taken, 0);
            const auto verified = taken ? keepers[i]->verify(depth(all[i])) : Result<json::Value>(fail(taken.error()));
            tell_verified(session, all[i], verified);
            bad |= !verified;
        }
        return bad ? 1 : 0;
    }

    static db::DuckDbCheck::Depth depth(const Watched& one) {
        return one.config.proof == policy::Proof::digest  ? db::DuckDbCheck::Depth::digest
               : one.config.proof == policy::Proof::count ? db::DuckDbCheck::Depth::count
                                                          : db::DuckDbCheck::Depth::catalog;
    }

    void keep_on(const Session& session, const Watched& one, DuckDbKeeper& keeper) {
        const Duration every = std::chrono::milliseconds(one.config.keep_every_milliseconds);
        std::string failed;    // the same trouble is told once
        auto door = source::DuckDbDoor::open(one.folder);
        if (!door) tell_failed(session, one, door.error());    // its looks go on
        Instant due = session.clock.instant();
        while (!os::stop_requested()) {
            const Instant begun = session.clock.instant();
            if (door) (void)door->wait(Duration::zero());
            const auto taken = keeper.take();
            if (door) door->answer(taken.has_value());
            const double took = seconds(session.clock.instant() - begun);
            if (taken) {
                if (!failed.empty())
                    say(session, json::Value::object({{"event", "recovered"}, {"path", one.config.path}}),
                        fmt::format("recovered {} is kept again\n", printable(one.config.path)));
                failed.clear();
                if (each_ && taken->kind != DuckDbKeeper::Taken::Kind::nothing) tell(session, one, *taken, took);
            } else if (taken.error().code != ErrorCode::cancelled && taken.error().message != failed) {
                failed = taken.error().message;
                tell_failed(session, one, taken.error());
            }
            due = std::max(due + every, session.clock.instant());
            if (!taken) due = session.clock.instant() + std::max<Duration>(every, 2s);
            wait_at_door(session.clock, door, due);
        }
    }

    // Until the next look is due, or the owner of the database asks for one.
    static void wait_at_door(Clock& clock, Result<source::DuckDbDoor>& door, Instant due) {
        if (!door) return wait_until(clock, due);
        while (!os::stop_requested() && clock.instant() < due)
            if (door->wait(std::min<Duration>(due - clock.instant(), 200ms))) return;
    }

    void verify_on(const Session& session, const Watched& one, DuckDbKeeper& keeper) {
        const Duration every = std::chrono::minutes(one.config.verify_every_minutes);
        if (every == Duration::zero()) return;
        std::string last;    // the same state once is enough
        while (!os::stop_requested()) {
            const DuckDbState newest = keeper.newest();
            const bool too_early = newest.generation == 0;
            if (!too_early && newest.name() != last) {
                const auto verified = keeper.verify(depth(one));
                last = verified ? DuckDbState{static_cast<std::uint32_t>((*verified)["generation"].natural()),
                                              (*verified)["commits"].natural(),
                                              {}}
                                      .name()
                                : "";
                if (verified || verified.error().code != ErrorCode::cancelled) tell_verified(session, one, verified);
            }
            wait_until(session.clock, session.clock.instant() + (too_early ? Duration(1s) : every));
        }
    }

    static void wait_until(Clock& clock, Instant due) {
        while (!os::stop_requested() && clock.instant() < due)
            clock.sleep(std::min<Duration>(due - clock.instant(), 200ms));
    }

    void tell(const Session& session, const Watched& one, const DuckDbKeeper::Taken& taken, double took) {
        const bool blocks = taken.kind == DuckDbKeeper::Taken::Kind::blocks;
        say(session,
            json::Value::object({{"event", "kept"},
                                 {"path", one.config.path},
                                 {"state", taken.state.name()},
                                 {"time", to_rfc3339(taken.state.at)},
                                 {"blocks", std::uint64_t(taken.blocks)},
                                 {"bytes", taken.bytes},
                                 {"tries", std::uint64_t(taken.tries)},
                                 {"seconds", took}}),
            fmt::format("kept      {} as state {}: {}{}\n", printable(one.config.path), taken.state.name(),
                        human_size(taken.bytes), blocks ? fmt::format(", {} blocks", taken.blocks) : ""));
    }
    void tell_verified(const Session& session, const Watched& one, const Result<json::Value>& verified) {
        if (!verified) return tell_failed(session, one, verified.error());
        json::Value event = json::Value::object({{"event", "verified"}, {"path", one.config.path}});
        for (const auto& [key, value] : verified->members()) event.set(key, value);
        say(session, event,
            fmt::format("verified  {} as of {}: {} tables\n", printable(one.config.path), (*verified)["at"].text(),
                        (*verified)["facts"]["tables"].items().size()));
    }
    void tell_failed(const Session& session, const Watched& one, const Error& error) {
        json::Value event = json::Value::object({{"event", "failed"},
                                                 {"path", one.config.path},
                                                 {"code", std::string(facts(error.code).name)},
                                                 {"message", error.message}});
        if (!error.hint.empty()) event.set("hint", error.hint);
        say(session, event,
            fmt::format("failed    {}\n{}", printable(error.message),
                        error.hint.empty() ? "" : fmt::format("          {}\n", error.hint)));
    }
    void say(const Session& session, const json::Value& event, const std::string& text) {
        const std::scoped_lock lock(mutex_);
        const bool bad = event["event"].text() == "failed";
        if (session.global.json)
            print(json::dump(event) + "\n");
        else if (!session.global.quiet || bad)
            print(text);
        std::fflush(stdout);    // whoever reads waits for it
    }

    std::mutex mutex_;
    std::string database_;
    bool once_ = false, each_ = false;
};

// ---- states

json::Value states_json(const source::KeptStates& states) {
    json::Value one = json::Value::object({{"generation", std::uint64_t(states.generation.number)},
                                           {"from", to_rfc3339(states.generation.at)},
                                           {"until", to_rfc3339(states.until())},
                                           {"commits", states.commits()},
                                           {"file_bytes", states.generation.file_bytes},
                                           {"log_bytes", states.log_bytes()},
                                           {"blocks_stored", std::uint64_t(states.generation.stored)}});
    if (!states.verified.is_null()) one.set("verified", states.verified);
    return one;
}

class DuckDbStatesCommand final : public Command {
    std::string_view name() const override { return "duckdb states"; }
    std::string_view help() const override { return "list the kept states of a DuckDB file"; }
    std::string_view examples() const override {
        return R"(A generation begins with a checkpoint; "12+340" is generation 12 with the first 340 commits of its log. Every commit is a state.

Examples
  holdfast duckdb states trades
  holdfast duckdb states /srv/trades.duckdb --commits      each moment that was kept, not only the generations
)";
    }
    void declare(Options& options) override {
        options.argument("DATABASE", database_, Options::Need::required, k_database_help);
        options.flag("--commits", commits_, "each moment that was kept");
    }
    Result<int> run(const Session& session) override {
        HF_TRY(const Watched one, find_watched(session, database_));
        HF_TRY(const auto kept, DuckDbStates(one.folder).list());
        json::Value list = json::Value::array();
        Table table({"State", "From", "Until", "Commits", "Stored", "Verified"},
                    {false, false, false, true, true, false});
        for (const auto& states : kept.states) {
            json::Value entry = states_json(states);
            if (commits_) {
                json::Value moments = json::Value::array();
                for (const auto& frame : states.frames) {
                    const DuckDbState state{states.generation.number, frame.commits, frame.at};
                    moments.push(json::Value::object({{"state", state.name()}, {"time", to_rfc3339(frame.at)}}));
                    table.row({state.name(), local_time(frame.at), "", fmt::format("{}", frame.commits),
                               human_size(frame.bytes), ""});
                }
                entry.set("states", std::move(moments));
            } else {
                const std::uint64_t stored =
                    std::uint64_t(states.generation.stored) * states.generation.block_size + states.log_bytes();
                table.row({fmt::format("{}", states.generation.number), local_time(states.generation.at),
                           local_time(states.until()), fmt::format("{}", states.commits()), human_size(stored),
                           states.verified.is_null()
                               ? ""
                               : "at +" + fmt::format("{}", states.verified["commits"].natural())});
            }
            list.push(std::move(entry));
        }
        if (kept.states.empty() && kept.damaged == 0 && !os::exists(one.config.path))
            return fail(ErrorCode::not_found,
                        fmt::format("there is no database {}, and no state of it is kept", one.config.path),
                        "name a [[duckdb]] of holdfast.toml, or the path of its file");
        if (session.global.json) {
            print_json(json::Value::object({{"path", one.config.path},
                                            {"folder", one.folder},
                                            {"damaged", std::uint64_t(kept.damaged)},
                                            {"generations", std::move(list)}}));
        } else if (kept.states.empty()) {
            print(fmt::format("no state of {} is kept in {}\n", printable(one.config.path), printable(one.folder)));
        } else {
            print(table.text(1));
        }
        if (kept.damaged > 0 && !session.global.json)
            print_note(fmt::format("{} generations in {} are damaged and left out\n", kept.damaged, one.folder));
        return kept.damaged > 0 ? 1 : 0;
    }
    std::string database_;
    bool commits_ = false;
};

// ---- restore

class DuckDbRestoreCommand final : public Command {
    std::string_view name() const override { return "duckdb restore"; }
    std::string_view help() const override { return "bring a kept state of a DuckDB file back, of any moment"; }
    std::string_view examples() const override {
        return R"(The newest state, or the last one before a moment, is written beside the database, opened and read through by libduckdb, and only then
put in its place by rename. What is there goes aside with its logs. For a state in the vault: `holdfast restore`.

Examples
  holdfast duckdb restore trades --dry-run
  holdfast duckdb restore trades --replace                              the newest state
  holdfast duckdb restore trades --at "2026-11-27 14:03:20" --replace   as it was then
  holdfast duckdb restore trades --state 12+340 --to /tmp/look.duckdb   one commit, elsewhere
  holdfast duckdb restore trades --verified --replace                   the newest that was read through before
)";
    }
    void declare(Options& options) override {
        options.argument("DATABASE", database_, Options::Need::required, k_database_help);
        options.value("--at", at_, "TIME", "the last state at or before this moment");
        options.value("--state", state_, "STATE", "as `duckdb states` names it: \"12\" or \"12+340\"");
        options.flag("--verified", verified_, "the newest state that libduckdb has read through");
        options.value("--to", to_, "FILE", "write it there, and leave the database alone");
        options.flag("--replace", replace_, "put what is there aside, and take its place");
        options.flag("-n,--dry-run", dry_run_, "only say what would be done");
    }
    Result<int> run(const Session& session) override {
        if (int(!at_.empty()) + int(!state_.empty()) + int(verified_) > 1)
            return fail(ErrorCode::usage, "--at, --state and --verified name different states", "give one of them");
        HF_TRY(const Watched one, find_watched(session, database_));
        const DuckDbStates states(one.folder);
        HF_TRY(const auto at, parse_time(at_, "--at"));
        HF_TRY(const DuckDbState state, verified_         ? states.find_verified()
                                        : !state_.empty() ? states.find(std::string_view(state_))
                                                          : states.find(at));
        recovery::DuckDbBack back{
            .target = to_.empty() ? one.config.path : os::absolute_path(to_),
            .existing = replace_ ? recovery::WhenExisting::switch_over : recovery::WhenExisting::refuse,
            .clock = session.clock,
            .say = [&](std::string_view text) {
                if (session.people()) print_note(fmt::format("{}\n", text));
            }};
        HF_TRY(const auto origin, origin_of(states, state, one));
        json::Value report = json::Value::object({{"state", state.name()}, {"time", to_rfc3339(state.at)}});
        if (dry_run_) {
            HF_TRY(const auto steps, recovery::plan_duckdb_back(back, origin));
            json::Value list = json::Value::array();
            std::string text = fmt::format("state {} of {}\n", state.name(), local_time(state.at));
            for (const auto& step : steps) {
                list.push(
                    json::Value::object({{"what", step.what}, {"bytes", step.bytes}, {"replaces", step.replaces}}));
                text += fmt::format("  {} {}\n", step.replaces ? "replaces:" : "-", step.what);
            }
            if (session.global.json)
                print_json(report.set("steps", std::move(list)));
            else
                print(text);
            return 0;
        }
        const auto made = recovery::put_duckdb_back(back, origin);
        if (!made) return damaged(made.error(), one);
        const json::Value& done = *made;
        for (const auto& [key, value] : done.members()) report.set(key, value);
        if (session.global.json) {
            print_json(report);
        } else if (!session.global.quiet) {
            print(fmt::format("{} is as of {} (state {}), read through by libduckdb\n", printable(back.target),
                              local_time(state.at), state.name()));
            for (const json::Value& table : done["tables"].items())
                print(fmt::format("  {}.{}: {} rows\n", printable(table["schema"].text()),
                                  printable(table["name"].text()), table["rows"].natural()));
            if (!done["old_one_is_at"].is_null())
                print(fmt::format("the old one is at {}\n", printable(done["old_one_is_at"].text())));
        }
        return 0;
    }

    // What the state must hold is known when it is exactly the one that was verified.
    static Result<recovery::DuckDbOrigin> origin_of(const DuckDbStates& states, const DuckDbState& state,
                                                    const Watched& one) {
        recovery::DuckDbOrigin origin;
        origin.id = fmt::format("{:08}", state.generation);
        HF_TRY(const auto kept, states.list());
        for (const auto& found : kept.states) {
            if (found.generation.number != state.generation) continue;
            origin.file_bytes = found.generation.file_bytes;
            if (state.commits > 0) origin.log_bytes = found.log_bytes();    // at most
            if (!found.verified.is_null() && found.verified["commits"].natural() == state.commits) {
                origin.facts = found.verified["facts"];
                origin.facts.set("proof", one.config.proof == policy::Proof::digest  ? "digest"
                                          : one.config.proof == policy::Proof::count ? "count"
                                                                                     : "none");
            }
        }
        origin.write = [states, state](const std::string& to) -> Status {
            HF_TRY([[maybe_unused]] const auto written, states.write(state, to, true));
            return {};
        };
        return origin;
    }

    std::string database_, at_, state_, to_;
    bool verified_ = false, replace_ = false, dry_run_ = false;
};

// ---- repair

class DuckDbRepairCommand final : public Command {
    std::string_view name() const override { return "duckdb repair"; }
    std::string_view help() const override {
        return "is the log of a DuckDB file damaged? open it up to the last whole commit";
    }
    std::string_view examples() const override {
        return R"(Says whether X.wal is damaged, where, and exactly which commits are lost; DuckDB refuses such a database, or drops commits without a
word. With --replace a copy with the whole commits is made, read through by libduckdb, and takes the database's place; the database
with its damaged log goes aside. While a program has the database open nothing is lost yet: let it CHECKPOINT instead.

Exit status: 0 whole or repaired, 1 damaged.

Examples
  holdfast duckdb repair trades
  holdfast duckdb repair /srv/trades.duckdb --replace
)";
    }
    void declare(Options& options) override {
        options.argument("DATABASE", database_, Options::Need::required, k_database_help);
        options.flag("--replace", replace_, "put what is there aside, and the repaired one in its place");
    }
    Result<int> run(const Session& session) override {
        HF_TRY(const Watched one, find_watched(session, database_));
        const std::string& path = one.config.path;
        {
            HF_TRY([[maybe_unused]] const os::Fd nobody_has_it, recovery::lock_duckdb(path));
        }
        const auto examined = recovery::examine_duckdb_logs(path);
        if (!examined) return damaged(examined.error(), one);
        const recovery::DuckDbLogs& logs = *examined;
        json::Value report = json::Value::object({{"path", path},
                                                  {"damaged", logs.damaged()},
                                                  {"commits", logs.mended_commits},
                                                  {"log", logs.log.to_json()},
                                                  {"checkpoint_log", logs.checkpoint_log.to_json()}});
        if (!session.global.json && !session.global.quiet) {
            print(fmt::format("{}.wal: {}\n", printable(path), printable(logs.log.text())));
            if (logs.checkpoint_log.damaged())
                print(fmt::format("{}.wal.checkpoint: {}\n", printable(path), printable(logs.checkpoint_log.text())));
        }
        if (!logs.damaged() || !replace_) {
            if (session.global.json)
                print_json(report);
            else if (logs.damaged())
                print_note("nothing was changed: --replace repairs it\n");
            return logs.damaged() ? 1 : 0;
        }
        const recovery::DuckDbBack back{.target = path,
                                        .existing = recovery::WhenExisting::switch_over,
                                        .clock = session.clock,
                                        .say = [&](std::string_view text) {
                                            if (session.people()) print_note(fmt::format("{}\n", text));
                                        }};
        HF_TRY(const json::Value done, recovery::put_duckdb_back(back, recovery::mended_duckdb(logs)));
        report.set("old_one_is_at", done["old_one_is_at"]).set("tables", done["tables"]);
        if (session.global.json)
            print_json(report);
        else if (!session.global.quiet)
            print(fmt::format("{} is repaired; as it was it lies at {}, with its log\n", printable(path),
                              printable(done["old_one_is_at"].text())));
        return 0;
    }
    std::string database_;
    bool replace_ = false;
};

}    // namespace

std::vector<std::unique_ptr<Command>> duckdb_commands() {
    std::vector<std::unique_ptr<Command>> all;
    all.push_back(std::make_unique<DuckDbWatchCommand>());
    all.push_back(std::make_unique<DuckDbStatesCommand>());
    all.push_back(std::make_unique<DuckDbRestoreCommand>());
    all.push_back(std::make_unique<DuckDbRepairCommand>());
    all.push_back(duckdb_rebuild_command());
    return all;
}

}    // namespace holdfast::cli
