#pragma once
// A journal as the pump wants it: append cannot fail. What the disk has no room for waits here, in its order, and the engine
// goes no further than that, for nothing of it becomes durable meanwhile.
//
//   J        trade::Journal, or trade::JournalLog where there are no threads
//   threads  one

#include <deque>

#include "holdfast/trade/pump.hpp"

namespace holdfast::trade {

template <class J>
class JournalAsLog final : public Log {
public:
    /// `journal` outlives it; `last` is the last sequence that it has.
    JournalAsLog(J& journal, ledger::Sequence last) : journal_(journal), last_(last) {}

    ledger::Sequence append(ByteView payload) override {
        appended_ = true;
        if (waiting_.empty()) {
            if (const auto sequence = journal_.append(payload)) {
                last_ = *sequence;
                return last_;
            }
        }
        waiting_.emplace_back(payload.begin(), payload.end());
        return ++last_;
    }
    ledger::Sequence durable() const override { return journal_.durable(); }
    std::optional<std::string> trouble() const override {
        if (const auto& failure = journal_.failure()) return failure->message;
        if (const auto& trouble = journal_.trouble()) return "the journal's disk has no room: " + trouble->message;
        if (!waiting_.empty()) return "the journal's disk has no room";
        return std::nullopt;
    }

    /// Hands over what waits, as far as there is room. True: something was appended since the last call, and is to be committed.
    bool hand_over() {
        while (!waiting_.empty() && journal_.append(waiting_.front())) waiting_.pop_front();
        return std::exchange(appended_, !waiting_.empty());
    }
    ledger::Sequence last() const { return last_; }

private:
    J& journal_;
    std::deque<Bytes> waiting_;
    ledger::Sequence last_;
    bool appended_ = false;
};

}    // namespace holdfast::trade
