#include "holdfast/testing/trades.hpp"

#include <fmt/format.h>

#include <array>
#include <chrono>
#include <cmath>

namespace holdfast::testing {
namespace {

struct Instrument {
    std::string_view name;
    std::int64_t price;    // where its wave is centred, in 1/100000
};
constexpr std::array<Instrument, Desk::k_symbols> k_instruments{{
    {"EURUSD", 108400},     {"GBPUSD", 126900},    {"USDJPY", 15432000}, {"AUDUSD", 65310},     {"USDCHF", 88140},
    {"USDCAD", 138700},     {"NZDUSD", 59220},     {"EURGBP", 85420},    {"XAUUSD", 265312000}, {"XAGUSD", 3120000},
    {"BTCUSD", 9123450000}, {"ETHUSD", 312345000}, {"US500", 593400000}, {"US100", 2081200000}, {"GER40", 1923400000},
    {"UK100", 814300000},   {"AAPL", 22845000},    {"MSFT", 41523000},   {"NVDA", 14187000},    {"TSLA", 33870000},
    {"WTI", 6982000},       {"BRENT", 7345000},    {"NATGAS", 319000},   {"COPPER", 412000},
}};

constexpr std::array<std::string_view, 3> k_kinds{"market", "limit", "stop"};
constexpr std::array<std::string_view, 5> k_statuses{"filled", "filled", "cancelled", "partial", "new"};

// Monday 2026-09-07 00:00 UTC; the desk has about four orders a second.
constexpr std::int64_t k_begin = 1788739200'000000;

}    // namespace

std::uint64_t mixed(std::uint64_t seed, std::uint64_t index, std::uint64_t salt) {
    // SplitMix64's finaliser, over a sum of odd multiples.
    std::uint64_t z = seed * 0x9e3779b97f4a7c15 + index * 0xd1342543de82ef95 + salt * 0xaf251af3b0f025b5 + 1;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

std::string_view Desk::symbol_name(unsigned symbol) { return k_instruments[symbol % k_symbols].name; }

std::int64_t Desk::price(unsigned symbol, std::int64_t time, std::uint64_t noise) const {
    const auto centre = static_cast<double>(k_instruments[symbol % k_symbols].price);
    const double hours = static_cast<double>(time - k_begin) / 3.6e9;
    const double wave = 0.012 * std::sin(hours / 17 + symbol) + 0.003 * std::sin(hours * 2.3 + symbol * 3);
    const double jitter = (static_cast<double>(noise % 2048) - 1024) * 2e-7;
    return static_cast<std::int64_t>(centre * (1 + wave + jitter));
}

Order Desk::order(std::uint64_t index, unsigned version) const {
    const std::uint64_t a = mixed(seed_, index, 1), b = mixed(seed_, index, 2), c = mixed(seed_, index, 3);
    // A few symbols and accounts do most of the trade, as on a real desk.
    const auto symbol = static_cast<unsigned>(((a & 0xff) * (a >> 8 & 0xff)) % k_symbols);
    Order order;
    order.id = 40'000'000 + index;
    order.client_id = uuid(b, c);
    order.symbol = symbol_name(symbol);
    order.side = a >> 16 & 1 ? "buy" : "sell";
    order.kind = k_kinds[(a >> 17) % k_kinds.size()];
    order.status = k_statuses[((a >> 24) + version) % k_statuses.size()];
    order.quantity = ((a >> 32) % 50 + 1) * 1000;
    order.created_at =
        k_begin + static_cast<std::int64_t>(index) * 250'000 + static_cast<std::int64_t>((a >> 40) % 250'000);
    order.updated_at = order.created_at + static_cast<std::int64_t>(c % 90'000) + version * 3'600'000'000LL;
    order.price = price(symbol, order.created_at, b);
    order.account = static_cast<unsigned>((a >> 20) % 97 * ((a >> 28) % 5 + 1));
    order.strategy = static_cast<unsigned>((a >> 36) % 12);
    return order;
}

Tick Desk::tick(std::uint64_t index) const {
    const std::uint64_t a = mixed(seed_, index, 4);
    const auto symbol = static_cast<unsigned>(a % k_symbols);
    Tick tick;
    tick.id = index;
    tick.symbol = symbol_name(symbol);
    tick.time = k_begin + static_cast<std::int64_t>(index) * 20'000 + static_cast<std::int64_t>((a >> 8) % 20'000);
    tick.bid = price(symbol, tick.time, a >> 24);
    tick.ask = tick.bid + static_cast<std::int64_t>((a >> 40) % 15) + 1;
    tick.volume = (a >> 48) % 400 + 1;
    return tick;
}

Position Desk::position(std::uint64_t index, unsigned version) const {
    const std::uint64_t a = mixed(seed_, index, 5 + version * 64);
    const auto symbol = static_cast<unsigned>(index % k_symbols);
    Position position;
    position.account = static_cast<unsigned>(index / k_symbols);
    position.symbol = symbol_name(symbol);
    position.quantity = (static_cast<std::int64_t>(a % 400) - 200) * 1000;
    position.updated_at = k_begin + static_cast<std::int64_t>(a >> 20) % 6'000'000'000'000;
    position.average_price = price(symbol, position.updated_at, a >> 32);
    position.realized_profit = static_cast<std::int64_t>((a >> 24) % 9'000'000) - 4'000'000;
    return position;
}

std::string sql_time(std::int64_t microseconds) {
    using namespace std::chrono;
    const sys_time<std::chrono::microseconds> time{std::chrono::microseconds(microseconds)};
    const auto day = floor<days>(time);
    const year_month_day date{day};
    const hh_mm_ss clock{time - day};
    return fmt::format("{:04}-{:02}-{:02} {:02}:{:02}:{:02}.{:06}", int(date.year()), unsigned(date.month()),
                       unsigned(date.day()), clock.hours().count(), clock.minutes().count(), clock.seconds().count(),
                       clock.subseconds().count());
}

std::string decimal_price(std::int64_t price) {
    const char* sign = price < 0 ? "-" : "";
    const std::int64_t size = price < 0 ? -price : price;
    return fmt::format("{}{}.{:05}", sign, size / 100'000, size % 100'000);
}

std::string uuid(std::uint64_t high, std::uint64_t low) {
    return fmt::format("{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}", high >> 32, high >> 16 & 0xffff, high & 0xfff,
                       (low >> 48 & 0x3fff) | 0x8000, low & 0xffffffffffff);
}

}    // namespace holdfast::testing
