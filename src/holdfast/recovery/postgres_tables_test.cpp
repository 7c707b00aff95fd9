#include "holdfast/recovery/postgres_tables.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "holdfast/os/process.hpp"
#include "holdfast/recovery/postgres_suite.hpp"
#include "holdfast/recovery/put_back.hpp"

namespace holdfast::recovery {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::string_view k_desk = R"sql(
CREATE SCHEMA auth; CREATE SCHEMA "Odd.Schema"; CREATE ROLE desk_role;
CREATE TABLE auth.users (id serial PRIMARY KEY, name text UNIQUE); INSERT INTO auth.users(name) VALUES ('anna'), ('börse ✓');
CREATE TABLE auth.keys (id bigint GENERATED ALWAYS AS IDENTITY, user_id int REFERENCES auth.users, key text CHECK (key <> ''));
INSERT INTO auth.keys(user_id, key) VALUES (1, 'one'), (2, E'two\t\\');
CREATE FUNCTION auth.who() RETURNS text LANGUAGE sql AS 'SELECT current_user::text';
CREATE VIEW auth.names AS SELECT name FROM auth.users;
GRANT SELECT ON auth.users TO desk_role;
CREATE TABLE ticks (at timestamptz, px numeric) PARTITION BY RANGE (at);
CREATE TABLE ticks_2025 PARTITION OF ticks FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE ticks_2026 PARTITION OF ticks FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
INSERT INTO ticks SELECT timestamptz '2025-06-01' + n * interval '1 day', n FROM generate_series(1, 400) n;
CREATE TABLE "Odd.Schema"."a*b ""c' d" (x text); INSERT INTO "Odd.Schema"."a*b ""c' d" VALUES ('odd'), (NULL), ('odd');
CREATE TABLE log (line text); INSERT INTO log VALUES ('a line');
)sql";

class PostgresTables : public PostgresRestore {
protected:
    void SetUp() override {
        PostgresRestore::SetUp();
        sql("postgres", "CREATE DATABASE desk");
        sql("desk", k_desk);
        config_.databases = {"desk"};
    }
    Result<json::Value> back(const CapturedPostgres& captured, const PostgresPick& pick,
                             WhenExisting existing = WhenExisting::refuse) {
        return restore_postgres_tables(config_, context(captured, existing), pick);
    }
    static PostgresPick tables(std::vector<std::string> patterns) {
        PostgresPick pick;
        pick.tables = std::move(patterns);
        return pick;
    }
};

// NS-08. One table of a large dump costs what it has: the dump is not read from end to end. Here the rows of another one are damaged.
TEST_F(PostgresTables, OnlyRowsThatAreWantedAreRead) {
    sql("desk",
        "CREATE TABLE bulk AS SELECT n, (SELECT string_agg(encode(sha256((n * 1000 + k)::text::bytea), 'hex'), '') "
        "FROM generate_series(1, 100) k) AS line FROM generate_series(1, 2000) n");
    const auto captured = capture();
    ASSERT_TRUE(captured) << captured.error().message;
    const json::Value& facts = captured->facts["databases"].items()[0];
    const format::Node dump =
        repository_->find_node(captured->snapshot.snapshot.tree, "/postgres/" + facts["file"].text()).value();
    const vault::BlobPlace place =
        repository_->places(format::BlobType::data, dump.content.at(dump.content.size() / 2)).at(0);
    const std::string pack =
        fmt::format("{}/vault/data/{}/{}", folder_.path(), place.pack.hex().substr(0, 2), place.pack.hex());
    Bytes bytes = os::read_file(pack).value();
    bytes.at(place.blob.offset + place.blob.length / 2) ^= std::byte{1};
    ASSERT_TRUE(os::write_file(pack, bytes));

    sql("desk", "DROP TABLE auth.users CASCADE");
    const auto planned =
        plan_postgres_tables(config_, context(*captured, WhenExisting::refuse), tables({"auth.users"}));
    ASSERT_TRUE(planned) << planned.error().message;
    EXPECT_LT(planned->at(0).bytes, 1u << 20);
    const auto restored = back(*captured, tables({"auth.users"}));
    ASSERT_TRUE(restored) << restored.error().message << restored.error().hint;
    EXPECT_EQ(sql("desk", "SELECT string_agg(name, ' ' ORDER BY id) FROM auth.users"), "anna börse ✓");
    // An older snapshot tells neither places nor digests: it is read from the start, until the table has come.
    auto old = *captured;
    json::Value database = facts;
    auto list = json::Value::array();
    for (const json::Value& one : facts["tables"].items())
        list.push(json::Value::object({{"schema", one["schema"]}, {"name", one["name"]}, {"rows", one["rows"]}}));
    database.set("tables", std::move(list));
    database.set("archive", json::Value());
    auto databases = json::Value::array();
    databases.push(std::move(database));
    old.facts.set("databases", std::move(databases));
    old.facts = *json::parse(json::dump(old.facts), "facts");
    PostgresPick beside = tables({"auth.users"});
    beside.renames["auth.users"] = "auth.users_old";
    const auto from_start = back(old, beside);
    ASSERT_TRUE(from_start) << from_start.error().message << from_start.error().hint;
    EXPECT_EQ(sql("desk", "SELECT count(*) FROM auth.users_old"), "2");
    const auto bulk = back(*captured, tables({"public.bulk"}), WhenExisting::switch_over);
    ASSERT_FALSE(bulk);
    EXPECT_EQ(bulk.error().code, ErrorCode::corrupt) << bulk.error().message;
    EXPECT_EQ(sql("desk", "SELECT count(*) FROM bulk"), "2000");    // the one that is there
}

// What was dropped comes back with all that belongs to it; nothing else is touched.
TEST_F(PostgresTables, ADroppedTableComesBackWhole) {
    const auto captured = capture();
    ASSERT_TRUE(captured) << captured.error().message;
    sql("desk",
        "DROP TABLE auth.keys; DROP VIEW auth.names; DROP TABLE auth.users; INSERT INTO log VALUES ('a newer line')");
    const auto restored = back(*captured, tables({"auth.*"}));
    ASSERT_TRUE(restored) << restored.error().message << restored.error().hint;
    EXPECT_EQ(sql("desk", "SELECT string_agg(name, ',' ORDER BY id) FROM auth.users"), "anna,börse ✓");
    EXPECT_EQ(sql("desk", "SELECT string_agg(key, ',' ORDER BY id) FROM auth.keys"), "one,two\t\\");
    // Sequence, key, check, foreign key and rights are there, too.
    EXPECT_EQ(sql("desk", "INSERT INTO auth.users(name) VALUES ('new') RETURNING id"), "3");
    EXPECT_FALSE(server_->sql("desk", "INSERT INTO auth.keys(user_id, key) VALUES (99, 'x')"));
    EXPECT_FALSE(server_->sql("desk", "INSERT INTO auth.keys(user_id, key) VALUES (1, '')"));
    EXPECT_EQ(sql("desk", "SELECT has_table_privilege('desk_role', 'auth.users', 'SELECT')"), "t");
    EXPECT_EQ(sql("desk", "SELECT count(*) FROM log"), "2");
    EXPECT_EQ((*restored)["databases"].items()[0]["tables"].items().size(), 2u);
    EXPECT_EQ(databases(), "desk postgres");    // the scratch database is gone
}

TEST_F(PostgresTables, WhatIsThereIsRefusedAndNothingChanges) {
    const auto captured = capture();
    ASSERT_TRUE(captured);
    sql("desk", "DELETE FROM log");
    const auto refused = back(*captured, tables({"log", "auth.users"}));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::exists);
    EXPECT_THAT(refused.error().message, HasSubstr("auth.users, public.log"));
    EXPECT_THAT(refused.error().hint, HasSubstr("--rename"));
    EXPECT_EQ(sql("desk", "SELECT count(*) FROM log"), "0");
}

TEST_F(PostgresTables, ReplaceKeepsTheOldOneInAnotherSchema) {
    const auto captured = capture();
    ASSERT_TRUE(captured);
    sql("desk", "UPDATE ticks SET px = -1; INSERT INTO ticks VALUES ('2026-12-31', 0)");
    const auto restored = back(*captured, tables({"ticks"}), WhenExisting::switch_over);
    ASSERT_TRUE(restored) << restored.error().message;
    EXPECT_EQ(sql("desk", "SELECT count(*), min(px) FROM ticks"), "400|1");
    EXPECT_EQ(sql("desk", "SELECT count(*) FROM pg_inherits WHERE inhparent = 'ticks'::regclass"), "2");
    const std::string aside = sql("desk", "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'holdfast_replaced%'");
    EXPECT_THAT((*restored)["databases"].items()[0]["kept"].text(), HasSubstr(aside));
    EXPECT_EQ(sql("desk", fmt::format("SELECT count(*), min(px) FROM \"{}\".ticks", aside)), "401|-1");
    // What others look at would go on with the old one.
    const auto used = back(*captured, tables({"auth.users"}), WhenExisting::switch_over);
    ASSERT_FALSE(used);
    EXPECT_THAT(used.error().message, HasSubstr("refer to auth.users"));
}

// NS-08: a guided restore's undo, in a database that lives on.
TEST_F(PostgresTables, WhatWasReplacedIsPutBackAndWhatIsKeptIsRemoved) {
    const auto captured = capture();
    ASSERT_TRUE(captured);
    policy::Config config;
    config.postgres.push_back({});
    config.postgres[0].name = "postgres";
    config.postgres[0].host = config_.host;
    config.postgres[0].port = config_.port;
    config.postgres[0].user = config_.user;
    config.postgres[0].password = config_.password;
    const PutBackContext way_back{config, clock_, folder_.path(), [](std::string_view) {}};
    const auto nothing = [] { return Status(); };
    const std::string kept = "SELECT count(*) FROM pg_namespace WHERE nspname ~ '^holdfast_|_replaced_|__undone_'";
    const auto restored = [&](const PostgresPick& pick) {
        RunPart part;
        part.name = part.kind = "postgres";
        auto with = context(*captured, WhenExisting::switch_over);
        with.will_replace = [&](const Replacement& one) -> Status {
            part.replaced.push_back(one);
            return {};
        };
        const auto done = restore_postgres_tables(config_, with, pick);
        EXPECT_TRUE(done) << done.error().message;
        choose_undone_names(part, clock_.now());
        return part;
    };
    sql("desk", "UPDATE ticks SET px = -1; DROP TABLE log");
    RunPart part = restored(tables({"ticks*", "log"}));
    EXPECT_EQ(part.replaced.size(), 4u);
    EXPECT_EQ(sql("desk", "SELECT count(*), min(px), (SELECT count(*) FROM log) FROM ticks"), "400|1|1");
    const std::vector<Replacement> before = part.replaced;
    auto back_again = put_back(part, way_back, nothing);
    ASSERT_TRUE(back_again) << back_again.error().message;
    for (const Replacement& one : before)
        EXPECT_TRUE(put_back_part(config.postgres[0], one));    // killed before it was noted
    EXPECT_EQ(sql("desk", "SELECT count(*), min(px), to_regclass('log') IS NULL FROM ticks"), "400|-1|t");
    EXPECT_EQ(sql("desk", kept), "1");
    ASSERT_TRUE(remove_kept(part, way_back, nothing));
    EXPECT_EQ(sql("desk", kept), "0");
    EXPECT_EQ(sql("desk", "SELECT count(*), min(px) FROM ticks"), "400|-1");

    sql("desk", "DELETE FROM auth.keys");
    PostgresPick pick;
    pick.schemas = {"auth"};
    part = restored(pick);
    EXPECT_EQ(sql("desk", "SELECT count(*) FROM auth.keys"), "2");
    back_again = put_back(part, way_back, nothing);
    ASSERT_TRUE(back_again) << back_again.error().message;
    EXPECT_EQ(sql("desk", "SELECT count(*) FROM auth.keys"), "0");
    ASSERT_TRUE(remove_kept(part, way_back, nothing));
    EXPECT_EQ(sql("desk", kept), "0");
    Replacement alien{.what = "schema", .place = "auth", .aside = "auth", .database = "desk"};
    EXPECT_EQ(drop_kept_part(config.postgres[0], alien).error().code, ErrorCode::corrupt);
}

TEST_F(PostgresTables, ARenamedTableComesBesideTheLiveOne) {
    const auto captured = capture();
    ASSERT_TRUE(captured);
    sql("desk", "UPDATE auth.users SET name = 'spoilt' WHERE id = 1");
    PostgresPick pick = tables({"auth.users", "auth.keys", "*a[*]b*"});
    ASSERT_TRUE(add_rename("auth.users=auth.users_before", pick.renames));
    ASSERT_TRUE(add_rename("auth.keys=restored.keys", pick.renames));
    ASSERT_TRUE(add_rename("auth.nobody=auth.somebody", pick.renames));
    const auto refused = back(*captured, pick);
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().message, HasSubstr("nothing of that name"));
    pick.renames.erase("auth.nobody");
    pick.tables.pop_back();
    const auto restored = back(*captured, pick);
    ASSERT_TRUE(restored) << restored.error().message << restored.error().hint;
    EXPECT_EQ(sql("desk", "SELECT string_agg(name, ',' ORDER BY id) FROM auth.users_before"), "anna,börse ✓");
    EXPECT_EQ(sql("desk", "SELECT count(*) FROM restored.keys"), "2");
    EXPECT_EQ(sql("desk", "SELECT name FROM auth.users WHERE id = 1"), "spoilt");
    EXPECT_EQ(sql("desk", "INSERT INTO auth.users_before(name) VALUES ('new') RETURNING id"), "3");
    EXPECT_EQ(sql("desk", "INSERT INTO auth.users(name) VALUES ('new') RETURNING id"), "3");
}

TEST_F(PostgresTables, AWholeSchemaComesBackWithItsFunctionsAndViews) {
    const auto captured = capture();
    ASSERT_TRUE(captured);
    sql("desk", "DROP SCHEMA auth CASCADE");
    PostgresPick pick;
    pick.schemas = {"auth"};
    auto restored = back(*captured, pick);
    ASSERT_TRUE(restored) << restored.error().message << restored.error().hint;
    EXPECT_EQ(sql("desk", "SELECT count(*), auth.who() FROM auth.names"), "2|postgres");
    // Once more, in the place of the one that is there.
    sql("desk", "DELETE FROM auth.keys");
    restored = back(*captured, pick, WhenExisting::switch_over);
    ASSERT_TRUE(restored) << restored.error().message << restored.error().hint;
    EXPECT_EQ(sql("desk", "SELECT count(*) FROM auth.keys"), "2");
    EXPECT_EQ(sql("desk", "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'auth_replaced_%'"), "1");
    ASSERT_TRUE(add_rename("auth=auth_then", pick.renames));
    restored = back(*captured, pick);
    ASSERT_TRUE(restored) << restored.error().message << restored.error().hint;
    EXPECT_EQ(sql("desk", "SELECT count(*) FROM auth_then.names"), "2");
}

// Rows that refer to what is gone: the table comes back, its key is told.
TEST_F(PostgresTables, AForeignKeyThatDoesNotFitIsToldAndNotValid) {
    const auto captured = capture();
    ASSERT_TRUE(captured);
    sql("desk", "DROP TABLE auth.keys; DELETE FROM auth.users WHERE id = 2");
    const auto restored = back(*captured, tables({"auth.keys"}));
    ASSERT_TRUE(restored) << restored.error().message;
    EXPECT_EQ((*restored)["databases"].items()[0]["not_valid"].items().size(), 1u);
    EXPECT_EQ(sql("desk", "SELECT count(*) FROM auth.keys"), "2");
    EXPECT_FALSE(server_->sql("desk", "INSERT INTO auth.keys(user_id, key) VALUES (99, 'x')"));
    EXPECT_THAT(said_, HasSubstr("NOT VALID"));
}

TEST_F(PostgresTables, APartitionAloneComesBackAsATable) {
    const auto captured = capture();
    ASSERT_TRUE(captured);
    sql("desk", "DROP TABLE ticks_2025");
    const auto restored = back(*captured, tables({"ticks_2025"}));
    ASSERT_TRUE(restored) << restored.error().message;
    EXPECT_EQ((*restored)["databases"].items()[0]["tables"].items()[0]["was_partition_of"].text(), "public.ticks");
    sql("desk", "ALTER TABLE ticks ATTACH PARTITION ticks_2025 FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')");
    EXPECT_EQ(sql("desk", "SELECT count(*) FROM ticks"), "400");
}

// Content that is not what the manifest says: the one transaction is rolled back, whatever it had loaded.
TEST_F(PostgresTables, ADifferenceIsFoundBeforeAnythingIsReplaced) {
    auto captured = capture();
    ASSERT_TRUE(captured);
    sql("desk", "UPDATE log SET line = 'live'");
    const std::string truth = json::dump(captured->facts);
    const auto parsed = json::parse(truth, "facts");
    std::string digest;
    for (const json::Value& table : (*parsed)["databases"].items()[0]["tables"].items())
        if (table["name"].text() == "log") digest = table["digest"].text();
    for (const char* other : {"1:2", "copy:1:2"}) {    // of the server, and of COPY
        std::string facts = truth;
        facts.replace(facts.find(digest), digest.size(), other);
        captured->facts = *json::parse(facts, "facts");
        const auto refused = back(*captured, tables({"log"}), WhenExisting::switch_over);
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().code, ErrorCode::mismatch);
        EXPECT_EQ(sql("desk", "SELECT line FROM log"), "live");
        EXPECT_EQ(sql("desk", "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'holdfast_replaced%'"), "0");
        EXPECT_EQ(databases(), "desk postgres");
    }
}

// Killed at any moment: the live tables are the old ones or the whole new ones, and the next restore works.
TEST_F(PostgresTables, KilledAtAnyMomentLeavesTheOldTablesOrTheNewOnes) {
    sql("desk", "INSERT INTO log SELECT 'line ' || n FROM generate_series(1, 30000) n");
    const auto captured = capture();
    ASSERT_TRUE(captured);
    sql("desk", "DELETE FROM log; INSERT INTO log VALUES ('live')");
    const auto began = std::chrono::steady_clock::now();
    ASSERT_TRUE(back(*captured, tables({"log"}), WhenExisting::switch_over));
    const auto took = std::chrono::steady_clock::now() - began;
    constexpr int k_kills = 5;
    for (int i = 0; i < k_kills; ++i) {
        sql("desk", "DELETE FROM log; INSERT INTO log VALUES ('live')");
        const pid_t child = ::fork();
        ASSERT_GE(child, 0);
        if (child == 0) ::_exit(back(*captured, tables({"log"}), WhenExisting::switch_over) ? 0 : 1);
        std::this_thread::sleep_for(took * (i + 1) / k_kills);
        ::kill(child, SIGKILL);
        int status = 0;
        ASSERT_EQ(::waitpid(child, &status, 0), child);
        // A transaction whose client was killed ends when its server notices.
        for (int wait = 0; wait < 200; ++wait) {
            if (sql("desk",
                    "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'holdfast' AND state IS NOT "
                    "NULL AND datname = 'desk'") == "0")
                break;
            std::this_thread::sleep_for(std::chrono::milliseconds(50));
        }
        EXPECT_THAT(sql("desk", "SELECT count(*), min(line) FROM log"), ::testing::AnyOf("1|live", "30001|a line"));
    }
    const auto again = back(*captured, tables({"log"}), WhenExisting::switch_over);
    ASSERT_TRUE(again) << again.error().message << again.error().hint;
    EXPECT_EQ(sql("desk", "SELECT count(*) FROM log"), "30001");
    EXPECT_EQ(databases(), "desk postgres");
}

// MT-06, MT-16: credentials alone, by the ordinary restore; roles with their passwords when asked.
TEST_F(PostgresTables, CredentialsComeBackAloneWithTheirRoles) {
    sql("desk", "CREATE ROLE trader LOGIN PASSWORD 'before'");
    config_.schemas = {"auth"};
    const auto captured = capture();
    ASSERT_TRUE(captured) << captured.error().message;
    EXPECT_TRUE(holds_only_tables(captured->facts));
    sql("desk",
        "UPDATE auth.keys SET key = 'overwritten by a slip'; ALTER ROLE trader PASSWORD 'forgotten'; "
        "INSERT INTO log VALUES ('kept')");
    EXPECT_EQ(restore(*captured).error().code, ErrorCode::exists);
    const auto steps = plan(*captured, WhenExisting::switch_over);
    ASSERT_TRUE(steps);
    EXPECT_TRUE(steps->back().replaces);
    const auto restored = restore(*captured, WhenExisting::switch_over);
    ASSERT_TRUE(restored) << restored.error().message << restored.error().hint;
    EXPECT_EQ(sql("desk", "SELECT string_agg(key, ',' ORDER BY id) FROM auth.keys"), "one,two\t\\");
    EXPECT_EQ(sql("desk", "SELECT count(*) FROM log"), "2");

    PostgresPick pick;
    pick.roles = {"trader"};
    EXPECT_EQ(back(*captured, pick).error().code, ErrorCode::exists);
    const std::string now = "SELECT rolpassword FROM pg_authid WHERE rolname = 'trader'";
    const std::string forgotten = sql("desk", now);
    ASSERT_TRUE(back(*captured, pick, WhenExisting::switch_over));
    const std::string as_it_was = sql("desk", now);
    EXPECT_NE(as_it_was, forgotten);
    sql("desk", "DROP ROLE trader");
    ASSERT_TRUE(back(*captured, pick));
    EXPECT_EQ(sql("desk", now), as_it_was);
}

// A dump of some tables holds neither types nor functions: those of the live database serve.
TEST_F(PostgresTables, TablesThatNeedTypesAndFunctionsComeBackIntoTheirDatabase) {
    sql("desk", R"sql(CREATE TYPE side AS ENUM ('buy', 'sell');
        CREATE FUNCTION next_id() RETURNS int LANGUAGE sql AS 'SELECT 7';
        CREATE FUNCTION told() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO log VALUES (''told''); RETURN NULL; END';
        CREATE TABLE orders (id int DEFAULT next_id(), side side); INSERT INTO orders(side) VALUES ('sell');
        CREATE TRIGGER told AFTER INSERT ON orders FOR EACH STATEMENT EXECUTE FUNCTION told();)sql");
    config_.tables = {"orders"};
    const auto captured = capture();
    ASSERT_TRUE(captured);
    sql("desk", "DELETE FROM orders");
    auto restored = restore(*captured, WhenExisting::switch_over);
    ASSERT_TRUE(restored) << restored.error().message << restored.error().hint;
    EXPECT_EQ(sql("desk", "SELECT * FROM orders"), "7|sell");
    EXPECT_EQ(sql("desk", "SELECT count(*) FROM log"), "1");    // the trigger did not fire, and is there again
    sql("desk", "INSERT INTO orders VALUES (1, 'buy')");
    EXPECT_EQ(sql("desk", "SELECT count(*) FROM log"), "2");
    EXPECT_EQ((*restored)["databases"].items()[0]["left_out"].integer(), 0);
    // Without its function the trigger is left out and told; without the type nothing can be done, and nothing is.
    sql("desk", "DROP TABLE orders; DROP FUNCTION told() CASCADE");
    restored = restore(*captured);
    ASSERT_TRUE(restored) << restored.error().message;
    EXPECT_EQ((*restored)["databases"].items()[0]["left_out"].integer(), 1);
    sql("desk", "DROP TABLE orders; DROP TYPE side CASCADE");
    restored = restore(*captured);
    ASSERT_FALSE(restored);
    EXPECT_THAT(restored.error().hint, HasSubstr("nothing was changed"));
    EXPECT_EQ(sql("desk", "SELECT to_regclass('orders') IS NULL"), "t");
}

// A server that lost everything: the database is made, and holds what was saved of it.
TEST_F(PostgresTables, ADatabaseThatIsGoneIsMade) {
    config_.tables = {"log", "ticks"};
    const auto captured = capture();
    ASSERT_TRUE(captured);
    sql("postgres", "DROP DATABASE desk");
    const auto restored = restore(*captured);
    ASSERT_TRUE(restored) << restored.error().message << restored.error().hint;
    EXPECT_EQ(sql("desk", "SELECT (SELECT count(*) FROM ticks), (SELECT line FROM log)"), "400|a line");
}

TEST(PostgresRename, SaysWhatBecomesWhat) {
    std::map<std::string, std::string> renames;
    for (const char* wrong : {"a", "a=", "=b", "a.b=c", "a=b.c", "a.b=c.", "a.b=.c"})
        EXPECT_EQ(add_rename(wrong, renames).error().code, ErrorCode::usage) << wrong;
    ASSERT_TRUE(add_rename("a.b=c.d", renames));
    EXPECT_FALSE(add_rename("a.b=e.f", renames));
}

}    // namespace
}    // namespace holdfast::recovery
