// From the signal to the broker, 1,000 a second, beside single fdatasyncs of the same disk at the same pace. In turns.

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <thread>

#include "bench.hpp"
#include "desk.hpp"
#include "holdfast/os/file.hpp"

namespace holdfast::bench {
namespace {

constexpr double k_per_second = 1000;

/// Seconds of each: one block written and synced, in a file whose blocks have been written before.
Result<std::vector<double>> measure_fdatasync(const std::string& folder, double seconds) {
    constexpr std::size_t k_block = 4096, k_blocks = 4096;
    const std::string path = folder + "/floor";
    HF_TRY(const os::Fd fd, os::open_file(path, O_RDWR | O_CREAT | O_TRUNC));
    HF_DO(os::pwrite_all(fd.get(), Bytes(k_block * k_blocks, std::byte{0}), 0));
    HF_DO(os::sync_fd(fd.get(), path));
    Bytes block(k_block);
    os::random_bytes(block);
    std::vector<double> took;
    const auto step = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(1 / k_per_second));
    auto due = std::chrono::steady_clock::now();
    for (const Stopwatch all; all.seconds() < seconds; due = std::max(due + step, std::chrono::steady_clock::now())) {
        std::this_thread::sleep_until(due);
        const Stopwatch one;
        HF_DO(os::pwrite_all(fd.get(), block, took.size() % k_blocks * k_block));
        if (::fdatasync(fd.get()) != 0) return fail(errno_error(errno, "cannot sync " + path));
        took.push_back(one.seconds());
    }
    HF_DO(os::remove_tree(path));
    return took;
}

}    // namespace

Result<Report> bench_latency(const Plan& plan, const std::string& folder) {
    std::vector<double> floor, signals, floor_half, signals_half;
    {
        HF_TRY(const auto latency, SignalLatency::open(folder + "/journal"));
        for (unsigned round = 1; round <= plan.rounds; ++round) {
            HF_TRY(const auto synced, measure_fdatasync(folder, plan.seconds));
            const Stopwatch watch;
            HF_TRY(const auto sent, latency->measure(k_per_second, [&] { return watch.seconds() < plan.seconds; }));
            floor.push_back(quantile(synced, 0.99) * 1e3);
            signals.push_back(quantile(sent, 0.99) * 1e3);
            floor_half.push_back(median(synced) * 1e3);
            signals_half.push_back(median(sent) * 1e3);
            fmt::print(stderr,
                       "round {}: one fdatasync p50 {:.2f}, p99 {:.2f} ms; signal to broker p50 {:.2f}, p99 {:.2f} "
                       "ms\n",
                       round, floor_half.back(), floor.back(), signals_half.back(), signals.back());
        }
    }
    HF_DO(os::remove_tree(folder + "/journal"));
    const double times = ratio(signals, floor);
    Report report;
    report.lines = {
        {"p99 from signal to broker, 1,000/s",
         fmt::format("{:.2f} ms = {:.2f} x p99 of one fdatasync ({:.2f} ms)", median(signals), times, median(floor)),
         "<= 3", times <= 3}};
    report.samples = json::Value::object({{"fdatasync_p99_ms", list(floor)},
                                          {"signal_p99_ms", list(signals)},
                                          {"fdatasync_p50_ms", list(floor_half)},
                                          {"signal_p50_ms", list(signals_half)}});
    return report;
}

}    // namespace holdfast::bench
