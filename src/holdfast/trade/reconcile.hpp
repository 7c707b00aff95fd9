#pragma once
// The journal beside a store: does the store hold what it should? What it lacks can be written again.
//
//   judged    what this journal says up to where the store is level: its executions (not in Redis, which keeps them only until the
//             history has them) and the newest state of its orders, as long as the store keeps them. What a store has of other
//             journals is not judged
//   repair    forward: the journal's rows are written again. A row of a later session stays
//   memory    about 200 bytes for each order and execution in the journal

#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "holdfast/trade/projection.hpp"
#include "holdfast/trade/rebuild.hpp"

namespace holdfast::trade {

struct Difference {
    bool is_order = false;    // else an execution
    std::string id;
    std::string what;    // "is missing", "is acked, and should be filled"
    ledger::Sequence sequence = 0;    // of the fact that has to be written again
};

struct StoreComparison {
    std::string store;
    std::size_t orders = 0, executions = 0;    // compared
    std::vector<Difference> differences;    // by sequence
    std::size_t repaired = 0;
    std::optional<Error> error;    // why it was not compared, or not repaired
};

/// What the journal says of orders and executions, now.
class JournalView {
public:
    static Result<JournalView> read(ChangeSource& changes);

    /// `level`: up to where the store needed nothing before it told, and it told before this was read: what the journal has not
    /// touched since must be there alike. `now`: for what it no longer keeps. `told`: by that store alone.
    StoreComparison compare(std::string_view store, const Rebuilt& told, ledger::Sequence level, Timestamp now) const;

private:
    struct Order {
        ledger::Sequence sequence = 0;
        ledger::OrderState state = ledger::OrderState::accepted;
        ledger::Decimal filled;
        Timestamp changed_at;
    };
    struct Execution {
        ledger::Sequence sequence = 0;
        ledger::Uuid order;
        ledger::Decimal quantity, price;
    };
    std::unordered_map<ledger::Uuid, Order> orders_;
    std::unordered_map<std::string, Execution> executions_;
};

/// Writes the facts of `differences` into the store again. `sink` counts under a watermark of its own (a journal name that nobody
/// has used), so that the store does not pass them over. Returns how many facts were written.
Result<std::size_t> repair(Sink& sink, ChangeSource& changes, const std::vector<Difference>& differences);

}    // namespace holdfast::trade
