#pragma once
// A network of the test's own, for servers that cannot be bound to one address.

#include "holdfast/base/result.hpp"

namespace holdfast::testing {

/// Moves this thread, and all threads and processes that it starts, into a new network namespace with nothing but its
/// loopback. Needs root or user namespaces; denied, with the remedy, where neither is had. Call it first of all.
Status enter_private_network();

}    // namespace holdfast::testing
