#pragma once
// Snapshots as --json shows them.

#include "holdfast/base/json.hpp"
#include "holdfast/vault/repository.hpp"

namespace holdfast::cli {

json::Value snapshot_json(const vault::SnapshotEntry& entry);
json::Value summary_json(const format::SnapshotSummary& summary);
json::Value strings_json(const std::vector<std::string>& strings);

}    // namespace holdfast::cli
