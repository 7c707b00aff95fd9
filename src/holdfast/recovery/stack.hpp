#pragma once
// The whole stack back: a plan that can be read, then its execution, component by component (databases, then Redis,
// then configuration and logs: NS-08), then a report.

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "holdfast/recovery/restore_store.hpp"

namespace holdfast::recovery {

struct StackRestoreOptions {
    std::vector<std::string>
        only;    // component names or kinds; empty: all of the snapshot that the configuration names
    /// The names of all that the same restore brings, one after the other; `only` is one of them. Empty: nothing but `only`.
    std::vector<std::string> among;
    WhenExisting existing = WhenExisting::refuse;
    const TableChoice* tables = nullptr;    // with `only` naming one component that can
    Expiry expiry = Expiry::as_now;    // of Redis keys
    std::optional<Timestamp> time = {};    // of DuckDB: as they were then
    std::function<void(std::string_view component, std::string_view event)> say;
    WillReplace will_replace = {};    // may be empty
};

struct ComponentPlan {
    std::string name, kind;
    bool usable = true;    // false: the snapshot holds no whole copy, or the plan met an error
    std::string why_not;
    ErrorCode code = ErrorCode::incomplete;    // of why_not
    std::vector<PlanStep> steps;
    std::uint64_t bytes() const;    // read from the repository
};

struct StackPlan {
    std::vector<ComponentPlan> components;
    std::uint64_t bytes = 0;
    double age_seconds = 0;    // how much newer changes are lost
};

Result<StackPlan> plan_stack(const policy::Config& config, const vault::Repository& repository,
                             const vault::SnapshotEntry& snapshot, const StackRestoreOptions& options);

struct ComponentOutcome {
    std::string name, kind;
    bool restored = false;
    std::optional<Error> error;
    double seconds = 0;
    json::Value result;
};

/// By when a component of that kind has to work again (NS-11); 0: nobody waits for it.
std::uint32_t rto_seconds(const policy::RestoreConfig& config, std::string_view kind);

/// Goes on to the next component when one fails; the caller turns any failure into exit 3 (or 1 when all failed).
Result<std::vector<ComponentOutcome>> restore_stack(const policy::Config& config, const vault::Repository& repository,
                                                    const vault::SnapshotEntry& snapshot,
                                                    const StackRestoreOptions& options);

}    // namespace holdfast::recovery
