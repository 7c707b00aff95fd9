#pragma once
// A fact as people and programs read it: one flat object, the same members in each kind.
//
//   shape    {"sequence": 7, "at": "…Z", "kind": "order_executed", "order": "…", …}; decimals are strings, exact; what is
//            zero or empty by its meaning is left out
//   source   docs/formats/journal.md

#include <string_view>
#include <vector>

#include "holdfast/base/json.hpp"
#include "holdfast/ledger/fact.hpp"

namespace holdfast::trade {

json::Value fact_json(ledger::Sequence sequence, const ledger::Fact& fact);
/// Every member that any kind has, in the order of columns.
const std::vector<std::string_view>& fact_columns();
/// One line of RFC 4180, with CR LF. `fact` as fact_json makes it.
std::string fact_csv(const json::Value& fact);
std::string fact_csv_header();

/// Whether the fact is about this order: its own, or as a child, parent or signal of one.
bool concerns(const ledger::Fact& fact, const ledger::Uuid& order);

}    // namespace holdfast::trade
