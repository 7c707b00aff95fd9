#include <fmt/format.h>

#include "holdfast/testing/trades.hpp"
#include "holdfast/testing/trades_stores.hpp"

namespace holdfast::testing {
namespace {

constexpr const char* k_database = "trading";
constexpr std::uint64_t k_accounts = 500;

// Orders and their executions as COPY blocks, [begin, end).
std::string copy_orders(const Desk& desk, std::uint64_t begin, std::uint64_t end) {
    std::string text = "COPY orders FROM stdin;\n";
    for (std::uint64_t i = begin; i < end; ++i) {
        const Order o = desk.order(i);
        fmt::format_to(std::back_inserter(text), "{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}+00\t{}+00\n", o.id,
                       o.client_id, o.account, o.symbol, o.side, o.kind, o.quantity, decimal_price(o.price), o.status,
                       sql_time(o.created_at), sql_time(o.updated_at));
    }
    text += "\\.\nCOPY executions FROM stdin;\n";
    for (std::uint64_t i = begin; i < end; ++i) {
        const Order o = desk.order(i);
        fmt::format_to(std::back_inserter(text), "{}\t{}\t{}\t{}\t{:016x}\t{}+00\n", 90'000'000 + i, o.id, o.quantity,
                       decimal_price(o.price), mixed(o.id, i, 60), sql_time(o.updated_at));
    }
    return text + "\\.\n";
}

}    // namespace

Status fill_postgres(const PostgresServer& server, const TradeAmounts& amounts) {
    // A role and a comment of its own: what a dump of one database alone would not bring back.
    HF_TRY(std::string said, server.sql("postgres", "CREATE ROLE desk NOLOGIN; CREATE DATABASE trading OWNER desk;"));
    std::string script =
        "BEGIN;\n"
        "CREATE TABLE accounts (id int PRIMARY KEY, name text NOT NULL UNIQUE, balance numeric(18,2) NOT NULL);\n"
        "CREATE TABLE orders (id bigint PRIMARY KEY, client_id uuid NOT NULL UNIQUE, account int NOT NULL REFERENCES "
        "accounts, symbol text NOT NULL, side text CHECK (side IN ('buy', 'sell')), kind text, quantity bigint CHECK "
        "(quantity > 0), price numeric(18,5), status text, created_at timestamptz, updated_at timestamptz);\n"
        "CREATE TABLE executions (id bigint PRIMARY KEY, order_id bigint NOT NULL, quantity bigint, price "
        "numeric(18,5), "
        "venue_ref text, executed_at timestamptz);\n"
        "CREATE INDEX ON orders (symbol, created_at);\n"
        "CREATE VIEW volumes AS SELECT symbol, sum(quantity) AS quantity FROM orders GROUP BY symbol;\n"
        "GRANT SELECT ON ALL TABLES IN SCHEMA public TO desk;\n"
        "COPY accounts FROM stdin;\n";
    for (std::uint64_t i = 0; i < k_accounts; ++i)
        fmt::format_to(std::back_inserter(script), "{}\tACC-{:05}\t{}.{:02}\n", i, i,
                       mixed(amounts.seed, i, 61) % 9'000'000, i % 100);
    script += "\\.\n" + copy_orders(Desk(amounts.seed), 0, amounts.orders) +
              "ALTER TABLE executions ADD FOREIGN KEY (order_id) REFERENCES orders ON DELETE CASCADE;\nCOMMIT;\n";
    HF_TRY(said, server.sql(k_database, script));
    return {};
}

Status change_postgres(const PostgresServer& server, const TradeAmounts& amounts) {
    const std::uint64_t share = amounts.orders / 100, first = 40'000'000, newest = first + amounts.orders;
    const std::string script = fmt::format(
                                   "BEGIN;\nUPDATE orders SET status = 'amended', updated_at = updated_at + interval "
                                   "'1 hour' WHERE id >= {};\n"
                                   "DELETE FROM orders WHERE id < {};\n",
                                   newest - share * 4 / 10, first + share / 10) +
                               copy_orders(Desk(amounts.seed), amounts.orders, amounts.orders + share / 2) +
                               "COMMIT;\n";
    HF_TRY(const std::string said, server.sql(k_database, script));
    return {};
}

namespace {

// One row: a count and a digest.
Result<Counted> count_one(const PostgresServer& server, std::string what, const std::string& query) {
    HF_TRY(std::string line, server.sql(k_database, query));
    while (!line.empty() && line.back() <= ' ') line.pop_back();
    const auto bar = line.find('|');
    if (bar == std::string::npos) return fail(ErrorCode::store, fmt::format("psql answers \"{}\"", line));
    return Counted{std::move(what), std::stoull(line), line.substr(bar + 1)};
}

}    // namespace

Result<Counts> count_postgres(const PostgresServer& server) {
    Counts counts;
    for (const char* table : {"accounts", "orders", "executions"}) {
        HF_TRY(counts.emplace_back(),
               count_one(server, fmt::format("postgres {}", table),
                         fmt::format(
                             "SELECT count(*), coalesce(sum(('x' || substr(md5(t::text), 1, 15))::bit(60)::bigint), 0) "
                             "FROM {} t",
                             table)));
    }
    HF_TRY(
        counts.emplace_back(),
        count_one(
            server, "postgres objects and rights",
            "SELECT count(*), md5(string_agg(concat_ws('|', relname, relkind, pg_get_userbyid(relowner), relacl), ',' "
            "ORDER BY relname)) FROM pg_class WHERE relnamespace = 'public'::regnamespace"));
    return counts;
}

}    // namespace holdfast::testing
