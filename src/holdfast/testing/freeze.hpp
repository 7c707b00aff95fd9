#pragma once
// A server that is there and says nothing.

#include <sys/types.h>

#include "holdfast/base/result.hpp"

namespace holdfast::testing {

/// Sends SIGSTOP and returns once every thread of the process stands still: kill() alone returns while they still answer.
/// SIGCONT wakes it.
Status freeze(pid_t pid);

}    // namespace holdfast::testing
