#include "holdfast/watch/link.hpp"

#include <fmt/core.h>

#include <algorithm>

namespace holdfast::watch {

using namespace std::chrono_literals;

LinkRules mt5_link() {
    return {.name = "mt5",
            .first_wait = 3s,
            .longest_wait = 3s,
            .silence_max = 30s,
            .notify_after = 5,
            .new_session_after = 5,
            .disable_after = 10};
}

LinkRules ea_link() {
    return {.name = "ea",
            .first_wait = 2s,
            .longest_wait = 30s,
            .silence_max = 30s,
            .notify_after = 5,
            .new_session_after = 5,
            .disable_after = 10,
            .restart_after = 30s};
}

Result<LinkRules> link_rules(std::string_view profile) {
    for (const LinkRules& rules : {mt5_link(), ea_link()})
        if (rules.name == profile) return rules;
    return fail(ErrorCode::config, fmt::format("there is no link profile \"{}\"", profile), "known are mt5 and ea");
}

std::string_view name_of(LinkPolicy::State state) {
    switch (state) {
        case LinkPolicy::State::waiting:
            return "waiting";
        case LinkPolicy::State::connecting:
            return "connecting";
        case LinkPolicy::State::up:
            return "up";
    }
    return "?";
}

Duration LinkPolicy::wait_after(unsigned failures) const {
    if (failures == 0) return Duration::zero();
    if (disabled_) return rules_.disabled_wait;
    Duration wait = std::min(rules_.first_wait, rules_.longest_wait);
    for (unsigned i = 1; i < failures && wait < rules_.longest_wait; ++i)
        wait = std::min(wait * 2, rules_.longest_wait);
    return wait;
}

void LinkPolicy::count_failure(Instant now) {
    ++failures_;
    if (!down_since_) down_since_ = now;
    connect_at_ = attempt_at_ + wait_after(failures_);
}

void LinkPolicy::connected(Attempt attempt, Instant now) {
    if (attempt != attempt_ || state_ != State::connecting) return;
    state_ = State::up;
    connected_at_ = heard_at_ = now;
}

void LinkPolicy::failed(Attempt attempt, Instant now) {
    if (attempt != attempt_ || state_ == State::waiting) return;
    const bool held = state_ == State::up && now - connected_at_ >= rules_.stable_after;
    const bool was_up = state_ == State::up;
    state_ = State::waiting;
    if (!held) {
        // A connection that broke soon is one more failed attempt; the wait counts from now, or it would have passed.
        if (was_up) attempt_at_ = now;
        return count_failure(now);
    }
    // What the outage before it was told of, next() said or will say; this is a new one.
    failures_ = 0;
    notified_ = disabled_ = restarted_ = false;
    down_since_ = now;
    connect_at_ = now;
}

void LinkPolicy::heartbeat(Attempt attempt, Instant now) {
    if (attempt == attempt_ && state_ == State::up) heard_at_ = std::max(heard_at_, now);
}

LinkPolicy::Action LinkPolicy::next(Instant now) {
    if (!begun_) {
        begun_ = true;
        connect_at_ = now;
        down_since_ = now;
    }
    if (state_ == State::connecting && now >= attempt_at_ + rules_.attempt_max) {
        const Attempt given_up = attempt_;
        failed(given_up, now);
        return Drop{given_up};
    }
    if (state_ == State::up && rules_.silence_max > Duration::zero() && now >= heard_at_ + rules_.silence_max) {
        const Attempt silent = attempt_;
        failed(silent, now);
        return Drop{silent};
    }
    if (state_ == State::up) {
        const Instant stable_at = connected_at_ + rules_.stable_after;
        if (now >= stable_at && down_since_) {
            const Restored restored{failures_, connected_at_ - *down_since_};
            const bool was_told = notified_ || disabled_ || restarted_;
            failures_ = 0;
            notified_ = disabled_ = restarted_ = false;
            down_since_.reset();
            if (was_told) return restored;
        }
        std::optional<Instant> until;
        if (down_since_) until = stable_at;
        if (rules_.silence_max > Duration::zero())
            until = std::min(until.value_or(heard_at_ + rules_.silence_max), heard_at_ + rules_.silence_max);
        return WaitUntil{until.value_or(now + std::chrono::hours(1))};
    }
    const Duration down = now - *down_since_;
    if (rules_.notify_after != 0 && failures_ >= rules_.notify_after && !notified_) {
        notified_ = true;
        return Notify{failures_, down};
    }
    if (rules_.disable_after != 0 && failures_ >= rules_.disable_after && !disabled_) {
        disabled_ = true;
        connect_at_ = attempt_at_ + wait_after(failures_);
        return Disable{failures_};
    }
    if (rules_.restart_after > Duration::zero() && down >= rules_.restart_after && !restarted_) {
        restarted_ = true;
        return Restart{down};
    }
    Instant until = state_ == State::connecting ? attempt_at_ + rules_.attempt_max : connect_at_;
    if (state_ == State::waiting && now >= connect_at_) {
        state_ = State::connecting;
        attempt_at_ = now;
        return Connect{++attempt_, rules_.new_session_after != 0 && failures_ >= rules_.new_session_after};
    }
    if (rules_.restart_after > Duration::zero() && !restarted_)
        until = std::min(until, *down_since_ + rules_.restart_after);
    return WaitUntil{until};
}

}    // namespace holdfast::watch
