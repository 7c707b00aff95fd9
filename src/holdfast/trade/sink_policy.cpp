#include "holdfast/trade/sink_policy.hpp"

#include <limits>

namespace holdfast::trade {

std::string_view name_of(SinkState state) {
    switch (state) {
        case SinkState::following:
            return "following";
        case SinkState::catching_up:
            return "catching up";
        case SinkState::retrying:
            return "retrying";
        case SinkState::suspended:
            return "suspended";
    }
    return "?";
}

void SinkPolicy::waiting(std::size_t rows, bool execution, Instant now) {
    if (rows == 0) {
        oldest_.reset();
    } else if (!oldest_) {
        oldest_ = now;
    }
    rows_ = rows;
    execution_ = execution;
}

SinkPolicy::Action SinkPolicy::next(Instant now) const {
    if (rows_ == 0 || suspended_) return Wait{};
    if (retry_at_) {
        if (now < *retry_at_) return Wait{retry_at_};
        return Write{};
    }
    const Instant due = *oldest_ + profile_.age_max;
    const bool idle = !written_ || now - *written_ >= profile_.age_max;
    if (rows_ >= profile_.rows_min || now >= due || (execution_ && idle)) return Write{};
    if (execution_) return Wait{std::min(due, *written_ + profile_.age_max)};
    return Wait{due};
}

void SinkPolicy::written(Instant now) {
    written_ = now;
    attempts_ = 0;
    told_ = suspended_ = false;
    retry_at_.reset();
    waiting(0, false, now);
}

SinkPolicy::Outcome SinkPolicy::failed(bool passing, Instant now) {
    if (attempts_ < std::numeric_limits<unsigned>::max()) ++attempts_;
    if (passing && attempts_ < profile_.attempts) {
        retry_at_ = now + profile_.every;
        return {};
    }
    Outcome outcome{!told_, true};
    told_ = true;
    suspended_ = profile_.suspends;
    retry_at_ = now + profile_.later;
    return outcome;
}

void SinkPolicy::resume(Instant now) {
    if (!suspended_) return;
    suspended_ = false;
    attempts_ = 0;
    told_ = false;
    retry_at_ = now;
}

SinkState SinkPolicy::state() const {
    if (suspended_) return SinkState::suspended;
    if (attempts_ > 0) return SinkState::retrying;
    return rows_ >= batch_max_ ? SinkState::catching_up : SinkState::following;
}

}    // namespace holdfast::trade
