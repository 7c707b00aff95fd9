#pragma once
// A trading desk's records, made up: orders, executions, positions and ticks that look like the real thing and are the
// same on every machine for one seed. What the demo fills its stores with and the bench its files.
//
//   shape    a record is a function of (seed, index, version) and of nothing else: any of them can be made again alone,
//            so a changed record is the same index with the next version
//   units    prices in 1/100000 of the quote currency, times in microseconds since 1970-01-01 UTC
//   threads  values only; safe anywhere

#include <cstdint>
#include <string>
#include <string_view>

namespace holdfast::testing {

/// A well-mixed 64-bit number for (seed, index, salt): the generator's only source of chance.
std::uint64_t mixed(std::uint64_t seed, std::uint64_t index, std::uint64_t salt = 0);

struct Order {
    std::uint64_t id;
    std::string client_id;    // a UUID
    std::string_view symbol;
    std::string_view side;    // buy, sell
    std::string_view kind;    // market, limit, stop
    std::string_view status;    // new, partial, filled, cancelled, rejected; later versions differ
    std::uint64_t quantity;
    std::int64_t price;
    std::int64_t created_at, updated_at;
    unsigned account;
    unsigned strategy;
};

struct Tick {
    std::uint64_t id;
    std::string_view symbol;
    std::int64_t time;
    std::int64_t bid, ask;
    std::uint64_t volume;
};

struct Position {
    unsigned account;
    std::string_view symbol;
    std::int64_t quantity;
    std::int64_t average_price;
    std::int64_t realized_profit;    // cents
    std::int64_t updated_at;
};

class Desk {
public:
    explicit Desk(std::uint64_t seed) : seed_(seed) {}

    Order order(std::uint64_t index, unsigned version = 0) const;
    Tick tick(std::uint64_t index) const;
    Position position(std::uint64_t index, unsigned version = 0) const;
    /// Where the mark of a symbol stood at that time: a slow wave with noise on it.
    std::int64_t price(unsigned symbol, std::int64_t time, std::uint64_t noise) const;
    static std::string_view symbol_name(unsigned symbol);
    static constexpr unsigned k_symbols = 24;

private:
    std::uint64_t seed_;
};

/// "2026-11-02 09:31:22.123456"
std::string sql_time(std::int64_t microseconds);
/// "1.08342"
std::string decimal_price(std::int64_t price);
/// A version-4 UUID from 128 mixed bits.
std::string uuid(std::uint64_t high, std::uint64_t low);

}    // namespace holdfast::testing
