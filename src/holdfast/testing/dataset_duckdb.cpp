#include <fmt/format.h>

#include "holdfast/testing/dataset.hpp"
#include "holdfast/testing/trades_duckdb.hpp"

namespace holdfast::testing {
namespace {
constexpr double k_row_bytes = 25.7;    // of file, columns packed
}

Status write_dataset_duckdb(const std::string& path, const DatasetRecipe& recipe) {
    HF_TRY(TradesDuckDb db, TradesDuckDb::open(path));
    const auto rows = static_cast<std::uint64_t>(static_cast<double>(recipe.bytes) * 0.3 / k_row_bytes);
    HF_DO(db.execute("SET threads = 1"));    // rows in the order of their ids
    if (recipe.changes.empty()) {
        HF_DO(db.execute("CREATE TABLE executions AS " + select_executions(recipe.seed, 0, rows)));
        return db.execute("CHECKPOINT");
    }
    // The open ends of the work: new rows, and young ones that are corrected.
    const double share = recipe.changes.back() / 100;
    HF_TRY(const std::string newest, db.value("SELECT max(id) + 1 FROM executions"));
    const std::uint64_t begin = std::stoull(newest);
    const auto added = static_cast<std::uint64_t>(static_cast<double>(rows) * share * 0.7);
    const auto corrected = static_cast<std::uint64_t>(static_cast<double>(rows) * share * 0.3);
    HF_DO(db.execute("INSERT INTO executions " + select_executions(recipe.seed, begin, begin + added)));
    HF_DO(db.execute(fmt::format("UPDATE executions SET quantity = quantity + 1000 WHERE id >= {} AND id < {}",
                                 begin - corrected, begin)));
    return db.execute("CHECKPOINT");
}

}    // namespace holdfast::testing
