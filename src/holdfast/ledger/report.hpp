#pragma once
// What a broker says, as the engine takes it. (The adapters that say it: broker/broker.hpp.)

#include <cstdint>
#include <string>

#include "holdfast/ledger/model.hpp"

namespace holdfast::ledger {

enum class ReportKind : std::uint8_t {
    link_up,    // logged on, in sequence: orders may be sent
    link_down,
    acked,    // the broker has the order and it is working
    executed,    // `execution` is filled in
    rejected,    // definite, at the broker: it will never be executed
    cancelled,    // closed by the broker with what has been filled so far (cancelled, expired, done for the day)
    cancel_refused,    // the order goes on as it was
    unknown,    // answer to a question, and definite: the broker does not know the order
    changed,    // the broker has corrected or cancelled an execution afterwards: for people, `text` says which
};

struct Report {
    ReportKind kind = ReportKind::link_down;
    Uuid order;    // client order ID; nil for link reports
    std::string broker_id;    // the broker's name for it, where it says one
    Execution execution;    // executed; `signal` is left nil: the engine knows it
    Decimal cumulative;    // cancelled: what the broker has filled of it in all
    std::uint64_t question = 0;    // unknown: of the query that it answers
    std::string text;    // the broker's reason, for people
};

}    // namespace holdfast::ledger
