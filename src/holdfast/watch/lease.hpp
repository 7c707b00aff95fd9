#pragma once
// Decides whether this instance may act for an account. Pure: the time comes in, one action comes out.
//
//   promises   our view of the lease ends no later than the store's: it counts from when we asked, not from when we heard,
//              and stops `margins.stop` before that. A token is demoted at most once, and always before a newer one counts
//   time       Instant, which counts on during suspend: a lease does not outlive its ttl because the machine slept
//   threads    one at a time; copy what token() and not_after() say to other threads
//   source     the store that it talks to: trade/lease.hpp

#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "holdfast/base/clock.hpp"

namespace holdfast::watch {

/// Only grows, over all holders of a lease; the resource refuses what carries an older one.
using FencingToken = std::uint64_t;

struct LeaseMargins {
    Duration ask = std::chrono::seconds(6);    // that long before its end we ask for a longer lease
    Duration stop = std::chrono::seconds(2);    // that long before its end we stop
    Duration retry = std::chrono::seconds(1);    // between two asks that did not succeed
};

class LeaseKeeper {
public:
    struct Ask {    // the store, for a lease, or for a longer one when `token` is there
        std::optional<FencingToken> token;
        bool operator==(const Ask&) const = default;
    };
    struct Demote {    // stop acting now; said once
        FencingToken token = 0;
        bool operator==(const Demote&) const = default;
    };
    struct Wait {    // nothing to do before then
        Instant until;
        bool operator==(const Wait&) const = default;
    };
    using Action = std::variant<Ask, Demote, Wait>;

    /// stop < ask < the ttl that the store grants. Each Ask is answered (by one of the four below) before the next next().
    explicit LeaseKeeper(LeaseMargins margins);

    /// The store said yes. An answer that is overtaken by a later one, or that came too late to be of use, changes nothing.
    void granted(FencingToken token, Instant asked_at, Duration ttl);
    /// Another one has it, for `left` more. Asked again then, or after `margins.retry` if that is sooner: it may give it back.
    void held_elsewhere(Instant now, Duration left);
    /// The store did not answer. What was granted stays until it ends.
    void failed(Instant now);
    /// The store said that `token` is no longer ours.
    void lost(FencingToken token, Instant now);

    Action next(Instant now);

    /// The token to act under at `now`; nothing: do not act.
    std::optional<FencingToken> token(Instant now) const;
    /// Until when we may act, as it stands; nothing without a lease.
    std::optional<Instant> not_after() const;

private:
    struct Lease {
        FencingToken token;
        Instant stops_at, ask_at;
    };
    const LeaseMargins margins_;
    std::optional<Lease> lease_;
    std::optional<FencingToken> demoted_;    // to be said
    Instant ask_not_before_{};
};

}    // namespace holdfast::watch
