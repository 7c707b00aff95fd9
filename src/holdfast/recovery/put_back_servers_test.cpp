// Databases, tables and views that a restore replaced inside real servers come back, from each state that a kill may leave.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "holdfast/db/clickhouse.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/recovery/put_back.hpp"
#include "holdfast/testing/clickhouse_server.hpp"
#include "holdfast/testing/postgres_server.hpp"

namespace holdfast::recovery {
namespace {

TEST(PutBackDatabase, FromEachState) {
    auto server = testing::PostgresServer::start();
    ASSERT_TRUE(server) << server.error().message;
    policy::PostgresConfig config;
    config.host = server->socket_folder();
    config.port = server->port();
    const auto sql = [&](const std::string& database, const std::string& script) {
        return server->sql(database, script).value_or("no answer");
    };
    const std::string names =
        "SELECT string_agg(datname, ',' ORDER BY datname) FROM pg_database WHERE datname LIKE 't%' AND NOT "
        "datistemplate";
    const auto oid = [&](const std::string& name) {
        std::string text = sql("postgres", "SELECT oid FROM pg_database WHERE datname = '" + name + "'");
        text.erase(text.find('\n'));
        return text;
    };
    sql("postgres", "CREATE DATABASE t_replaced_1");
    sql("t_replaced_1", "CREATE TABLE a AS SELECT 1 AS old");
    sql("postgres", "CREATE DATABASE t");
    sql("postgres", "ALTER DATABASE t_replaced_1 ALLOW_CONNECTIONS false");
    Replacement one{.what = "database",
                    .place = "t",
                    .aside = "t_replaced_1",
                    .identity = oid("t_replaced_1"),
                    .undone = "t_undone_1"};
    for (int again = 0; again < 2; ++again) {
        const auto back = put_back_database(config, one);
        ASSERT_TRUE(back) << back.error().message;
        EXPECT_EQ(sql("postgres", names), "t,t_undone_1\n");
        EXPECT_EQ(sql("t", "SELECT old FROM a"), "1\n");
    }
    // Never replaced: nothing happens.
    one = {.what = "database", .place = "t", .aside = "t_replaced_2", .identity = oid("t"), .undone = "t_undone_2"};
    ASSERT_TRUE(put_back_database(config, one));
    EXPECT_EQ(sql("postgres", names), "t,t_undone_1\n");
    // An empty one had been there, and was dropped.
    one.identity = "4";
    for (int again = 0; again < 2; ++again) {
        const auto back = put_back_database(config, one);
        ASSERT_TRUE(back) << back.error().message;
        EXPECT_EQ(sql("postgres", names), "t,t_undone_1,t_undone_2\n");
        EXPECT_EQ(sql("t", "SELECT count(*) FROM pg_class WHERE relname = 'a'"), "0\n");
    }
    // Nothing had been there.
    one = {.what = "database", .place = "t", .undone = "t_undone_3"};
    for (int again = 0; again < 2; ++again) ASSERT_TRUE(put_back_database(config, one));
    EXPECT_EQ(sql("postgres", names), "t_undone_1,t_undone_2,t_undone_3\n");
    EXPECT_FALSE(drop_kept_database(config, "postgres"));
    for (const char* name : {"t_undone_1", "t_undone_2", "t_undone_3", "t_undone_3"})
        EXPECT_TRUE(drop_kept_database(config, name)) << name;
    EXPECT_EQ(sql("postgres", names), "\n");
}

class PutBackTables : public ::testing::Test {
protected:
    void SetUp() override {
        auto server = testing::ClickHouseServer::start();
        ASSERT_TRUE(server) << server.error().message;
        server_.emplace(*std::move(server));
        config_.url = server_->url();
        auto client = db::clickhouse::Client::connect({.url = config_.url, .user = "default", .password = {}});
        ASSERT_TRUE(client) << client.error().message;
        client_.emplace(*std::move(client));
        run("CREATE DATABASE d");
    }
    void run(const std::string& statement) {
        const auto done = client_->execute(statement);
        ASSERT_TRUE(done) << statement << ": " << done.error().message;
    }
    std::string value(const std::string& query) {
        const auto text = client_->text(query);
        return text ? text->substr(0, text->find('\n')) : text.error().message;
    }
    // Twice: the second time there is nothing to do.
    void back(const Replacement& one) {
        for (int again = 0; again < 2; ++again) {
            const auto done = put_back_table(config_, one);
            ASSERT_TRUE(done) << done.error().message;
        }
    }
    std::string tables() {
        return value(
            "SELECT arrayStringConcat(arraySort(groupArray(name)), ',') FROM system.tables WHERE database = 'd' AND "
            "name NOT LIKE '.inner%'");
    }
    static std::string fresh(const std::string& name, const std::string& rows) {
        return "CREATE TABLE d." + name + " ENGINE = MergeTree ORDER BY n AS SELECT number AS n FROM numbers(" + rows +
               ")";
    }

    std::optional<testing::ClickHouseServer> server_;
    std::optional<db::clickhouse::Client> client_;
    policy::ClickHouseConfig config_;
};

TEST_F(PutBackTables, TablesWithRowsWithoutAndOutOfNothing) {
    run(fresh("t", "5"));
    run(fresh("t__replaced_1", "3"));
    back({.what = "table", .place = "t", .aside = "t__replaced_1", .database = "d", .undone = "t__undone_1"});
    EXPECT_EQ(tables(), "t,t__undone_1");
    EXPECT_EQ(value("SELECT count() FROM d.t"), "3");
    EXPECT_EQ(value("SELECT count() FROM d.t__undone_1"), "5");
    // An empty one had been there, and was dropped.
    run(fresh("e", "7"));
    back({.what = "table",
          .place = "e",
          .aside = "e__replaced_1",
          .definition = "CREATE TABLE d.e (n UInt64) ENGINE = MergeTree ORDER BY n",
          .database = "d",
          .undone = "e__undone_1"});
    EXPECT_EQ(value("SELECT count() FROM d.e"), "0");
    EXPECT_EQ(value("SELECT count() FROM d.e__undone_1"), "7");
    // Nothing had been there; and one that was never replaced.
    run(fresh("n", "2"));
    back({.what = "table", .place = "n", .database = "d", .undone = "n__undone_1"});
    back({.what = "table", .place = "t", .aside = "t__replaced_2", .database = "d", .undone = "t__undone_2"});
    EXPECT_EQ(tables(), "e,e__undone_1,n__undone_1,t,t__undone_1");
    EXPECT_FALSE(drop_kept_table(config_, "d", "t"));
    EXPECT_TRUE(drop_kept_table(config_, "d", "t__undone_1"));
    EXPECT_EQ(tables(), "e,e__undone_1,n__undone_1,t");
}

TEST_F(PutBackTables, APartitionOfATableThatLivesOn) {
    const std::string create = "(n UInt64, p UInt8) ENGINE = MergeTree PARTITION BY p ORDER BY n";
    run("CREATE TABLE d.t " + create);
    run("INSERT INTO d.t SELECT number, 1 FROM numbers(5)");    // restored
    run("INSERT INTO d.t SELECT number, 2 FROM numbers(9)");    // another partition: nobody's matter
    run("CREATE TABLE d.t__replaced_1 " + create);
    run("INSERT INTO d.t__replaced_1 SELECT number, 1 FROM numbers(3)");
    const auto rows = [&](const std::string& table) {
        return value("SELECT concat(toString(countIf(p = 1)), ' ', toString(countIf(p = 2))) FROM d." + table);
    };
    back({.what = "partition",
          .place = "t",
          .aside = "t__replaced_1",
          .definition = "1",
          .database = "d",
          .undone = "t__undone_1"});
    EXPECT_EQ(rows("t"), "3 9");
    EXPECT_EQ(rows("t__undone_1"), "5 0");
    EXPECT_EQ(tables(), "t,t__undone_1");
    // There had been no such partition.
    back({.what = "partition", .place = "t", .definition = "1", .database = "d", .undone = "t__undone_2"});
    EXPECT_EQ(rows("t"), "0 9");
    EXPECT_EQ(rows("t__undone_2"), "3 0");
}

TEST_F(PutBackTables, ViewsWithAndWithoutRowsOfTheirOwn) {
    run(fresh("base", "10"));
    run("CREATE VIEW d.v AS SELECT n FROM d.base WHERE n > 5");
    const std::string plain = "CREATE VIEW d.v (n UInt64) AS SELECT n FROM d.base";
    back({.what = "view", .place = "v", .definition = plain, .database = "d", .undone = "v__undone_1"});
    EXPECT_EQ(value("SELECT count() FROM d.v"), "10");
    const std::string definition =
        "CREATE MATERIALIZED VIEW d.mv (n UInt64) ENGINE = MergeTree ORDER BY n AS SELECT n FROM d.base";
    run(definition);
    run("INSERT INTO d.base SELECT 100 + number FROM numbers(4)");    // the restored view has four rows
    run("CREATE TABLE d.mv__replaced_1 (n UInt64) ENGINE = MergeTree ORDER BY n");
    run("INSERT INTO d.mv__replaced_1 SELECT number FROM numbers(6)");
    const Replacement one{.what = "view",
                          .place = "mv",
                          .aside = "mv__replaced_1",
                          .definition = definition,
                          .database = "d",
                          .undone = "mv__undone_1"};
    const auto done = put_back_table(config_, one);
    ASSERT_TRUE(done) << done.error().message;
    EXPECT_EQ(value("SELECT count() FROM d.mv"), "6");
    EXPECT_EQ(value("SELECT count() FROM d.mv__undone_1"), "4");
    run("INSERT INTO d.base SELECT 200 + number FROM numbers(1)");    // and it takes in what comes
    EXPECT_EQ(value("SELECT count() FROM d.mv"), "7");
    EXPECT_EQ(tables(), "base,mv,mv__undone_1,v");
    const auto again = put_back_table(config_, one);
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_EQ(value("SELECT count() FROM d.mv"), "7");
}

}    // namespace
}    // namespace holdfast::recovery
