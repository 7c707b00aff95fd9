#include "holdfast/source/postgres_content.hpp"

#include <fmt/core.h>
#include <gmock/gmock.h>

#include <thread>

#include "holdfast/db/copy_digest.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/source/capture_fixture_test.hpp"
#include "holdfast/source/postgres_dump.hpp"
#include "holdfast/testing/postgres_server.hpp"
#include "holdfast/vault/restore.hpp"

namespace holdfast::source {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

struct Captured {
    json::Value facts;
    vault::SnapshotEntry snapshot;
    format::SnapshotSummary summary;
};

const json::Value& database_of(const json::Value& facts, std::string_view name) {
    static const json::Value none;
    for (const json::Value& database : facts["databases"].items())
        if (database["name"].text() == name) return database;
    return none;
}

class PostgresCapture : public ::testing::Test {
protected:
    void SetUp() override {
        os::install_signal_handlers();
        auto started = testing::PostgresServer::start();
        ASSERT_TRUE(started) << started.error().message;
        server_.emplace(*std::move(started));
        repository_ = make_test_repository(folder_.path() + "/vault", clock_);
        ASSERT_TRUE(repository_);
        ASSERT_TRUE(os::write_file(password_file_, as_bytes(server_->password() + "\n")));
        config_.host = "127.0.0.1";
        config_.port = server_->port();
        config_.password.file = password_file_;
    }
    void sql(const std::string& database, std::string_view script) {
        const auto done = server_->sql(database, script);
        ASSERT_TRUE(done) << done.error().message;
    }
    Result<Captured> capture() {
        HF_DO(repository_->load_index(true));
        HF_TRY(auto backup, vault::Backup::start(*repository_, {}));
        CaptureContext context{*backup, clock_, "postgres", folder_.path() + "/scratch"};
        auto facts = capture_postgres(config_, context);
        // Committed after failures, too: what a failed capture leaves in the run must be seen.
        HF_TRY(const auto outcome, backup->commit());
        HF_TRY(auto snapshot, repository_->find_snapshot("latest"));
        last_tree_ = snapshot.snapshot.tree;
        HF_DO(repository_->load_index(true));
        if (!facts) return fail(std::move(facts).error());
        return Captured{*std::move(facts), std::move(snapshot), outcome.summary};
    }
    bool holds(const std::string& path) { return repository_->find_node(last_tree_, path).has_value(); }
    Error failure() {
        auto captured = capture();
        if (captured) return {ErrorCode::internal, "it did not fail", {}};
        return captured.error();
    }
    std::string content(const std::string& path) {
        const auto node = repository_->find_node(last_tree_, path);
        if (!node) return node.error().message;
        const auto bytes = vault::read_small(*repository_, *node, std::size_t(1) << 30);
        return bytes ? std::string(as_text(*bytes)) : bytes.error().message;
    }

    // Behind pg_dump's arguments, which are kept.
    static constexpr std::string_view k_unknown_version = "| sed '1s/^PGDMP\\x01\\x0e/PGDMP\\x01\\x20/'";
    void watch_pg_dump(std::string_view filter) {
        const std::string bin = folder_.path() + "/bin", real = "/usr/lib/postgresql/15/bin/pg_dump";
        ASSERT_TRUE(os::make_folders(bin));
        ASSERT_TRUE(os::write_file(bin + "/pg_dump",
                                   as_bytes(fmt::format("#!/bin/sh\ncase $1 in --version) exec {0} --version;; esac\n"
                                                        "echo \"$*\" >> {1}\n{0} \"$@\" {2}\n",
                                                        real, seen_, filter)),
                                   0755));
        config_.bin_folder = bin;
        config_.globals = false;
    }

    os::SystemClock clock_;
    os::TempFolder folder_ = *os::TempFolder::create("hf-postgres-capture-");
    std::string password_file_ = folder_.path() + "/password", seen_ = folder_.path() + "/seen";
    std::optional<testing::PostgresServer> server_;
    std::unique_ptr<vault::Repository> repository_;
    Id last_tree_;
    policy::PostgresConfig config_;
};

// EA-12, NS-01
TEST_F(PostgresCapture, TakesEveryDatabaseWithItsFacts) {
    sql("postgres", "CREATE DATABASE trading; CREATE DATABASE \"odd/na me\"; CREATE ROLE desk LOGIN PASSWORD 'secret'");
    sql("trading",
        "CREATE TABLE t AS SELECT n AS id, n * 1.5 AS price FROM generate_series(1, 1000) n; CREATE SEQUENCE s; "
        "SELECT nextval('s'); CREATE VIEW v AS TABLE t; SELECT lo_from_bytea(0, 'large')");
    const auto captured = capture();
    ASSERT_TRUE(captured) << captured.error().message;
    const json::Value& facts = captured->facts;
    EXPECT_EQ(facts["databases"].items().size(), 3u);
    EXPECT_TRUE(facts["server_version"].text().starts_with("15."));
    EXPECT_EQ(database_of(facts, "odd/na me")["file"].text(), "odd%2Fna%20me.dump");
    const json::Value& trading = database_of(facts, "trading");
    ASSERT_EQ(trading["tables"].items().size(), 1u);
    EXPECT_EQ(trading["tables"].items()[0]["rows"].integer(), 1000);
    EXPECT_THAT(trading["tables"].items()[0]["digest"].text(), HasSubstr(":"));
    EXPECT_EQ(trading["sequences"].items().size(), 1u);
    EXPECT_EQ(trading["objects"]["views"].integer(), 1);
    EXPECT_EQ(trading["large_objects"]["count"].integer(), 1);
    EXPECT_THAT(trading["lsn"].text(), HasSubstr("/"));
    EXPECT_EQ(trading["encoding"].text(), "UTF8");
    EXPECT_EQ(trading["bytes"].natural(), content("/postgres/trading.dump").size());
    EXPECT_TRUE(content("/postgres/trading.dump").starts_with("PGDMP"));
    EXPECT_TRUE(content("/postgres/odd%2Fna%20me.dump").starts_with("PGDMP"));
    EXPECT_THAT(content("/postgres/globals.sql"), HasSubstr("SCRAM-SHA-256$"));
    EXPECT_TRUE(facts["globals"]["role_passwords"].boolean());
}

TEST_F(PostgresCapture, OfUnchangedDataAddsAlmostNothing) {
    sql("postgres",
        "CREATE TABLE t AS SELECT n AS id, md5(n::text) AS a, random() AS b FROM generate_series(1, 200000) n");
    const auto first = capture();
    ASSERT_TRUE(first) << first.error().message;
    const std::uint64_t bytes = first->facts["databases"].items()[0]["bytes"].natural();
    EXPECT_GT(bytes, std::uint64_t(10) << 20);
    const auto second = capture();
    ASSERT_TRUE(second);
    EXPECT_LT(second->facts["databases"].items()[0]["bytes_added"].natural(), bytes / 10);    // the head holds the time
    EXPECT_EQ(dump(second->facts["databases"].items()[0]["tables"]),
              dump(first->facts["databases"].items()[0]["tables"]));
    sql("postgres", "UPDATE t SET b = -1 WHERE id BETWEEN 100000 AND 102000");    // these rows move to the end
    const auto third = capture();
    ASSERT_TRUE(third);
    EXPECT_LT(third->facts["databases"].items()[0]["bytes_added"].natural(), bytes / 2);
    EXPECT_NE(dump(third->facts["databases"].items()[0]["tables"]),
              dump(first->facts["databases"].items()[0]["tables"]));
}

// Rows that come while it runs are in neither the dump nor the count.
TEST_F(PostgresCapture, CountsAndDumpAreOfOneMoment) {
    sql("postgres",
        "CREATE TABLE t(id bigserial PRIMARY KEY, pad text DEFAULT repeat('x', 200)); "
        "INSERT INTO t(pad) SELECT repeat('y', 200) FROM generate_series(1, 50000)");
    std::jthread writer([this](std::stop_token stop) {
        while (!stop.stop_requested())
            static_cast<void>(
                server_->sql("postgres", "INSERT INTO t SELECT FROM generate_series(1, 500)").has_value());
    });
    for (int round = 0; round < 3; ++round) {
        const auto captured = capture();
        ASSERT_TRUE(captured) << captured.error().message;
        const std::string dumped = content("/postgres/postgres.dump");
        std::int64_t rows = 0;
        for (const char pad : {'x', 'y'})
            for (std::size_t at = 0; (at = dumped.find('\t' + std::string(200, pad) + '\n', at)) != dumped.npos; ++at)
                ++rows;
        EXPECT_EQ(captured->facts["databases"].items()[0]["tables"].items()[0]["rows"].integer(), rows);
    }
}

TEST_F(PostgresCapture, SelectsAndLeavesOut) {
    sql("postgres",
        "CREATE DATABASE a; CREATE DATABASE b; CREATE DATABASE closed ALLOW_CONNECTIONS false; "
        "CREATE DATABASE a_holdfast_0123abcd; CREATE DATABASE a_holdfast_me");
    const auto names = [](const json::Value& facts) {
        std::vector<std::string> found;
        for (const json::Value& database : facts["databases"].items()) found.push_back(database["name"].text());
        return found;
    };
    config_.exclude_databases = {"b"};
    const auto some = capture();
    ASSERT_TRUE(some) << some.error().message;
    EXPECT_THAT(names(some->facts), ElementsAre("a", "a_holdfast_me", "postgres"));
    EXPECT_EQ(some->facts["skipped"].items().size(), 2u);
    config_.exclude_databases = {};
    config_.databases = {"b"};
    config_.globals = false;
    const auto one = capture();
    ASSERT_TRUE(one);
    EXPECT_THAT(names(one->facts), ElementsAre("b"));
    EXPECT_FALSE(holds("/postgres/globals.sql"));
    config_.databases = {"b", "nosuch"};
    const Error missing = failure();
    EXPECT_EQ(missing.code, ErrorCode::not_found);
    EXPECT_THAT(missing.message, HasSubstr("nosuch"));
    config_.databases = {"closed"};
    EXPECT_EQ(failure().code, ErrorCode::denied);
}

TEST_F(PostgresCapture, ProofMayBeCheaper) {
    sql("postgres", "CREATE TABLE t AS SELECT 1 AS a");
    config_.proof = policy::Proof::count;
    const auto counted = capture();
    ASSERT_TRUE(counted);
    const json::Value& table = counted->facts["databases"].items()[0]["tables"].items()[0];
    EXPECT_EQ(table["rows"].integer(), 1);
    EXPECT_TRUE(table["digest"].is_null());
    config_.proof = policy::Proof::none;
    const auto none = capture();
    ASSERT_TRUE(none);
    EXPECT_TRUE(none->facts["databases"].items()[0]["tables"].items()[0]["rows"].is_null());
}

TEST_F(PostgresCapture, WrongPasswordIsDenied) {
    ASSERT_TRUE(os::write_file(password_file_, as_bytes("hunter2\n")));
    const Error error = failure();
    EXPECT_EQ(error.code, ErrorCode::denied);
    EXPECT_THAT(error.message, Not(HasSubstr("hunter2")));
    EXPECT_FALSE(holds("/postgres"));
}

TEST_F(PostgresCapture, UnreachableServerIsUnreachable) {
    ASSERT_TRUE(server_->stop());
    const Error error = failure();
    EXPECT_EQ(error.code, ErrorCode::unreachable);
    EXPECT_FALSE(error.hint.empty());
}

TEST_F(PostgresCapture, NoMatchingPgDumpIsUnsupported) {
    config_.bin_folder = "/nowhere";
    const Error error = failure();
    EXPECT_EQ(error.code, ErrorCode::unsupported);
    EXPECT_THAT(error.hint, HasSubstr("postgresql-client-15"));
}

TEST_F(PostgresCapture, NamesEveryTableThatTheRoleMayNotRead) {
    sql("postgres",
        "CREATE ROLE poor LOGIN PASSWORD 'p'; CREATE TABLE closed_a(i int); CREATE TABLE open_b(i int); "
        "CREATE SCHEMA hidden; CREATE TABLE hidden.c(i int); GRANT SELECT ON open_b, hidden.c TO poor; "
        "SELECT lo_from_bytea(0, 'x')");
    ASSERT_TRUE(os::write_file(password_file_, as_bytes("p\n")));
    config_.user = "poor";
    const Error error = failure();
    EXPECT_EQ(error.code, ErrorCode::denied);
    EXPECT_THAT(error.message, HasSubstr("public.closed_a"));
    EXPECT_THAT(error.message, HasSubstr("hidden.c"));
    EXPECT_THAT(error.message, HasSubstr("1 large objects"));
    EXPECT_THAT(error.message, Not(HasSubstr("open_b")));
    EXPECT_THAT(error.hint, HasSubstr("pg_read_all_data"));
}

// The remedies are SQL: pasted as they are told, they are enough. Every database is asked before one is read.
TEST_F(PostgresCapture, WhatTheRoleLacksIsToldOfAllDatabasesWithSqlThatHelps) {
    sql("postgres",
        "CREATE ROLE \"odd role\" LOGIN PASSWORD 'p'; CREATE DATABASE \"od d\"; CREATE DATABASE shut; "
        "REVOKE CONNECT ON DATABASE shut FROM PUBLIC; CREATE TABLE closed(i int)");
    sql("od d",
        "CREATE SCHEMA s; CREATE TABLE s.t(i int); ALTER TABLE s.t ENABLE ROW LEVEL SECURITY; "
        "SELECT lo_from_bytea(0, 'x'), lo_from_bytea(0, 'y')");
    ASSERT_TRUE(os::write_file(password_file_, as_bytes("p\n")));
    config_.user = "odd role";
    for (int round = 0; round < 3; ++round) {    // in a database that was shut more may be missing
        const auto captured = capture();
        if (captured) {
            EXPECT_GT(round, 0);
            EXPECT_EQ(captured->facts["databases"].items().size(), 3u);
            return;
        }
        const Error& error = captured.error();
        ASSERT_EQ(error.code, ErrorCode::denied) << error.message;
        if (round == 0) {
            for (const char* what : {"in database postgres: public.closed", "in database od d: s.t", "2 large objects",
                                     "in database shut: anything"})
                EXPECT_THAT(error.message, HasSubstr(what));
        }
        EXPECT_FALSE(holds("/postgres"));
        sql("postgres", error.hint.substr(error.hint.find('\n') + 1));
    }
    FAIL() << "the remedies did not help";
}

TEST_F(PostgresCapture, RowLevelSecurityIsNoSilentGap) {
    sql("postgres",
        "CREATE ROLE reader LOGIN PASSWORD 'p' IN ROLE pg_read_all_data; CREATE TABLE orders(i int, owner text); "
        "ALTER TABLE orders ENABLE ROW LEVEL SECURITY; CREATE POLICY mine ON orders USING (owner = current_user)");
    ASSERT_TRUE(os::write_file(password_file_, as_bytes("p\n")));
    config_.user = "reader";
    const Error error = failure();
    EXPECT_EQ(error.code, ErrorCode::denied);
    EXPECT_THAT(error.message, HasSubstr("public.orders (row-level security)"));
}

// Facts, section 12: pg_read_all_data is enough, role passwords included; a lesser role gets the roles without them.
TEST_F(PostgresCapture, WorksWithoutASuperuser) {
    sql("postgres",
        "CREATE ROLE reader LOGIN PASSWORD 'p' IN ROLE pg_read_all_data; CREATE ROLE own LOGIN PASSWORD 'p'; "
        "CREATE TABLE t AS SELECT 1; GRANT SELECT ON t TO own");
    ASSERT_TRUE(os::write_file(password_file_, as_bytes("p\n")));
    config_.user = "reader";
    const auto captured = capture();
    ASSERT_TRUE(captured) << captured.error().message;
    EXPECT_TRUE(captured->facts["globals"]["role_passwords"].boolean());
    config_.user = "own";
    const auto lesser = capture();
    ASSERT_TRUE(lesser) << lesser.error().message;
    EXPECT_FALSE(lesser->facts["globals"]["role_passwords"].boolean());
    EXPECT_THAT(content("/postgres/globals.sql"), Not(HasSubstr("SCRAM")));
    EXPECT_THAT(content("/postgres/globals.sql"), HasSubstr("CREATE ROLE reader"));
}

// EA-12: no partial file is ever taken for a backup.
TEST_F(PostgresCapture, AServerKilledInTheMiddleLeavesNoFile) {
    sql("postgres",
        "CREATE TABLE big AS SELECT n AS id, md5(n::text) || repeat(md5((n + 1)::text), 20) AS a FROM "
        "generate_series(1, 300000) n");    // 200 MB
    HF_ASSERT(repository_->load_index(true).has_value());
    auto backup = vault::Backup::start(*repository_, {});
    ASSERT_TRUE(backup);
    CaptureContext context{**backup, clock_, "postgres", folder_.path() + "/scratch"};
    std::jthread killer([&](std::stop_token stop) {
        while (!stop.stop_requested() && (*backup)->progress().bytes_added < 20'000'000)
            clock_.sleep(std::chrono::milliseconds(1));
        server_->kill();
    });
    const auto facts = capture_postgres(config_, context);
    killer.request_stop();
    killer.join();
    ASSERT_FALSE(facts);
    EXPECT_EQ(facts.error().code, ErrorCode::unreachable) << facts.error().message;
    const auto outcome = (*backup)->commit();
    ASSERT_TRUE(outcome) << outcome.error().message;
    const auto snapshot = repository_->find_snapshot("latest");
    ASSERT_TRUE(snapshot);
    ASSERT_TRUE(repository_->load_index(true));
    EXPECT_FALSE(repository_->find_node(snapshot->snapshot.tree, "/postgres/postgres.dump"));
    EXPECT_TRUE(repository_->find_node(snapshot->snapshot.tree, "/postgres/globals.sql"));
}

TEST_F(PostgresCapture, ADumpThatEndsEarlyOrFailsIsNone) {
    sql("postgres", "CREATE TABLE t AS SELECT 1");
    const std::string bin = folder_.path() + "/bin";
    ASSERT_TRUE(os::make_folders(bin));
    const auto fake = [&](std::string_view body) {
        const std::string script = fmt::format(
            "#!/bin/sh\ncase $1 in --version) exec /usr/lib/postgresql/15/bin/pg_dump "
            "--version;; esac\n{}\n",
            body);
        ASSERT_TRUE(os::write_file(bin + "/pg_dump", as_bytes(script), 0755));
    };
    config_.bin_folder = bin;
    config_.globals = false;
    fake("/usr/lib/postgresql/15/bin/pg_dump \"$@\" | head -c 700; exit 1");
    EXPECT_EQ(failure().code, ErrorCode::store);
    EXPECT_FALSE(holds("/postgres/postgres.dump"));
    fake("kill -9 $$");
    EXPECT_THAT(failure().message, HasSubstr("killed by signal 9"));
    fake("exit 0");
    EXPECT_EQ(failure().code, ErrorCode::store);
    EXPECT_FALSE(holds("/postgres/postgres.dump"));
    fake("echo this is no archive");
    EXPECT_THAT(failure().message, HasSubstr("no archive"));
    fake("exec /usr/lib/postgresql/15/bin/pg_dump \"$@\"");
    EXPECT_TRUE(capture());
}

// Rows of large tables do not come through pg_dump: the archive is one that pg_restore takes alone, and its rows are pg_dump's.
TEST_F(PostgresCapture, LargeTablesAreCopiedIntoTheArchiveAsPgDumpWouldHave) {
    sql("postgres", "CREATE DATABASE trading; CREATE DATABASE again; CREATE ROLE desk");
    sql("trading",
        "CREATE SCHEMA \"Odd \"\"S\"; CREATE TABLE \"Odd \"\"S\".\"t'able (1)\" (gone int, id int, \"co\"\"l\" text, "
        "twice int GENERATED ALWAYS AS (id * 2) STORED, raw bytea, at timestamptz); "
        "ALTER TABLE \"Odd \"\"S\".\"t'able (1)\" DROP COLUMN gone, OWNER TO desk; "
        "INSERT INTO \"Odd \"\"S\".\"t'able (1)\" (id, \"co\"\"l\", raw, at) SELECT n, E'tab\\t\\\\ line\\n ü' || n, "
        "decode(md5(n::text), 'hex'), '2026-03-29 02:30+01' FROM generate_series(1, 70000) n; "
        "CREATE TABLE orders (id int, note text) PARTITION BY RANGE (id); "
        "CREATE TABLE orders_1 PARTITION OF orders FOR VALUES FROM (0) TO (100000); "
        "CREATE TABLE orders_2 PARTITION OF orders FOR VALUES FROM (100000) TO (200000); "
        "INSERT INTO orders SELECT n, repeat('x', 80) FROM generate_series(1, 100010) n; ALTER TABLE orders ADD "
        "PRIMARY KEY (id); "
        "CREATE TABLE no_columns (); INSERT INTO no_columns SELECT FROM generate_series(1, 200000); "
        "CREATE TABLE small AS SELECT 1 AS a; SELECT lo_from_bytea(0, 'large')");
    watch_pg_dump("");
    config_.databases = {"trading"};
    const auto captured = capture();
    ASSERT_TRUE(captured) << captured.error().message;
    const std::string told = *os::read_text(seen_);
    EXPECT_THAT(told, HasSubstr("--exclude-table-data=\"public\".\"orders_1\""));
    EXPECT_THAT(told, HasSubstr("--exclude-table-data=\"Odd \"\"S\".\"t'able (1)\""));
    EXPECT_THAT(told, HasSubstr("--exclude-table-data=\"public\".\"no_columns\""));
    EXPECT_THAT(told, Not(HasSubstr("orders_2")));
    EXPECT_THAT(told, Not(HasSubstr("small")));
    for (const json::Value& table : database_of(captured->facts, "trading")["tables"].items())
        EXPECT_TRUE(db::is_copy_digest(table["digest"].text())) << json::dump(table);

    // Without us: pg_restore, and the same from pg_dump itself.
    const std::string ours = server_->socket_folder() + "/ours.dump";
    ASSERT_TRUE(os::write_file(ours, as_bytes(content("/postgres/trading.dump")), 0644));
    const auto tool = [&](std::vector<std::string> arguments) {
        arguments.push_back("--host=" + server_->socket_folder());
        arguments.push_back(fmt::format("--port={}", server_->port()));
        return server_->run_tool(std::move(arguments));
    };
    const auto restored = tool({"pg_restore", "--exit-on-error", "--dbname=again", ours});
    ASSERT_TRUE(restored) << restored.error().message;
    const auto text = [&](const std::string& database) {
        return tool({"pg_dump", "--restrict-key=same", "--dbname=" + database}).value_or("");
    };
    EXPECT_EQ(text("again"), text("trading"));
    EXPECT_GT(text("again").size(), 10'000'000u);

    // Row by row the same pieces as pg_dump has, so that the vault finds them again, but for where tables meet.
    const auto stored = captured->summary.data_added;
    watch_pg_dump(k_unknown_version);    // then all are its own
    const auto again = capture();
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_LT(again->summary.data_added, stored / 5);
}

// A pg_dump to come may write what we cannot add to: it is run again, for all rows.
TEST_F(PostgresCapture, AnArchiveThatWeCannotAddToIsLeftToPgDump) {
    sql("postgres", "CREATE TABLE t AS SELECT n AS id, md5(n::text) AS note FROM generate_series(1, 100000) n");
    watch_pg_dump(k_unknown_version);
    const auto captured = capture();
    ASSERT_TRUE(captured) << captured.error().message;
    const std::string told = *os::read_text(seen_);
    EXPECT_EQ(std::ranges::count(told, '\n'), 2) << told;
    EXPECT_THAT(told.substr(told.find('\n')), Not(HasSubstr("exclude-table-data")));
    EXPECT_GT(content("/postgres/postgres.dump").size(), 4'000'000u);
    EXPECT_EQ(database_of(captured->facts, "postgres")["tables"].items()[0]["rows"].integer(), 100000);
}

TEST_F(PostgresCapture, ThePasswordIsInNoArgument) {
    const std::string bin = folder_.path() + "/bin", seen = folder_.path() + "/seen";
    ASSERT_TRUE(os::make_folders(bin));
    for (const char* tool : {"pg_dump", "pg_dumpall"})
        ASSERT_TRUE(os::write_file(
            bin + '/' + tool,
            as_bytes(fmt::format("#!/bin/sh\necho \"$0 $*\" >> {}\nexec /usr/lib/postgresql/15/bin/{} \"$@\"\n", seen,
                                 tool)),
            0755));
    config_.bin_folder = bin;
    ASSERT_TRUE(capture());
    const std::string arguments = *os::read_text(seen);
    EXPECT_THAT(arguments, HasSubstr("--snapshot="));
    EXPECT_THAT(arguments, Not(HasSubstr(server_->password())));
}

TEST(PostgresDumpFile, NamesAreSafeAndDifferent) {
    EXPECT_EQ(dump_file_name("trading_2"), "trading_2.dump");
    EXPECT_EQ(dump_file_name(".."), "%2E..dump");
    EXPECT_EQ(dump_file_name("a/b"), "a%2Fb.dump");
    EXPECT_EQ(dump_file_name("a%2Fb"), "a%252Fb.dump");
    EXPECT_EQ(dump_file_name("börse"), "börse.dump");
}

TEST(PostgresContent, ComparesWhatMatters) {
    const auto parse = [](std::string_view text) { return *json::parse(text, "test"); };
    const auto base = parse(R"({"tables":[{"schema":"a","name":"t","rows":2,"digest":"1:2"}],"objects":{"views":1},
        "materialized_views":[{"schema":"a","name":"m","populated":true}],"large_objects":{"count":0,"digest":"0:0"}})");
    EXPECT_THAT(compare_content(base, base), IsEmpty());
    const auto other =
        parse(R"({"tables":[{"schema":"a","name":"t","rows":2,"digest":"1:3"},{"schema":"a","name":"u","rows":0}],
        "objects":{"views":2},"materialized_views":[{"schema":"a","name":"m","populated":false}],
        "large_objects":{"count":1}})");
    EXPECT_THAT(
        compare_content(base, other),
        ElementsAre("a.t: as many rows, but another content", "table a.u should not be there",
                    "materialized view a.m is not populated", "2 views instead of 1", "1 large objects instead of 0"));
    const auto counted = parse(R"({"tables":[{"schema":"a","name":"t","rows":1,"digest":"1:2"}]})");
    EXPECT_THAT(compare_content(base, counted), Not(IsEmpty()));
    EXPECT_THAT(compare_content(base, parse("{}")), Not(IsEmpty()));
}

TEST(PostgresContent, SequencesThatMovedDuringTheDumpAreNotCompared) {
    const auto at = [](int value) {
        return json::Value(
            json::Array{json::Value::object({{"schema", "a"}, {"name", "s"}, {"value", value}, {"called", true}})});
    };
    EXPECT_THAT(compare_sequences(at(5), at(5), at(5)), IsEmpty());
    EXPECT_THAT(compare_sequences(at(5), at(5), at(4)), ElementsAre("sequence a.s stands at 4 instead of 5"));
    EXPECT_THAT(compare_sequences(at(5), at(9), at(7)), IsEmpty());
    EXPECT_THAT(compare_sequences(at(5), at(5), json::Value::array()), ElementsAre("sequence a.s is missing"));
}

std::vector<std::string> tables_of(const json::Value& database) {
    std::vector<std::string> names;
    for (const json::Value& table : database["tables"].items())
        names.push_back(fmt::format("{}.{}", table["schema"].text(), table["name"].text()));
    return names;
}

constexpr std::string_view k_desk = R"sql(
CREATE SCHEMA auth; CREATE SCHEMA "Odd.Schema";
CREATE TABLE auth.users (id serial PRIMARY KEY, name text); INSERT INTO auth.users(name) VALUES ('the-user-row');
CREATE TABLE auth.keys (user_id int REFERENCES auth.users, key text); INSERT INTO auth.keys VALUES (1, 'the-key-row');
CREATE FUNCTION auth.who() RETURNS text LANGUAGE sql AS 'SELECT current_user::text';
CREATE TABLE ticks (at timestamptz, px numeric) PARTITION BY RANGE (at);
CREATE TABLE ticks_2026 PARTITION OF ticks FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
INSERT INTO ticks VALUES ('2026-05-01', 42.4242);
CREATE TABLE log (line text); INSERT INTO log VALUES ('the-log-row');
CREATE TABLE "Odd.Schema"."a*b ""c""" (x text); INSERT INTO "Odd.Schema"."a*b ""c""" VALUES ('the-odd-row');
)sql";

// NS-01: selected tables and schemas
TEST_F(PostgresCapture, TakesOnlyTheTablesItIsTold) {
    sql("postgres", "CREATE DATABASE desk; CREATE DATABASE other");
    sql("desk", k_desk);
    config_.globals = false;
    config_.tables = {"auth.*", "ticks", "a[*]b*"};
    config_.exclude_tables = {"keys"};
    const auto captured = capture();
    ASSERT_TRUE(captured) << captured.error().message;
    const json::Value& desk = database_of(captured->facts, "desk");
    EXPECT_THAT(tables_of(desk), ElementsAre("Odd.Schema.a*b \"c\"", "auth.users", "public.ticks_2026"));
    EXPECT_EQ(desk["tables"].items()[2]["partition_of"].text(), "public.ticks");
    EXPECT_EQ(desk["partitioned_tables"].items().size(), 1u);
    EXPECT_EQ(desk["selection"]["exclude_tables"].items()[0].text(), "keys");
    EXPECT_TRUE(database_of(captured->facts, "other").is_null());
    EXPECT_THAT(json::dump(captured->facts["skipped"]), HasSubstr("none of the tables"));
    const std::string dump = content("/postgres/desk.dump");
    for (const char* there : {"the-user-row", "42.4242", "the-odd-row"}) EXPECT_THAT(dump, HasSubstr(there));
    for (const char* not_there : {"the-log-row", "the-key-row"}) EXPECT_THAT(dump, Not(HasSubstr(not_there)));

    config_.tables = {"auth.users", "nothing.*"};
    EXPECT_THAT(failure().message, HasSubstr("'nothing.*'"));
}

TEST_F(PostgresCapture, TakesOnlyTheSchemasItIsTold) {
    sql("postgres", "CREATE DATABASE desk");
    sql("desk", k_desk);
    config_.databases = {"desk"};
    config_.schemas = {"auth", "Odd*"};
    const auto captured = capture();
    ASSERT_TRUE(captured) << captured.error().message;
    const json::Value& desk = database_of(captured->facts, "desk");
    EXPECT_THAT(tables_of(desk), ElementsAre("Odd.Schema.a*b \"c\"", "auth.keys", "auth.users"));
    const std::string dump = content("/postgres/desk.dump");
    EXPECT_THAT(dump, HasSubstr("FUNCTION auth.who()"));
    EXPECT_THAT(dump, Not(HasSubstr("the-log-row")));
}

// Tables that come and go while dumps are taken: each copy is whole or none, and it never hangs.
TEST_F(PostgresCapture, ATableDroppedDuringTheDumpIsInItWholeOrNotAtAll) {
    sql("postgres", "CREATE DATABASE desk");
    sql("desk", "CREATE TABLE stays AS SELECT n FROM generate_series(1, 20000) n");
    config_.databases = {"desk"};
    std::atomic<bool> over = false;
    std::atomic<int> rounds = 0;
    std::thread dropper([&] {
        while (!over) {
            if (server_->sql("desk", "CREATE TABLE comes AS SELECT n FROM generate_series(1, 500) n; DROP TABLE comes"))
                ++rounds;
        }
    });
    int whole = 0;
    for (int i = 0; i < 6; ++i) {
        const auto captured = capture();
        if (!captured) {
            EXPECT_EQ(captured.error().code, ErrorCode::changed) << captured.error().message;
            EXPECT_FALSE(holds("/postgres/desk.dump"));
            continue;
        }
        ++whole;
        // Counted and dumped in one moment: the facts name it exactly when the dump has its rows.
        const bool named = tables_of(database_of(captured->facts, "desk")).size() == 2;
        EXPECT_EQ(content("/postgres/desk.dump").find("COPY public.comes") != std::string::npos, named);
    }
    over = true;
    dropper.join();
    EXPECT_GE(whole, 1);
    EXPECT_GE(rounds, 1);
}

TEST_F(PostgresCapture, LeavesOutTheRowsOfExcludedTablesAndKeepsTheirDefinition) {
    sql("postgres", "CREATE DATABASE desk");
    sql("desk", k_desk);
    config_.databases = {"desk"};
    config_.exclude_tables = {"log", "ticks"};
    const auto captured = capture();
    ASSERT_TRUE(captured) << captured.error().message;
    const std::string dump = content("/postgres/desk.dump");
    for (const char* there : {"CREATE TABLE public.log", "CREATE TABLE public.ticks", "the-key-row"})
        EXPECT_THAT(dump, HasSubstr(there));
    for (const char* not_there : {"the-log-row", "42.4242"}) EXPECT_THAT(dump, Not(HasSubstr(not_there)));

    // What could never be restored is told now.
    config_.exclude_tables = {"users"};
    const Error error = failure();
    EXPECT_EQ(error.code, ErrorCode::config);
    EXPECT_THAT(error.message, HasSubstr("rows of auth.keys refer to rows of auth.users"));
}

// MT-06: a role that may read the credentials and nothing else is enough
TEST_F(PostgresCapture, NeedsNoRightBeyondTheTablesItIsTold) {
    sql("postgres", "CREATE DATABASE desk; CREATE ROLE narrow LOGIN PASSWORD 'pw'");
    sql("desk", k_desk);
    sql("desk", "GRANT USAGE ON SCHEMA auth TO narrow; GRANT SELECT ON auth.users TO narrow");
    ASSERT_TRUE(os::write_file(password_file_, as_bytes("pw")));
    config_.user = "narrow";
    config_.databases = {"desk"};
    config_.tables = {"auth.users"};
    const Error error = failure();
    EXPECT_EQ(error.code, ErrorCode::denied);
    EXPECT_THAT(error.message, HasSubstr("auth.users_id_seq"));
    EXPECT_THAT(error.message, Not(HasSubstr("log")));
    sql("desk", "GRANT SELECT ON SEQUENCE auth.users_id_seq TO narrow");
    const auto captured = capture();
    ASSERT_TRUE(captured) << captured.error().message;
    EXPECT_FALSE(captured->facts["globals"]["role_passwords"].boolean());
}

}    // namespace
}    // namespace holdfast::source
