#pragma once
// What the link policy wants done about the way to the broker. The adapter reconnects by itself; here its outage is counted in
// the attempts that the policy would have made.
//
//   threads   told() from the adapter's; all else one at a time

#include <atomic>
#include <optional>

#include "holdfast/broker/broker.hpp"
#include "holdfast/watch/link.hpp"

namespace holdfast::trade {

/// A broker that also tells the watch when its link comes and goes.
class BrokerWatch {
public:
    explicit BrokerWatch(watch::LinkRules rules) : rules_(rules), policy_(rules) {}

    /// The same broker, watched. The watch outlives it.
    std::unique_ptr<broker::Broker> watched(std::unique_ptr<broker::Broker> broker);

    /// What is to be done now, one at a time (Notify, Restored, Restart or Disable); nothing: all is said.
    std::optional<watch::LinkPolicy::Action> next(Instant now);

    bool is_up() const { return up_; }
    unsigned failures() const { return policy_.failures(); }
    bool is_disabled() const { return policy_.is_disabled(); }
    std::optional<Instant> down_since() const { return policy_.down_since(); }

private:
    class Watched;
    void told(bool up) { up_ = up; }

    const watch::LinkRules rules_;
    watch::LinkPolicy policy_;
    std::atomic<bool> begun_ = false, up_ = false;
    bool policy_up_ = false;
    std::optional<watch::LinkPolicy::Attempt> attempt_;
    Instant attempt_at_{};
};

}    // namespace holdfast::trade
