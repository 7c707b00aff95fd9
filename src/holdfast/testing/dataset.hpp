#pragma once
// A trading host's files for the bench: what lies on its disk when a backup runs.
//
//   duckdb/trades.duckdb   30 %  columns packed by DuckDB: hardly compresses
//   sql/trading.sql        30 %  a dump as pg_dump writes it: COPY blocks in the order of the table
//   redis/dump.rdb         10 %  format version 10, keys in the order of a hash table, CRC-64 at the end
//   logs/trading-NN.jsonl  20 %  one JSON object a line, rotated
//   archive/*.bin          10 %  incompressible
//   dataset.json                 the recipe: seed, size, the changes made so far
//
// Text and RDB are byte-identical for one seed; DuckDB's file holds the same rows for one seed, laid out as it likes.
// A change writes each file as its owner would: the dump whole again, the RDB whole again, the log appended to.

#include <cstdint>
#include <string>
#include <vector>

#include "holdfast/base/result.hpp"

namespace holdfast::testing {

struct DatasetRecipe {
    std::uint64_t seed = 0;
    std::uint64_t bytes = 0;
    std::vector<double> changes;    // per cent, one a change
};

/// `folder` must not exist or be empty (exists).
Status make_dataset(const std::string& folder, std::uint64_t seed, std::uint64_t bytes);
/// Changes `percent` of it in place.
Status change_dataset(const std::string& folder, double percent);

// One writer a kind; each writes its file as it is after all of the recipe's changes.
Status write_dataset_sql(const std::string& path, const DatasetRecipe& recipe);
Status write_dataset_rdb(const std::string& path, const DatasetRecipe& recipe);
/// Rotated files until the last change, which only appends to the last of them.
Status write_dataset_logs(const std::string& folder, const DatasetRecipe& recipe);
/// Creates the file, or applies the last change to it.
Status write_dataset_duckdb(const std::string& path, const DatasetRecipe& recipe);
Status write_dataset_archive(const std::string& folder, const DatasetRecipe& recipe);

/// How often record `index` has changed in a recipe whose changes touch `share` of a per cent point each.
unsigned version_of(const DatasetRecipe& recipe, std::uint64_t index, std::uint64_t salt, double share);

}    // namespace holdfast::testing
