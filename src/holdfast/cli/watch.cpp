// `holdfast watch`: what has on_change in the configuration is backed up right after it changed.

#include <fmt/core.h>
#include <poll.h>

#include <algorithm>
#include <cstdio>

#include "holdfast/cli/commands.hpp"
#include "holdfast/cli/mirrors.hpp"
#include "holdfast/cli/newest.hpp"
#include "holdfast/cli/output.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/os/service.hpp"
#include "holdfast/policy/retry.hpp"
#include "holdfast/source/postgres_changes.hpp"
#include "holdfast/source/stack.hpp"

namespace holdfast::cli {
namespace {

using namespace std::chrono_literals;

// One client of one server: it needs not step aside for others, and never gives up.
constexpr policy::RetryRule k_retry{1s, 60s, Duration::max(), 0};

// One component, and what is known of it.
struct Watched {
    const policy::PostgresConfig* config = nullptr;
    std::optional<source::PostgresChanges> changes;    // nullopt: not connected
    std::string saved;    // the mark of the newest snapshot
    Instant due{};    // of the next look
    unsigned failures = 0;    // in a row
};

void say(const std::string& text) {
    print(text);
    std::fflush(stdout);    // whoever reads waits for it
}

class Watch {
public:
    Watch(const Session& session, const policy::Config& config, bool no_mirror)
        : session_(session), config_(config), no_mirror_(no_mirror) {
        for (const policy::PostgresConfig& one : config.postgres)
            if (one.on_change) {
                Watched watched;
                watched.config = &one;
                watched.due = session.clock.instant();
                all_.push_back(std::move(watched));
            }
    }
    bool empty() const { return all_.empty(); }
    std::size_t size() const { return all_.size(); }

    // What the newest snapshot has of each; a repository that does not answer is met again at the backup.
    Status learn() {
        HF_TRY(const auto repository, open_repository(session_, &config_));
        HF_TRY(const auto snapshots, repository->snapshots([](const Id&, const Error&) {}));
        HF_DO(repository->load_index());
        const auto newest = newest_of_each(*repository, snapshots);
        for (Watched& one : all_)
            if (const auto found = newest.find(fmt::format("{}: {}", source::stack_name(config_), one.config->name));
                found != newest.end())
                one.saved = found->second.facts["change_mark"].text();
        return {};
    }

    /// Looks at what is due. false: something failed.
    bool look() {
        bool good = true;
        for (Watched& one : all_) {
            if (os::stop_requested()) return good;
            if (one.due > session_.clock.instant()) continue;
            const Status looked = look(one);
            one.due = session_.clock.instant() + std::chrono::seconds(one.config->look_again_seconds);
            if (looked) {
                one.failures = 0;
                continue;
            }
            if (looked.error().code == ErrorCode::cancelled) return good;
            good = false;
            one.changes.reset();
            // Told once, not at every attempt.
            if (++one.failures == 1) tell_failure(one, looked.error());
            one.due = session_.clock.instant() +
                      policy::wait_before_retry(k_retry, one.failures, {}, 0).value_or(k_retry.longest);
        }
        return good;
    }

    // Until something is told or due.
    void wait() {
        std::vector<pollfd> sockets;
        Instant due = session_.clock.instant() + 500ms;
        for (const Watched& one : all_) {
            due = std::min(due, one.due);
            if (!one.changes) continue;
            for (const int socket : one.changes->sockets()) sockets.push_back({socket, POLLIN, 0});
        }
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(due - session_.clock.instant()).count();
        if (left > 0) ::poll(sockets.data(), sockets.size(), static_cast<int>(left));
        for (Watched& one : all_) {
            if (!one.changes) continue;
            const auto told = one.changes->told();
            if (!told) one.changes.reset();    // opened again by the look
            if (!told || *told) one.due = session_.clock.instant();
        }
    }

private:
    Status look(Watched& one) {
        if (!one.changes) {
            HF_TRY(one.changes, [&]() -> Result<std::optional<source::PostgresChanges>> {
                HF_TRY(auto opened, source::PostgresChanges::open(*one.config));
                return std::optional(std::move(opened));
            }());
        }
        HF_TRY(const std::string mark, one.changes->mark());
        if (mark == one.saved) return {};
        return back_up(one);
    }

    Status back_up(Watched& one) {
        // Opened for each: what others stored or pruned meanwhile is then known.
        HF_TRY(const auto repository, open_repository(session_, &config_));
        source::StackOptions options;
        options.only = {one.config->name};
        options.tags = {std::string(source::k_on_change_tag)};
        options.after_change = true;
        options.program_version = program_version();
        const Instant started = session_.clock.instant();
        HF_TRY(const auto report, source::backup_stack(config_, *repository, options));
        const auto& component = report.components.at(0);
        if (!component.complete) return fail(*component.error);
        one.saved = component.facts["change_mark"].text();
        const Onward onward = send_onward(session_, &config_, *repository, no_mirror_);
        const double took = seconds(session_.clock.instant() - started);
        if (session_.global.json) {
            json::Value event = json::Value::object({{"event", "saved"},
                                                     {"component", one.config->name},
                                                     {"snapshot", report.snapshot.hex()},
                                                     {"bytes", component.bytes},
                                                     {"seconds", took}});
            onward.add_to(event);
            say(json::dump(event) + "\n");
        } else {
            if (!session_.global.quiet)
                say(fmt::format("saved     {} as snapshot {} in {}\n", one.config->name, report.snapshot.brief(),
                                human_duration(took)));
            onward.print(session_);
        }
        return {};
    }

    void tell_failure(const Watched& one, const Error& error) {
        if (session_.global.json) {
            json::Value event = error_json(error);
            event.set("event", "failed");
            event.set("component", one.config->name);
            say(json::dump(event) + "\n");
            return;
        }
        say(fmt::format("failed    {}: {}\n", one.config->name, printable(error.message)));
        if (!error.hint.empty()) say(fmt::format("          {}\n", error.hint));
    }

    const Session& session_;
    const policy::Config& config_;
    const bool no_mirror_;
    std::vector<Watched> all_;
};

class WatchCommand final : public Command {
    std::string_view name() const override { return "watch"; }
    std::string_view help() const override { return "back up credentials and the like right after each change"; }
    std::string_view examples() const override {
        return R"(Every [[postgres]] with on_change = true is watched until the program is stopped (SIGTERM, Ctrl-C): after each change of its
tables or roles it is backed up, and its snapshot is tagged on-change. A change is seen at its COMMIT where the tables have the
triggers of --trigger-sql, else within look_again_seconds. `restore latest` means the stack; with --only NAME the newest of these counts.

Under systemd: Type=notify (docs/operations/credentials.md has a unit). With --json each event is one line.

Examples
  holdfast watch
  holdfast watch --once                     back up what changed since its newest snapshot, and end; for cron
  holdfast watch --trigger-sql | psql       the tables tell of their changes from now on
  holdfast forget --tag on-change --keep-last 30
)";
    }
    void declare(Options& options) override {
        options.flag("--once", once_,
                     "look once, back up what has changed, and end; exit status 1 when something failed");
        options.flag("--trigger-sql", trigger_sql_,
                     "print the triggers that tell of changes, for psql; changes nothing");
        options.flag("--no-mirror", no_mirror_, "send nothing to the mirrors");
    }
    Result<int> run(const Session& session) override {
        HF_TRY(const LoadedConfig loaded, load_config(session.global));
        Watch watch(session, loaded.config, no_mirror_);
        if (watch.empty())
            return fail(ErrorCode::config, fmt::format("nothing in {} has on_change = true", loaded.file),
                        "add on_change = true and tables = [\"auth.*\"] to a [[postgres]]");
        if (trigger_sql_) {
            for (const policy::PostgresConfig& one : loaded.config.postgres) {
                if (!one.on_change) continue;
                HF_TRY(const std::string sql, source::trigger_sql(one));
                print(sql);
            }
            return 0;
        }
        HF_DO(watch.learn());
        if (once_) return watch.look() ? 0 : 1;
        os::tell_service_manager("READY=1");
        if (session.global.json)
            say(json::dump(json::Value::object({{"event", "watching"}, {"components", std::uint64_t(watch.size())}})) +
                "\n");
        else if (!session.global.quiet)
            say(fmt::format("watching  {} {}\n", watch.size(), watch.size() == 1 ? "component" : "components"));
        while (!os::stop_requested()) {
            watch.look();
            watch.wait();
        }
        os::tell_service_manager("STOPPING=1");
        return 0;
    }
    bool once_ = false, trigger_sql_ = false, no_mirror_ = false;
};

}    // namespace

std::unique_ptr<Command> watch_command() { return std::make_unique<WatchCommand>(); }

}    // namespace holdfast::cli
