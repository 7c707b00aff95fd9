#pragma once
// A restore into the stores as people and programs read it: before it is asked for, and when it is over.

#include <map>
#include <string>

#include "holdfast/base/json.hpp"
#include "holdfast/policy/config.hpp"
#include "holdfast/recovery/losses.hpp"
#include "holdfast/recovery/restore_run.hpp"
#include "holdfast/recovery/stack.hpp"
#include "holdfast/vault/repository.hpp"

namespace holdfast::cli {

/// What is known before anything is done.
struct Forecast {
    recovery::StackPlan plan;
    std::map<std::string, recovery::Holding> holdings;    // by component
    std::map<std::string, double> expected;    // seconds, of those that were restored before
    std::vector<std::string> hooks;    // what is paused, stopped and started

    static Forecast make(const policy::Config& config, const json::Value& manifest, const vault::SnapshotEntry& entry,
                         recovery::StackPlan plan, const recovery::RunFolder& folder);
};
json::Value forecast_json(const Forecast& forecast, const policy::RestoreConfig& config);
std::string forecast_text(const Forecast& forecast, const policy::RestoreConfig& config,
                          const vault::SnapshotEntry& entry);

/// `fd`: for which colours are chosen; 0: none, for a file.
std::string run_text(const recovery::RestoreRun& run, const policy::RestoreConfig& config, double seconds, int fd);
json::Value run_json(const recovery::RestoreRun& run, const policy::RestoreConfig& config, double seconds);

}    // namespace holdfast::cli
