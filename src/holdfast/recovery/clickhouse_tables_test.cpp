// Some tables of a ClickHouse, some partition of one, under other names: what stands on the server stays unless it was named.

#include "holdfast/recovery/clickhouse_fixture_test.hpp"

namespace holdfast::recovery {
namespace {

using ::testing::HasSubstr;

class ClickHouseTables : public ClickHouseRestore {
protected:
    void SetUp() override {
        ClickHouseRestore::SetUp();
        if (HasFatalFailure()) return;
        run("CREATE DATABASE e");
        for (const char* table : {"d.fills", "d.orders", "e.fills"}) {
            run(fmt::format(
                "CREATE TABLE {} (day Date, n UInt64, s String DEFAULT 'x') ENGINE = MergeTree PARTITION BY "
                "toYYYYMM(day) ORDER BY n",
                table));
            for (int month = 1; month <= 3; ++month) insert(table, month, month * 1000, 100);
        }
        run("CREATE TABLE d.log (a UInt8) ENGINE = Log");
        run("INSERT INTO d.log VALUES (1), (2)");
        run("CREATE VIEW d.over AS SELECT n FROM d.fills");
        back_up();
    }
    void insert(const std::string& table, int month, int first, int count) {
        run(fmt::format(
            "INSERT INTO {} (day, n) SELECT toDate('2026-{:02}-01') + number % 28, number + {} FROM system.numbers "
            "LIMIT {}",
            table, month, first, count));
    }
    Result<json::Value> restore(const TableChoice& choice, WhenExisting existing = WhenExisting::refuse) {
        return restore_clickhouse(config_, context(existing, &choice));
    }
    std::string tables() {
        return value(
            "SELECT concat(database, '.', name) FROM system.tables WHERE database IN ('d', 'e', 'x') ORDER BY "
            "database, name");
    }
};

INSTANTIATE_TEST_SUITE_P(Generations, ClickHouseTables,
                         ::testing::Values(ClickHouseGeneration::v18, ClickHouseGeneration::v26),
                         [](const auto& p) { return p.param == ClickHouseGeneration::v18 ? "v18" : "v26"; });

// EA-06: somebody dropped one table; the others are newer than the backup and stay.
TEST_P(ClickHouseTables, BringsOneTableBackAndTouchesNoOther) {
    const std::string before = content("d.fills");
    run("DROP TABLE d.fills");
    insert("d.orders", 4, 9000, 7);
    const auto result = restore({{"d.fills"}, "", {}});
    ASSERT_TRUE(result) << result.error().message << " | " << result.error().hint;
    EXPECT_EQ(content("d.fills"), before);
    EXPECT_EQ(value("SELECT count() FROM d.orders"), "307");
    ASSERT_EQ((*result)["tables"].items().size(), 1u);
    EXPECT_EQ((*result)["tables"].items()[0]["proof"].text(), "digest");
    expect_no_leftovers();
}

TEST_P(ClickHouseTables, RestoresUnderAnotherNameBesideTheLiveOne) {
    const std::string before = content("d.fills");
    insert("d.fills", 1, 5000, 5);
    const TableChoice choice{{"d.fills"}, "", {{"d.fills", "x.old fills"}}};
    const auto plan = plan_clickhouse(config_, context(WhenExisting::refuse, &choice));
    ASSERT_TRUE(plan) << plan.error().message;
    ASSERT_EQ(plan->size(), 1u);
    EXPECT_THAT((*plan)[0].what, HasSubstr("d.fills as x.old fills"));
    EXPECT_FALSE((*plan)[0].replaces);
    const auto result = restore(choice);
    ASSERT_TRUE(result) << result.error().message << " | " << result.error().hint;
    EXPECT_EQ(content("x.`old fills`"), before);
    EXPECT_EQ(value("SELECT count() FROM d.fills"), "305");
    EXPECT_EQ((*result)["tables"].items()[0]["name"].text(), "x.old fills");
    EXPECT_EQ((*result)["tables"].items()[0]["from"].text(), "d.fills");
    // A second time it is in the way.
    const auto again = restore(choice);
    ASSERT_FALSE(again);
    EXPECT_EQ(again.error().code, ErrorCode::exists);
    EXPECT_THAT(again.error().message, HasSubstr("x.old fills"));
    expect_no_leftovers();
}

TEST_P(ClickHouseTables, RestoresAWholeDatabaseUnderAnotherName) {
    const std::string before = content("d.fills"), orders = content("d.orders"), log = content("d.log");
    const auto result = restore({{"d.*"}, "", {{"d", "x"}}});
    ASSERT_TRUE(result) << result.error().message << " | " << result.error().hint;
    EXPECT_EQ(content("x.fills"), before);
    EXPECT_EQ(content("x.orders"), orders);
    EXPECT_EQ(content("x.log"), log);
    EXPECT_EQ(value("SELECT count() FROM x.over"), "300");    // a view says what it said: it reads d.fills
    EXPECT_EQ(tables(), "d.fills d.log d.orders d.over e.fills x.fills x.log x.orders x.over");
}

TEST_P(ClickHouseTables, PutsADroppedPartitionBackIntoTheTable) {
    const std::string before = content("d.fills");
    run("ALTER TABLE d.fills DROP PARTITION 202602");
    insert("d.fills", 3, 7000, 5);
    const TableChoice choice{{"d.fills"}, "202602", {}};
    const auto plan = plan_clickhouse(config_, context(WhenExisting::refuse, &choice));
    ASSERT_TRUE(plan) << plan.error().message;
    ASSERT_EQ(plan->size(), 1u);
    EXPECT_FALSE((*plan)[0].replaces);
    EXPECT_THAT((*plan)[0].what, HasSubstr("partition 202602 of d.fills"));
    EXPECT_EQ(value("SELECT count() FROM d.fills"), "205");
    const auto result = restore(choice);
    ASSERT_TRUE(result) << result.error().message << " | " << result.error().hint;
    EXPECT_EQ(value("SELECT count() FROM d.fills"), "305");
    EXPECT_EQ(content("d.fills WHERE n < 7000"), before);    // and what came since is there
    EXPECT_EQ((*result)["tables"].items()[0]["proof"].text(), "digest");
    EXPECT_EQ((*result)["tables"].items()[0]["rows"].natural(), 100u);
    EXPECT_EQ(tables(), "d.fills d.log d.orders d.over e.fills");
}

TEST_P(ClickHouseTables, ReplacesAPartitionOnlyWhenToldAndKeepsTheOldOne) {
    const std::string before = content("d.fills");
    run("ALTER TABLE d.fills DROP PARTITION 202602");
    insert("d.fills", 2, 8000, 40);    // wrong ones
    const TableChoice choice{{"d.fills"}, "202602", {}};
    const auto refused = restore(choice);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::exists);
    EXPECT_EQ(value("SELECT count() FROM d.fills"), "240");
    const auto result = restore(choice, WhenExisting::switch_over);
    ASSERT_TRUE(result) << result.error().message << " | " << result.error().hint;
    EXPECT_EQ(content("d.fills"), before);
    const std::string kept = (*result)["tables"].items()[0]["kept_as"].text();
    EXPECT_EQ(value("SELECT count(), min(n), max(n) FROM " + kept), "40 8000 8039");
    expect_no_leftovers();
}

TEST_P(ClickHouseTables, LeavesAPartitionAloneWhenTheTableHasOtherColumnsNow) {
    run("ALTER TABLE d.fills ADD COLUMN more UInt8");
    insert("d.fills", 2, 8000, 40);
    const std::string before = content("d.fills");
    const auto result = restore({{"d.fills"}, "202602", {}}, WhenExisting::switch_over);
    ASSERT_FALSE(result);
    EXPECT_THAT(result.error().hint, HasSubstr("--rename d.fills=d.fills_back"));
    EXPECT_EQ(content("d.fills"), before);
    EXPECT_EQ(tables(), "d.fills d.log d.orders d.over e.fills");    // nothing is left behind
}

TEST_P(ClickHouseTables, MakesATableOfOnePartition) {
    const auto result = restore({{"?.fills"}, "202603", {{"d.fills", "x.d"}, {"e.fills", "x.e"}}});
    ASSERT_TRUE(result) << result.error().message << " | " << result.error().hint;
    for (const char* table : {"x.d", "x.e"})
        EXPECT_EQ(value(fmt::format("SELECT count(), min(toYYYYMM(day)), max(toYYYYMM(day)) FROM {}", table)),
                  "100 202603 202603");
}

TEST_P(ClickHouseTables, SaysWhatThereIsWhenNothingFits) {
    const auto why = [&](const TableChoice& choice) {
        const auto result = restore(choice);
        return result ? Error{ErrorCode::internal, "restored", ""} : result.error();
    };
    Error error = why({{"d.fill"}, "", {}});
    EXPECT_EQ(error.code, ErrorCode::not_found);
    EXPECT_THAT(error.hint, HasSubstr("d.fills"));
    error = why({{"d.fills"}, "202612", {}});
    EXPECT_EQ(error.code, ErrorCode::not_found);
    EXPECT_THAT(error.hint, HasSubstr("202601, 202602, 202603"));
    EXPECT_EQ(why({{"d.log"}, "202601", {}}).code, ErrorCode::not_found);
    EXPECT_EQ(why({{"d.*"}, "", {{"e.fills", "x.y"}}}).code, ErrorCode::not_found);
    EXPECT_EQ(why({{"d.fills"}, "", {{"d.fills", "nodot"}}}).code, ErrorCode::usage);
    EXPECT_EQ(why({{"*.fills"}, "", {{"d", "x"}, {"e", "x"}}}).code, ErrorCode::usage);
    EXPECT_EQ(tables(), "d.fills d.log d.orders d.over e.fills");
}

// A writer that never stops: what came into the partition before it was replaced is in what is kept.
TEST_P(ClickHouseTables, KeepsWhatCameInBeforeTheSwitch) {
    insert("d.fills", 2, 8000, 40);
    insert("d.fills", 2, 9000, 10);
    run("OPTIMIZE TABLE d.fills PARTITION 202602 FINAL");
    const auto result = restore({{"d.fills"}, "202602", {}}, WhenExisting::switch_over);
    ASSERT_TRUE(result) << result.error().message;
    EXPECT_EQ(value("SELECT count() FROM " + (*result)["tables"].items()[0]["kept_as"].text()), "150");
    EXPECT_EQ(value("SELECT count() FROM d.fills"), "300");
}

}    // namespace
}    // namespace holdfast::recovery
