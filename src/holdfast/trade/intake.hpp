#pragma once
// What all intakes share: a signal goes in, its outcome comes back.
//
//   promises   `accepted` and `duplicate` are said only when the journal durably has the signal; whoever hears neither may send
//              the same signal again, as often as it likes
//   threads    a Submit takes submissions from any thread; `answer` is called once, on any thread, and must not wait

#include <functional>
#include <optional>
#include <string>

#include "holdfast/ledger/model.hpp"

namespace holdfast::trade {

struct Outcome {
    enum class Verdict : std::uint8_t {
        accepted,
        duplicate,    // `order` is what became of the first one, as far as it is still known
        refused,    // as it is, it will never be taken: `text` says why
        unavailable,    // not now: `text` says why
    };
    Verdict verdict = Verdict::unavailable;
    std::optional<ledger::Order> order;
    std::string text;
};

struct Submission {
    ledger::Signal signal;
    std::function<void(const Outcome&)> answer;
};
using Submit = std::function<void(Submission)>;

/// Whether `order` (the first outcome for this UUID) is what `signal` asks for. An order that is only known in outline (no
/// symbol) agrees with everything; times of creation are not compared, because a producer that tries again may stamp anew.
bool asks_for(const ledger::Signal& signal, const ledger::Order& order);

/// A producer's clock may be ahead by this and no more: what is created later than now cannot be told from what is old.
inline constexpr Duration k_clock_ahead_max = std::chrono::seconds(5);

}    // namespace holdfast::trade
