// What a million remembered UUIDs take of memory: of the process, as the kernel counts it.

#include <fcntl.h>
#include <fmt/core.h>

#include <cstdlib>

#include "bench.hpp"
#include "desk.hpp"
#include "holdfast/ledger/remembered.hpp"
#include "holdfast/os/file.hpp"

namespace holdfast::bench {
namespace {

/// VmRSS or VmHWM, in MiB.
Result<double> memory_mib(const std::string& name) {
    HF_TRY(const Bytes text, os::read_file("/proc/self/status"));
    const std::string_view status = as_text(text);
    const std::size_t at = status.find(name + ":");
    if (at == std::string_view::npos) return fail(ErrorCode::internal, "/proc/self/status does not say " + name);
    return std::strtod(status.data() + at + name.size() + 1, nullptr) / 1024;
}

}    // namespace

Result<Report> bench_memory(const Plan&, const std::string&) {
    constexpr std::uint64_t k_count = 1'000'000;
    // The highest mark so far is forgotten.
    HF_TRY(const os::Fd forget, os::open_file("/proc/self/clear_refs", O_WRONLY));
    HF_DO(os::write_all(forget.get(), as_bytes("5")));
    HF_TRY(const double before, memory_mib("VmRSS"));
    ledger::Remembered remembered;
    for (std::uint64_t n = 0; n < k_count; ++n)
        remembered.add_order({signal_number(n).id, ledger::Decimal::whole(10), 20'000, ledger::OrderState::filled});
    HF_TRY(const double after, memory_mib("VmRSS"));
    HF_TRY(const double peak, memory_mib("VmHWM"));
    for (std::uint64_t n = 0; n < k_count; ++n)
        if (remembered.find_order(signal_number(n).id) == nullptr)
            return fail(ErrorCode::internal, "a remembered UUID is not found");
    Report report;
    report.lines = {{"memory of 1,000,000 remembered UUIDs",
                     fmt::format("{:.1f} MiB (peak while they came: {:.1f})", after - before, peak - before),
                     "<= 64 MB", (after - before) * 1.048576 <= 64}};
    report.samples.set("rss_mib", after - before);
    report.samples.set("peak_mib", peak - before);
    return report;
}

}    // namespace holdfast::bench
