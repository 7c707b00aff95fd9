// hf-bench-duckdb: states of a live DuckDB file beside `cp` and fsync of it, in turns.
//
//   hf-bench-duckdb [--rounds N] [--mib N] [--in FOLDER] [--latency SECONDS]
//
// Per round: cp + fsync; a state when nothing was committed; one after a commit of 100 rows; one after 1 % of the rows were
// updated and checkpointed; a state written to a file of its own + fsync, opened and asked. The same database into two
// vaults, out of kept states and read whole, first and after 1 %. Then the commits of a writer, with and without a keeper
// that looks every 500 ms, in windows that alternate. Medians of wall and processor time; what counts are the ratios.

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <map>
#include <thread>
#include <vector>

#include "holdfast/db/duckdb_library.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/os/process.hpp"
#include "holdfast/source/capture.hpp"
#include "holdfast/source/duckdb_keeper.hpp"

using namespace holdfast;
using namespace std::chrono_literals;

namespace {

template <class T>
T need(Result<T> result) {
    if (result) return *std::move(result);
    fmt::print(stderr, "{}\n{}\n", result.error().message, result.error().hint);
    std::exit(1);
}
void need(const Status& status) {
    if (status) return;
    fmt::print(stderr, "{}\n", status.error().message);
    std::exit(1);
}

double median(std::vector<double> all) {
    std::ranges::sort(all);
    return all.empty() ? 0 : all[all.size() / 2];
}

double processor_seconds() {
    double sum = 0;
    for (const int who : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
        rusage used{};
        ::getrusage(who, &used);
        for (const timeval& t : {used.ru_utime, used.ru_stime})
            sum += static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
    }
    return sum;
}

os::SystemClock g_clock;

struct Line {
    std::vector<double> wall, processor;
    template <class Work>
    void time(Work&& work) {
        const double before = processor_seconds();
        const Instant from = g_clock.instant();
        work();
        wall.push_back(seconds(g_clock.instant() - from) * 1e3);
        processor.push_back((processor_seconds() - before) * 1e3);
    }
};

// In a process of its own: this one must never open the database as DuckDB does.
void sql(const std::string& file, const std::string& text) {
    os::Command command;
    command.arguments = {os::own_program(), "--sql", file, text};
    const auto done = need(os::run(command, {}, 120s));
    if (!done.status.ok()) {
        fmt::print(stderr, "{}: {}\n", text, done.errors);
        std::exit(1);
    }
}

int run_sql(const std::string& file, const std::string& text) {
    auto database = need(db::DuckDb::open(file, db::DuckDb::Mode::read_write));
    need(database.run(text));
    return 0;
}

// A process that has the database open for as long as this lives, and does what it is told, a line at a time.
class Owner {
public:
    explicit Owner(const std::string& file) : process_(need(os::Process::start(command(file)))) {}
    void run(const std::string& text) {
        need(os::write_all(process_.input(), as_bytes(text + "\n")));
        std::byte answer{};
        if (need(os::read_some(process_.output(), std::span(&answer, 1))) == 0) {
            fmt::print(stderr, "{}: {}\n", text, process_.errors());
            std::exit(1);
        }
    }

private:
    static os::Command command(const std::string& file) {
        os::Command command;
        command.arguments = {os::own_program(), "--own", file};
        command.input = os::Stream::pipe;
        return command;
    }
    os::Process process_;
};

int own(const std::string& file) {
    auto database = need(db::DuckDb::open(file, db::DuckDb::Mode::read_write));
    for (std::string line; std::getline(std::cin, line);) {
        need(database.run(line));
        if (::write(STDOUT_FILENO, "+", 1) != 1) return 1;
    }
    return 0;
}

// Commits one row after the other and says how long each took, until it is killed.
int write(const std::string& file) {
    auto database = need(db::DuckDb::open(file, db::DuckDb::Mode::read_write));
    need(database.run("CREATE TABLE IF NOT EXISTS w (i BIGINT, note VARCHAR)"));
    for (std::uint64_t i = 0;; ++i) {
        const std::string statement = fmt::format("INSERT INTO w VALUES ({0}, 'order {0}')", i);
        const Instant from = g_clock.instant();
        need(database.run(statement));
        const auto took = static_cast<std::uint32_t>((g_clock.instant() - from).count() / 1000);
        if (::write(STDOUT_FILENO, &took, sizeof took) != sizeof took) return 0;
        g_clock.sleep(1ms);
    }
}

void sync_file(const std::string& path) {
    const os::Fd fd = need(os::open_file(path, O_RDONLY));
    need(os::sync_fd(fd.get(), path));
}

void copy(const std::string& from, const std::string& to) {
    os::Command command;
    command.arguments = {"cp", from, to};
    need(os::run(command, {}, 120s));
    sync_file(to);
}

void print_line(const char* what, const Line& line, const Line& base) {
    fmt::print("{:<58} {:>9.2f} ms {:>7.1f} %   {:>9.2f} ms {:>7.1f} %\n", what, median(line.wall),
               100 * median(line.wall) / median(base.wall), median(line.processor),
               100 * median(line.processor) / median(base.processor));
}

void measure_states(const std::string& folder, int rounds, std::uint64_t mib) {
    const std::string file = folder + "/live.duckdb", cp = folder + "/cp.duckdb", back = folder + "/back.duckdb";
    const std::uint64_t rows = mib * 30500;
    sql(file, fmt::format(
                  "CREATE TABLE t AS SELECT i, hash(i) AS a, hash(i + 1) AS b, hash(i + 2) AS c, hash(i + 3) AS d FROM "
                  "range({}) r(i); CHECKPOINT",
                  rows));
    Owner owner(file);
    const source::DuckDbStates states(source::duckdb_states_folder(file));
    auto keeper = need(source::DuckDbKeeper::open({.path = file, .folder = states.folder(), .scratch = {}}, g_clock));
    Line copied, first, nothing, commit, checkpoint, restored, copied_query, restored_query;
    std::uint64_t blocks = 0;
    first.time([&] { need(keeper->take()); });
    for (int round = 0; round < rounds; ++round) {
        copied.time([&] { copy(file, cp); });
        copied_query.time([&] { sql(cp, "SELECT count(*), sum(a) FROM t WHERE i < 1000"); });
        nothing.time([&] { need(keeper->take()); });
        owner.run("INSERT INTO t SELECT i, i, i, i, i FROM range(100) r(i)");
        commit.time([&] {
            if (need(keeper->take()).kind != source::DuckDbKeeper::Taken::Kind::log && round > 0)
                fmt::print("(round {}: not only the log)\n", round);
        });
        const std::uint64_t at = (rows / 101) * static_cast<std::uint64_t>((round * 37) % 100);
        owner.run(fmt::format("UPDATE t SET b = b + 1 WHERE i >= {} AND i < {}; CHECKPOINT", at, at + rows / 100));
        source::DuckDbKeeper::Taken taken;
        checkpoint.time([&] { taken = need(keeper->take()); });
        blocks = std::max<std::uint64_t>(blocks, taken.blocks);
        restored.time([&] { need(states.write(taken.state, back, true)); });
        restored_query.time([&] { sql(back, "SELECT count(*), sum(a) FROM t WHERE i < 1000"); });
        ::unlink((back + ".wal").c_str());
    }
    fmt::print("file {}, {} rounds, at most {} blocks of {} stored after 1 %\n",
               human_size(static_cast<std::uint64_t>(need(os::status_of(file)).st_size)), rounds, blocks,
               need(os::status_of(file)).st_size / 262144);
    fmt::print("{:<58} {:>12} {:>9}   {:>12} {:>9}\n", "", "wall", "of cp", "processor", "of cp");
    print_line("cp + fsync", copied, copied);
    print_line("first state (every block)", first, copied);
    print_line("state, nothing committed", nothing, copied);
    print_line("state, 100 rows committed", commit, copied);
    print_line("state, 1 % of rows updated and checkpointed", checkpoint, copied);
    print_line("a state written as a file + fsync", restored, copied);
    for (std::size_t i = 0; i < restored.wall.size(); ++i) {
        copied.wall[i] += copied_query.wall[i];
        copied.processor[i] += copied_query.processor[i];
        restored.wall[i] += restored_query.wall[i];
        restored.processor[i] += restored_query.processor[i];
    }
    print_line("cp + fsync to the first query", copied, copied);
    print_line("a state to the first query", restored, copied);
}

// A backup out of kept states beside one that reads the file, each into a repository of its own.
struct Vault {
    explicit Vault(const std::string& folder) {
        auto made =
            vault::Repository::init(need(storage::open_backend(folder)), Secret("pw"), g_clock, {{1024, 8, 1}, {}});
        repository = need(std::move(made));
    }
    void back_up(const policy::DuckDbConfig& config, const std::string& scratch, bool out_of_kept) {
        need(repository->load_index(true));
        auto backup = need(vault::Backup::start(*repository, {}));
        source::CaptureContext context{*backup, g_clock, "duckdb", scratch};
        if (out_of_kept)
            context.earlier = [this]() -> std::optional<source::EarlierCopy> {
                if (facts.is_null()) return std::nullopt;
                return source::EarlierCopy{snapshot.snapshot.tree, facts};
            };
        facts = need(source::capture_duckdb(config, context));
        need(backup->commit());
        backup.reset();
        snapshot = need(repository->find_snapshot("latest"));
        if (out_of_kept != !facts["kept"].is_null()) fmt::print("(read otherwise: {})\n", facts["how"].text());
    }
    std::unique_ptr<vault::Repository> repository;
    vault::SnapshotEntry snapshot;
    json::Value facts;
};

void measure_backups(const std::string& folder, int rounds, std::uint64_t mib) {
    const std::string file = folder + "/saved.duckdb", cp = folder + "/cp.duckdb";
    const std::uint64_t rows = mib * 30500;
    sql(file, fmt::format(
                  "CREATE TABLE t AS SELECT i, hash(i) AS a, hash(i + 1) AS b, hash(i + 2) AS c, hash(i + 3) AS d FROM "
                  "range({}) r(i); CHECKPOINT",
                  rows));
    Owner owner(file);
    auto keeper = need(source::DuckDbKeeper::open(
        {.path = file, .folder = source::duckdb_states_folder(file), .scratch = {}}, g_clock));
    need(keeper->take());
    need(keeper->verify(db::DuckDbCheck::Depth::count));
    policy::DuckDbConfig config;
    config.name = "saved";
    config.path = file;
    Vault kept(folder + "/vault-kept"), whole(folder + "/vault-whole");
    Line copied, first_kept, first_whole, second_kept, second_whole;
    first_whole.time([&] { whole.back_up(config, folder + "/scratch", false); });
    first_kept.time([&] { kept.back_up(config, folder + "/scratch", true); });
    for (int round = 0; round < rounds; ++round) {
        const std::uint64_t at = (rows / 101) * static_cast<std::uint64_t>((round * 37) % 100);
        owner.run(fmt::format("UPDATE t SET b = b + 1 WHERE i >= {} AND i < {}; CHECKPOINT", at, at + rows / 100));
        need(keeper->take());    // what it costs is measured above
        copied.time([&] { copy(file, cp); });
        second_whole.time([&] { whole.back_up(config, folder + "/scratch", false); });
        second_kept.time([&] { kept.back_up(config, folder + "/scratch", true); });
    }
    fmt::print("backups of it into the vault\n");
    print_line("first backup, read and checked whole", first_whole, copied);
    print_line("first backup, out of kept states", first_kept, copied);
    print_line("1 % later, read and checked whole", second_whole, copied);
    print_line("1 % later, out of kept states", second_kept, copied);
}

void measure_latency(const std::string& folder, int seconds_in_all) {
    const std::string file = folder + "/busy.duckdb";
    sql(file, "CREATE TABLE t AS SELECT i, hash(i) AS a, hash(i + 1) AS b FROM range(4000000) r(i); CHECKPOINT");
    os::Command command;
    command.arguments = {os::own_program(), "--write", file};
    os::Process writer = need(os::Process::start(command));
    std::atomic<int> side = -1;    // -1: does not count
    std::vector<double> times[2];
    std::jthread reader([&] {
        std::uint32_t took = 0;
        while (true) {
            const auto got = os::read_full(writer.output(), std::as_writable_bytes(std::span(&took, 1)));
            if (!got || *got != sizeof took) return;
            if (const int now = side; now >= 0) times[now].push_back(took);
        }
    });
    auto keeper = need(source::DuckDbKeeper::open(
        {.path = file, .folder = source::duckdb_states_folder(file), .scratch = {}}, g_clock));
    need(keeper->take());
    for (int window = 0; window * 4 < seconds_in_all; ++window) {
        side = -1;
        g_clock.sleep(200ms);
        side = window % 2;
        for (int i = 0; i < 8; ++i) {
            if (window % 2 == 1) (void)keeper->take();
            g_clock.sleep(500ms);
        }
    }
    side = -1;
    writer.kill(9);
    reader.join();
    fmt::print("commits of a writer, microseconds {:>12} {:>12} {:>12} {:>12}\n", "median", "p90", "p99", "commits");
    for (const int one : {0, 1}) {
        std::ranges::sort(times[one]);
        const auto at = [&](double share) {
            return times[one].empty()
                       ? 0
                       : times[one][static_cast<std::size_t>(share * static_cast<double>(times[one].size() - 1))];
        };
        fmt::print("{:<32} {:>12.0f} {:>12.0f} {:>12.0f} {:>12}\n",
                   one == 0 ? "  alone" : "  with a state every 500 ms", at(0.5), at(0.9), at(0.99), times[one].size());
    }
}

}    // namespace

int main(int count, char** words) {
    const std::vector<std::string> arguments(words + 1, words + count);
    if (arguments.size() == 3 && arguments[0] == "--sql") return run_sql(arguments[1], arguments[2]);
    if (arguments.size() == 2 && arguments[0] == "--own") return own(arguments[1]);
    if (arguments.size() == 2 && arguments[0] == "--write") return write(arguments[1]);
    std::map<std::string, std::string> options{{"--rounds", "11"}, {"--mib", "256"}, {"--in", ""}, {"--latency", "40"}};
    for (std::size_t i = 0; i + 1 < arguments.size(); i += 2) {
        if (!options.contains(arguments[i])) {
            fmt::print(stderr, "usage: hf-bench-duckdb [--rounds N] [--mib N] [--in FOLDER] [--latency SECONDS]\n");
            return 2;
        }
        options[arguments[i]] = arguments[i + 1];
    }
    const auto folder = need(os::TempFolder::create("hf-bench-duckdb-", options["--in"]));
    measure_states(folder.path(), std::max(std::atoi(options["--rounds"].c_str()), 1),
                   static_cast<std::uint64_t>(std::max(std::atoi(options["--mib"].c_str()), 1)));
    measure_backups(folder.path(), std::max(std::atoi(options["--rounds"].c_str()), 1),
                    static_cast<std::uint64_t>(std::max(std::atoi(options["--mib"].c_str()), 1)));
    if (const int latency = std::atoi(options["--latency"].c_str()); latency > 0)
        measure_latency(folder.path(), latency);
    return 0;
}
