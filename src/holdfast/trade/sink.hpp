#pragma once
// A store that mirrors the journal: it takes Changes in their order and keeps, with them, up to which one it has them.
//
//   promises   the watermark is written with the data, or after the data was seen in the store: a store that failed over, was
//              restored or was emptied tells an older one, and gets the rest again. What it has already changes nothing
//   errors     `changed`: the store is behind what the caller believes; ask for its watermark. All else as worth_retrying says
//   threads    one at a time

#include <span>
#include <string_view>

#include "holdfast/base/result.hpp"
#include "holdfast/ledger/book.hpp"

namespace holdfast::trade {

class Sink {
public:
    virtual ~Sink() = default;

    virtual std::string_view name() const = 0;
    /// The most changes that one apply() takes.
    virtual std::size_t batch_max() const = 0;
    /// As the store itself holds it; 0: nothing yet. Makes tables and functions where they are missing.
    virtual Result<ledger::Sequence> watermark() = 0;
    /// `changes` ascend and are all that the journal has after `after`, up to the last of them. A store whose watermark is
    /// before `after` refuses (`changed`); what lies at or before its watermark is passed over. Success: all of it is there.
    virtual Status apply(ledger::Sequence after, std::span<const ledger::Change> changes) = 0;
};

/// Whether the same call may succeed later without anybody's help: servers that are down, loading, full or in trouble, not wrong
/// rights, settings or versions.
inline bool worth_retrying(const Error& error) {
    return error.retryable() || error.code == ErrorCode::disk_full || error.code == ErrorCode::store ||
           error.code == ErrorCode::io;
}

/// Whether the stores have anything to keep of it; all other facts matter to the journal only.
inline bool matters_to_stores(const ledger::Change& change) {
    return change.order.has_value() || std::holds_alternative<ledger::OrderExecuted>(change.fact.data);
}

}    // namespace holdfast::trade
