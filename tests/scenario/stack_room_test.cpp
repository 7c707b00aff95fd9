// What restores have kept aside when their disk gets short: real disks that are short, real servers, the real program.

#include <fmt/core.h>
#include <gmock/gmock.h>

#include <filesystem>

#include "holdfast/testing/postgres_server.hpp"
#include "holdfast/testing/redis_server.hpp"
#include "holdfast/testing/trades_duckdb.hpp"
#include "scenario.hpp"
#include "small_disk.hpp"

namespace holdfast::scenario {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class ShortDisk : public Scenario {
protected:
    const SmallDisk disk_{at("small"), 4096 * k_mib};

    void SetUp() override {
        std::filesystem::permissions(at("."), std::filesystem::perms(0711));
        make_cheap_repository();
        write_desk("old");
        configure("");
    }

    // 8 MiB of configuration.
    void write_desk(std::string_view state) const {
        write(at("small/config/desk.env"), fmt::format("A={}\n", state));
        write(at("small/config/symbols"), std::string(8 * k_mib, 'x'));
    }
    std::string desk() const { return os::read_text(at("small/config/desk.env")).value_or("none"); }
    void configure(std::string_view restore, std::string_view more = {}) const {
        write(at("holdfast.toml"),
              fmt::format("stack = \"desk\"\nstate_folder = \"{}\"\n[restore]\ncheck_wait_seconds = 0\n{}\n"
                          "[[files]]\npaths = [\"{}\"]\n{}",
                          at("state"), restore, at("small/config"), more));
    }
    Answer configured(std::vector<std::string> arguments, const Environment& more = {}) const {
        Environment environment{{"HOLDFAST_CONFIG", at("holdfast.toml")}};
        environment.insert(environment.end(), more.begin(), more.end());
        return holdfast(std::move(arguments), environment);
    }
    void back_up() const {
        const Answer saved = configured({"backup"});
        ASSERT_EQ(saved.exit, 0) << saved.output << saved.errors;
    }
    void restore() const {
        const Answer restored = configured({"restore", "latest", "--replace", "--yes"});
        ASSERT_EQ(restored.exit, 0) << restored.output << restored.errors;
    }
    /// What lies aside on the small disk.
    std::size_t kept() const {
        std::size_t found = 0;
        for (const auto& entry : std::filesystem::recursive_directory_iterator(at("small"))) {
            const std::string name = entry.path().filename();
            for (const char* mark : {".before-", "replaced-", "undone-"}) found += name.find(mark) != name.npos;
        }
        return found;
    }
    json::Value run(std::size_t number) const {
        return configured({"restore", "--status", "--json"}).json()["restores"].items().at(number);
    }
};

// NS-10: kept until --commit or until space is short; then the oldest first, no more than is needed, and an undo says why.
TEST_F(ShortDisk, TakesTheOldestFirstAndAnUndoSaysWhy) {
    back_up();
    write_desk("first");
    restore();
    write_desk("second");
    restore();
    ASSERT_EQ(kept(), 2u);

    configure("keep_free_mib = 32");
    disk_.leave(33 * k_mib);
    back_up();
    EXPECT_EQ(kept(), 2u) << "there is room";
    disk_.leave(28 * k_mib);
    EXPECT_EQ(configured({"restore", "latest", "--replace", "--dry-run"}).exit, 0);
    EXPECT_EQ(configured({"restore", "latest", "--replace"}).exit, 2) << "nobody said yes";
    EXPECT_EQ(configured({"restore", "--status"}).exit, 0);
    EXPECT_EQ(kept(), 2u);
    configure("keep_free_mib = 0");
    back_up();
    EXPECT_EQ(kept(), 2u) << "never was asked for";

    configure("keep_free_mib = 32");
    const Answer saved = configured({"backup"});
    ASSERT_EQ(saved.exit, 0) << saved.errors;
    EXPECT_THAT(saved.errors,
                AllOf(HasSubstr("only 28.0 MiB is free: removing what the restore of"), HasSubstr("8.00 MiB")));
    EXPECT_EQ(kept(), 1u);
    EXPECT_EQ(desk(), "A=old\n");
    EXPECT_EQ(run(0)["state"].text(), "committed");
    EXPECT_EQ(run(0)["room"]["free_bytes"].natural() >> 20, 28u);
    EXPECT_EQ(run(1)["state"].text(), "passed");
    const Answer again = configured({"backup", "--json"});
    EXPECT_EQ(again.exit, 0);
    EXPECT_TRUE(again.json()["restores_without_undo"].is_null()) << "there is room again";
    EXPECT_EQ(kept(), 1u);

    const Answer undo = configured({"restore", "--undo", "--yes"});
    ASSERT_EQ(undo.exit, 0) << undo.errors;
    EXPECT_EQ(desk(), "A=second\n");
    const Answer late = configured({"restore", "--undo", "--yes"});
    EXPECT_EQ(late.exit, 1);
    EXPECT_THAT(late.errors, AllOf(HasSubstr("was removed on 2"), HasSubstr("because only 28.0 MiB was free"),
                                   HasSubstr("keep_free_mib")));
    EXPECT_EQ(desk(), "A=second\n");
    EXPECT_THAT(configured({"restore", "--status"}).output, HasSubstr("because only 28.0 MiB was free"));
}

// What did not pass may be all that there is of the data; what an undo took away is a person's to remove.
TEST_F(ShortDisk, NeverTakesWhatDidNotPass) {
    back_up();
    write_desk("first");
    restore();
    write_desk("second");
    configure("check_commands = [[\"false\"]]");
    EXPECT_NE(configured({"restore", "latest", "--replace", "--yes"}).exit, 0);
    ASSERT_EQ(run(1)["state"].text(), "failed");
    ASSERT_EQ(kept(), 2u);
    disk_.leave(16 * k_mib);
    configure("keep_free_mib = 1000");
    const Answer saved = configured({"backup"});
    EXPECT_EQ(saved.exit, 0) << saved.errors;
    EXPECT_THAT(saved.errors, HasSubstr("nothing that restores kept is removed while one has not passed"));
    EXPECT_EQ(kept(), 2u);
    ASSERT_EQ(configured({"restore", "--undo", "--yes"}, {{"HOLDFAST_CRASH_POINT", "undo.put_back:1"}}).exit, -9);
    back_up();
    ASSERT_EQ(run(1)["state"].text(), "undoing");
    EXPECT_EQ(kept(), 2u);
    const Answer undo = configured({"restore", "--undo", "--yes"});
    EXPECT_EQ(undo.exit, 0) << undo.errors;
    EXPECT_EQ(desk(), "A=second\n");
    back_up();
    EXPECT_EQ(run(0)["state"].text(), "committed");
    EXPECT_EQ(run(1)["state"].text(), "undone");
    EXPECT_EQ(kept(), 1u) << "the restored data, after its undo";
}

// Whoever lost what was restored may want the old; and an undo is not given up for a few KiB.
TEST_F(ShortDisk, NeverTakesTheOnlyOneNorWhatHelpsNobody) {
    back_up();
    write_desk("first");
    restore();
    configure("keep_free_mib = 1000");
    disk_.leave(16 * k_mib);
    std::filesystem::rename(at("small/config"), at("small/elsewhere"));
    EXPECT_NE(configured({"backup"}).exit, 0);
    EXPECT_EQ(kept(), 1u);
    std::filesystem::rename(at("small/elsewhere"), at("small/config"));
    back_up();
    EXPECT_EQ(kept(), 0u);

    std::filesystem::remove(at("small/config/symbols"));
    disk_.leave(32 * k_mib);
    restore();
    ASSERT_EQ(kept(), 1u);
    back_up();
    EXPECT_EQ(kept(), 1u);
}

// Killed at each step: nothing can be undone by half, and the next command goes on, though there is room then.
TEST_F(ShortDisk, KilledInTheMiddleItGoesOn) {
    back_up();
    for (const char* point : {"room.noted:1", "commit.removed:1"}) {
        SCOPED_TRACE(point);
        disk_.leave(64 * k_mib);
        write_desk("first");
        restore();
        const std::size_t number = configured({"restore", "--status", "--json"}).json()["restores"].items().size() - 1;
        configure("keep_free_mib = 1000");
        ASSERT_EQ(configured({"backup"}, {{"HOLDFAST_CRASH_POINT", point}}).exit, -9);
        EXPECT_EQ(run(number)["state"].text(), "passed");
        const Answer undo = configured({"restore", "--undo", "--yes"});
        EXPECT_EQ(undo.exit, 1);
        EXPECT_THAT(undo.errors, HasSubstr("because only"));
        EXPECT_EQ(desk(), "A=old\n");
        configure("keep_free_mib = 1");
        back_up();
        EXPECT_EQ(run(number)["state"].text(), "committed");
        EXPECT_EQ(kept(), 0u);
    }
}

// A stack of servers: files go where they help; databases that servers keep stay until a person says so. No server is asked.
TEST_F(ShortDisk, OfAWholeStackTakesFilesOnly) {
    auto postgres = testing::PostgresServer::start();
    ASSERT_TRUE(postgres) << postgres.error().message;
    ::setenv("TMPDIR", at("small").c_str(), 1);
    auto redis = testing::RedisServer::start({"save 3600 1"});
    ::unsetenv("TMPDIR");
    ASSERT_TRUE(redis) << redis.error().message;
    const std::string duckdb = at("small/ticks.duckdb");
    const auto fill = [&](const char* word) {
        write_desk(word);
        ASSERT_TRUE(postgres->sql("trading",
                                  fmt::format("DROP TABLE IF EXISTS t; CREATE TABLE t AS SELECT '{}' AS word", word)));
        ASSERT_TRUE(redis->talk({{"SET", "word", word}}));
        auto open = testing::TradesDuckDb::open(duckdb);
        ASSERT_TRUE(open) << open.error().message;
        ASSERT_TRUE(open->execute(fmt::format("CREATE OR REPLACE TABLE t AS SELECT '{}' AS word", word)));
    };
    const auto aside = [&] {
        return postgres->sql("postgres", "SELECT count(*) FROM pg_database WHERE datname ~ '_replaced_'").value_or("?");
    };
    ASSERT_TRUE(postgres->sql("postgres", "CREATE DATABASE trading"));
    fill("old");
    const std::string stores = fmt::format(
        "[[postgres]]\nhost = \"{}\"\nport = {}\ndatabases = [\"trading\"]\n[[redis]]\nport = {}\ndata_folder = "
        "\"{}\"\n"
        "start_command = [\"redis-server\", \"{}\", \"--daemonize\", \"yes\"]\n[[duckdb]]\npath = \"{}\"\n",
        postgres->socket_folder(), postgres->port(), redis->port(), redis->data_folder(), redis->config_file(), duckdb);
    configure("", stores);
    back_up();
    fill("new");
    restore();
    ASSERT_EQ(kept(), 3u);
    ASSERT_THAT(aside(), HasSubstr("1"));

    disk_.leave(24 * k_mib);
    configure("keep_free_mib = 32", stores);
    const Answer watched = configured({"duckdb", "watch", "--once"});
    EXPECT_EQ(watched.exit, 0) << watched.output << watched.errors;
    EXPECT_THAT(watched.errors, HasSubstr("removing what the restore of"));
    EXPECT_EQ(kept(), 0u);
    EXPECT_THAT(aside(), HasSubstr("1"));
    EXPECT_EQ(run(0)["state"].text(), "passed");
    const Answer status = configured({"restore", "--status"});
    EXPECT_THAT(status.output, AllOf(HasSubstr("because only 24.0 MiB was free"), HasSubstr("the old postgres is kept"),
                                     Not(HasSubstr("the old files is kept")), Not(HasSubstr("the old redis is kept"))));
    const Answer undo = configured({"restore", "--undo", "--yes"});
    EXPECT_EQ(undo.exit, 1);
    EXPECT_THAT(undo.errors, AllOf(HasSubstr("because only 24.0 MiB was free"), HasSubstr("what servers still keep")));

    // A restore makes room as well, and says so where nobody reads notes.
    fill("newer");
    disk_.leave(40 * k_mib);
    restore();
    disk_.leave(24 * k_mib);
    const Answer third = configured({"restore", "latest", "--replace", "--yes", "--json"});
    EXPECT_EQ(third.exit, 0) << third.output << third.errors;
    EXPECT_THAT(third.errors, HasSubstr("removing what the restore of"));
    EXPECT_EQ(kept(), 3u) << "of the third";
    EXPECT_EQ(desk(), "A=old\n");
    const Answer committed = configured({"restore", "--commit", "--yes"});
    EXPECT_EQ(committed.exit, 0) << committed.errors;
    EXPECT_EQ(kept(), 0u);
    EXPECT_THAT(aside(), HasSubstr("0"));
    (void)redis->talk({{"SHUTDOWN", "NOSAVE"}});
}

}    // namespace
}    // namespace holdfast::scenario
