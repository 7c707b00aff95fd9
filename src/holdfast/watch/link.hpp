#pragma once
// What to do about a connection that comes and goes: one policy for Redis, the broker, ClickHouse and PostgreSQL. Pure: facts and
// the time come in, one action at a time comes out.
//
//   facts      connected, failed, lost, heartbeat: each names the attempt that it is about; what is said of an older
//              attempt is ignored
//   actions    each milestone (notify, new session, restart, disable) is said once an outage, before the next attempt
//   counting   an outage ends when a connection has held for `stable_after`; one that breaks sooner counts as a failure,
//              so that a server that accepts and drops us is not asked in a loop
//   time       attempts are `wait` apart from start to start; one that takes longer is followed at once. The first attempt
//              after a connection that held is made at once
//   threads    one at a time
//   source     requirements EA-18, MT-09, HA-04, HA-10

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "holdfast/base/clock.hpp"
#include "holdfast/base/result.hpp"

namespace holdfast::watch {

struct LinkRules {
    std::string_view name;
    Duration first_wait{};
    Duration longest_wait{};    // the wait doubles from first_wait to this
    Duration attempt_max = std::chrono::seconds(10);    // an attempt without an answer has failed then
    Duration silence_max{};    // without a heartbeat the connection is dropped then; 0: never
    Duration stable_after = std::chrono::seconds(10);
    unsigned notify_after = 0;    // failures in a row
    unsigned new_session_after = 0;
    unsigned disable_after = 0;
    Duration restart_after{};    // down for so long; 0: never
    Duration disabled_wait = std::chrono::minutes(1);    // between attempts once it is disabled
};

/// MT-09: every 3 s; told after 5 failures; disabled, recovery begun and pending trades dropped after 10.
LinkRules mt5_link();
/// EA-18: 2 s, doubled; 10 attempts; restarted when it is down for 30 s; told after 5 failures.
LinkRules ea_link();
/// "mt5", "ea". config: no such profile.
Result<LinkRules> link_rules(std::string_view profile);

class LinkPolicy {
public:
    using Attempt = std::uint64_t;

    struct Connect {    // now
        Attempt attempt = 0;
        bool new_session = false;    // do not resume the old session: begin one
        bool operator==(const Connect&) const = default;
    };
    struct WaitUntil {    // or until the next fact
        Instant until;
        bool operator==(const WaitUntil&) const = default;
    };
    struct Notify {    // tell the user
        unsigned failures = 0;
        Duration down{};
        bool operator==(const Notify&) const = default;
    };
    struct Restored {    // it holds again, after the user was told
        unsigned failures = 0;
        Duration down{};
        bool operator==(const Restored&) const = default;
    };
    struct Drop {    // close the connection, or give the attempt up: it is silent
        Attempt attempt = 0;
        bool operator==(const Drop&) const = default;
    };
    struct Restart {    // the owner's process, or the client with all its state
        Duration down{};
        bool operator==(const Restart&) const = default;
    };
    struct Disable {    // the instance: trade no more here, drop what has not left, begin the recovery
        unsigned failures = 0;
        bool operator==(const Disable&) const = default;
    };
    using Action = std::variant<Connect, WaitUntil, Notify, Restored, Drop, Restart, Disable>;

    explicit LinkPolicy(LinkRules rules) : rules_(rules) {}

    void connected(Attempt attempt, Instant now);
    void failed(Attempt attempt, Instant now);    // the attempt, or the connection that came of it
    void heartbeat(Attempt attempt, Instant now);    // something came from the other side

    Action next(Instant now);

    enum class State : std::uint8_t { waiting, connecting, up };
    State state() const { return state_; }
    /// Disabled is only left by a connection that holds.
    bool is_disabled() const { return disabled_; }
    unsigned failures() const { return failures_; }    // in a row
    /// Since when it is down; nothing while it is up and holds.
    std::optional<Instant> down_since() const { return down_since_; }

private:
    Duration wait_after(unsigned failures) const;
    void count_failure(Instant now);

    const LinkRules rules_;
    State state_ = State::waiting;
    Attempt attempt_ = 0;
    Instant attempt_at_{}, connect_at_{}, connected_at_{}, heard_at_{};
    std::optional<Instant> down_since_;
    unsigned failures_ = 0;
    bool begun_ = false;
    bool notified_ = false, disabled_ = false, restarted_ = false;
};

std::string_view name_of(LinkPolicy::State state);    // "waiting"

}    // namespace holdfast::watch
