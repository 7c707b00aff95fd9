#pragma once
// Commands that fill a Redis with everything it can hold: for round trips.

#include <string>
#include <vector>

namespace holdfast::testing {

using RedisCommands = std::vector<std::vector<std::string>>;

/// Every type in every encoding (small and large), integers at their limits, compressible and random strings, binary
/// names, expiring keys (in a day), streams with groups, pending and deleted entries, three databases, a function
/// library. `scale` multiplies the size of what is large. The same commands for the same scale.
RedisCommands every_redis_type(unsigned scale = 1);
/// `count` keys "k:<n>" with values of `size` bytes that hardly compress.
RedisCommands redis_strings(unsigned count, unsigned size);

}    // namespace holdfast::testing
