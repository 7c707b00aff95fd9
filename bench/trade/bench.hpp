#pragma once
// The benches of the trade path: each measures one promise, beside what this machine allows in the same minutes.

#include <chrono>
#include <string>
#include <vector>

#include "holdfast/base/json.hpp"
#include "holdfast/base/result.hpp"

namespace holdfast::bench {

struct Plan {
    std::vector<std::string> phases;
    double seconds = 2;    // of each measurement of a rate or a latency
    unsigned rounds = 5;
    std::uint64_t orders = 100'000;    // of the phase recovery; ten facts each
    std::uint64_t rows = 1'000'000;    // of the phase catch-up
};

struct Line {
    std::string what, measured, target;
    bool met = false;
};

struct Report {
    std::vector<Line> lines;
    json::Value samples = json::Value::object();    // every one that the lines were made of
};

/// `folder` is empty, on the disk to measure, and stays so.
Result<Report> bench_journal(const Plan& plan, const std::string& folder);
Result<Report> bench_latency(const Plan& plan, const std::string& folder);
Result<Report> bench_recovery(const Plan& plan, const std::string& folder);
Result<Report> bench_catch_up(const Plan& plan, const std::string& folder);
Result<Report> bench_memory(const Plan& plan, const std::string& folder);

class Stopwatch {
public:
    double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count(); }

private:
    std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

/// The value that so large a share of `values` does not exceed.
double quantile(std::vector<double> values, double share);
inline double median(std::vector<double> values) { return quantile(std::move(values), 0.5); }
/// The median of the ratios within each round: the disk's pace changes between rounds.
double ratio(const std::vector<double>& of, const std::vector<double>& to);
json::Value list(const std::vector<double>& values);

}    // namespace holdfast::bench
