#include "holdfast/db/clickhouse_ddl.hpp"

#include <gtest/gtest.h>

namespace holdfast::db::clickhouse {

TEST(ClickHouseDdl, RenamesWithoutTouchingTheRest) {
    const auto create =
        parse_create("CREATE TABLE t1.base ( d Date,  `from t1.base` String DEFAULT 't1.base') ENGINE = Log");
    ASSERT_TRUE(create) << create.error().message;
    EXPECT_EQ(create->kind, "TABLE");
    EXPECT_EQ(create->database, "t1");
    EXPECT_EQ(create->name, "base");
    EXPECT_EQ(create_as(*create, "x", "y z"),
              "CREATE TABLE `x`.`y z` ( d Date,  `from t1.base` String DEFAULT 't1.base') ENGINE = Log");
}

TEST(ClickHouseDdl, ReadsQuotedNamesWithDotsAndBackticks) {
    const auto create = parse_create("CREATE TABLE `a.b`.`.inner.m\\`v` (x UInt8) ENGINE = Log");
    ASSERT_TRUE(create) << create.error().message;
    EXPECT_EQ(create->database, "a.b");
    EXPECT_EQ(create->name, ".inner.m`v");
}

TEST(ClickHouseDdl, LeavesOutWhatHoldsOnlyOnTheOldServer) {
    const auto create = parse_create(
        "CREATE MATERIALIZED VIEW d.mv UUID 'aa' ON CLUSTER c TO INNER UUID 'bb' (`x` UInt8) ENGINE = Log AS SELECT 1 "
        "AS x");
    ASSERT_TRUE(create) << create.error().message;
    EXPECT_EQ(create->rest, " (`x` UInt8) ENGINE = Log AS SELECT 1 AS x");
    EXPECT_FALSE(create->with_target);
    const auto to = parse_create("CREATE MATERIALIZED VIEW d.mv TO d.other (`x` UInt8) AS SELECT 1 AS x");
    ASSERT_TRUE(to) << to.error().message;
    EXPECT_TRUE(to->with_target);
    EXPECT_EQ(to->rest, " TO d.other (`x` UInt8) AS SELECT 1 AS x");
}

TEST(ClickHouseDdl, MakesComputedColumnsInsertable) {
    EXPECT_EQ(
        with_insertable_columns(
            " (a UInt8, w DateTime MATERIALIZED now(), m String MATERIALIZED concat(a, 'MATERIALIZED')) ENGINE = X"),
        " (a UInt8, w DateTime DEFAULT now(), m String DEFAULT concat(a, 'MATERIALIZED')) ENGINE = X");
}

TEST(ClickHouseDdl, TakesNoNameForTheWordMaterialized) {
    for (const char* same :
         {" (MATERIALIZED UInt8, `MATERIALIZED` UInt8) ENGINE = X", " (a UInt8 DEFAULT materialized) ENGINE = X",
          " (a UInt8 COMMENT 'x MATERIALIZED y') ENGINE = X", " (a Tuple(MATERIALIZED UInt8)) ENGINE = X",
          " AS SELECT MATERIALIZED FROM t", ""}) {
        EXPECT_EQ(with_insertable_columns(same), same);
    }
}

TEST(ClickHouseDdl, MakesPlainTablesOfReplicatedOnes) {
    for (const auto& [with, without] : {
             std::pair{" (n UInt8) ENGINE = ReplicatedMergeTree('/t/{shard}', '{replica}') ORDER BY n",
                       " (n UInt8) ENGINE = MergeTree() ORDER BY n"},
             std::pair{" (n UInt8) ENGINE = ReplicatedReplacingMergeTree('/t', 'r', version) ORDER BY n",
                       " (n UInt8) ENGINE = ReplacingMergeTree(version) ORDER BY n"},
             std::pair{" (n UInt8) ENGINE = ReplicatedMergeTree('/t', 'r', d, n, 8192)",
                       " (n UInt8) ENGINE = MergeTree(d, n, 8192)"},
             std::pair{" (n UInt8) ENGINE = ReplicatedSummingMergeTree(c) ORDER BY n",
                       " (n UInt8) ENGINE = SummingMergeTree(c) ORDER BY n"},
             std::pair{" (n UInt8) ENGINE = ReplicatedMergeTree ORDER BY n",
                       " (n UInt8) ENGINE = MergeTree ORDER BY n"},
             std::pair{" (n UInt8) ENGINE = ReplicatedMergeTree() ORDER BY n",
                       " (n UInt8) ENGINE = MergeTree() ORDER BY n"},
         }) {
        const auto made = without_replication(with);
        EXPECT_TRUE(made.replicated) << with;
        EXPECT_EQ(made.rest, without);
    }
    for (const char* same :
         {" (n UInt8) ENGINE = MergeTree ORDER BY n", " (n String DEFAULT 'ENGINE = ReplicatedMergeTree') ENGINE = Log",
          " AS SELECT 1", "", " (n UInt8) ENGINE = ReplicatedMergeTree('/x"}) {
        EXPECT_FALSE(without_replication(same).replicated) << same;
        EXPECT_EQ(without_replication(same).rest, same);
    }
}

TEST(ClickHouseDdl, RefusesWhatIsNoCreate) {
    for (const char* bad :
         {"", "DROP TABLE x", "CREATE", "CREATE TABLE", "CREATE TABLE `x", "CREATE TABLE 'x' (a Int8)",
          "CREATE TABLE a.", "CREATE A B C D E F G H I J K L M N O P Q R S T U V W"}) {
        const auto create = parse_create(bad);
        ASSERT_FALSE(create) << bad;
        EXPECT_EQ(create.error().code, ErrorCode::unsupported) << bad;
    }
}

}    // namespace holdfast::db::clickhouse
