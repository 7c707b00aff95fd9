#include "holdfast/trade/clickhouse_sink.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <unordered_map>

#include "holdfast/db/clickhouse_text.hpp"
#include "holdfast/trade/rows.hpp"

namespace holdfast::trade {
namespace {

using db::clickhouse::quoted_name;
using db::clickhouse::quoted_text;
using ledger::Change;
using ledger::Sequence;

constexpr std::int64_t k_second = 1'000'000'000;
constexpr std::int64_t k_day = 24 * 3600 * k_second;
constexpr std::size_t k_list_max = 2000;    // IDs in one question
constexpr std::size_t k_piece_size = 256 * 1024;    // of a body, made at a time

template <class T>
constexpr std::string_view type_of() {
    if constexpr (std::is_same_v<T, ledger::Uuid>) return "UUID";
    if constexpr (std::is_same_v<T, std::uint32_t>) return "UInt32";
    if constexpr (std::is_same_v<T, bool>) return "UInt8";
    if constexpr (std::is_same_v<T, ledger::Decimal>) return "Decimal(18, 8)";
    if constexpr (std::is_same_v<T, Timestamp>) return "Int64";    // nanoseconds: 18.16 has no DateTime64
    return "String";
}

const ledger::Execution* execution_of(const Change& change) {
    const auto* executed = std::get_if<ledger::OrderExecuted>(&change.fact.data);
    return executed ? &executed->execution : nullptr;
}

std::uint64_t number_of(std::string_view text) {
    std::uint64_t number = 0;
    std::from_chars(text.data(), text.data() + text.size(), number);
    return number;
}

struct Columns {
    std::string codec, definitions, names, to_text;
    template <class T>
    void operator()(std::string_view name, const T&) {
        const bool first = names.empty();
        definitions += fmt::format(", {} {}{}", name, type_of<T>(), codec);
        if constexpr (std::is_same_v<T, Timestamp>)
            definitions += fmt::format(", {0}_utc DateTime ALIAS toDateTime(intDiv({0}, {1}), 'UTC')", name, k_second);
        names += fmt::format("{}{}", first ? "" : ", ", name);
        to_text += fmt::format("{}toString({})", first ? "" : ", ", name);
    }
};

template <class Row>
Columns columns_of(std::string codec = {}) {
    Columns made{std::move(codec), {}, {}, {}};
    const Row row;
    columns(made, row);
    return made;
}

// RowBinary: the same bytes for the same facts, and the cheapest for the server to read.
struct RowBinary {
    Bytes& to;
    void text(std::string_view value) {
        std::size_t size = value.size();
        for (; size >= 0x80; size >>= 7) append_le(to, static_cast<std::uint8_t>(size | 0x80));
        append_le(to, static_cast<std::uint8_t>(size));
        append(to, as_bytes(value));
    }
    template <class T>
    void operator()(std::string_view, const T& value) {
        if constexpr (std::is_same_v<T, ledger::Uuid>) {    // two halves, each little endian
            for (const std::size_t half : {0u, 8u})
                for (std::size_t i = 8; i-- > 0;) to.push_back(value.bytes[half + i]);
        } else if constexpr (std::is_same_v<T, std::uint32_t>) {
            append_le(to, value);
        } else if constexpr (std::is_same_v<T, bool>) {
            append_le(to, static_cast<std::uint8_t>(value));
        } else if constexpr (std::is_same_v<T, ledger::Decimal>) {
            append_le(to, value.units);
        } else if constexpr (std::is_same_v<T, Timestamp>) {
            append_le(to, value.nanoseconds);
        } else if constexpr (std::is_same_v<T, std::string>) {
            text(value);
        } else {
            text(name_of(value));
        }
    }
};

std::string select(const Columns& columns, std::string_view database, std::string_view table, std::string_view account,
                   std::string_view where) {
    return fmt::format("SELECT {}, toString(version) FROM {} FINAL WHERE account = {} {}", columns.to_text,
                       quoted_name(database, table), quoted_text(account), where);
}

}    // namespace

std::string clickhouse_select_orders(std::string_view database, std::string_view account, std::string_view where) {
    return select(columns_of<ledger::Order>(), database, "orders", account, where);
}
std::string clickhouse_select_executions(std::string_view database, std::string_view account, std::string_view where) {
    return select(columns_of<ledger::Execution>(), database, "executions", account, where);
}

struct ClickHouseSink::Batch {
    std::string_view table, key, time;    // `time` is constant for a key, and what the table is partitioned by
    std::string names;
    std::string (*id_of)(const Change&);
    void (*put)(RowBinary&, const Change&);
    std::vector<const Change*> rows{};    // those of whose facts it has a row
    std::int64_t earliest = 0, latest = 0;

    void add(const Change& change, Timestamp at) {
        earliest = rows.empty() ? at.nanoseconds : std::min(earliest, at.nanoseconds);
        latest = rows.empty() ? at.nanoseconds : std::max(latest, at.nanoseconds);
        rows.push_back(&change);
    }
};

std::string ClickHouseSink::table(std::string_view name) const { return quoted_name(options_.database, name); }

Status ClickHouseSink::connect() {
    db::clickhouse::Server server = {options_.server.url, options_.server.user, options_.server.password.clone(),
                                     options_.server.connect_max, options_.server.idle_max};
    HF_TRY(auto client, db::clickhouse::Client::connect(std::move(server)));
    client_.emplace(std::move(client));
    HF_TRY(insert_settings_,
           client_->known(
               {{"async_insert", "0"}, {"max_partitions_per_insert_block", "0"}, {"insert_deduplication_token", ""}}));
    const auto token = std::find_if(insert_settings_.begin(), insert_settings_.end(),
                                    [](const auto& s) { return s.first == "insert_deduplication_token"; });
    modern_ = token != insert_settings_.end();
    if (modern_) insert_settings_.erase(token);
    return make_tables();
}

Status ClickHouseSink::make_tables() {
    // Looked for first: a user that may only insert is enough once the tables are there.
    const auto columns_that_tell = [&] {
        return client_->rows(
            "SELECT count() FROM system.columns WHERE (table IN ('executions', 'orders') AND name = 'version' "
            "OR table = 'watermarks' AND name = 'journal') AND database = " +
            quoted_text(options_.database));
    };
    const auto all = [](const db::clickhouse::Rows& found) { return !found.empty() && found[0][0] == "3"; };
    HF_TRY(const auto found, columns_that_tell());
    if (all(found)) return {};
    const std::string codec = modern_ ? " CODEC(ZSTD(3))" : "";
    const std::string head = fmt::format("(account String{}", codec);
    const std::string engine = fmt::format(", version UInt64{}) ENGINE = ReplacingMergeTree(version)", codec);
    const std::string settings = modern_
                                     ? " SETTINGS non_replicated_deduplication_window = 1000, fsync_after_insert = 1, "
                                       "fsync_part_directory = 1"
                                     : "";
    const std::string ttl = modern_ ? fmt::format(" TTL toDateTime(intDiv(changed_at, {})) + INTERVAL {} DAY", k_second,
                                                  options_.orders_kept_days)
                                    : "";
    HF_DO(client_->execute("CREATE DATABASE IF NOT EXISTS " + quoted_name(options_.database)));
    HF_DO(client_->execute(fmt::format(
        "CREATE TABLE IF NOT EXISTS {} {}{}{} PARTITION BY toYYYYMM(toDate(intDiv(executed_at, {}))) "
        "ORDER BY (account, execution_id){}",
        table("executions"), head, columns_of<ledger::Execution>(codec).definitions, engine, k_second, settings)));
    // By week, so that a server without TTL can drop what is old.
    HF_DO(client_->execute(fmt::format(
        "CREATE TABLE IF NOT EXISTS {} {}{}{} PARTITION BY toMonday(toDate(intDiv(accepted_at, {}))) "
        "ORDER BY (account, order_id){}{}",
        table("orders"), head, columns_of<ledger::Order>(codec).definitions, engine, k_second, ttl, settings)));
    HF_DO(
        client_->execute(fmt::format("CREATE TABLE IF NOT EXISTS {} {}, journal String{}, sequence UInt64{}) ENGINE = "
                                     "ReplacingMergeTree(sequence) ORDER BY (account, journal){}",
                                     table("watermarks"), head, codec, codec, settings)));
    HF_TRY(const auto made, columns_that_tell());
    if (all(made)) return {};
    return fail(
        ErrorCode::unsupported,
        fmt::format("the tables in {} on {} are not those of this version", options_.database, options_.server.url),
        "rename them or the database: they are then made anew and filled from the journal");
}

template <class Work>
auto ClickHouseSink::with_client(const Work& work) -> decltype(work()) {
    if (!client_) {
        if (Status connected = connect(); !connected) {
            client_.reset();
            return fail(std::move(connected).error());
        }
    }
    auto done = work();
    // Another server may answer next, or the same one without its tables.
    if (!done && done.error().code != ErrorCode::changed) client_.reset();
    return done;
}

Result<Sequence> ClickHouseSink::read_mark() {
    HF_TRY(const auto rows, client_->rows(fmt::format(
                                "SELECT max(sequence) FROM {} WHERE account = {} AND journal = {}", table("watermarks"),
                                quoted_text(options_.account), quoted_text(options_.journal))));
    return rows.empty() || rows[0].empty() ? 0 : number_of(rows[0][0]);
}

Result<Sequence> ClickHouseSink::watermark() {
    HF_ASSERT(!options_.journal.empty());
    return with_client([&] { return read_mark(); });
}

Result<db::clickhouse::Rows> ClickHouseSink::rows(const std::string& query) {
    return with_client([&] { return client_->rows(query); });
}

// The rows by their versions first: one small range of the newest parts, and numbers only. Which rows they are is told by
// their number and two sums. Where some of them have since been replaced by newer ones (a store that was set back gets old
// facts again), or are there twice, each ID is asked for.
Result<bool> ClickHouseSink::is_there(const Batch& batch) {
    const std::string where = fmt::format(
        "FROM {0} WHERE account = {1} AND {2} >= {3} AND {2} <= {4} AND version >= {5}", table(batch.table),
        quoted_text(options_.account), batch.time, batch.earliest, batch.latest, batch.rows.front()->version);
    std::uint64_t sum = 0, squares = 0;    // both modulo 2^64, there as here
    for (const Change* row : batch.rows) {
        sum += row->version;
        squares += row->version * row->version;
    }
    HF_TRY(const auto in_range, client_->rows(fmt::format("SELECT count(), sum(version), sum(version * version) {} AND "
                                                          "version <= {}",
                                                          where, batch.rows.back()->version)));
    if (in_range ==
        db::clickhouse::Rows{{std::to_string(batch.rows.size()), std::to_string(sum), std::to_string(squares)}})
        return true;
    for (std::size_t at = 0; at < batch.rows.size();) {
        std::unordered_map<std::string, std::uint64_t> missing;
        std::string list;
        for (; at < batch.rows.size() && missing.size() < k_list_max; ++at) {
            std::string id = batch.id_of(*batch.rows[at]);
            list += (list.empty() ? "" : ", ") + quoted_text(id);
            missing[std::move(id)] = batch.rows[at]->version;
        }
        HF_TRY(const auto found,
               client_->rows(fmt::format("SELECT toString({0}), toString(max(version)) {1} AND {0} IN "
                                         "({2}) GROUP BY {0}",
                                         batch.key, where, list)));
        for (const auto& row : found) {
            if (row.size() != 2) continue;
            const auto wanted = missing.find(row[0]);
            if (wanted != missing.end() && number_of(row[1]) >= wanted->second) missing.erase(wanted);
        }
        if (!missing.empty()) return false;
    }
    return true;
}

// The bytes are made while the server takes those before them; the same facts give the same ones.
Status ClickHouseSink::insert(const Batch& batch) {
    db::clickhouse::Settings settings = insert_settings_;
    if (modern_)
        settings.emplace_back("insert_deduplication_token",
                              fmt::format("{}:{}-{}:{}", options_.account, batch.rows.front()->version,
                                          batch.rows.back()->version, token_));
    HF_TRY(const auto insertion, client_->insert(fmt::format("INSERT INTO {} (account, {}, version) FORMAT RowBinary",
                                                             table(batch.table), batch.names),
                                                 settings));
    in_doubt_ = true;
    Bytes piece;
    RowBinary to{piece};
    for (const Change* row : batch.rows) {
        to.text(options_.account);
        batch.put(to, *row);
        append_le(piece, row->version);
        if (piece.size() < k_piece_size) continue;
        HF_DO(insertion->write(piece));
        piece.clear();
    }
    HF_DO(insertion->write(piece));
    return insertion->finish();
}

Status ClickHouseSink::write(const Batch& batch, bool look_first) {
    if (batch.rows.empty()) return {};
    if (look_first) {
        HF_TRY(const bool there, is_there(batch));
        if (there) return {};
    }
    HF_DO(insert(batch));
    HF_TRY(const bool there, is_there(batch));
    if (there) return {};
    // A server of old takes a body that was cut; a modern one drops what it believes to have under this token.
    ++token_;
    return fail(ErrorCode::unreachable,
                fmt::format("{} does not show all {} rows that were inserted into {}", options_.server.url,
                            batch.rows.size(), batch.table),
                "the batch is sent again");
}

Status ClickHouseSink::apply(Sequence after, std::span<const Change> changes) {
    if (changes.empty()) return {};
    HF_ASSERT(changes.size() <= batch_max() && !options_.journal.empty());
    return with_client([&]() -> Status {
        HF_TRY(const Sequence mark, read_mark());
        if (mark < after)
            return fail(ErrorCode::changed,
                        fmt::format("{} holds facts up to {}, not {}", options_.server.url, mark, after));
        if (mark >= changes.back().sequence) {
            in_doubt_ = false;
            return {};
        }
        const bool look_first = in_doubt_;
        Batch executions{"executions",
                         "execution_id",
                         "executed_at",
                         columns_of<ledger::Execution>().names,
                         [](const Change& change) { return execution_of(change)->id; },
                         [](RowBinary& to, const Change& change) { columns(to, *execution_of(change)); }};
        Batch orders{"orders",
                     "order_id",
                     "accepted_at",
                     columns_of<ledger::Order>().names,
                     [](const Change& change) { return change.order->id.text(); },
                     [](RowBinary& to, const Change& change) { columns(to, *change.order); }};
        std::unordered_map<ledger::Uuid, Sequence> last_of;
        for (const Change& change : changes)
            if (change.order) last_of[change.order->id] = change.sequence;
        // What would expire at once is not sent: it might be gone before it was seen. One day of margin.
        const Timestamp now = clock_.now();
        const std::int64_t oldest = now.nanoseconds - (std::int64_t{options_.orders_kept_days} - 1) * k_day;
        for (const Change& change : changes) {
            if (change.sequence <= mark) continue;
            if (const ledger::Execution* execution = execution_of(change))
                executions.add(change, execution->executed_at);
            if (!change.order || last_of[change.order->id] != change.sequence) continue;
            if (change.order->changed_at.nanoseconds < oldest) continue;
            orders.add(change, change.order->accepted_at);
        }
        HF_DO(write(executions, look_first));
        HF_DO(write(orders, look_first));
        HF_DO(client_->execute(
            fmt::format("INSERT INTO {} (account, journal, sequence) VALUES ({}, {}, {})", table("watermarks"),
                        quoted_text(options_.account), quoted_text(options_.journal), changes.back().sequence),
            insert_settings_));
        in_doubt_ = false;
        return drop_old(now);
    });
}

// For servers without TTL: once a day, the weeks in which nothing has changed for 30 days.
Status ClickHouseSink::drop_old(Timestamp now) {
    const std::int64_t day = now.nanoseconds / k_day;
    if (modern_ || day == swept_day_) return {};
    HF_TRY(const auto weeks,
           client_->rows(fmt::format(
               "SELECT toString(toMonday(toDate(intDiv(accepted_at, {})))) AS week FROM {} GROUP BY "
               "week HAVING max(changed_at) < {}",
               k_second, table("orders"), now.nanoseconds - std::int64_t{options_.orders_kept_days} * k_day)));
    for (const auto& week : weeks)
        HF_DO(client_->execute(fmt::format("ALTER TABLE {} DROP PARTITION '{}'", table("orders"), week[0])));
    swept_day_ = day;
    return {};
}

}    // namespace holdfast::trade
