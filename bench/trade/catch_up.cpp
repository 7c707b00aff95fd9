// ClickHouse was away while rows gathered: how fast they follow when it is back, and whether trading notices.

#include <fcntl.h>
#include <fmt/core.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>

#include "bench.hpp"
#include "desk.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/testing/clickhouse_server.hpp"
#include "holdfast/trade/clickhouse_sink.hpp"
#include "holdfast/trade/journal_changes.hpp"

namespace holdfast::bench {
namespace {

/// Of the same lives as in the phase recovery: rows are what the store gets of them, one for each execution and each order.
constexpr unsigned k_executions = 6;
/// A disk that is not the journal's, as fast as can be.
constexpr const char* k_other_disk = "/dev/shm";

/// ext4 remembers for minutes which files were removed and steps over each of them when it makes one nearby: in the kernel, where
/// nobody goes before it. So that this measures no file that somebody removed before, each folder below this one gets another
/// part of the disk. Other file systems do not know the flag and need it not.
Status spread(const std::string& folder) {
    HF_DO(os::make_folders(folder));
    HF_TRY(const os::Fd opened, os::open_file(folder, O_RDONLY | O_DIRECTORY));
    int flags = 0;
    if (::ioctl(opened.get(), FS_IOC_GETFLAGS, &flags) == 0) {
        flags |= FS_TOPDIR_FL;
        static_cast<void>(::ioctl(opened.get(), FS_IOC_SETFLAGS, &flags));
    }
    return {};
}

/// CPU seconds that a process has used.
Result<double> cpu_s(pid_t pid) {
    HF_TRY(const Bytes text, os::read_file(fmt::format("/proc/{}/stat", pid)));
    // Fields 14 and 15; the second one, the name, may hold anything but ends with the last parenthesis.
    std::string_view rest = as_text(text);
    rest.remove_prefix(rest.rfind(')') + 2);
    for (int field = 3; field < 14; ++field) rest.remove_prefix(rest.find(' ') + 1);
    char* end = nullptr;
    const double user = std::strtod(rest.data(), &end), system = std::strtod(end, nullptr);
    return (user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

struct CaughtUp {
    double seconds = 0;
    double server_cpu_s = 0, own_cpu_s = 0;
};

/// The server's data lies below `data_in`, and stays with the server in `ended`: removing it would be felt by the next. `meanwhile` runs beside it, and gets told whether there is still something to catch up with.
Result<CaughtUp> catch_up(trade::Journal& journal, std::uint64_t rows, const std::string& data_in,
                          std::vector<testing::ClickHouseServer>& ended,
                          const std::function<Status(const std::function<bool()>& busy)>& meanwhile) {
    os::SystemClock clock;
    HF_TRY(auto server, testing::ClickHouseServer::start(data_in));
    trade::ClickHouseSinkOptions options;
    options.server.url = server.url();
    options.account = "bench";
    options.journal = "bench";
    auto sink = std::make_unique<trade::ClickHouseSink>(std::move(options), clock);
    HF_TRY(const double server_before, cpu_s(server.pid()));
    HF_TRY(const double own_before, cpu_s(::getpid()));
    trade::ProjectionOptions how;
    how.profile = trade::SinkProfile::mt5();
    how.notify = [](const Error& error) { fmt::print(stderr, "{}\n", error.message); };
    CaughtUp result;
    const Stopwatch watch;
    trade::Projection projection(std::move(sink), trade::journal_changes(journal), clock, std::move(how));
    const ledger::Sequence last = journal.durable();
    if (meanwhile) HF_DO(meanwhile([&] { return projection.status().watermark < last; }));
    if (!projection.wait_for(last, std::chrono::minutes(10)))
        return fail(ErrorCode::unreachable, "ClickHouse did not catch up within ten minutes");
    result.seconds = watch.seconds();
    HF_TRY(const double server_after, cpu_s(server.pid()));
    HF_TRY(const double own_after, cpu_s(::getpid()));
    result.server_cpu_s = server_after - server_before;
    result.own_cpu_s = own_after - own_before;
    HF_TRY(const auto seen, static_cast<trade::ClickHouseSink&>(projection.sink())
                                .rows("SELECT (SELECT count() FROM holdfast.executions FINAL) + (SELECT count() FROM "
                                      "holdfast.orders FINAL)"));
    if (seen != db::clickhouse::Rows{{std::to_string(rows)}})
        return fail(ErrorCode::mismatch, fmt::format("ClickHouse has {} rows and not {}", seen[0][0], rows));
    server.kill();
    ended.push_back(std::move(server));
    return result;
}

}    // namespace

Result<Report> bench_catch_up(const Plan& plan, const std::string& folder) {
    const Day day{plan.rows / (k_executions + 1), 0, k_executions};
    const std::uint64_t rows = day.count * (k_executions + 1);
    trade::Journal::Options options;
    options.log.account = "bench";
    HF_TRY(const auto journal, trade::Journal::open(folder + "/behind", options));
    HF_TRY(const ledger::Sequence facts, day.write(*journal));
    std::vector<testing::ClickHouseServer> ended;
    const std::string servers = folder + "/servers";
    HF_DO(spread(servers));
    std::vector<double> rates, server_cpu, own_cpu, alone, during, during_apart;
    {
        HF_TRY(const auto latency, SignalLatency::open(folder + "/journal"));
        for (unsigned round = 1; round <= plan.rounds; ++round) {
            HF_TRY(const CaughtUp quiet, catch_up(*journal, rows, servers, ended, {}));
            rates.push_back(static_cast<double>(rows) / quiet.seconds);
            server_cpu.push_back(quiet.server_cpu_s);
            own_cpu.push_back(quiet.own_cpu_s);
            std::vector<double> sent;
            const auto trade_on = [&](const std::function<bool()>& busy) -> Status {
                HF_TRY(sent, latency->measure(1000, busy));
                return {};
            };
            HF_TRY(const CaughtUp traded, catch_up(*journal, rows, servers, ended, trade_on));
            const std::vector<double> beside = std::exchange(sent, {});
            HF_TRY(const CaughtUp apart, catch_up(*journal, rows, k_other_disk, ended, trade_on));
            const Stopwatch watch;
            HF_TRY(const auto before, latency->measure(1000, [&] { return watch.seconds() < plan.seconds; }));
            alone.push_back(quantile(before, 0.99) * 1e3);
            during.push_back(quantile(beside, 0.99) * 1e3);
            during_apart.push_back(quantile(sent, 0.99) * 1e3);
            fmt::print(stderr,
                       "round {}: {:.0f} rows/s (CPU: server {:.2f} s, projection {:.2f} s); while 1,000 signals/s are "
                       "traded {:.0f}, and "
                       "{:.0f} with a disk of its own; signal to broker p99 {:.2f} ms meanwhile, {:.2f}, {:.2f} alone; "
                       "p50 {:.2f}, "
                       "{:.2f}, {:.2f}\n",
                       round, rates.back(), quiet.server_cpu_s, quiet.own_cpu_s,
                       static_cast<double>(rows) / traded.seconds, static_cast<double>(rows) / apart.seconds,
                       during.back(), during_apart.back(), alone.back(), median(beside) * 1e3, median(sent) * 1e3,
                       median(before) * 1e3);
        }
    }
    HF_DO(journal->close());
    HF_DO(os::remove_tree(folder + "/journal"));
    HF_DO(os::remove_tree(folder + "/behind"));
    const double times = ratio(during, alone), times_apart = ratio(during_apart, alone);
    Report report;
    report.lines = {
        {fmt::format("ClickHouse catches up with {} rows ({} facts)", rows, facts),
         fmt::format("{:.0f} rows/s (CPU: server {:.2f} s, projection {:.2f} s)", median(rates), median(server_cpu),
                     median(own_cpu)),
         ">= 500,000/s", median(rates) >= 500'000},
        {"... p99 from signal to broker meanwhile, ClickHouse's data on the journal's disk",
         fmt::format("{:.2f} ms = {:.2f} x alone ({:.2f} ms)", median(during), times, median(alone)), "<= 1.2",
         times <= 1.2},
        {"... the same, ClickHouse's data on another disk (in memory)",
         fmt::format("{:.2f} ms = {:.2f} x alone", median(during_apart), times_apart), "<= 1.2", times_apart <= 1.2}};
    report.samples = json::Value::object({{"rows_per_s", list(rates)},
                                          {"server_cpu_s", list(server_cpu)},
                                          {"projection_cpu_s", list(own_cpu)},
                                          {"signal_p99_ms_alone", list(alone)},
                                          {"signal_p99_ms_meanwhile", list(during)},
                                          {"signal_p99_ms_meanwhile_apart", list(during_apart)}});
    return report;
}

}    // namespace holdfast::bench
