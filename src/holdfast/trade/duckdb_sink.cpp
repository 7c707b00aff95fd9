#include "holdfast/trade/duckdb_sink.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <unordered_map>

#include "holdfast/base/json.hpp"
#include "holdfast/base/log.hpp"
#include "holdfast/db/clickhouse_text.hpp"
#include "holdfast/db/duckdb_check.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/trade/redis_sink.hpp"
#include "holdfast/trade/rows.hpp"

namespace holdfast::trade {
namespace {

using ledger::Change;
using ledger::Sequence;
using Values = std::vector<std::optional<std::string>>;

// Rows are staged as text (the appender is fast) and get their types in one INSERT … SELECT.
struct SqlType {
    std::string_view name, from_text, to_text;    // {} is the column
};
constexpr SqlType k_plain_text = {"VARCHAR", "{}", "{}"};
template <class T>
constexpr SqlType type_of() {
    if constexpr (std::is_same_v<T, ledger::Uuid>) return {"UUID", "CAST({} AS UUID)", "CAST({} AS VARCHAR)"};
    if constexpr (std::is_same_v<T, std::uint32_t>) return {"UINTEGER", "CAST({} AS UINTEGER)", "{}"};
    if constexpr (std::is_same_v<T, bool>) return {"BOOLEAN", "CAST({} AS BOOLEAN)", "{}"};
    if constexpr (std::is_same_v<T, ledger::Decimal>) return {"DECIMAL(20, 8)", "CAST({} AS DECIMAL(20, 8))", "{}"};
    // Times that are not set are NULL.
    if constexpr (std::is_same_v<T, Timestamp>)
        return {"TIMESTAMP_NS", "make_timestamp_ns(CAST({} AS BIGINT))", "coalesce(epoch_ns({}), 0)"};
    return k_plain_text;
}

struct Columns {
    std::string definitions, staged, names, from_text, to_text, replaced;
    std::size_t count = 0;
    template <class T>
    void operator()(std::string_view name, const T&) {
        add(name, type_of<T>());
    }
    void add(std::string_view name, const SqlType& type) {
        const std::string_view comma = count++ == 0 ? "" : ", ";
        definitions += fmt::format("{}{} {}{}", comma, name, type.name, count == 1 ? " PRIMARY KEY" : "");
        staged += fmt::format("{}{} VARCHAR", comma, name);
        names += fmt::format("{}{}", comma, name);
        if (count > 1) replaced += fmt::format("{0}{1} = excluded.{1}", count == 2 ? "" : ", ", name);
        from_text += fmt::format("{}{}", comma, fmt::format(fmt::runtime(type.from_text), name));
        to_text += fmt::format("{}{} AS {}", comma, fmt::format(fmt::runtime(type.to_text), name), name);
    }
};

template <class Row>
const Columns& columns_of() {
    static const Columns all = [] {
        Columns made;
        const Row row;
        columns(made, row);
        made.add("version", {"UBIGINT", "CAST({} AS UBIGINT)", "{}"});
        return made;
    }();
    return all;
}

// The years 1678 to 2261: DuckDB refuses what lies outside, and a producer's clock must not stop the history.
constexpr std::int64_t k_time_max = 9'200'000'000'000'000'000;
Timestamp within_range(Timestamp t) { return {std::clamp(t.nanoseconds, -k_time_max, k_time_max)}; }

struct Stage {
    Values& to;
    template <class T>
    void operator()(std::string_view, const T& value) {
        if constexpr (std::is_same_v<T, std::string>) {
            to.emplace_back(
                json::as_utf8(value));    // DuckDB refuses all else; brokers write reasons in what they please
        } else if constexpr (std::is_same_v<T, Timestamp>) {
            to.push_back(value == Timestamp{} ? std::nullopt : std::optional(text_of(within_range(value))));
        } else {
            to.emplace_back(text_of(value));
        }
    }
};

// The trades are the orders of which something was filled: a view, so that the two cannot differ.
std::string schema() {
    const Columns &orders = columns_of<ledger::Order>(), &executions = columns_of<ledger::Execution>();
    return fmt::format(
        "BEGIN;"
        "CREATE TABLE IF NOT EXISTS orders ({});"
        "CREATE TABLE IF NOT EXISTS executions ({});"
        "CREATE TABLE IF NOT EXISTS failed_syncs (kind VARCHAR, key VARCHAR, first_sequence UBIGINT, last_sequence "
        "UBIGINT, "
        "attempts UINTEGER, reason VARCHAR, since TIMESTAMP_NS, tried_at TIMESTAMP_NS, PRIMARY KEY (kind, key));"
        "CREATE TABLE IF NOT EXISTS configuration (name VARCHAR PRIMARY KEY, value VARCHAR);"
        "CREATE TABLE IF NOT EXISTS watermark (journal VARCHAR PRIMARY KEY, sequence UBIGINT);"
        "CREATE VIEW IF NOT EXISTS trades AS SELECT order_id, signal_id, symbol, side, filled AS quantity, "
        "CAST(filled_value / filled AS DOUBLE) AS average_price, filled_value AS value, strategy, state, accepted_at, "
        "changed_at FROM orders WHERE filled > 0;"
        "COMMIT;"
        "CREATE TEMP TABLE IF NOT EXISTS staged_orders ({});"
        "CREATE TEMP TABLE IF NOT EXISTS staged_executions ({});",
        orders.definitions, executions.definitions, orders.staged, executions.staged);
}

std::string time_sql(Timestamp t) {
    return t == Timestamp{} ? "CAST(NULL AS TIMESTAMP_NS)"
                            : fmt::format("make_timestamp_ns({})", within_range(t).nanoseconds);
}

std::uint64_t number(const std::optional<std::string>& text) {
    std::uint64_t n = 0;
    if (text) std::from_chars(text->data(), text->data() + text->size(), n);
    return n;
}

// Nanoseconds of the other stores as this one's times.
struct TimesOf {
    std::string names, replaced;
    template <class T>
    void operator()(std::string_view name, const T&) {
        names += fmt::format("{}, ", name);
        if constexpr (std::is_same_v<T, Timestamp>)
            replaced +=
                fmt::format("{0}make_timestamp_ns(nullif(least(greatest(CAST({1} AS BIGINT), -{2}), {2}), 0)) AS {1}",
                            replaced.empty() ? "" : ", ", name, k_time_max);
    }
};

template <class Row>
policy::DuckDbRebuildConfig rebuild_rule(const std::string& table) {
    policy::DuckDbRebuildConfig rule;
    TimesOf times;
    const Row row;
    columns(times, row);
    rule.table = table;
    rule.query = times.names + "version";    // to be completed
    rule.select = fmt::format("* REPLACE ({})", times.replaced);
    rule.version = "version";
    return rule;
}

}    // namespace

std::vector<policy::DuckDbRebuildConfig> duckdb_rebuild_rules(const policy::Config& config,
                                                              const policy::DuckDbConfig& duckdb) {
    std::vector<policy::DuckDbRebuildConfig> rules = duckdb.rebuild;
    const auto its = std::ranges::find(config.trade, duckdb.name, &policy::TradeConfig::duckdb);
    if (!rules.empty() || its == config.trade.end()) return rules;
    const policy::TradeConfig& trade = *its;
    if (!trade.clickhouse.empty()) {
        rules = {rebuild_rule<ledger::Order>("orders"), rebuild_rule<ledger::Execution>("executions")};
        for (policy::DuckDbRebuildConfig& rule : rules) {
            rule.from = trade.clickhouse;
            rule.query = fmt::format("SELECT {} FROM {} FINAL WHERE account = {}", rule.query,
                                     db::clickhouse::quoted_name(trade.clickhouse_database, rule.table),
                                     db::clickhouse::quoted_text(trade.account));
        }
    }
    // Not behind Sentinels, where the component's address is not the master's. Executions are in ClickHouse, or still in the journal.
    if (!trade.redis.empty() && trade.redis_sentinels.empty()) {
        auto& rule = rules.emplace_back(rebuild_rule<ledger::Order>("orders"));
        rule.from = trade.redis;
        rule.query.clear();
        rule.keys = redis_key(trade.account, "rts:*");
    }
    return rules;
}

std::string duckdb_select_orders(std::string_view where) {
    return fmt::format("SELECT {} FROM orders {} ORDER BY version", columns_of<ledger::Order>().to_text, where);
}
std::string duckdb_select_executions(std::string_view where) {
    return fmt::format("SELECT {} FROM executions {} ORDER BY version", columns_of<ledger::Execution>().to_text, where);
}

Status DuckDbSink::open() {
    if (const std::string folder = os::parent_folder(options_.path); !os::exists(folder))
        return fail(ErrorCode::not_found, fmt::format("the folder {} of the DuckDB file is not there", folder),
                    fmt::format("mkdir -p {}, or correct `path` in [[duckdb]]", folder));
    if (os::exists(options_.path)) {
        HF_TRY(auto checker, db::DuckDbChecker::start(options_.path, {db::DuckDbCheck::Depth::catalog, false}));
        if (const auto checked = checker.finish(); !checked) {
            if (checked.error().code != ErrorCode::corrupt) return fail(checked.error());
            HF_DO(move_aside(checked.error()));
        }
    }
    // From version 1.4.0 of the format on, a log that does not belong to its file is noticed.
    db::DuckDb::Settings settings = options_.settings;
    if (!os::exists(options_.path)) settings.emplace_back("storage_compatibility_version", "v1.4.0");
    HF_TRY(db::DuckDb database, db::DuckDb::open(options_.path, db::DuckDb::Mode::read_write, settings));
    HF_DO(database.run(schema()));
    HF_TRY(const auto told, database.query("SELECT count(*) FROM duckdb_columns() WHERE (table_name IN ('orders', "
                                           "'executions') AND column_name = 'version') OR (table_name = 'watermark' "
                                           "AND column_name = 'journal')"));
    if (told.rows.empty() || told.rows[0][0] != "3")
        return fail(ErrorCode::unsupported,
                    fmt::format("the tables in {} are not those of this version", options_.path),
                    "move the file away: it is then written anew from the journal");
    HF_TRY(const auto account, database.query("SELECT value FROM configuration WHERE name = 'account'"));
    if (account.rows.empty()) {
        HF_DO(database.run("INSERT INTO configuration VALUES ('account', " + db::quote_duckdb_text(options_.account) +
                           ")"));
    } else if (account.rows[0][0] != options_.account) {
        return fail(ErrorCode::config,
                    fmt::format("{} holds the trades of account {}, not of {}", options_.path,
                                account.rows[0][0].value_or("?"), options_.account),
                    "give each account a file of its own");
    }
    database_.emplace(std::move(database));
    return {};
}

Status DuckDbSink::move_aside(const Error& why) {
    database_.reset();
    std::string stamp = to_rfc3339(clock_.now()).substr(0, 19);
    std::erase(stamp, ':');
    std::string aside = fmt::format("{}.damaged-{}", options_.path, stamp);
    for (unsigned n = 2; os::exists(aside); ++n) aside = fmt::format("{}.damaged-{}-{}", options_.path, stamp, n);
    for (const std::string suffix : {".wal", ".wal.checkpoint", ".wal.recovery", ""}) {    // the file itself goes last
        if (!os::exists(options_.path + suffix)) continue;
        if (std::rename((options_.path + suffix).c_str(), (aside + suffix).c_str()) != 0)
            return fail(errno_error(errno, "cannot set " + options_.path + suffix + " aside"));
    }
    HF_DO(os::sync_folder(os::parent_folder(options_.path)));
    set_aside_ = aside;
    log_warning("the DuckDB file was damaged and is written anew from the journal",
                {{"file", options_.path}, {"set_aside", aside}, {"damage", why.message}});
    return {};
}

// Opens on demand; damage that shows while working sets the file aside at once, so that the next call begins anew.
template <class Work>
auto DuckDbSink::with_database(const Work& work) -> decltype(work()) {
    const std::lock_guard lock(mutex_);
    if (!database_) {
        Status opened = open();
        if (!opened) return fail(std::move(opened).error());
    }
    auto done = work();
    if (!done && done.error().code == ErrorCode::corrupt) {
        Status moved = move_aside(done.error());
        if (!moved) return fail(std::move(moved).error());
        return fail(ErrorCode::changed, "the DuckDB file was damaged and has been set aside: " + done.error().message,
                    "it is written anew from the journal; the old one is " + set_aside_);
    }
    return done;
}

Result<Sequence> DuckDbSink::read_mark(const std::string& journal) {
    HF_TRY(const auto found,
           database_->query("SELECT sequence FROM watermark WHERE journal = " + db::quote_duckdb_text(journal)));
    return found.rows.empty() ? 0 : number(found.rows[0][0]);
}

Result<Sequence> DuckDbSink::watermark() {
    HF_ASSERT(!options_.journal.empty());
    return with_database([&] { return read_mark(options_.journal); });
}

Status DuckDbSink::apply_as(const std::string& journal, Sequence after, std::span<const Change> changes) {
    if (changes.empty()) return {};
    HF_ASSERT(!journal.empty());
    return with_database([&]() -> Status {
        HF_TRY(const Sequence mark, read_mark(journal));
        if (mark < after)
            return fail(ErrorCode::changed, fmt::format("{} holds facts up to {}, not {}", options_.path, mark, after));
        if (mark >= changes.back().sequence) return {};
        HF_DO(database_->run("BEGIN"));
        Status written = write(journal, mark, changes);
        if (written) written = database_->run("COMMIT");
        // After a COMMIT without an answer the transaction is there as a whole or not at all: the next call reads the mark.
        if (!written && !database_->run("ROLLBACK")) database_.reset();
        return written;
    });
}

Status DuckDbSink::write(const std::string& journal, Sequence mark, std::span<const Change> changes) {
    const auto fresh = std::upper_bound(changes.begin(), changes.end(), mark,
                                        [](Sequence at, const Change& change) { return at < change.sequence; });
    changes = changes.subspan(static_cast<std::size_t>(fresh - changes.begin()));
    std::unordered_map<ledger::Uuid, Sequence> last_of;
    std::unordered_map<ledger::Uuid, std::string> parked_for;
    for (const Change& change : changes) {
        if (change.order) last_of[change.order->id] = change.sequence;
        if (const auto* fact = std::get_if<ledger::OrderParked>(&change.fact.data))
            parked_for[fact->order] = fact->reason;
    }
    Values orders, executions;
    std::string parked;    // rows of failed_syncs
    for (const Change& change : changes) {
        if (const auto* executed = std::get_if<ledger::OrderExecuted>(&change.fact.data)) {
            columns(Stage{executions}, executed->execution);
            executions.emplace_back(std::to_string(change.version));
        }
        if (!change.order || last_of[change.order->id] != change.sequence) continue;
        const ledger::Order& order = *change.order;
        columns(Stage{orders}, order);
        orders.emplace_back(std::to_string(change.version));
        if (!order.parked || is_closed(order.state)) continue;
        const auto reason = parked_for.find(order.id);
        const std::string& why = reason == parked_for.end() ? order.reason : reason->second;
        parked += fmt::format("{}('order', '{}', {}, {}, {}, {}, {}, {})", parked.empty() ? "" : ", ", order.id.text(),
                              change.version, change.version, order.attempts, db::quote_duckdb_text(json::as_utf8(why)),
                              time_sql(order.changed_at), time_sql(order.changed_at));
    }
    const Columns &o = columns_of<ledger::Order>(), &e = columns_of<ledger::Execution>();
    HF_DO(database_->run("DELETE FROM staged_orders; DELETE FROM staged_executions"));
    if (!orders.empty()) {
        HF_DO(database_->append("staged_orders", o.count, orders));
        // What another journal's later session has told stays.
        HF_DO(
            database_->run(fmt::format("INSERT INTO orders ({}) SELECT {} FROM staged_orders ON CONFLICT (order_id) DO "
                                       "UPDATE SET {} WHERE excluded.version > orders.version",
                                       o.names, o.from_text, o.replaced)));
        HF_DO(database_->run(
            "DELETE FROM failed_syncs USING staged_orders s WHERE kind = 'order' AND key = s.order_id AND "
            "last_sequence < CAST(s.version AS UBIGINT)"));
    }
    if (!executions.empty()) {
        HF_DO(database_->append("staged_executions", e.count, executions));
        HF_DO(database_->run(fmt::format("INSERT OR IGNORE INTO executions ({}) SELECT {} FROM staged_executions",
                                         e.names, e.from_text)));
    }
    // REPLACE: DuckDB counts a key that this transaction deleted as still there.
    if (!parked.empty())
        HF_DO(database_->run(fmt::format(
            "INSERT OR REPLACE INTO failed_syncs SELECT p.* FROM (VALUES {}) p(kind, key, first, last, attempts, "
            "reason, since, tried) WHERE EXISTS (SELECT 1 FROM orders o WHERE o.order_id = CAST(p.key AS UUID) AND "
            "o.version = p.last)",
            parked)));
    return database_->run(fmt::format("INSERT OR REPLACE INTO watermark VALUES ({}, {})",
                                      db::quote_duckdb_text(journal), changes.back().sequence));
}

Status DuckDbSink::put(const FailedSync& failed) {
    return with_database([&] {
        return database_->run(fmt::format(
            "INSERT OR REPLACE INTO failed_syncs VALUES ('batch', {}, {}, {}, {}, {}, {}, {})",
            db::quote_duckdb_text(failed.sink), failed.first, failed.last, failed.attempts,
            db::quote_duckdb_text(json::as_utf8(failed.reason)), time_sql(failed.since), time_sql(failed.tried)));
    });
}

Status DuckDbSink::clear(std::string_view sink) {
    return with_database([&] {
        return database_->run("DELETE FROM failed_syncs WHERE kind = 'batch' AND key = " + db::quote_duckdb_text(sink));
    });
}

Result<std::vector<FailedSync>> DuckDbSink::all() {
    return with_database([&]() -> Result<std::vector<FailedSync>> {
        HF_TRY(const auto found, database_->query("SELECT key, first_sequence, last_sequence, attempts, reason, "
                                                  "coalesce(epoch_ns(since), 0), coalesce(epoch_ns(tried_at), 0) "
                                                  "FROM failed_syncs WHERE kind = 'batch' ORDER BY key"));
        std::vector<FailedSync> failed;
        for (const auto& row : found.rows)
            failed.push_back({row[0].value_or(""),
                              number(row[1]),
                              number(row[2]),
                              static_cast<std::uint32_t>(number(row[3])),
                              row[4].value_or(""),
                              {static_cast<std::int64_t>(number(row[5]))},
                              {static_cast<std::int64_t>(number(row[6]))}});
        return failed;
    });
}

Status DuckDbSink::configure(const std::string& name, const std::string& value) {
    return with_database([&] {
        return database_->run(fmt::format("INSERT OR REPLACE INTO configuration VALUES ({}, {})",
                                          db::quote_duckdb_text(name), db::quote_duckdb_text(value)));
    });
}

Result<std::map<std::string, std::string>> DuckDbSink::configuration() {
    return with_database([&]() -> Result<std::map<std::string, std::string>> {
        HF_TRY(const auto found, database_->query("SELECT name, value FROM configuration"));
        std::map<std::string, std::string> all;
        for (const auto& row : found.rows) all[row[0].value_or("")] = row[1].value_or("");
        return all;
    });
}

Result<db::DuckDbRows> DuckDbSink::query(const std::string& sql) {
    return with_database([&] { return database_->query(sql); });
}

std::string DuckDbSink::set_aside() const {
    const std::lock_guard lock(mutex_);
    return set_aside_;
}

}    // namespace holdfast::trade
