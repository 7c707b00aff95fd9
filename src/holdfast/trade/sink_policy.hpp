#pragma once
// When a sink gets its next batch, and what happens when it will not take one. Pure: time comes in, one action comes out.
//
//   batches   at `rows_min` waiting rows, or when the oldest has waited `age_max`, or at once when an execution waits and nothing
//             was written within `age_max`
//   failures  `attempts` times, `every` apart; then the user is told, the batch counts as failed, and the sink is suspended until
//             resume(), or tried again each `later`. What help from outside is needed for goes there without more attempts
//   threads   one at a time

#include <optional>
#include <string_view>
#include <variant>

#include "holdfast/base/clock.hpp"

namespace holdfast::trade {

struct SinkProfile {
    std::string_view name;
    std::size_t rows_min = 50;
    Duration age_max = std::chrono::milliseconds(500);
    unsigned attempts = 5;
    Duration every = std::chrono::seconds(5);
    bool suspends = true;
    Duration later = std::chrono::minutes(1);    // unless it suspends

    /// ClickHouse as the MT5 terminal wants it: 5 attempts, 5 s apart, then it waits for a person.
    static SinkProfile mt5() { return {"mt5"}; }
    /// ... and as the trading bots do: 3 attempts, 5 s apart, then every minute.
    static SinkProfile ea() { return {"ea", 50, std::chrono::milliseconds(500), 3, std::chrono::seconds(5), false}; }
    /// The current state, at once; every 2 s when it is away, and the user is told after 10 attempts.
    static SinkProfile redis() {
        return {"redis", 1, Duration::zero(), 10, std::chrono::seconds(2), false, std::chrono::seconds(2)};
    }
    static SinkProfile duckdb() {
        return {"duckdb", 50, std::chrono::milliseconds(500), 5, std::chrono::seconds(5), false};
    }
};

enum class SinkState {
    following,    // all but the newest facts are there
    catching_up,    // whole batches wait
    retrying,    // the last attempt failed
    suspended,    // waits for `trade resume-sync`
};
std::string_view name_of(SinkState state);

class SinkPolicy {
public:
    struct Write {};    // hand the sink what waits
    /// Look again then, or earlier when more facts have come; nullopt: only for new facts or resume().
    struct Wait {
        std::optional<Instant> until;
    };
    using Action = std::variant<Write, Wait>;

    explicit SinkPolicy(SinkProfile profile, std::size_t batch_max) : profile_(profile), batch_max_(batch_max) {}

    /// What waits now: rows, and whether an execution is among them. Rows that were there before are counted again.
    void waiting(std::size_t rows, bool execution, Instant now);
    Action next(Instant now) const;

    /// The batch is there; `waiting` says anew what is left.
    void written(Instant now);
    struct Outcome {
        bool tell = false;    // the user, once for each time that it breaks
        bool park = false;    // it belongs into failed_syncs, with the new number of attempts
    };
    /// `passing`: the same may succeed later without help.
    Outcome failed(bool passing, Instant now);
    /// Ends a suspension: the next attempt is made at once.
    void resume(Instant now);

    SinkState state() const;
    unsigned attempts() const { return attempts_; }    // that failed in a row

private:
    SinkProfile profile_;
    std::size_t batch_max_;
    std::size_t rows_ = 0;
    bool execution_ = false;
    std::optional<Instant> oldest_;    // when the first of the waiting rows came
    std::optional<Instant> written_;
    unsigned attempts_ = 0;
    bool told_ = false, suspended_ = false;
    std::optional<Instant> retry_at_;
};

}    // namespace holdfast::trade
