// holdfast-demo: a trading desk's four stores, its configuration and its logs are filled, backed up by the real holdfast,
// changed, backed up again, destroyed, and restored; then compared by queries that share nothing with holdfast.
//
//   proven   PostgreSQL, Redis, ClickHouse, files: nobody writes between the count and the second backup, so every row
//            counted then must be there again. DuckDB: its writer never pauses, so the copy must be the state after some
//            commit k: all of 1 ... k, each as it lay on the live disk, k between the last commit acknowledged before
//            the backup and the last one acknowledged after it.
//   exit     0 all equal; 1 anything differs or fails; 130 stopped

#include <fmt/core.h>
#include <stdlib.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <functional>
#include <optional>
#include <string_view>

#include "demo_report.hpp"
#include "demo_stack.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/os/process.hpp"

namespace {

using namespace holdfast;
using namespace std::chrono_literals;

constexpr std::string_view k_help =
    R"(usage: holdfast-demo [--keep] [--holdfast PATH]
Starts scratch Redis, PostgreSQL, ClickHouse and a DuckDB writer on free ports of 127.0.0.1, fills them with trades,
backs them up, changes one per cent, backs up again, kills and wipes everything, restores it and compares.

  --keep             keeps the folder with the repository and the restored files
  --holdfast PATH    the program to show (the one beside this one)
)";

double since(std::chrono::steady_clock::time_point begin) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

void tell(std::string_view text) {
    fmt::print("{}\n", text);
    std::fflush(stdout);
}

// Says what is about to happen, does it, says how long it took.
template <class Work>
auto step(std::string_view what, const Work& work) -> decltype(work()) {
    if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped by a signal");
    fmt::print("{} {} … ", demo::bold("•"), what);
    std::fflush(stdout);
    const auto begin = std::chrono::steady_clock::now();
    auto result = work();
    tell(result ? fmt::format("{:.1f} s", since(begin)) : demo::red("failed"));
    return result;
}

// Which components failed and why, out of what holdfast printed with --json; all of it when it is something else.
std::string failures(const std::string& output) {
    const auto document = json::parse(output, "holdfast's answer");
    std::string text;
    const auto add = [&](std::string_view name, const json::Value& error) {
        if (!error.is_object()) return;
        text += fmt::format("\n  {}{}", name, error["message"].text());
        if (!error["hint"].text().empty()) text += fmt::format("\n    {}", error["hint"].text());
    };
    if (document) {
        add("", (*document)["error"]);
        for (const json::Value& component : (*document)["components"].items())
            add(component["name"].text() + ": ", component["error"]);
    }
    return text.empty() ? "\n" + output : text;
}

class Holdfast {
public:
    Holdfast(std::string program, std::string folder) : program_(std::move(program)), folder_(std::move(folder)) {}

    std::string repository() const { return folder_ + "/vault"; }
    std::string password_file() const { return folder_ + "/password"; }
    std::string config_file() const { return folder_ + "/holdfast.toml"; }

    /// Runs a command with the demo's configuration; `meanwhile` is called every few milliseconds.
    Result<demo::Run> run(std::string what, const std::vector<std::string>& words,
                          const std::function<Status()>& meanwhile = {}) const {
        os::Command command;
        command.arguments = {program_, "--config", config_file(), "--json"};
        command.arguments.insert(command.arguments.end(), words.begin(), words.end());
        command.output_file = folder_ + "/" + words[0] + ".json";
        HF_DO(os::remove_tree(command.output_file));
        const auto begin = std::chrono::steady_clock::now();
        HF_TRY(os::Process process, os::Process::start(command));
        std::optional<os::ExitStatus> status;
        while (!status) {
            if (const auto ended = process.wait(10ms))
                status = *ended;
            else if (ended.error().code != ErrorCode::unreachable)
                return fail(ended.error());
            if (meanwhile) HF_DO(meanwhile());
            if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped by a signal");
        }
        demo::Run run{std::move(what), since(begin), {}};
        HF_TRY(const std::string output, os::read_text(command.output_file));
        if (!status->ok())
            return fail(ErrorCode::store, fmt::format("`holdfast {}`: {}{}\n{}", words[0], status->text(),
                                                      failures(output), process.errors()));
        HF_TRY(run.document, json::parse(output.empty() ? "{}" : output, "holdfast's answer"));
        return run;
    }

private:
    std::string program_, folder_;
};

Status set_up(const Holdfast& holdfast, const demo::Stack& stack) {
    HF_DO(os::write_file(holdfast.password_file(), as_bytes("a password of the demo\n")));
    return os::write_file(holdfast.config_file(),
                          as_bytes(stack.configuration(holdfast.repository(), holdfast.password_file())));
}

void tell_end(const demo::Evidence& evidence, const demo::Verdict& verdict, const std::vector<demo::Run>& runs,
              double seconds) {
    std::uint64_t rows = 0;
    for (const auto& counted : evidence.before) rows += counted.rows;
    for (const auto& batch : evidence.duckdb_after) rows += batch.rows;
    tell(fmt::format("\n{}\n{}\n{}", verdict.table, demo::cost_table(runs), demo::increment_table(runs[1], runs[2])));
    const auto sum = [&](std::size_t first, std::size_t last, const char* member) {
        double total = 0;
        for (std::size_t i = first; i <= last; ++i) total += runs[i].document["summary"][member].number();
        return total;
    };
    const auto ratio = [&](std::size_t first, std::size_t last, const char* of, const char* to) {
        return sum(first, last, of) / std::max(sum(first, last, to), 1.0);
    };
    tell(fmt::format(
        "  deduplication: of what the second backup read, one byte in {:.1f} was new; with compression it stored one "
        "in {:.0f}\n  both backups together: deduplicated {:.1f} to 1, with compression {:.1f} to 1\n",
        ratio(2, 2, "bytes", "bytes_added"), ratio(2, 2, "bytes", "bytes_stored"), ratio(1, 2, "bytes", "bytes_added"),
        ratio(1, 2, "bytes", "bytes_stored")));
    tell(verdict.equal ? demo::green(fmt::format("All {} rows, keys and files are back and equal; {:.0f} s in all.",
                                                 demo::grouped(rows), seconds))
                       : demo::red("Something is NOT equal: see above."));
}

Result<bool> show(const Holdfast& holdfast, const std::string& folder) {
    const auto begin = std::chrono::steady_clock::now();
    std::vector<demo::Run> runs(5);
    demo::Evidence evidence;
    HF_TRY(const auto stack, step("Starting Redis, PostgreSQL and ClickHouse on free ports of 127.0.0.1",
                                  [&] { return demo::Stack::start(folder); }));
    HF_DO(step("Filling them, a DuckDB file, configuration and logs with trades; DuckDB's writer goes on committing",
               [&] { return stack->fill(); }));
    HF_DO(set_up(holdfast, *stack));
    HF_TRY(runs[0], step("holdfast init: an encrypted vault in the restic format",
                         [&] { return holdfast.run("init", {"init"}); }));
    HF_TRY(runs[1], step("holdfast backup: everything into one snapshot, the stores stay up",
                         [&] { return holdfast.run("first backup", {"backup"}); }));
    HF_DO(step("Changing one per cent of everything: rows added, updated, deleted", [&] { return stack->change(); }));
    HF_TRY(evidence.before,
           step("Counting and digesting what the stores hold, by their own queries", [&] { return stack->count(); }));
    evidence.acknowledged_before = stack->acknowledged();
    HF_TRY(runs[2], step("holdfast backup again", [&] { return holdfast.run("second backup", {"backup"}); }));
    evidence.acknowledged_after = stack->acknowledged();
    HF_TRY(evidence.duckdb_before, step("kill -9: all four at once, DuckDB's writer in the middle of its work", [&] {
               stack->crash();
               return stack->prove_duckdb();
           }));
    HF_DO(step("Wiping every data directory, the configuration and the logs; empty servers in their place",
               [&] { return stack->wipe(); }));
    HF_TRY(runs[3], step("holdfast restore latest", [&] {
               return holdfast.run("restore, compared by holdfast", {"restore", "latest", "--yes"},
                                   [&] { return stack->start_redis_if_asked(); });
           }));
    HF_TRY(evidence.after, step("Counting and digesting again", [&] { return stack->count(); }));
    HF_TRY(evidence.duckdb_after, stack->prove_duckdb());
    HF_TRY(runs[4], step("holdfast check --read-data: every byte of the vault",
                         [&] { return holdfast.run("check --read-data", {"check", "--read-data"}); }));
    const demo::Verdict verdict = demo::compare(evidence);
    tell_end(evidence, verdict, runs, since(begin));
    return verdict.equal;
}

Result<bool> run(const std::string& program, bool keep) {
    if (!os::exists(program))
        return fail(ErrorCode::not_found, fmt::format("there is no holdfast at {}", program),
                    "build it with `./run build`, or name it with --holdfast");
    std::optional<os::TempFolder> temporary;
    std::string folder;
    if (keep) {
        folder = os::environment("TMPDIR").value_or("/tmp") + "/holdfast-demo-XXXXXX";
        if (::mkdtemp(folder.data()) == nullptr) return fail(errno_error(errno, "cannot make " + folder));
    } else {
        HF_TRY(temporary, os::TempFolder::create("holdfast-demo"));
        folder = temporary->path();
    }
    const Holdfast holdfast(program, folder);
    auto equal = show(holdfast, folder);
    if (keep)
        tell(
            fmt::format("\nThe folder {} is kept. Try next:\n  {} snapshots --repo {} --password-file {}\n"
                        "  {} ls latest --repo {} --password-file {}",
                        folder, program, holdfast.repository(), holdfast.password_file(), program,
                        holdfast.repository(), holdfast.password_file()));
    return equal;
}

int report(const Error& error) {
    fmt::print(stderr, "holdfast-demo: {}\n", error.message);
    if (!error.hint.empty()) fmt::print(stderr, "  {}\n", error.hint);
    return error.code == ErrorCode::cancelled ? facts(error.code).exit_status : 1;
}

}    // namespace

int main(int argc, char** argv) {
    std::string program = os::parent_folder(os::own_program()) + "/holdfast";
    bool keep = false;
    if (argc == 5 && argv[1] == std::string_view("--duckdb-writer"))
        return testing::run_trades_writer(argv[2], std::strtoull(argv[3], nullptr, 10),
                                          std::strtoull(argv[4], nullptr, 10));
    for (int i = 1; i < argc; ++i) {
        const std::string_view word = argv[i];
        if (word == "--keep")
            keep = true;
        else if (word == "--holdfast" && i + 1 < argc)
            program = os::absolute_path(argv[++i]);
        else {
            fmt::print(word == "--help" ? stdout : stderr, "{}", k_help);
            return word == "--help" ? 0 : 2;
        }
    }
    os::install_signal_handlers();
    const auto equal = run(program, keep);
    if (!equal) return report(equal.error());
    return *equal ? 0 : 1;
}
