// Credentials, as a user has them: backed up by `holdfast watch` right after each change, and put back alone (MT-06, EA-07).

#include <fmt/core.h>
#include <gmock/gmock.h>

#include "holdfast/testing/postgres_server.hpp"
#include "scenario.hpp"
#include "watching.hpp"

namespace holdfast::scenario {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class Credentials : public Scenario {
protected:
    void SetUp() override {
        auto started = testing::PostgresServer::start();
        ASSERT_TRUE(started) << started.error().message;
        server_.emplace(*std::move(started));
        write(at("postgres.password"), server_->password() + "\n", 0600);
        sql("postgres", "CREATE DATABASE users; CREATE ROLE trader LOGIN PASSWORD 'first'");
        sql("users",
            "CREATE SCHEMA auth; CREATE TABLE auth.broker (login text PRIMARY KEY, secret text); "
            "INSERT INTO auth.broker VALUES ('anna', 'a-plain-secret'); CREATE TABLE other AS SELECT 1 AS one");
        configure(3600);
        make_cheap_repository();
    }
    void configure(unsigned look_again_seconds) {
        write(at("holdfast.toml"),
              fmt::format(R"(stack = "desk"
[repository]
location = "{0}"
password_file = "{1}"
[[postgres]]
name = "credentials"
host = "127.0.0.1"
port = {2}
password_file = "{3}"
databases = ["users"]
tables = ["auth.*"]
on_change = true
look_again_seconds = {4}
[[postgres]]
name = "whole"
host = "127.0.0.1"
port = {2}
password_file = "{3}"
)",
                          repository(), password_file(), server_->port(), at("postgres.password"), look_again_seconds));
    }
    std::string sql(const std::string& database, std::string_view script) {
        auto done = server_->sql(database, script);
        EXPECT_TRUE(done) << done.error().message;
        std::string text = done.value_or("");
        while (text.ends_with('\n')) text.pop_back();
        return text;
    }
    Answer with_config(std::vector<std::string> words) const {
        words.insert(words.end(), {"--config", at("holdfast.toml")});
        return holdfast_bare(std::move(words));
    }
    os::Command watch() const { return command({"watch", "--json", "--config", at("holdfast.toml")}); }

    std::optional<testing::PostgresServer> server_;
};

// Told by the triggers: at the COMMIT, though nobody would look for an hour.
TEST_F(Credentials, AChangeIsInTheVaultRightAfterItsCommit) {
    const Answer triggers = with_config({"watch", "--trigger-sql"});
    ASSERT_EQ(triggers.exit, 0) << triggers.errors;
    sql("postgres", triggers.output);
    sql("postgres", triggers.output);    // once more does no harm
    EXPECT_EQ(sql("users", "SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'holdfast%'"), "2");

    Watching watching(watch());
    EXPECT_EQ(watching.next()["event"].text(), "watching");
    json::Value event = watching.next();
    EXPECT_EQ(event["event"].text(), "saved") << json::dump(event);    // the first
    for (const char* change : {"UPDATE auth.broker SET secret = 'the second'", "BEGIN; DELETE FROM auth.broker; COMMIT",
                               "TRUNCATE auth.broker; "
                               "INSERT INTO auth.broker VALUES ('anna', 'the third'), ('ben', 'b')"}) {
        sql("users", change);
        event = watching.next();
        EXPECT_EQ(event["event"].text(), "saved") << change;
    }
    EXPECT_EQ(watching.stop().code, 0);

    // Nothing of it in the clear, neither in the vault nor in what we print.
    const Answer found = run({"grep", "-r", "-c", "-a", "-l", "the third", repository()});
    EXPECT_EQ(found.output, "");
    EXPECT_THAT(json::dump(event), Not(HasSubstr("the third")));

    // A watch that starts again knows what the newest snapshot holds.
    EXPECT_EQ(with_config({"watch", "--once"}).output, "");
    sql("users", "UPDATE auth.broker SET secret = 'lost' WHERE login = 'anna'");

    const Answer refused = with_config({"restore", "latest", "--only", "credentials", "--yes"});
    EXPECT_NE(refused.exit, 0);
    EXPECT_THAT(refused.errors, HasSubstr("--replace"));
    const Answer back = with_config({"restore", "latest", "--only", "credentials", "--replace", "--yes"});
    ASSERT_EQ(back.exit, 0) << back.errors;
    EXPECT_EQ(sql("users", "SELECT string_agg(secret, ',' ORDER BY login) FROM auth.broker"), "the third,b");
    EXPECT_EQ(sql("users", "SELECT count(*) FROM other"), "1");
}

// Roles tell nobody: they are found by looking. The snapshots of a watch are not the latest state of the stack.
TEST_F(Credentials, ARolesPasswordIsFoundByLooking) {
    const Answer saved = with_config({"backup", "--json"});
    ASSERT_EQ(saved.exit, 0) << saved.errors;
    const std::string stack = saved.json()["snapshot"].text();
    configure(1);
    Watching watching(watch());
    EXPECT_EQ(watching.next()["event"].text(), "watching");
    sql("postgres", "ALTER ROLE trader PASSWORD 'second'");
    const json::Value event = watching.next();
    EXPECT_EQ(event["event"].text(), "saved") << json::dump(event);
    EXPECT_EQ(watching.stop().code, 0);

    const Answer whole = with_config({"restore", "latest", "--dry-run", "--json", "--replace"});
    EXPECT_EQ(whole.json()["snapshot"].text(), stack) << whole.errors;
    EXPECT_THAT(whole.output, HasSubstr("its tables come back with whole"));
    const std::string now = "SELECT rolpassword FROM pg_authid WHERE rolname = 'trader'", second = sql("users", now);
    sql("postgres", "ALTER ROLE trader PASSWORD 'third'");
    const Answer back =
        with_config({"restore", "latest", "--only", "credentials", "--role", "trader", "--replace", "--yes", "--json"});
    ASSERT_EQ(back.exit, 0) << back.errors;
    EXPECT_EQ(back.json()["snapshot"].text(), event["snapshot"].text());
    EXPECT_EQ(sql("users", now), second);
}

// The server away and back: told once, and then what changed meanwhile is saved.
TEST_F(Credentials, AServerThatWasAwayIsLookedAtAgain) {
    Watching watching(watch());
    EXPECT_EQ(watching.next()["event"].text(), "watching");
    EXPECT_EQ(watching.next()["event"].text(), "saved");
    server_->kill();
    const json::Value failed = watching.next();
    EXPECT_EQ(failed["event"].text(), "failed") << json::dump(failed);
    EXPECT_EQ(failed["component"].text(), "credentials");
    ASSERT_TRUE(server_->restart());
    sql("users", "UPDATE auth.broker SET secret = 'changed meanwhile'");
    EXPECT_EQ(watching.next()["event"].text(), "saved");
    EXPECT_EQ(watching.stop().code, 0);
}

// The machine is gone: the whole copy makes the database, the tables of the other component come with it.
TEST_F(Credentials, AnEmptyServerGetsThemWithTheWholeCopy) {
    ASSERT_EQ(with_config({"backup"}).exit, 0);
    ASSERT_TRUE(server_->wipe());
    const Answer back = with_config({"restore", "latest", "--yes"});
    ASSERT_EQ(back.exit, 0) << back.errors;
    EXPECT_EQ(sql("users", "SELECT secret FROM auth.broker"), "a-plain-secret");
    EXPECT_EQ(sql("users", "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'holdfast%'"), "0");
}

// `--table` by hand, from the snapshot of the whole server.
TEST_F(Credentials, OneTableOfAWholeSnapshotComesBack) {
    ASSERT_EQ(with_config({"backup", "--only", "whole"}).exit, 0);
    sql("users", "DROP TABLE auth.broker");
    const Answer planned = with_config({"restore", "latest", "--only", "whole", "--table", "auth.broker", "--dry-run"});
    EXPECT_EQ(planned.exit, 0) << planned.errors;
    EXPECT_THAT(planned.output, HasSubstr("auth.broker"));
    EXPECT_EQ(sql("users", "SELECT to_regclass('auth.broker') IS NULL"), "t");
    const Answer back = with_config({"restore", "latest", "--only", "whole", "--table", "auth.broker", "--yes"});
    ASSERT_EQ(back.exit, 0) << back.errors;
    EXPECT_THAT(back.output, HasSubstr("auth.broker in database users: 1 rows, compared"));
    EXPECT_EQ(sql("users", "SELECT secret FROM auth.broker"), "a-plain-secret");
    const Answer beside = with_config({"restore", "latest", "--only", "whole", "--table", "auth.broker", "--rename",
                                       "auth.broker=public.broker_then", "--yes", "--json"});
    ASSERT_EQ(beside.exit, 0) << beside.errors;
    EXPECT_EQ(sql("users", "SELECT secret FROM broker_then"), "a-plain-secret");
    EXPECT_EQ(with_config({"restore", "latest", "--rename", "a=b"}).exit, 2);
}

}    // namespace
}    // namespace holdfast::scenario
