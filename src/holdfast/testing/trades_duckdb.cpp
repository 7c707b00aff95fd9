#include "holdfast/testing/trades_duckdb.hpp"

#include <dlfcn.h>
#include <duckdb.h>
#include <fmt/format.h>

#include "holdfast/testing/trades.hpp"

namespace holdfast::testing {
namespace {

struct Api {
    decltype(&::duckdb_open_ext) open_ext = nullptr;
    decltype(&::duckdb_close) close = nullptr;
    decltype(&::duckdb_connect) connect = nullptr;
    decltype(&::duckdb_disconnect) disconnect = nullptr;
    decltype(&::duckdb_query) query = nullptr;
    decltype(&::duckdb_result_error) result_error = nullptr;
    decltype(&::duckdb_destroy_result) destroy_result = nullptr;
    decltype(&::duckdb_column_count) column_count = nullptr;
    decltype(&::duckdb_row_count) row_count = nullptr;
    decltype(&::duckdb_value_varchar) value_varchar = nullptr;
    decltype(&::duckdb_free) free = nullptr;
};

template <class F>
bool find(void* library, const char* name, F& function) {
    function = reinterpret_cast<F>(dlsym(library, name));
    return function != nullptr;
}

// Loaded once and never unloaded: the engine keeps threads of its own.
Result<const Api*> api() {
    static const Result<Api> loaded = []() -> Result<Api> {
        void* library = dlopen(HF_DUCKDB_LIBRARY, RTLD_NOW | RTLD_LOCAL);
        if (library == nullptr) library = dlopen("libduckdb.so", RTLD_NOW | RTLD_LOCAL);
        if (library == nullptr)
            return fail(ErrorCode::not_found, fmt::format("libduckdb cannot be loaded: {}", dlerror()),
                        "run scripts/fetch-engines.sh");
        Api a;
        const bool whole =
            find(library, "duckdb_open_ext", a.open_ext) && find(library, "duckdb_close", a.close) &&
            find(library, "duckdb_connect", a.connect) && find(library, "duckdb_disconnect", a.disconnect) &&
            find(library, "duckdb_query", a.query) && find(library, "duckdb_result_error", a.result_error) &&
            find(library, "duckdb_destroy_result", a.destroy_result) &&
            find(library, "duckdb_column_count", a.column_count) && find(library, "duckdb_row_count", a.row_count) &&
            find(library, "duckdb_value_varchar", a.value_varchar) && find(library, "duckdb_free", a.free);
        if (!whole) return fail(ErrorCode::unsupported, "libduckdb lacks a function of its C interface");
        return a;
    }();
    if (!loaded) return fail(loaded.error());
    return &*loaded;
}

}    // namespace

struct TradesDuckDb::State {
    const Api* api = nullptr;
    duckdb_database database = nullptr;
    duckdb_connection connection = nullptr;
    ~State() {
        if (connection != nullptr) api->disconnect(&connection);
        if (database != nullptr) api->close(&database);
    }
};

TradesDuckDb::TradesDuckDb(std::unique_ptr<State> state) : state_(std::move(state)) {}
TradesDuckDb::TradesDuckDb(TradesDuckDb&&) noexcept = default;
TradesDuckDb::~TradesDuckDb() = default;

Result<TradesDuckDb> TradesDuckDb::open(const std::string& path) {
    auto state = std::make_unique<State>();
    HF_TRY(state->api, api());
    char* message = nullptr;
    if (state->api->open_ext(path.c_str(), &state->database, nullptr, &message) != DuckDBSuccess) {
        std::string text = message != nullptr ? message : "no reason given";
        state->api->free(message);
        return fail(ErrorCode::store, fmt::format("DuckDB cannot open {}: {}", path, text));
    }
    if (state->api->connect(state->database, &state->connection) != DuckDBSuccess)
        return fail(ErrorCode::store, fmt::format("DuckDB cannot connect to {}", path));
    return TradesDuckDb(std::move(state));
}

Result<std::vector<std::vector<std::string>>> TradesDuckDb::query(const std::string& sql) {
    const Api& a = *state_->api;
    duckdb_result result{};
    const bool ok = a.query(state_->connection, sql.c_str(), &result) == DuckDBSuccess;
    std::vector<std::vector<std::string>> rows;
    std::string error;
    if (!ok) {
        const char* text = a.result_error(&result);
        error = text != nullptr ? text : "no reason given";
    } else {
        const idx_t columns = a.column_count(&result);
        rows.resize(a.row_count(&result), std::vector<std::string>(columns));
        for (idx_t row = 0; row < rows.size(); ++row)
            for (idx_t column = 0; column < columns; ++column)
                if (char* text = a.value_varchar(&result, column, row); text != nullptr) {
                    rows[row][column] = text;
                    a.free(text);
                }
    }
    a.destroy_result(&result);
    if (!ok) return fail(ErrorCode::store, fmt::format("DuckDB refuses \"{}\": {}", sql.substr(0, 80), error));
    return rows;
}

Status TradesDuckDb::execute(const std::string& sql) {
    HF_TRY(const auto rows, query(sql));
    static_cast<void>(rows);
    return {};
}

Result<std::string> TradesDuckDb::value(const std::string& sql) {
    HF_TRY(auto rows, query(sql));
    if (rows.empty() || rows[0].empty())
        return fail(ErrorCode::store, fmt::format("DuckDB answers nothing to \"{}\"", sql.substr(0, 80)));
    return std::move(rows[0][0]);
}

std::string select_executions(std::uint64_t seed, std::uint64_t begin, std::uint64_t end) {
    const std::uint64_t a = mixed(seed, 0, 50) >> 2;    // fits DuckDB's signed arithmetic
    std::string symbols;
    for (unsigned i = 0; i < Desk::k_symbols; ++i)
        symbols += fmt::format("{}'{}'", i == 0 ? "" : ",", Desk::symbol_name(i));
    return fmt::format(
        "SELECT i AS id, make_timestamp(1788739200000000 + i * 180000 + (h % 180000)::BIGINT) AS executed_at, "
        "[{}][(h % 24)::INTEGER + 1] AS symbol, CASE WHEN h >> 8 & 1 = 1 THEN 'buy' ELSE 'sell' END AS side, "
        "((h >> 9) % 50 + 1)::INTEGER * 1000 AS quantity, "
        "((100000 * (1 + (h % 24)) * (1 + 0.01 * sin(i / 100000.0 + (h % 24)::DOUBLE)))::BIGINT + ((h >> 16) % "
        "400)::BIGINT)"
        " AS price, 40000000 + i // 2 AS order_id, hash(i + {}) AS venue_ref, hash(i + {}) AS client_ref "
        "FROM (SELECT i, hash(i + {}) AS h FROM range({}, {}) t(i))",
        symbols, a + 1'000'000'007, a + 2'000'000'011, a, begin, end);
}

}    // namespace holdfast::testing
