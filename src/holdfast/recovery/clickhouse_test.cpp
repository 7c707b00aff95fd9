// ClickHouse out of a real repository: after a lost disk, beside live tables, and after things went wrong.

#include <algorithm>
#include <atomic>
#include <map>
#include <thread>

#include "holdfast/recovery/clickhouse_fixture_test.hpp"

namespace holdfast::recovery {
namespace {

using ::testing::HasSubstr;

INSTANTIATE_TEST_SUITE_P(Generations, ClickHouseRestore,
                         ::testing::Values(ClickHouseGeneration::v18, ClickHouseGeneration::v26),
                         [](const auto& p) { return p.param == ClickHouseGeneration::v18 ? "v18" : "v26"; });

constexpr const char* k_types =
    "i8 Int8, u64 UInt64, f Float32, g Float64, dc Decimal(18,4), d38 Decimal(38,10), s String, fs FixedString(5), d "
    "Date, dt DateTime, "
    "dtz DateTime('Asia/Tokyo'), u UUID, e Enum8('a'=1,'b''c'=2), ar Array(String), aar Array(Array(Int32)), n "
    "Nullable(String), "
    "nn Nullable(UInt64), an Array(Nullable(Float64)), tu Tuple(UInt8, String), ne Nested(a UInt8, b String), "
    "ag AggregateFunction(uniq, UInt64), ags AggregateFunction(quantiles(0.5, 0.9), UInt64)";
constexpr const char* k_values =
    "number % 100, 18446744073709551615 - number, if(number % 3 = 0, nan, if(number % 3 = 1, -1/0, number / 7)), "
    "number / 3, "
    "toDecimal64(1.2345, 4) + number, toDecimal128('-99999999999.5', 10), concat(unhex('00FF0A0A095C27'), "
    "toString(number)), 'ab', "
    "toDate('2026-01-01') + number % 60, toDateTime('2026-01-01 00:00:00') + number, toDateTime('2026-01-01 "
    "00:00:00'), "
    "toUUID('00000000-0000-0000-0000-00000000aaaa'), 'b''c', ['x', '', 'y''z'], [[1, 2], []], "
    "if(number % 2 = 0, NULL, toString(number)), if(number % 2 = 0, number, NULL), [1.5, NULL, nan], (3, 'q'), [1, 2], "
    "['z', 'w'], "
    "uniqState(number), quantilesState(0.5, 0.9)(number)";

TEST_P(ClickHouseRestore, BringsEveryTypeBackAfterALostDisk) {
    // EA-06, DD-04
    run(fmt::format("CREATE TABLE d.types ({}) ENGINE = MergeTree PARTITION BY toYYYYMM(d) ORDER BY i8", k_types));
    for (int i = 0; i < 3; ++i)
        run(
            fmt::format("INSERT INTO d.types SELECT {} FROM (SELECT number + {} AS number FROM system.numbers LIMIT "
                        "2000) GROUP BY number",
                        k_values, i * 2000));
    const std::string before = content("d.types");
    ASSERT_THAT(before, HasSubstr("6000 "));
    const std::string aggregates =
        value("SELECT uniqMerge(ag), quantilesMerge(0.5, 0.9)(ags), maxIf(g, f = f), countIf(n IS NULL) FROM d.types");
    back_up();
    ASSERT_GE(facts_["tables"].items()[0]["parts"].items().size(), 2u);
    lose_the_disk();
    expect_restored();
    EXPECT_EQ(content("d.types"), before);
    EXPECT_EQ(
        value("SELECT uniqMerge(ag), quantilesMerge(0.5, 0.9)(ags), maxIf(g, f = f), countIf(n IS NULL) FROM d.types"),
        aggregates);
    EXPECT_EQ(result_["tables"].items()[0]["proof"].text(), "digest");
    expect_no_leftovers();
}

TEST_P(ClickHouseRestore, BringsTheNewerTypesBack) {
    if (!modern()) return;    // 18.16 has none of them
    run("CREATE TABLE d.types (lc LowCardinality(String), lcn LowCardinality(Nullable(String)), m Map(String, UInt64), "
        "t DateTime64(9, 'UTC'), "
        "d32 Date32, i Int256, b Bool, v4 IPv4, v6 IPv6, d76 Decimal(76, 30), va Variant(UInt64, String), dy Dynamic, "
        "js JSON, "
        "nt Tuple(a UInt8, b Nullable(String)), p Point, sa SimpleAggregateFunction(sum, UInt64)) ENGINE = MergeTree "
        "ORDER BY lc");
    run("INSERT INTO d.types SELECT toString(number % 7), if(number % 2 = 0, NULL, toString(number % 5)), map('a', "
        "number), "
        "fromUnixTimestamp64Nano(toInt64(1767225600123456789 + number), 'UTC'), toDate32('1950-01-01'), "
        "toInt256('-123456789012345678901234567890'), "
        "number % 2, toIPv4('10.0.0.1'), toIPv6('::1'), toDecimal256('1.5', 30), if(number % 2 = 0, "
        "number::Variant(UInt64, String), "
        "toString(number)::Variant(UInt64, String)), number::Dynamic, concat('{\"a\":', toString(number), "
        "',\"b\":[1,\"x\"]}')::JSON, "
        "(1, NULL), (1.5, 2.5), number FROM numbers(3000)");
    const std::string before = content("d.types");
    ASSERT_THAT(before, HasSubstr("3000 "));
    back_up();
    lose_the_disk();
    expect_restored();
    EXPECT_EQ(content("d.types"), before);
}

TEST_P(ClickHouseRestore, BringsViewsLogsAndEmptyTablesBack) {
    run("CREATE TABLE d.base (day Date, n UInt64, s String DEFAULT 'x', up String ALIAS upper(s)) ENGINE = MergeTree "
        "PARTITION BY toYYYYMM(day) ORDER BY n");
    run("CREATE MATERIALIZED VIEW d.inside ENGINE = SummingMergeTree PARTITION BY tuple() ORDER BY day AS SELECT day, "
        "count() AS c FROM d.base GROUP BY day");
    run("CREATE TABLE d.target (day Date, c UInt64) ENGINE = SummingMergeTree ORDER BY day");
    run("CREATE MATERIALIZED VIEW d.a_first TO d.target AS SELECT day, count() AS c FROM d.base GROUP BY day");
    run("CREATE VIEW d.over AS SELECT n, s FROM d.base WHERE n > 10");
    run("CREATE VIEW d.a_view_over_views AS SELECT n FROM d.over");
    run("CREATE TABLE d.log (a UInt8, b String) ENGINE = Log");
    run("CREATE TABLE d.`it's \\`odd\\`.x` (a UInt8) ENGINE = TinyLog");
    run("CREATE TABLE d.empty (a UInt8) ENGINE = MergeTree ORDER BY a");
    run("INSERT INTO d.base (day, n) SELECT toDate('2026-01-01') + number % 90, number FROM system.numbers LIMIT 5000");
    run("INSERT INTO d.base (day, n) SELECT toDate('2026-01-01') + number % 90, number FROM system.numbers LIMIT 5000");
    run("INSERT INTO d.log SELECT number % 7, toString(number) FROM system.numbers LIMIT 1000");
    run("INSERT INTO d.`it's \\`odd\\`.x` SELECT number FROM system.numbers LIMIT 3");
    std::map<std::string, std::string> before;
    for (const char* table : {"d.base", "d.log", "d.`it's \\`odd\\`.x`", "d.empty", "d.over", "d.a_view_over_views"})
        before[table] = content(table);
    back_up();
    lose_the_disk();
    expect_restored();
    for (const auto& [table, was] : before) EXPECT_EQ(content(table), was) << table;
    for (const char* view : {"d.inside", "d.target"})
        EXPECT_EQ(value(fmt::format("SELECT sum(c), uniq(day) FROM {}", view)), "10000 90") << view;
    // Views live on: both see a new row.
    run("INSERT INTO d.base (day, n) VALUES ('2026-01-01', 1)");
    for (const char* view : {"d.inside", "d.target"})
        EXPECT_EQ(value(fmt::format("SELECT sum(c) FROM {}", view)), "10001") << view;
    expect_no_leftovers();
    // And all of it outlives a crash of the server.
    engine_->kill();
    ASSERT_TRUE(engine_->restart());
    connect();
    EXPECT_EQ(value("SELECT sum(c) FROM d.inside"), "10001");
    EXPECT_EQ(value("SELECT upper(any(up)) FROM d.base"), "X");
}

TEST_P(ClickHouseRestore, KeepsComputedValuesAndComputesNewOnes) {
    run("CREATE TABLE d.t (n UInt64, k UInt32 MATERIALIZED n % 10, w DateTime MATERIALIZED now(), f String DEFAULT "
        "'f') ENGINE = MergeTree ORDER BY (k, n)");
    run("INSERT INTO d.t (n) SELECT number FROM system.numbers LIMIT 100");
    const std::string before = content("d.t", "n, k, w, f"), when = value("SELECT max(w) FROM d.t");
    back_up();
    lose_the_disk();
    while (value("SELECT now()") == when)
        clock_.sleep(std::chrono::milliseconds(100));    // so that a new now() would show
    expect_restored();
    EXPECT_EQ(content("d.t", "n, k, w, f"), before);
    run("INSERT INTO d.t (n) VALUES (777)");
    EXPECT_EQ(value("SELECT k FROM d.t WHERE n = 777"), "7");
    EXPECT_EQ(
        value("SELECT default_kind FROM system.columns WHERE database = 'd' AND table = 't' AND name IN ('k', 'w')"),
        "MATERIALIZED MATERIALIZED");
}

TEST_P(ClickHouseRestore, KeepsRowsThatAMergeWouldJoin) {
    // MT-15: rows with one key, not merged yet; each must come back, and FINAL must still find the newest.
    run("CREATE TABLE d.state (id UInt64, version UInt64, v String) ENGINE = ReplacingMergeTree(version) ORDER BY id");
    run("SYSTEM STOP MERGES d.state");
    for (int version = 0; version < 3; ++version)
        run(fmt::format("INSERT INTO d.state SELECT number % 500, {0}, 'v{0}' FROM system.numbers LIMIT 1000", version),
            modern() ? db::clickhouse::Settings{{"optimize_on_insert", "0"}}
                     : db::clickhouse::Settings{});    // each key twice a part
    const std::string before = content("d.state");
    ASSERT_THAT(before, HasSubstr("3000 "));
    back_up();
    lose_the_disk();
    expect_restored();
    EXPECT_EQ(value("SELECT count(), min(v), max(v) FROM d.state FINAL"), "500 v2 v2");
    EXPECT_EQ(result_["tables"].items()[0]["rows"].natural(), 3000u);
    run("OPTIMIZE TABLE d.state FINAL");    // merges run again
    EXPECT_EQ(value("SELECT count() FROM d.state"), "500");
}

TEST_P(ClickHouseRestore, RefusesWhatIsThereAndChangesNothing) {
    run("CREATE TABLE d.t (n UInt64) ENGINE = MergeTree ORDER BY n");
    run("INSERT INTO d.t SELECT number FROM system.numbers LIMIT 10");
    back_up();
    run("INSERT INTO d.t VALUES (99)");
    const auto result = restore();
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, ErrorCode::exists);
    EXPECT_THAT(result.error().message, HasSubstr("d.t"));
    EXPECT_THAT(result.error().hint, HasSubstr("--replace"));
    EXPECT_EQ(value("SELECT count() FROM d.t"), "11");
    EXPECT_FALSE(plan_clickhouse(config_, context()));
    expect_no_leftovers();
}

TEST_P(ClickHouseRestore, SwitchesAndKeepsTheOldOnesAside) {
    run("CREATE TABLE d.t (day Date, n UInt64) ENGINE = MergeTree ORDER BY n");
    run("CREATE MATERIALIZED VIEW d.mv ENGINE = SummingMergeTree PARTITION BY tuple() ORDER BY day AS SELECT day, "
        "count() AS c FROM d.t GROUP BY day");
    run("CREATE VIEW d.v AS SELECT n FROM d.t");
    run("INSERT INTO d.t SELECT toDate('2026-01-01'), number FROM system.numbers LIMIT 10");
    back_up();
    run("INSERT INTO d.t SELECT toDate('2026-01-02'), number FROM system.numbers LIMIT 5");
    run("DROP TABLE d.v");
    run("CREATE VIEW d.v AS SELECT n + 1 AS n FROM d.t");

    const auto plan = plan_clickhouse(config_, context(WhenExisting::switch_over));
    ASSERT_TRUE(plan) << plan.error().message;
    EXPECT_TRUE(std::all_of(plan->begin(), plan->end(), [](const auto& step) { return step.replaces; }));
    EXPECT_EQ(value("SELECT count() FROM d.t"), "15");    // looking changes nothing

    expect_restored(WhenExisting::switch_over);
    EXPECT_EQ(value("SELECT count() FROM d.t"), "10");
    EXPECT_EQ(value("SELECT sum(c) FROM d.mv"), "10");
    EXPECT_EQ(value("SELECT min(n) FROM d.v"), "0");
    std::map<std::string, json::Value> of;
    for (const auto& table : result_["tables"].items()) of[table["name"].text()] = table;
    EXPECT_EQ(value("SELECT count() FROM " + of["d.t"]["kept_as"].text()), "15");
    EXPECT_EQ(value("SELECT sum(c) FROM " + of["d.mv"]["kept_as"].text()), "15");
    EXPECT_THAT(of["d.v"]["replaced_definition"].text(), HasSubstr("n + 1"));
    run("INSERT INTO d.t VALUES ('2026-01-03', 1)");
    EXPECT_EQ(value("SELECT sum(c) FROM d.mv"), "11");
    EXPECT_EQ(value("SELECT sum(c) FROM " + of["d.mv"]["kept_as"].text()), "15");
    expect_no_leftovers();
}

TEST_P(ClickHouseRestore, TakesThePlaceOfAnEmptyTableAndDropsWhatAKilledRestoreLeft) {
    run("CREATE TABLE d.t (n UInt64) ENGINE = MergeTree ORDER BY n");
    run("INSERT INTO d.t SELECT number FROM system.numbers LIMIT 10");
    back_up();
    run("DROP TABLE d.t");
    run("CREATE TABLE d.t (n UInt64, other String) ENGINE = MergeTree ORDER BY n");
    run("CREATE TABLE d.t__holdfast_restore (n UInt64) ENGINE = MergeTree ORDER BY n");
    run("INSERT INTO d.t__holdfast_restore VALUES (4711)");
    expect_restored();
    EXPECT_EQ(value("SELECT count(), max(n) FROM d.t"), "10 9");
    expect_no_leftovers();
    EXPECT_EQ(value("SELECT count() FROM system.tables WHERE database = 'd'"), "1");
}

TEST_P(ClickHouseRestore, RefusesRowsThatAreNotWhatWasBackedUp) {
    run("CREATE TABLE d.a (n UInt64) ENGINE = MergeTree ORDER BY n");
    run("CREATE TABLE d.t (n UInt64) ENGINE = MergeTree ORDER BY n");
    for (const char* table : {"a", "t"})
        run(fmt::format("INSERT INTO d.{} SELECT number FROM system.numbers LIMIT 10", table));
    back_up();
    for (const char* table : {"a", "t"}) run(fmt::format("INSERT INTO d.{} VALUES (99)", table));
    auto tables = facts_["tables"].items();
    tables[1].set("digest", "1");
    facts_.set("tables", tables);
    const auto result = restore(WhenExisting::switch_over);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, ErrorCode::mismatch) << result.error().message;
    EXPECT_EQ(value("SELECT count() FROM d.a"), "11");    // not even the table that was equal has moved
    EXPECT_EQ(value("SELECT count() FROM d.t"), "11");
    expect_no_leftovers();
}

TEST_P(ClickHouseRestore, CountsOnlyAcrossVersionsThatWriteValuesOtherwise) {
    run("CREATE TABLE d.t (n UInt64) ENGINE = MergeTree ORDER BY n");
    run("INSERT INTO d.t SELECT number FROM system.numbers LIMIT 10");
    back_up();
    run("DROP TABLE d.t");
    auto tables = facts_["tables"].items();
    tables[0].set("digest", "1");
    facts_.set("tables", tables);
    facts_.set("version", "21.8.3");
    expect_restored();
    EXPECT_EQ(result_["tables"].items()[0]["proof"].text(), "count");
    EXPECT_THAT(said_, HasSubstr("21.8.3"));
}

TEST_P(ClickHouseRestore, RefusesAManifestThatDoesNotFitItsFiles) {
    run("CREATE TABLE d.t (n UInt64) ENGINE = MergeTree ORDER BY n");
    run("INSERT INTO d.t SELECT number FROM system.numbers LIMIT 10");
    back_up();
    run("DROP TABLE d.t");
    const json::Value whole = facts_;
    const auto with_part = [&](const char* key, json::Value value) {
        auto tables = whole["tables"].items();
        auto parts = tables[0]["parts"].items();
        parts[0].set(key, std::move(value));
        tables[0].set("parts", parts);
        facts_ = whole;
        facts_.set("tables", tables);
        const auto result = restore();
        return result ? ErrorCode::internal : result.error().code;
    };
    EXPECT_EQ(with_part("bytes", 1), ErrorCode::corrupt);
    EXPECT_EQ(with_part("rows", 11), ErrorCode::corrupt);
    EXPECT_EQ(with_part("file", "d/t/other.native"), ErrorCode::not_found);
    EXPECT_EQ(value("SELECT count() FROM system.tables WHERE database = 'd'"), "0");
}

TEST_P(ClickHouseRestore, FailsClearlyWithoutTheServer) {
    run("CREATE TABLE d.t (n UInt64) ENGINE = MergeTree ORDER BY n");
    back_up();
    engine_->kill();
    const auto plan = plan_clickhouse(config_, context());
    ASSERT_FALSE(plan);
    EXPECT_EQ(plan.error().code, ErrorCode::unreachable);
    EXPECT_FALSE(plan.error().hint.empty());
}

TEST_P(ClickHouseRestore, CopiesATableAtOneInstantWhileItIsWrittenAndMerged) {
    // Batches of 100 consecutive numbers, one insert each: any instant holds the first k of them, whole. Parts come and
    // go much faster than on a real server, but not faster than they can be read: that is refused, as it should be.
    run("CREATE TABLE d.t (n UInt64) ENGINE = MergeTree ORDER BY n");
    std::atomic<bool> stop = false;
    std::atomic<int> batches = 0;
    const auto open = [&] {
        db::clickhouse::Server server;
        server.url = engine_->url();
        return db::clickhouse::Client::connect(std::move(server)).value();
    };
    std::thread writer([&, client = open()]() mutable {
        for (; !stop; ++batches) {
            if (!client.execute(
                    fmt::format("INSERT INTO d.t SELECT number + {} FROM system.numbers LIMIT 100", batches * 100)))
                break;
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
        }
    });
    std::thread merger([&, client = open()]() mutable {
        while (!stop) {
            (void)client.execute("OPTIMIZE TABLE d.t FINAL");
            std::this_thread::sleep_for(std::chrono::milliseconds(300));
        }
    });
    while (batches < 20) std::this_thread::yield();
    const int before = batches;
    back_up();
    stop = true;
    writer.join();
    merger.join();
    run("DROP TABLE d.t");
    expect_restored();
    const auto rows = client_->rows("SELECT count(), uniqExact(n), max(n) FROM d.t");
    ASSERT_TRUE(rows) << rows.error().message;
    const int count = std::stoi((*rows)[0][0]);
    EXPECT_EQ(count % 100, 0);
    EXPECT_GE(count, before * 100);
    EXPECT_EQ((*rows)[0][1], (*rows)[0][0]);
    EXPECT_EQ(std::stoi((*rows)[0][2]), count - 1);
}

}    // namespace
}    // namespace holdfast::recovery
