// HA-08: a DuckDB that is beyond repair, made anew from its newest copy, ClickHouse and Redis. Real servers throughout.

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <signal.h>

#include <map>
#include <optional>

#include "holdfast/os/host.hpp"
#include "holdfast/testing/chdb_server.hpp"
#include "holdfast/testing/clickhouse_server.hpp"
#include "holdfast/testing/duckdb_writer.hpp"
#include "holdfast/testing/redis_server.hpp"
#include "holdfast/testing/trades_duckdb.hpp"
#include "holdfast/trade/clickhouse_sink.hpp"
#include "holdfast/trade/duckdb_sink.hpp"
#include "holdfast/trade/history_test.hpp"
#include "holdfast/trade/redis_sink.hpp"
#include "scenario.hpp"

namespace holdfast::scenario {
namespace {

using holdfast::testing::run_duckdb;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::string_view k_tables =
    "CREATE SEQUENCE ids;"
    "CREATE TABLE fills (id BIGINT PRIMARY KEY DEFAULT nextval('ids'), time TIMESTAMP NOT NULL, symbol VARCHAR, "
    "price DECIMAL(18,8), note VARCHAR, raw BLOB, day DATE, big BIGINT GENERATED ALWAYS AS (id * 2), CHECK (id >= 0));"
    "CREATE INDEX fills_by_time ON fills(time);"
    "CREATE TABLE ticks (time TIMESTAMP WITH TIME ZONE, venue VARCHAR, bid DOUBLE, tags VARCHAR[], ref UUID);"
    "CREATE TABLE settings (name VARCHAR PRIMARY KEY, value VARCHAR, changed TIMESTAMP);"
    "INSERT INTO settings VALUES ('risk', '0.5', '2026-03-01 10:00:00');"
    "CREATE VIEW last_fill AS SELECT max(time) AS time FROM fills;";

// The same rows in both languages: NULL, nothing, "\N" as a text, line ends, quotes, a comma, letters beyond ASCII, a negative price.
std::string duckdb_fills(int begin, int end) {
    return fmt::format(
        "INSERT INTO fills SELECT i, TIMESTAMP '1970-01-01' + to_seconds(i * 1000), ['EURUSD', 'BTC, \"x\"', 'ünï "
        "🎉'][i % 3 + 1], "
        "CAST((i % 1000 - 500) * 0.125 AS DECIMAL(18,8)), CASE i % 5 WHEN 0 THEN NULL WHEN 1 THEN '' WHEN 2 THEN '\\N' "
        "WHEN 3 "
        "THEN 'line' || chr(10) || '\"two\",' || chr(13) || chr(10) || chr(9) ELSE 'it''s \\ ' || i END, "
        "unhex('00FF22' || right(hex(i % 16), 1) || '0'), DATE '1970-01-01' + (i % 20000)::INTEGER FROM range({}, {}) "
        "r(i);",
        begin, end);
}
std::string clickhouse_fills(int begin, int end) {
    return fmt::format(
        "INSERT INTO desk.fills (id, time, symbol, price, note, raw, day) SELECT toInt64(number), toDateTime(number * "
        "1000), ['EURUSD', 'BTC, \"x\"', 'ünï "
        "🎉'][number % 3 + 1], "
        "toDecimal64(toInt64(number % 1000) - 500, 8) / 8, multiIf(number % 5 = 0, NULL, number % 5 = 1, '', number % "
        "5 = 2, "
        "'\\\\N', number % 5 = 3, 'line\\n\"two\",\\r\\n\\t', concat('it\\'s \\\\ ', toString(number))), "
        "unhex(concat('00FF22', substring('0123456789ABCDEF', number % 16 + 1, 1), '0')), toDate(toUInt16(number % "
        "20000)) "
        "FROM system.numbers WHERE number >= {0} LIMIT {1}",
        begin, end - begin);
}

class Rebuild : public Scenario {
protected:
    void SetUp() override {
        auto server = holdfast::testing::ClickHouseServer::start();
        ASSERT_TRUE(server) << server.error().message;
        clickhouse_.emplace(*std::move(server));
        sql("CREATE DATABASE desk");
        sql("CREATE TABLE desk.fills (id Int64, time DateTime, symbol String, price Decimal(18, 8), note "
            "Nullable(String), raw "
            "String, day Date, version UInt64 DEFAULT 0) ENGINE = ReplacingMergeTree ORDER BY id");
        sql("CREATE TABLE desk.ticks (time DateTime, venue FixedString(6), bid Float64, tags Array(String), ref UUID) "
            "ENGINE = "
            "MergeTree ORDER BY time");
        {
            const Status made = run_duckdb(file(), std::string(k_tables));
            ASSERT_TRUE(made) << made.error().message;
        }
        configure("");
    }
    void configure(const std::string& rules) const {
        write(at("holdfast.toml"),
              fmt::format("stack = \"desk\"\n[[duckdb]]\npath = \"{}\"\n{}[[clickhouse]]\nurl = \"{}\"\n", file(),
                          rules, clickhouse_->url()));
    }
    std::string file() const { return at("trades.duckdb"); }
    std::string sql(const std::string& statement) const {
        const Answer answer = run({"curl", "-sS", "--fail-with-body", "--data-binary", statement, clickhouse_->url()});
        EXPECT_EQ(answer.exit, 0) << statement << answer.output << answer.errors;
        return answer.output;
    }
    Answer configured(std::vector<std::string> words, const Environment& environment = {}) const {
        words.insert(words.end(), {"--config", at("holdfast.toml")});
        return holdfast(words, environment);
    }
    Answer duckdb(std::vector<std::string> words) const {
        words.insert(words.begin(), "duckdb");
        words.insert(words.end(), {"--config", at("holdfast.toml")});
        return holdfast_bare(words);    // no repository
    }
    // Each block has a wrong checksum: nothing opens it, and no log mends it.
    void damage(std::size_t first = 12288) const {
        Bytes bytes = os::read_file(file()).value();
        for (std::size_t i = first; i < bytes.size(); i += 4096) bytes[i + 100] ^= std::byte{1};
        ASSERT_TRUE(os::write_file(file(), bytes));
    }
    // Rows and a digest of all values of each table, as libduckdb finds them.
    static std::map<std::string, std::string> content(const std::string& path) {
        const std::string program = os::parent_folder(os::own_program()) + "/holdfast-duckdb-verify";
        os::Command command;
        command.arguments = {program, "--digest", path};
        const auto done = os::run(command, {}, std::chrono::seconds(60));
        std::map<std::string, std::string> all;
        if (!done || !done->status.ok()) return all;
        const json::Value facts = json::parse(done->output, "the answer").value();
        for (const json::Value& table : facts["tables"].items())
            all[table["name"].text()] = fmt::format("{} rows, {}", table["rows"].natural(), table["digest"].text());
        all["objects"] = fmt::format("{} {} {} {}", facts["views"].natural(), facts["indexes"].natural(),
                                     facts["sequences"].natural(), facts["constraints"].natural());
        return all;
    }
    void expect_nothing_left() const {
        const auto names = os::list_folder(at("")).value();
        for (const std::string& name : names) {
            EXPECT_EQ(name.find(".replaced-"), name.npos) << name;
            EXPECT_EQ(name.find(".holdfast-restore-"), name.npos) << name;
        }
    }

    std::optional<holdfast::testing::ClickHouseServer> clickhouse_;
};

TEST_F(Rebuild, AllRowsOfClickHouseComeBackOnTheNewestCopy) {
    sql(clickhouse_fills(0, 60000));
    sql("INSERT INTO desk.ticks SELECT toDateTime(number * 60), 'venue', number / 3, [toString(number), 'a,\"b\"', "
        "'it\\'s'], "
        "toUUID('61f0c404-5cb3-11e7-907b-a6006ad3dba0') FROM system.numbers LIMIT 3000");
    ASSERT_TRUE(run_duckdb(file(), duckdb_fills(0, 40000)));
    make_cheap_repository();
    ASSERT_EQ(configured({"backup", "--only", "trades"}).exit, 0);
    // The same as the copy and the rows of ClickHouse make together.
    ASSERT_TRUE(
        run_duckdb(file(), duckdb_fills(40000, 60000) +
                               "INSERT INTO ticks SELECT to_timestamp(i * 60), 'venue', i / 3, [i::VARCHAR, "
                               "'a,\"b\"', 'it''s'], '61f0c404-5cb3-11e7-907b-a6006ad3dba0' FROM range(3000) r(i)"));
    const auto before = content(file());
    ASSERT_EQ(before.size(), 4u);
    damage();
    const Bytes damaged = os::read_file(file()).value();
    EXPECT_TRUE(content(file()).empty());

    const Answer without = configured({"duckdb", "rebuild", "trades"});
    EXPECT_EQ(without.exit, 2) << without.errors;
    EXPECT_THAT(without.errors, HasSubstr("[[duckdb.rebuild]]"));
    configure("[[duckdb.rebuild]]\nfrom = \"clickhouse\"\n");
    EXPECT_THAT(configured({"duckdb", "rebuild", "trades"}).errors, HasSubstr("--replace"));
    const Answer plan = configured({"duckdb", "rebuild", "trades", "--dry-run"});
    EXPECT_EQ(plan.exit, 0) << plan.errors;
    EXPECT_THAT(plan.output, HasSubstr("main.fills: 60000 rows, newest time 1971-"));
    EXPECT_THAT(plan.output, HasSubstr("clickhouse desk.fills: 60000 rows, 20000 of them new or changed"));
    EXPECT_THAT(plan.output, HasSubstr("main.settings: 1 rows, newest changed 2026-03-01 10:00:00: all of the copy"));
    EXPECT_TRUE(os::read_file(file()).value() == damaged);
    expect_nothing_left();

    const Answer done = configured({"duckdb", "rebuild", "trades", "--replace", "--json"});
    ASSERT_EQ(done.exit, 0) << done.errors;
    EXPECT_EQ(content(file()), before);
    EXPECT_TRUE(os::read_file(done.json()["old_one_is_at"].text()).value() == damaged);
    EXPECT_THAT(done.json()["copy"].text(), HasSubstr("snapshot "));
    // What comes next has an ID of its own.
    EXPECT_TRUE(run_duckdb(file(), "INSERT INTO fills (time, symbol) VALUES ('2026-11-28', 'new')"));
}

// What 18.16 does not know: moments with fractions and zones, Bool, LowCardinality. Of two parts' rows with one key the merged one.
TEST_F(Rebuild, TypesOfAModernServerComeBack) {
    auto modern = holdfast::testing::ChdbServer::start(os::parent_folder(os::own_program()) + "/hf-chdb-front");
    ASSERT_TRUE(modern) << modern.error().message;
    constexpr const char* k_create =
        "CREATE TABLE desk.n (id Int64, moment DateTime64(6), zoned DateTime64(3, 'Europe/Berlin'), yes Bool, word "
        "LowCardinality(Nullable(String)), version UInt64) ENGINE = ReplacingMergeTree(version) ORDER BY id";
    for (const char* statement :
         {"CREATE DATABASE desk", k_create,
          "INSERT INTO desk.n SELECT 1, '2026-01-02 03:04:05.123456', '2026-07-01 12:00:00.5', true, 'old', 1",
          "INSERT INTO desk.n SELECT 1, '2026-01-02 03:04:05.123456', '2026-07-01 12:00:00.5', true, NULL, 2",
          "INSERT INTO desk.n SELECT 2, '1970-01-01 00:00:00', '1970-01-01 01:00:00', false, '\\\\N', 1"}) {
        const Answer answer = run({"curl", "-sS", "--fail-with-body", "--data-binary", statement, modern->url()});
        ASSERT_EQ(answer.exit, 0) << statement << answer.output;
    }
    write(at("holdfast.toml"),
          fmt::format("[[duckdb]]\npath = \"{}\"\n[[clickhouse]]\nurl = \"{}\"\n", file(), modern->url()));
    const std::string tables =
        "CREATE TABLE n (id BIGINT PRIMARY KEY, moment TIMESTAMP, zoned TIMESTAMP WITH TIME ZONE, yes BOOLEAN, word "
        "VARCHAR);";
    write(at("tables.sql"), tables);
    const Answer done =
        duckdb({"rebuild", "trades", "--from", "clickhouse", "--schema", at("tables.sql"), "--to", at("made.duckdb")});
    ASSERT_EQ(done.exit, 0) << done.errors;
    ASSERT_TRUE(
        run_duckdb(at("expected.duckdb"),
                   tables + "INSERT INTO n VALUES (1, '2026-01-02 03:04:05.123456', '2026-07-01 10:00:00.5+00', true, "
                            "NULL), (2, '1970-01-01', '1970-01-01 00:00:00+00', false, '\\N')"));
    EXPECT_EQ(content(at("made.duckdb")), content(at("expected.duckdb")));
}

TEST_F(Rebuild, WhatOnlyTheCopyHasStaysAndFewerRowsAreSaid) {
    ASSERT_TRUE(run_duckdb(file(), duckdb_fills(0, 1000) + "INSERT INTO ticks VALUES (now(), 'a', 1, [], uuid()), "
                                                           "(now(), 'b', 1, [], uuid())"));
    sql(clickhouse_fills(10, 1000));
    sql("INSERT INTO desk.ticks VALUES (100, 'c', 2, [], '61f0c404-5cb3-11e7-907b-a6006ad3dba0')");
    ASSERT_EQ(duckdb({"watch", "--once"}).exit, 0);
    const auto before = content(file());
    damage();
    const Bytes damaged = os::read_file(file()).value();
    // Rows without a key cannot be merged: the two of the copy would be lost.
    const Answer fewer = duckdb({"rebuild", "trades", "--from", "clickhouse", "--replace"});
    EXPECT_EQ(fewer.exit, 1) << fewer.output;
    EXPECT_THAT(fewer.errors, HasSubstr("desk.ticks has 1 rows of main.ticks, which has 2 in the copy"));
    EXPECT_THAT(fewer.errors, HasSubstr("--take-fewer"));
    EXPECT_TRUE(os::read_file(file()).value() == damaged);
    expect_nothing_left();

    const Answer one =
        duckdb({"rebuild", "trades", "--from", "clickhouse", "--table", "fills", "--to", at("one.duckdb")});
    ASSERT_EQ(one.exit, 0) << one.errors;
    EXPECT_THAT(one.output, HasSubstr("begun with state "));
    EXPECT_THAT(one.output, HasSubstr("990 rows, 0 of them new or changed"));
    EXPECT_THAT(one.output, HasSubstr("10 of 1000 rows of the copy are not there, and stay"));
    EXPECT_EQ(content(at("one.duckdb")), before);
    const Answer taken = duckdb({"rebuild", "trades", "--from", "clickhouse", "--take-fewer", "--replace"});
    ASSERT_EQ(taken.exit, 0) << taken.errors;
    EXPECT_THAT(taken.output, HasSubstr("desk.ticks: 1 rows in place of the copy's 2"));
    EXPECT_THAT(content(file())["ticks"], HasSubstr("1 rows"));
    EXPECT_THAT(duckdb({"rebuild", "trades", "--from", "clickhouse", "--table", "filsl", "--dry-run"}).errors,
                HasSubstr("no table filsl"));
}

TEST_F(Rebuild, TheLargerVersionOfARowCounts) {
    configure(
        "[[duckdb.rebuild]]\ntable = \"orders\"\nfrom = \"clickhouse\"\nsource = \"desk.o\"\nversion = \"version\"\n");
    ASSERT_TRUE(run_duckdb(file(),
                           "CREATE TABLE orders (id INTEGER PRIMARY KEY, state VARCHAR, version UBIGINT);"
                           "INSERT INTO orders VALUES (1, 'copy', 5), (2, 'copy', 5), (3, 'copy', 5)"));
    sql("CREATE TABLE desk.o (id Int32, state String, version UInt64) ENGINE = MergeTree ORDER BY id");
    sql("INSERT INTO desk.o VALUES (1, 'older', 4), (2, 'newer', 6), (2, 'newest', 7), (4, 'first', 1), (4, 'first', "
        "1)");
    ASSERT_EQ(duckdb({"watch", "--once"}).exit, 0);
    damage();
    const Answer done = duckdb({"rebuild", "trades", "--replace"});
    ASSERT_EQ(done.exit, 0) << done.errors;
    EXPECT_THAT(done.output, HasSubstr("5 rows, 2 of them new or changed, 2 left out for their keys are there twice"));
    auto made = holdfast::testing::TradesDuckDb::open(file());
    ASSERT_TRUE(made);
    EXPECT_EQ(made->value("SELECT string_agg(id || state, ' ' ORDER BY id) FROM orders").value(),
              "1copy 2newest 3copy 4first");
}

TEST_F(Rebuild, RowsOfRedisComeBack) {
    auto redis = holdfast::testing::RedisServer::start();
    ASSERT_TRUE(redis) << redis.error().message;
    configure(fmt::format(
        "[[duckdb.rebuild]]\ntable = \"fills\"\nfrom = \"redis\"\nkeys = \"fill:*\"\nfields = [\"ms\", \"symbol\", "
        "\"price\", "
        "\"note\"]\nselect = \"* EXCLUDE (ms), CAST(split_part(_key, ':', 2) AS BIGINT) AS id, "
        "make_timestamp_ms(CAST(ms AS "
        "BIGINT)) AS time\"\n[[duckdb.rebuild]]\ntable = \"settings\"\nfrom = \"redis\"\nstream = \"settings\"\n"
        "[[redis]]\nport = {}\n",
        redis->port()));
    std::vector<std::vector<std::string>> commands = {{"SET", "fill:none", "no hash"},
                                                      {"HSET", "fill:other", "x", "1"}};
    for (int i = 0; i < 5000; ++i) {
        commands.push_back(
            {"HSET", fmt::format("fill:{}", i), "ms", std::to_string(i * 1000), "price", fmt::format("{}.5", i)});
        if (i % 2 == 0)
            commands.back().insert(commands.back().end(), {"symbol", "ünï\n\"" + std::to_string(i), "note", "\\N"});
    }
    for (int i = 0; i < 2500; ++i)
        commands.push_back(
            {"XADD", "settings", fmt::format("{}-1", i + 1), "name", fmt::format("n{}", i), "value", ""});
    ASSERT_TRUE(redis->talk(commands));
    ASSERT_EQ(duckdb({"watch", "--once"}).exit, 0);
    ASSERT_TRUE(run_duckdb(
        file(),
        "INSERT INTO fills (id, time, symbol, price, note) SELECT i, TIMESTAMP '1970-01-01' + to_seconds(i), CASE WHEN "
        "i % 2 = 0 "
        "THEN 'ünï' || chr(10) || '\"' || i END, i + 0.5, CASE WHEN i % 2 = 0 THEN '\\N' END FROM range(5000) r(i);"
        "INSERT INTO settings SELECT 'n' || i, '', NULL FROM range(2500) r(i)"));
    const auto before = content(file());
    damage();
    const Answer done = duckdb({"rebuild", "trades", "--replace"});
    ASSERT_EQ(done.exit, 0) << done.errors;
    EXPECT_EQ(content(file()), before);
    EXPECT_THAT(done.output,
                HasSubstr("redis settings: 2500 rows, 2500 of them new or changed; it does not have changed"));
}

TEST_F(Rebuild, ASourceThatIsDownReplacesNothing) {
    ASSERT_TRUE(run_duckdb(file(), duckdb_fills(0, 100)));
    ASSERT_EQ(duckdb({"watch", "--once"}).exit, 0);
    damage();
    const Bytes damaged = os::read_file(file()).value();
    clickhouse_->kill();
    const Answer down = duckdb({"rebuild", "trades", "--from", "clickhouse", "--replace"});
    EXPECT_EQ(down.exit, 1) << down.errors;
    EXPECT_THAT(down.errors, HasSubstr("rows of fills: "));
    EXPECT_THAT(down.errors, HasSubstr(clickhouse_->url()));
    EXPECT_TRUE(os::read_file(file()).value() == damaged);
    expect_nothing_left();
}

TEST_F(Rebuild, KilledMidwayTheOldOneIsInItsPlaceAndTheNextRunPasses) {
    sql(clickhouse_fills(0, 5000));
    ASSERT_TRUE(run_duckdb(file(), duckdb_fills(0, 5000)));
    ASSERT_EQ(duckdb({"watch", "--once"}).exit, 0);
    const auto before = content(file());
    damage();
    const Bytes damaged = os::read_file(file()).value();
    for (const char* place : {"rebuild.table:1", "rebuild.table:3"}) {
        const Answer killed = configured({"duckdb", "rebuild", "trades", "--from", "clickhouse", "--replace"},
                                         {{"HOLDFAST_CRASH_POINT", place}});
        EXPECT_EQ(killed.exit, -SIGKILL) << killed.output << killed.errors;
        EXPECT_TRUE(os::read_file(file()).value() == damaged);
    }
    const Answer done = duckdb({"rebuild", "trades", "--from", "clickhouse", "--replace"});
    ASSERT_EQ(done.exit, 0) << done.errors;
    EXPECT_EQ(content(file()), before);
    const auto names = os::list_folder(at("")).value();
    for (const std::string& name : names) EXPECT_EQ(name.find(".holdfast-restore-"), name.npos) << name;
}

TEST_F(Rebuild, WithoutACopyTheTablesAreThoseThatTheDamagedFileShows) {
    sql(clickhouse_fills(0, 5000));
    ASSERT_TRUE(run_duckdb(file(), duckdb_fills(0, 5000) + "CHECKPOINT;"));
    const auto before = content(file());
    // Rows only: the catalogue is at the end of the file.
    Bytes bytes = os::read_file(file()).value();
    bytes[12288 + 262144 + 1000] ^= std::byte{1};
    ASSERT_TRUE(os::write_file(file(), bytes));
    ASSERT_TRUE(content(file()).empty());
    const Answer shown = duckdb({"rebuild", "trades", "--from", "clickhouse", "--to", at("shown.duckdb")});
    ASSERT_EQ(shown.exit, 0) << shown.errors;
    EXPECT_THAT(shown.output, HasSubstr("begun with the tables of the damaged file"));
    EXPECT_THAT(shown.output, HasSubstr("main.settings: 0 rows: no store has it"));
    auto after = content(at("shown.duckdb"));
    EXPECT_EQ(after["fills"], before.at("fills"));
    EXPECT_EQ(after["objects"], before.at("objects"));
    // Nothing is left of it: CREATE statements do.
    damage();
    EXPECT_THAT(duckdb({"rebuild", "trades", "--from", "clickhouse", "--replace"}).errors, HasSubstr("--schema FILE"));
    write(at("tables.sql"), k_tables.substr(0, k_tables.find("INSERT")));
    const Answer given =
        duckdb({"rebuild", "trades", "--from", "clickhouse", "--schema", at("tables.sql"), "--replace"});
    ASSERT_EQ(given.exit, 0) << given.errors;
    EXPECT_EQ(content(file())["fills"], before.at("fills"));
}

// The engine's own tables: no rule is needed, and what the other stores lack follows from the journal by the watermark.
TEST_F(Rebuild, AnAccountsHistoryComesBackFromWhereItsEngineWrites) {
    auto redis = holdfast::testing::RedisServer::start();
    ASSERT_TRUE(redis) << redis.error().message;
    write(at("holdfast.toml"),
          fmt::format(
              "[[duckdb]]\npath = \"{}\"\n[[clickhouse]]\nurl = \"{}\"\n[[redis]]\nport = {}\n[[journal]]\npath = "
              "\"{}\"\n"
              "[[trade]]\naccount = \"demo-1\"\nduckdb = \"trades\"\nclickhouse = \"clickhouse\"\nredis = \"redis\"\n"
              "[trade.broker]\nkind = \"paper\"\naddress = \"127.0.0.1:1\"\n",
              file(), clickhouse_->url(), redis->port(), at("journal")));
    ASSERT_TRUE(os::remove_tree(file()));
    os::SystemClock clock;
    trade::History history;
    history.orders(1, 60);
    const auto fill = [&](trade::Sink& sink, ledger::Sequence to) {
        const auto mark = sink.watermark();
        ASSERT_TRUE(mark) << mark.error().message;
        const Status applied = sink.apply(*mark, history.part(*mark, to));
        ASSERT_TRUE(applied) << applied.error().message;
    };
    const auto fill_history = [&](ledger::Sequence to) {
        trade::DuckDbSink sink({file(), "demo-1", "journal-1"}, clock);
        fill(sink, to);
    };
    trade::ClickHouseSinkOptions options;
    options.server.url = clickhouse_->url();
    options.account = "demo-1";
    options.journal = "journal-1";
    trade::ClickHouseSink clickhouse(std::move(options), clock);
    fill(clickhouse, history.last() - 10);
    trade::RedisPlace place;
    place.login.port = redis->port();
    trade::RedisSink newest(trade::RedisLink(std::move(place)), {"demo-1", "journal-1", 1});
    fill(newest, history.last());

    fill_history(100);
    ASSERT_EQ(duckdb({"watch", "--once"}).exit, 0);
    fill_history(history.last());
    const auto before = content(file());
    ASSERT_EQ(before.count("orders"), 1u);
    damage();
    const Answer done = duckdb({"rebuild", "trades", "--replace"});
    ASSERT_EQ(done.exit, 0) << done.errors;
    EXPECT_EQ(content(file()).at("orders"), before.at("orders")) << done.output;
    {
        trade::DuckDbSink sink({file(), "demo-1", "journal-1"}, clock);
        EXPECT_EQ(sink.watermark().value(), 100u);
    }
    fill_history(history.last());
    EXPECT_EQ(content(file()), before);
}

TEST_F(Rebuild, DoctorNamesItWhereASourceIsConfigured) {
    configure("[[duckdb.rebuild]]\nfrom = \"clickhouse\"\n");
    Bytes bytes = os::read_file(file()).value();
    bytes[4096 + 50] ^= std::byte{1};
    bytes[8192 + 50] ^= std::byte{1};
    ASSERT_TRUE(os::write_file(file(), bytes));
    EXPECT_THAT(configured({"doctor", "trades"}).output, HasSubstr("holdfast duckdb rebuild trades --replace"));
    EXPECT_THAT(duckdb({"repair", "trades"}).errors, HasSubstr("holdfast duckdb rebuild trades --dry-run"));
    configure("");
    EXPECT_THAT(configured({"doctor", "trades"}).output, Not(HasSubstr("rebuild")));
}

}    // namespace
}    // namespace holdfast::scenario
