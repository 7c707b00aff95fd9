#include "holdfast/trade/reconcile.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <set>

namespace holdfast::trade {
namespace {

using ledger::Change;
using ledger::Sequence;

constexpr std::size_t k_read_max = 4096;
/// Closed orders leave Redis and ClickHouse 30 days after their last change; one day of margin.
constexpr Duration k_kept = std::chrono::hours(24 * 29);

}    // namespace

Result<JournalView> JournalView::read(ChangeSource& changes) {
    JournalView view;
    HF_TRY(const ChangeSource::Oldest oldest, changes.oldest());
    Sequence after = oldest.sequence - 1;
    for (;;) {
        HF_TRY(const std::vector<Change> some, changes.read(after, k_read_max));
        if (some.empty()) return view;
        for (const Change& change : some) {
            if (change.order)
                view.orders_[change.order->id] = {change.sequence, change.order->state, change.order->filled,
                                                  change.order->changed_at};
            if (const auto* executed = std::get_if<ledger::OrderExecuted>(&change.fact.data)) {
                const ledger::Execution& execution = executed->execution;
                view.executions_[execution.id] = {change.sequence, execution.order, execution.quantity,
                                                  execution.price};
            }
        }
        after = some.back().sequence;
    }
}

StoreComparison JournalView::compare(std::string_view store, const Rebuilt& told, Sequence level, Timestamp now) const {
    StoreComparison result;
    result.store = store;
    const bool is_redis = store == "redis";
    std::unordered_map<std::string_view, const ledger::Execution*> executions;
    for (const ledger::Execution& one : told.executions) executions.emplace(one.id, &one);
    for (const auto& [id, wanted] : executions_) {
        if (is_redis || wanted.sequence > level) continue;
        ++result.executions;
        const auto at = executions.find(id);
        if (at == executions.end()) {
            result.differences.push_back({false, id, "is missing", wanted.sequence});
        } else if (const ledger::Execution& held = *at->second;
                   held.order != wanted.order || held.quantity != wanted.quantity || held.price != wanted.price) {
            result.differences.push_back({false, id,
                                          fmt::format("is {} at {}, and should be {} at {}", held.quantity.text(),
                                                      held.price.text(), wanted.quantity.text(), wanted.price.text()),
                                          wanted.sequence});
        }
    }
    std::unordered_map<ledger::Uuid, const ledger::Order*> orders;
    for (const auto* list : {&told.open, &told.closed})
        for (const FoundOrder& one : *list) orders.emplace(one.order.id, &one.order);
    for (const auto& [id, wanted] : orders_) {
        if (wanted.sequence > level) continue;
        if (is_closed(wanted.state) && store != "duckdb" && now - wanted.changed_at > k_kept) continue;
        if (is_redis && wanted.state == ledger::OrderState::failed) continue;    // removed there
        ++result.orders;
        const auto at = orders.find(id);
        if (at == orders.end())
            result.differences.push_back({true, id.text(), "is missing", wanted.sequence});
        else if (at->second->state != wanted.state)
            result.differences.push_back(
                {true, id.text(),
                 fmt::format("is {}, and should be {}", name_of(at->second->state), name_of(wanted.state)),
                 wanted.sequence});
        else if (at->second->filled != wanted.filled)
            result.differences.push_back(
                {true, id.text(),
                 fmt::format("is filled by {}, and should be by {}", at->second->filled.text(), wanted.filled.text()),
                 wanted.sequence});
    }
    std::ranges::sort(result.differences, {}, &Difference::sequence);
    return result;
}

Result<std::size_t> repair(Sink& sink, ChangeSource& changes, const std::vector<Difference>& differences) {
    std::set<Sequence> wanted;
    for (const Difference& one : differences) wanted.insert(one.sequence);
    Sequence written = 0;    // by the repair's own watermark
    std::vector<Change> batch;
    const auto write = [&]() -> Status {
        if (batch.empty()) return {};
        HF_DO(sink.apply(written, batch));
        written = batch.back().sequence;
        batch.clear();
        return {};
    };
    auto next = wanted.begin();
    for (Sequence after = next == wanted.end() ? 0 : *next - 1; next != wanted.end();) {
        HF_TRY(std::vector<Change> some, changes.read(after, k_read_max));
        if (some.empty() || some.front().sequence > *next)
            return fail(ErrorCode::not_found, fmt::format("the journal no longer holds the fact {}", *next));
        after = some.back().sequence;
        for (Change& change : some) {
            if (next == wanted.end() || change.sequence != *next) continue;
            ++next;
            batch.push_back(std::move(change));
            if (batch.size() == std::min<std::size_t>(sink.batch_max(), 1000)) HF_DO(write());
        }
    }
    HF_DO(write());
    return wanted.size();
}

}    // namespace holdfast::trade
