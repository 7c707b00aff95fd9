// How long an engine needs from its start on a journal of a million facts until it trades again.

#include <fcntl.h>
#include <fmt/core.h>

#include <atomic>

#include "bench.hpp"
#include "desk.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/trade/state_snapshot.hpp"

namespace holdfast::bench {
namespace {

struct History {
    std::uint64_t facts = 0;
    ledger::Sequence snapshot_at = 0;
    Bytes snapshot;
};

Result<History> write_history(const std::string& folder, const Day& day) {
    trade::Journal::Options options;
    options.log.account = "bench";
    // A snapshot is so old at worst: the engine makes one each time.
    const std::uint64_t every = trade::ServiceOptions().snapshot_every;
    HF_TRY(const auto journal, trade::Journal::open(folder, options));
    History history;
    const std::uint64_t all = day.count * (4 + day.executions);
    history.snapshot_at = all > every ? all - every : all / 2;
    HF_TRY(history.facts, day.write(*journal));
    HF_TRY(auto reader, journal->reader(0));
    ledger::State state;
    while (state.sequence() < history.snapshot_at) {
        HF_TRY(const auto record, reader.next());
        HF_TRY(const ledger::Fact fact, ledger::parse_fact(record->payload));
        state.apply(record->sequence, fact);
    }
    state.append_snapshot(history.snapshot);
    HF_DO(journal->close());
    return history;
}

Status remove_snapshots(const std::string& folder) {
    HF_TRY(const auto names, os::list_folder(folder));
    for (const ledger::Sequence sequence : trade::snapshots_of(names))
        HF_DO(os::remove_tree(folder + '/' + trade::snapshot_name(sequence)));
    return {};
}

/// As after the machine came up: nothing of it is in memory.
Status drop_from_cache(const std::string& folder) {
    HF_TRY(const auto names, os::list_folder(folder));
    for (const std::string& name : names) {
        HF_TRY(const os::Fd file, os::open_file(folder + '/' + name, O_RDONLY));
        if (const int failed = ::posix_fadvise(file.get(), 0, 0, POSIX_FADV_DONTNEED); failed != 0)
            return fail(errno_error(failed, "cannot drop " + name));
    }
    return {};
}

struct Recovered {
    double replayed_s = 0, trading_s = 0;    // since the start
};

Result<Recovered> recover(const std::string& folder, std::uint64_t probe, const Day& day) {
    os::SystemClock clock;
    HF_DO(drop_from_cache(folder));
    const ledger::Signal signal = signal_number(probe);
    std::atomic<double> sent_s = 0;
    Recovered recovered;
    const Stopwatch watch;
    HF_TRY(const auto desk, open_desk(
                                folder,
                                [&](const ledger::Order& order) {
                                    if (order.id == signal.id) sent_s = watch.seconds();
                                },
                                clock));
    recovered.replayed_s = watch.seconds();
    HF_DO(submit_until_taken(*desk, signal));
    while (sent_s == 0 && watch.seconds() < 60) clock.sleep(std::chrono::milliseconds(1));
    recovered.trading_s = sent_s;
    for (;; clock.sleep(std::chrono::milliseconds(1))) {
        const trade::ServiceStatus status = desk->status();
        if (status.open == day.open && status.in_doubt == 0) break;
        if (watch.seconds() > 60)
            return fail(ErrorCode::mismatch, fmt::format("{} open orders and {} in doubt, not {} and none", status.open,
                                                         status.in_doubt, day.open));
    }
    return recovered;    // dropped as if killed
}

}    // namespace

Result<Report> bench_recovery(const Plan& plan, const std::string& folder) {
    const Day day{plan.orders, std::max<std::uint64_t>(plan.orders / 100, 1), 6};
    const std::string path = folder + "/journal";
    HF_TRY(const History history, write_history(path, day));
    std::vector<double> without, replayed_without, with, replayed_with;
    for (unsigned round = 0; round < plan.rounds; ++round) {
        for (const bool snapshot : {false, true}) {
            HF_DO(remove_snapshots(path));
            if (snapshot) {
                HF_TRY(const auto disk, trade::JournalFolder::lock(path));
                HF_DO(trade::save_state_snapshot(*disk, history.snapshot_at, history.snapshot));
            }
            HF_TRY(const Recovered took, recover(path, day.count + 2 * round + snapshot, day));
            (snapshot ? with : without).push_back(took.trading_s);
            (snapshot ? replayed_with : replayed_without).push_back(took.replayed_s);
            fmt::print(stderr, "recovery {} snapshot: replayed after {:.2f} s, trades after {:.2f} s\n",
                       snapshot ? "with a" : "without", took.replayed_s, took.trading_s);
        }
    }
    HF_DO(os::remove_tree(path));
    Report report;
    const std::string what = fmt::format("{} facts of {} orders, {} open", history.facts, day.count, day.open);
    report.lines = {
        {fmt::format("recovery, {}, snapshot {} facts old", what, history.facts - history.snapshot_at),
         fmt::format("{:.2f} s (state there: {:.2f})", median(with), median(replayed_with)), "< 1 s", median(with) < 1},
        {"... without a snapshot",
         fmt::format("{:.2f} s (state there: {:.2f})", median(without), median(replayed_without)), "< 5 s",
         median(without) < 5}};
    report.samples.set("with_snapshot_s", list(with));
    report.samples.set("without_snapshot_s", list(without));
    return report;
}

}    // namespace holdfast::bench
