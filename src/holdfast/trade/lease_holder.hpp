#pragma once
// Keeps the lease of one account, on a thread of its own, and says when it comes and goes.
//
//   promises   `changed` with held = false is called before the store can give the lease to another, unless this process
//              stands still; whoever acts checks not_after against the clock immediately before, and is safe then, too
//   end        stop() says held = false, then gives the lease back, so that a standby need not wait for its end
//   threads    `changed` comes on the holder's thread

#include <functional>
#include <memory>
#include <optional>

#include "holdfast/trade/lease.hpp"

namespace holdfast::trade {

struct LeaseView {
    bool held = false;
    FencingToken token = 0;
    Instant not_after;    // said anew at each renewal, and at least once a second
    std::optional<FencingToken> previous;    // as in LeaseGrant
};

struct LeaseStatus {
    LeaseView view;
    std::string holder;    // another one's name, while that has it
    Instant holder_until;    // when that ends unless it is renewed; meaningful with a holder
    std::string trouble;    // why the store was not asked with success the last time; empty: it was
};

class LeaseHolder {
public:
    /// `own` as for LeaseStore::acquire, for the first time.
    LeaseHolder(std::unique_ptr<LeaseStore> store, watch::LeaseMargins margins, std::optional<FencingToken> own,
                Clock& clock, std::function<void(const LeaseView&)> changed);
    ~LeaseHolder();
    LeaseStatus status() const;
    void stop();

private:
    struct State;
    std::unique_ptr<State> state_;
};

}    // namespace holdfast::trade
