#pragma once
// A DuckDB file in this process, by SQL text alone: what the generators write through and the demo counts through. It
// shares no code with holdfast's own DuckDB client, so that the demo's digests are a second opinion.
//
//   errors   store (what DuckDB says), not_found (no libduckdb)
//   threads  one connection, one thread; while it is open no other process can open the file

#include <memory>
#include <string>
#include <vector>

#include "holdfast/base/result.hpp"

namespace holdfast::testing {

class TradesDuckDb {
public:
    /// Opens or creates the file. libduckdb is taken from where the build found it, or by the loader's rules.
    static Result<TradesDuckDb> open(const std::string& path);
    TradesDuckDb(TradesDuckDb&&) noexcept;
    ~TradesDuckDb();

    Status execute(const std::string& sql);
    /// All cells as text, row by row; NULL is an empty text.
    Result<std::vector<std::vector<std::string>>> query(const std::string& sql);
    /// The first cell.
    Result<std::string> value(const std::string& sql);

private:
    struct State;
    explicit TradesDuckDb(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

/// SQL that makes the executions [begin, end) of a seed: id, executed_at, symbol, side, quantity, price, order_id,
/// venue_ref, client_ref. Deterministic, made by the engine itself at about 3 million rows a second.
std::string select_executions(std::uint64_t seed, std::uint64_t begin, std::uint64_t end);

}    // namespace holdfast::testing
