#pragma once
// Medians, ratios and the JSON of a bench.

#include <string>

#include "bench.hpp"
#include "holdfast/base/json.hpp"

namespace holdfast::bench {

/// For people: medians over the rounds, and how holdfast compares with each of the others.
std::string table(const Plan& plan, const Results& results, const std::vector<Tool>& tools);
/// For machines: every sample.
json::Value document(const Plan& plan, const Results& results, const std::vector<Tool>& tools);

}    // namespace holdfast::bench
