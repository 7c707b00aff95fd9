// The dump of a relational store and the logs of the programs around it.

#include <fmt/format.h>

#include "holdfast/os/file.hpp"
#include "holdfast/testing/dataset.hpp"
#include "holdfast/testing/dataset_file.hpp"
#include "holdfast/testing/trades.hpp"

namespace holdfast::testing {
namespace {

constexpr std::uint64_t k_order_row_bytes = 163, k_fill_row_bytes = 113, k_log_line_bytes = 326;

// Rows that a table has after the recipe's changes: a change appends seven tenths of its share as new rows.
std::uint64_t rows_now(const DatasetRecipe& recipe, std::uint64_t rows) {
    double now = static_cast<double>(rows);
    for (const double percent : recipe.changes) now += static_cast<double>(rows) * percent * 0.7 / 100;
    return static_cast<std::uint64_t>(now);
}

// The other three tenths are updates, and they hit orders that are young when it happens: the last tenth of the table.
unsigned order_version(const DatasetRecipe& recipe, std::uint64_t index, std::uint64_t rows) {
    return index < rows - rows / 10 ? 0 : version_of(recipe, index, 20, 3.0);
}

Status write_orders(DatasetFile& file, const DatasetRecipe& recipe, const Desk& desk, std::uint64_t rows) {
    file.text() +=
        "COPY public.orders (id, client_id, account, symbol, side, kind, quantity, price, status, strategy, "
        "created_at, updated_at) FROM stdin;\n";
    const std::uint64_t end = rows_now(recipe, rows);
    for (std::uint64_t i = 0; i < end; ++i) {
        const Order o = desk.order(i, order_version(recipe, i, rows));
        fmt::format_to(std::back_inserter(file.text()),
                       "{}\t{}\tACC-{:05}\t{}\t{}\t{}\t{}\t{}\t{}\tstrategy-{:02}\t{}+00\t{}+00\n", o.id, o.client_id,
                       o.account, o.symbol, o.side, o.kind, o.quantity, decimal_price(o.price), o.status, o.strategy,
                       sql_time(o.created_at), sql_time(o.updated_at));
        HF_DO(file.flush_if_full());
    }
    file.text() += "\\.\n\n\n";
    return {};
}

Status write_fills(DatasetFile& file, const DatasetRecipe& recipe, const Desk& desk, std::uint64_t rows) {
    file.text() +=
        "COPY public.executions (id, order_id, symbol, side, quantity, price, venue, liquidity, commission, "
        "venue_ref, executed_at) FROM stdin;\n";
    const std::uint64_t end = rows_now(recipe, rows);
    for (std::uint64_t i = 0; i < end; ++i) {
        const Order o = desk.order(i);
        const std::uint64_t a = mixed(recipe.seed, i, 21);
        fmt::format_to(std::back_inserter(file.text()),
                       "{}\t{}\t{}\t{}\t{}\t{}\tvenue-{}\t{}\t{}.{:02}\t{:016x}\t{}+00\n", 90'000'000 + i, o.id,
                       o.symbol, o.side, o.quantity, decimal_price(o.price), a % 7, a & 0x100 ? "maker" : "taker",
                       a >> 16 & 15, (a >> 20) % 100, mixed(recipe.seed, i, 22), sql_time(o.updated_at));
        HF_DO(file.flush_if_full());
    }
    file.text() += "\\.\n\n\n";
    return {};
}

void append_log_line(std::string& to, const Desk& desk, std::uint64_t seed, std::uint64_t index) {
    const Order o = desk.order(index);
    const std::uint64_t a = mixed(seed, index, 30);
    static constexpr std::string_view k_events[]{"order accepted by venue", "execution report received",
                                                 "risk check passed", "position updated", "heartbeat answered"};
    fmt::format_to(
        std::back_inserter(to),
        R"({{"time":"{}Z","level":"{}","service":"trade-engine","host":"desk-01","thread":{},"event":"{}","order_id":{},)"
        R"("client_id":"{}","symbol":"{}","side":"{}","quantity":{},"price":{},"latency_us":{},"trace":"{:016x}{:08x}"}})"
        "\n",
        sql_time(o.created_at), a % 40 == 0 ? "warning" : "info", a % 8, k_events[(a >> 8) % 5], o.id, o.client_id,
        o.symbol, o.side, o.quantity, decimal_price(o.price), (a >> 16) % 900 + 40, mixed(seed, index, 31),
        mixed(seed, index, 32) >> 32);
}

}    // namespace

Status write_dataset_sql(const std::string& path, const DatasetRecipe& recipe) {
    const Desk desk(recipe.seed);
    const std::uint64_t bytes = recipe.bytes * 3 / 10;
    HF_TRY(DatasetFile file, DatasetFile::open(path));
    file.text() +=
        "--\n-- PostgreSQL database dump\n--\n\nSET statement_timeout = 0;\nSET client_encoding = 'UTF8';\n\n"
        "CREATE TABLE public.orders (id bigint NOT NULL, client_id uuid, account text, symbol text, side text, "
        "kind text, quantity bigint, price numeric(18,5), status text, strategy text, created_at timestamp "
        "with time zone, updated_at timestamp with time zone);\n"
        "CREATE TABLE public.executions (id bigint NOT NULL, order_id bigint, symbol text, side text, quantity "
        "bigint, price numeric(18,5), venue text, liquidity text, commission numeric(10,2), venue_ref text, "
        "executed_at "
        "timestamp with time zone);\n\n";
    HF_DO(write_orders(file, recipe, desk, bytes / 2 / k_order_row_bytes));
    HF_DO(write_fills(file, recipe, desk, bytes / 2 / k_fill_row_bytes));
    file.text() +=
        "ALTER TABLE ONLY public.orders ADD CONSTRAINT orders_pkey PRIMARY KEY (id);\n"
        "ALTER TABLE ONLY public.executions ADD CONSTRAINT executions_pkey PRIMARY KEY (id);\n"
        "--\n-- PostgreSQL database dump complete\n--\n\n";
    return file.finish();
}

Status write_dataset_logs(const std::string& folder, const DatasetRecipe& recipe) {
    const Desk desk(recipe.seed + 1);
    const std::uint64_t files = 12, lines = recipe.bytes / 5 / k_log_line_bytes, lines_per_file = lines / files;
    if (recipe.changes.empty()) {
        for (std::uint64_t number = 0; number < files; ++number) {
            HF_TRY(DatasetFile file, DatasetFile::open(fmt::format("{}/trading-{:02}.jsonl", folder, number)));
            for (std::uint64_t i = number * lines_per_file; i < (number + 1) * lines_per_file; ++i) {
                append_log_line(file.text(), desk, recipe.seed, i);
                HF_DO(file.flush_if_full());
            }
            HF_DO(file.finish());
        }
        return {};
    }
    HF_TRY(DatasetFile file, DatasetFile::open(fmt::format("{}/trading-{:02}.jsonl", folder, files - 1), true));
    const auto added = static_cast<std::uint64_t>(static_cast<double>(lines) * recipe.changes.back() / 100);
    // Each change has lines of its own, beyond all earlier ones.
    const std::uint64_t begin = (recipe.changes.size() + 1) * lines;
    for (std::uint64_t i = begin; i < begin + added; ++i) {
        append_log_line(file.text(), desk, recipe.seed, i);
        HF_DO(file.flush_if_full());
    }
    return file.finish();
}

}    // namespace holdfast::testing
