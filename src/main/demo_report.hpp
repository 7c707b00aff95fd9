#pragma once
// What the demo shows at its end: what was there, what came back, what it cost.

#include <string>
#include <vector>

#include "demo_stack.hpp"
#include "holdfast/base/json.hpp"

namespace holdfast::demo {

struct Run {
    std::string what;    // "first backup"
    double seconds = 0;
    json::Value document;    // what holdfast printed with --json
};

struct Evidence {
    Counts before, after;
    Batches duckdb_before, duckdb_after;    // before: all that lay on the disk when the writer was killed
    std::uint64_t acknowledged_before = 0;    // batches acknowledged when the last backup began
    std::uint64_t acknowledged_after = 0;    // and when it had ended
};

/// Every line of the comparison; `equal` is the verdict over all.
struct Verdict {
    bool equal = true;
    std::string table;
};
Verdict compare(const Evidence& evidence);

std::string cost_table(const std::vector<Run>& runs);
/// What each component cost the first time and, one per cent later, the second.
std::string increment_table(const Run& first, const Run& second);

/// "161,250"
std::string grouped(std::uint64_t number);
/// Colour on a terminal that wants it.
std::string green(std::string_view text);
std::string red(std::string_view text);
std::string bold(std::string_view text);

}    // namespace holdfast::demo
