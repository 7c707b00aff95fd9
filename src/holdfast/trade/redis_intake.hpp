#pragma once
// Signals from a Redis stream: `hf:{acct}:rtss`, read by the consumer group `engine`. An entry's fields are a signal's
// (trade/signal_json.hpp); its ID is the server's time (XADD … *).
//
//   promises   an entry is acknowledged and removed only after its signal was answered, so after the journal has it. What
//              a dead consumer or a failover left is handed on again; the engine drops what it knows
//   time       an entry that is older than the signals' time to live is handed on like all others: it is recorded as expired
//              and not forgotten. A signal counts as created when its entry was, unless it says an earlier time
//   bad ones   malformed and refused entries go to `hf:{acct}:rtss:bad` (its newest k_bad_max) with the reason
//   memory     at most `in_flight_max` signals without an answer, `batch` entries a reply
//   trouble    the link policy of the profile; the group is made again when it is gone; out of memory on the server delays only
//              bad entries
//   threads    its own; `submit` is called on it, answers come on any
//   source     docs/operations/trade-intake.md

#include <functional>
#include <memory>
#include <string>

#include "holdfast/trade/intake.hpp"
#include "holdfast/trade/redis_link.hpp"
#include "holdfast/watch/link.hpp"

namespace holdfast::trade {

inline constexpr unsigned k_bad_max = 10'000;

struct RedisIntakeOptions {
    std::string account;
    std::string consumer;    // this instance's name: after a restart it goes on with what it was given
    watch::LinkRules link = watch::ea_link();
    Duration claim_idle = std::chrono::seconds(5);    // after that long another consumer's entry counts as left behind
    Duration claim_every = std::chrono::seconds(1);
    Duration unavailable_wait = std::chrono::seconds(1);    // before what the engine could not take is handed on again
    unsigned batch = 128;
    unsigned in_flight_max = 2048;
};

struct RedisIntakeCounts {
    std::uint64_t handed_on = 0;    // submissions, again ones included
    std::uint64_t acknowledged = 0;
    std::uint64_t bad = 0;    // moved aside
    std::uint64_t claimed = 0;    // taken over from other consumers
    std::uint64_t vanished = 0;    // somebody trimmed or deleted them before they were handed on
};

struct RedisIntakeStatus {
    watch::LinkPolicy::State link = watch::LinkPolicy::State::waiting;
    std::string trouble;    // the newest error; empty while it is up
    std::size_t in_flight = 0;
    RedisIntakeCounts counts;
};

class RedisIntake {
public:
    /// `told`: what the link policy wants its owner to do (Notify, Restored, Restart, Disable), on the intake's thread.
    RedisIntake(RedisLink link, RedisIntakeOptions options, Submit submit, Clock& clock,
                std::function<void(const watch::LinkPolicy::Action&)> told = {});
    ~RedisIntake();
    RedisIntakeStatus status() const;
    /// Reads no more; what has been answered by now is acknowledged.
    void stop();

private:
    struct State;
    std::shared_ptr<State> state_;    // answers may come after the end
};

}    // namespace holdfast::trade
