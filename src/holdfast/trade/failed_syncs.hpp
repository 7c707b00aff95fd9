#pragma once
// What waits because a store would not take it: kept where a user looks for it, and over restarts. The facts themselves lie in
// the journal; a row says which, why and since when.

#include <string>
#include <string_view>
#include <vector>

#include "holdfast/base/clock.hpp"
#include "holdfast/base/result.hpp"
#include "holdfast/ledger/record.hpp"

namespace holdfast::trade {

/// One for each store at most: what it lacks is one range, from its watermark on.
struct FailedSync {
    std::string sink;
    ledger::Sequence first = 0, last = 0;
    std::uint32_t attempts = 0;
    std::string reason;
    Timestamp since, tried;
};

/// threads: any
class FailedSyncs {
public:
    virtual ~FailedSyncs() = default;
    /// Adds it, or replaces the sink's.
    virtual Status put(const FailedSync& failed) = 0;
    /// The sink has caught up.
    virtual Status clear(std::string_view sink) = 0;
    virtual Result<std::vector<FailedSync>> all() = 0;
};

}    // namespace holdfast::trade
