#include "demo_report.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "holdfast/base/bytes.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/testing/trades.hpp"

namespace holdfast::demo {
namespace {

std::string coloured(int code, std::string_view text) {
    static const bool colours = ::isatty(STDOUT_FILENO) == 1 && !os::environment("NO_COLOR");
    return colours ? fmt::format("\x1b[{}m{}\x1b[0m", code, text) : std::string(text);
}

void append_line(Verdict& verdict, const Counted& before, const Counted& after) {
    const bool equal = before == after;
    verdict.equal = verdict.equal && equal;
    const auto digest = [](const Counted& counted) { return counted.digest.substr(0, 16); };
    verdict.table +=
        fmt::format("  {:<28} {:>9} {:>9}   {:<16}  {:<16}  {}\n", before.what, grouped(before.rows),
                    grouped(after.rows), digest(before), digest(after), equal ? green("equal") : red("DIFFERENT"));
}

// Rows and one digest over the first `count` batches.
Counted folded(const Batches& batches, std::size_t count) {
    Counted whole{"duckdb executions", 0, {}};
    std::uint64_t digest = 0;
    for (std::size_t i = 0; i < std::min(count, batches.size()); ++i) {
        whole.rows += batches[i].rows;
        for (const char c : batches[i].digest) digest = testing::mixed(digest, static_cast<unsigned char>(c), i);
    }
    whole.digest = fmt::format("{:016x}", digest);
    return whole;
}

}    // namespace

std::string grouped(std::uint64_t number) {
    return number < 1000 ? fmt::to_string(number) : fmt::format("{},{:03}", grouped(number / 1000), number % 1000);
}

std::string green(std::string_view text) { return coloured(32, text); }
std::string red(std::string_view text) { return coloured(31, text); }
std::string bold(std::string_view text) { return coloured(1, text); }

Verdict compare(const Evidence& e) {
    Verdict verdict;
    verdict.table = bold(fmt::format("  {:<28} {:>9} {:>9}   {:<16}  {:<16}  {}\n", "store", "rows then", "rows now",
                                     "digest then", "digest now", "verdict"));
    if (e.before.size() != e.after.size()) verdict.equal = false;
    for (std::size_t i = 0; i < std::min(e.before.size(), e.after.size()); ++i)
        append_line(verdict, e.before[i], e.after[i]);
    append_line(verdict, folded(e.duckdb_before, e.duckdb_after.size()), folded(e.duckdb_after, e.duckdb_after.size()));

    // Batch 0 is the base. One commit may be on the disk whose acknowledgement was still under way.
    const std::uint64_t last = e.duckdb_after.empty() ? 0 : e.duckdb_after.size() - 1;
    const bool in_window = !e.duckdb_after.empty() && last >= e.acknowledged_before && last <= e.acknowledged_after + 1;
    verdict.equal = verdict.equal && in_window;
    verdict.table += fmt::format(
        "\n  DuckDB's writer never paused: commit {} was acknowledged when the backup began, commit {} when it had "
        "ended.\n"
        "  The copy holds commits 1 to {}, each whole, none missing and none beyond: {}\n",
        grouped(e.acknowledged_before), grouped(e.acknowledged_after), grouped(last),
        in_window ? green("as it must be") : red("OUTSIDE THAT WINDOW"));
    return verdict;
}

std::string cost_table(const std::vector<Run>& runs) {
    std::string text =
        bold(fmt::format("  {:<28} {:>9} {:>12} {:>12} {:>12}\n", "run", "seconds", "read", "new", "stored"));
    for (const Run& run : runs) {
        const json::Value& summary = run.document["summary"];
        text += fmt::format("  {:<28} {:>9.2f}", run.what, run.seconds);
        if (summary.is_object())
            text += fmt::format(" {:>12} {:>12} {:>12}", human_size(summary["bytes"].natural()),
                                human_size(summary["bytes_added"].natural()),
                                human_size(summary["bytes_stored"].natural()));
        text += '\n';
    }
    return text;
}

std::string increment_table(const Run& first, const Run& second) {
    std::string text = bold(fmt::format("  {:<16} {:>12} {:>8}   {:>12} {:>8} {:>8}   {}\n", "component", "first: new",
                                        "seconds", "again: new", "of first", "seconds", "the second time"));
    for (const json::Value& component : second.document["components"].items()) {
        const std::string name = component["name"].text();
        for (const json::Value& before : first.document["components"].items()) {
            if (before["name"].text() != name) continue;
            const std::uint64_t was = before["bytes_added"].natural(), is = component["bytes_added"].natural();
            text += fmt::format("  {:<16} {:>12} {:>8.2f}   {:>12} {:>7.1f}% {:>8.2f}   {}\n", name, human_size(was),
                                before["seconds"].number(), human_size(is),
                                100.0 * static_cast<double>(is) / static_cast<double>(std::max<std::uint64_t>(was, 1)),
                                component["seconds"].number(), component["facts"]["how"].text());
        }
    }
    return text;
}

}    // namespace holdfast::demo
