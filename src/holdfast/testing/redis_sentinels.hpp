#pragma once
// Real Sentinels that watch one master ("mymaster"), each with a folder and a free port of its own. Killed in the destructor.
//
//   errors   store when one does not answer within 30 s

#include <cstdint>
#include <vector>

#include "holdfast/testing/server_set.hpp"

namespace holdfast::testing {

class RedisSentinels {
public:
    /// `down_after`: how long the master may be silent.
    static Result<RedisSentinels> start(std::uint16_t master_port, unsigned count = 3, unsigned down_after_ms = 1000);

    const std::vector<std::uint16_t>& ports() const { return ports_; }
    void kill(unsigned number) { servers_.kill("sentinel" + std::to_string(number)); }
    /// Until each of them knows `replicas` replicas of the master and all other Sentinels (60 s at most).
    Status wait_until_complete(unsigned replicas) const;

private:
    explicit RedisSentinels(ServerSet servers) : servers_(std::move(servers)) {}
    ServerSet servers_;
    std::vector<std::uint16_t> ports_;
};

}    // namespace holdfast::testing
