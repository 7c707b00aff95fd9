#pragma once
// A Backend that tries again where trying again can help. Made for storages behind a network.
//
//   what      only errors that the error table calls retryable; all others are returned at once
//   promise   trying again is idempotent: an upload whose answer was lost is looked for (name and size) before it is sent
//             again, a file that a lost removal has removed is no error, and a list is told once, when it is whole.
//             A whole file that does not match its name is read once more, then returned as it came: its reader judges it
//   contact   until the storage has answered once, somebody is waiting who may have mistyped its name: that is given up far
//             sooner, by a rule of its own, counted from the beginning of the first attempt
//   said      a warning in the log and a number in RetryCounters for each new attempt
//   errors    the last one, with the number of attempts in its message; cancelled within about a second of a signal
//   threads   as Backend
//   source    the rule: policy/retry.hpp

#include <atomic>
#include <functional>
#include <memory>
#include <optional>

#include "holdfast/base/clock.hpp"
#include "holdfast/policy/retry.hpp"
#include "holdfast/storage/backend.hpp"

namespace holdfast::storage {

struct RetryCounters {
    std::atomic<std::uint64_t> retries = 0;    // attempts after a failed one
    std::atomic<std::uint64_t> gave_up = 0;    // calls that failed in the end although their error was retryable
};

struct RetryOptions {
    policy::RetryRule rule;
    std::optional<policy::RetryRule> first_contact{};    // until the first answer; nullopt: `rule` from the start
    std::function<double()> chance;    // in [0, 1); empty: the kernel's
    std::shared_ptr<RetryCounters> counters;    // may be null
};

/// The rule for a first contact that is given up after `patience`; zero: a single attempt.
policy::RetryRule first_contact_rule(Duration patience);

std::unique_ptr<Backend> retrying_backend(std::unique_ptr<Backend> below, RetryOptions options, Clock& clock);

}    // namespace holdfast::storage
