#include <fmt/format.h>

#include <chrono>

#include "holdfast/os/socket.hpp"
#include "holdfast/testing/trades.hpp"
#include "holdfast/testing/trades_stores.hpp"

namespace holdfast::testing {
namespace {

constexpr auto k_patience = std::chrono::seconds(60);
constexpr std::uint64_t k_stride = 25;    // ticks 0.5 s apart: 200,000 of them are more than a day

// HTTP/1.0, so that the answer ends where the connection does.
Result<std::string> ask(std::uint16_t port, std::string_view query, std::string_view body = {}) {
    std::string escaped;
    for (const char c : query) escaped += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    HF_TRY(os::Socket socket, os::Socket::connect_tcp("127.0.0.1", port, k_patience));
    const std::string head =
        fmt::format("POST /?query={} HTTP/1.0\r\nHost: 127.0.0.1\r\nContent-Length: {}\r\n\r\n", escaped, body.size());
    HF_DO(socket.write(as_bytes(head), k_patience));
    HF_DO(socket.write(as_bytes(body), k_patience));
    std::string answer;
    Bytes piece;
    piece.resize(65536);
    for (;;) {
        HF_TRY(const std::size_t n, socket.read(piece, k_patience));
        if (n == 0) break;
        answer += as_text(ByteView(piece).first(n));
    }
    const auto line_end = answer.find("\r\n"), head_end = answer.find("\r\n\r\n");
    if (head_end == std::string::npos || answer.substr(0, line_end).find(" 200 ") == std::string::npos)
        return fail(ErrorCode::store, fmt::format("ClickHouse refuses \"{}\": {}", query.substr(0, 60), answer));
    return answer.substr(head_end + 4);
}

Status insert_ticks(std::uint16_t port, const Desk& desk, std::uint64_t begin, std::uint64_t end) {
    std::string rows;
    for (std::uint64_t i = begin; i < end; ++i) {
        const Tick t = desk.tick(i * k_stride);
        fmt::format_to(std::back_inserter(rows), "{}\t{}\t{}\t{}\t{}\t{}\t{}\n", i, t.symbol, t.time / 1'000'000,
                       t.time % 1'000'000, t.bid, t.ask, t.volume);
    }
    HF_TRY(const std::string said, ask(port, "INSERT INTO trading.ticks FORMAT TabSeparated", rows));
    return {};
}

}    // namespace

Status fill_clickhouse(std::uint16_t http_port, const TradeAmounts& amounts) {
    HF_TRY(std::string said, ask(http_port, "CREATE DATABASE trading"));
    HF_TRY(said, ask(http_port,
                     "CREATE TABLE trading.ticks (id UInt64, symbol String, time DateTime, microsecond UInt32, "
                     "bid Int64, ask Int64, volume UInt32) ENGINE = MergeTree PARTITION BY toYYYYMMDD(time) "
                     "ORDER BY (symbol, time, id)"));
    const std::uint64_t batch = amounts.ticks / 5 + 1;
    for (std::uint64_t begin = 0; begin < amounts.ticks; begin += batch)
        HF_DO(insert_ticks(http_port, Desk(amounts.seed), begin, std::min(begin + batch, amounts.ticks)));
    return {};
}

Status change_clickhouse(std::uint16_t http_port, const TradeAmounts& amounts) {
    return insert_ticks(http_port, Desk(amounts.seed), amounts.ticks, amounts.ticks + amounts.ticks / 100);
}

Result<Counts> count_clickhouse(std::uint16_t http_port) {
    HF_TRY(const std::string line, ask(http_port,
                                       "SELECT count(), sum(cityHash64(id, symbol, time, microsecond, bid, ask, "
                                       "volume)) FROM trading.ticks FORMAT TabSeparated"));
    const auto tab = line.find('\t');
    if (tab == std::string::npos) return fail(ErrorCode::store, fmt::format("ClickHouse answers \"{}\"", line));
    return Counts{{"clickhouse ticks", std::stoull(line), line.substr(tab + 1, line.find('\n') - tab - 1)}};
}

}    // namespace holdfast::testing
