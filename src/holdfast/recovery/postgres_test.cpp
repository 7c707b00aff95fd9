#include <fmt/core.h>
#include <gmock/gmock.h>

#include <thread>

#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/os/process.hpp"
#include "holdfast/recovery/postgres_load.hpp"
#include "holdfast/recovery/postgres_suite.hpp"
#include "holdfast/recovery/restore_store.hpp"
#include "holdfast/source/capture.hpp"
#include "holdfast/vault/restore.hpp"

namespace holdfast::recovery {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::Not;

// Everything odd that a database may hold.
constexpr std::string_view k_odd_objects = R"sql(
CREATE EXTENSION pg_trgm;
CREATE SCHEMA "Odd ""Schema";
CREATE TYPE side AS ENUM ('buy', 'sell');
CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN price AS numeric(18, 8) CHECK (VALUE >= 0 OR VALUE = 'NaN');
CREATE TABLE instruments (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, symbol text UNIQUE NOT NULL, note text);
INSERT INTO instruments(symbol, note) VALUES ('ES', E'tab\tand\nline'), ('börse ✓', ''), ('NULL', NULL), ('\N', '\.');
CREATE INDEX trgm ON instruments USING gin (symbol gin_trgm_ops);
CREATE TABLE "Odd ""Schema"."t'able; DROP" ("co""l" int, "ünï" text, "hf_row" int, "select" bytea);
INSERT INTO "Odd ""Schema"."t'able; DROP" VALUES (1, '€', 2, '\x00ff10'), (1, '€', 2, '\x00ff10'), (NULL, NULL, NULL, NULL);
CREATE TABLE everything (
    i2 smallint, i8 bigint, n numeric, p price, f4 float4, f8 float8, b boolean, c char(5), v varchar(9), t text, bin bytea,
    j json, jb jsonb, u uuid, d date, ts timestamp, tz timestamptz, iv interval, tt timetz, ip inet, m money, s side, k pair,
    ia int[], ta text[][], r int4range, mr int4multirange, bits bit varying, pt point, x xml, tsv tsvector, rc regclass, o oid);
INSERT INTO everything VALUES
    (-32768, 9223372036854775807, 'NaN', 'NaN', 'Infinity', 1.7976931348623157e308, true, 'a', 'v', 't', '\x', '{"a": 1}',
     '{"b": [1, null, "ü"]}', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '4713-01-01 BC', 'infinity', '2026-03-29 02:30:00+01',
     '-1 mon +2 days -03:04:05.678', '13:14:15+05:30', '::1', 1234.56, 'sell', (1, 'x,"y'), '{1,NULL,3}', '{{a,"b c"},{NULL,""}}',
     '[1,5)', '{[1,2),[5,6)}', B'10101', '(1.5,-0)', '<a/>', 'fat:1A cat', 'instruments', 4294967295),
    (0, -1, 12345678901234567890.123456789012345678901234567890, 0.1, 1.17549435e-38, 5e-324, false, '', '', '', '\xdeadbeef',
     'null', 'null', NULL, '5874897-12-31', '-infinity', '0001-01-01 00:00:00+00 BC', '178000000 years', NULL, '10.0.0.0/8', -0.01,
     'buy', NULL, '{}', '{}', 'empty', '{}', B'', '(NaN,Infinity)', NULL, '', NULL, 0),
    (NULL, NULL, '-0.000', 0, 'NaN', '-0', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
     NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
CREATE TABLE trades (id bigserial, at timestamptz NOT NULL, instrument int REFERENCES instruments, qty int CHECK (qty <> 0),
    px price, total numeric GENERATED ALWAYS AS (qty * px) STORED) PARTITION BY RANGE (at);
CREATE TABLE trades_2025 PARTITION OF trades FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE trades_2026 PARTITION OF trades FOR VALUES FROM ('2026-01-01') TO ('2027-01-01') PARTITION BY HASH (id);
CREATE TABLE trades_2026_0 PARTITION OF trades_2026 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE trades_2026_1 PARTITION OF trades_2026 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
ALTER TABLE trades ADD PRIMARY KEY (id, at);
INSERT INTO trades(at, instrument, qty, px) SELECT timestamptz '2025-06-01 UTC' + n * interval '6 hours', 1 + n % 2, 1 + n % 7,
    (n * 0.01)::numeric FROM generate_series(1, 2000) n;
CREATE TABLE parent (a int); CREATE TABLE child (b int) INHERITS (parent); INSERT INTO child VALUES (1, 2);
CREATE UNLOGGED TABLE scratch AS SELECT 1 AS one;
CREATE TABLE no_columns (); INSERT INTO no_columns DEFAULT VALUES;
CREATE VIEW by_symbol AS SELECT symbol, sum(total) AS total FROM trades JOIN instruments ON instrument = instruments.id GROUP BY 1;
CREATE MATERIALIZED VIEW totals AS TABLE by_symbol;
CREATE MATERIALIZED VIEW never_filled AS TABLE by_symbol WITH NO DATA;
CREATE FUNCTION bump() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.note := coalesce(NEW.note, '') || '!'; RETURN NEW; END $$;
CREATE TRIGGER bump BEFORE UPDATE ON instruments FOR EACH ROW EXECUTE FUNCTION bump();
CREATE PROCEDURE nothing() LANGUAGE sql AS 'SELECT 1';
CREATE AGGREGATE longest(text) (SFUNC = textcat, STYPE = text);
CREATE SEQUENCE down INCREMENT -5 MAXVALUE 100 START 100; SELECT nextval('down'); SELECT nextval('down');
CREATE SEQUENCE never_called START 7;
ALTER TABLE instruments ENABLE ROW LEVEL SECURITY; CREATE POLICY all_of_it ON instruments USING (true);
GRANT SELECT ON trades TO desk; ALTER TABLE trades OWNER TO desk;
SELECT lo_from_bytea(4711, decode(repeat('00ff', 5000), 'hex')), lo_from_bytea(0, '');
COMMENT ON TABLE trades IS 'it''s; a comment';
)sql";

void expect_equal_content(const json::Value& a, const json::Value& b) {
    for (const char* part :
         {"tables", "objects", "large_objects", "materialized_views", "sequences", "extensions", "properties"})
        EXPECT_EQ(dump(a[part]), dump(b[part])) << a["name"].text();
}

// EA-17, MT-16, NS-01
TEST_F(PostgresRestore, BringsEverythingBackToAnEmptyServer) {
    sql("postgres",
        "CREATE ROLE desk LOGIN PASSWORD 'd'; CREATE ROLE \"odd role\" IN ROLE desk; CREATE ROLE viewer; "
        "ALTER ROLE desk SET work_mem = '7MB'; COMMENT ON ROLE desk IS 'it''s; the desk'; "
        "CREATE DATABASE trading OWNER desk CONNECTION LIMIT 42 TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C.UTF-8'; "
        "CREATE DATABASE \"odd 'na\"\"me=x/y\"; CREATE DATABASE latin ENCODING LATIN1 LOCALE 'C' TEMPLATE template0; "
        "CREATE DATABASE bytes ENCODING SQL_ASCII LOCALE 'C' TEMPLATE template0; CREATE DATABASE empty; "
        "ALTER DATABASE trading SET search_path = \"$user\", \"Odd \"\"Schema\", public; "
        "ALTER DATABASE trading SET work_mem = '9MB'; ALTER ROLE desk IN DATABASE trading SET my.own = 'it''s'; "
        "COMMENT ON DATABASE trading IS 'the desk''s'; REVOKE ALL ON DATABASE trading FROM PUBLIC; "
        "GRANT CONNECT ON DATABASE trading TO viewer WITH GRANT OPTION; "
        "ALTER DATABASE trading SET default_transaction_read_only = on");
    sql("trading", "SET default_transaction_read_only = off; SET search_path = public; " + std::string(k_odd_objects));
    sql("odd 'na\"me=x/y", "CREATE TABLE t AS SELECT 1 AS a");
    sql("latin", "SET client_encoding = 'UTF8'; CREATE TABLE t AS SELECT 'ü'::text AS a");
    sql("bytes", "CREATE TABLE t AS SELECT E'\\xff\\xfe'::text AS a");
    const auto before = capture();
    ASSERT_TRUE(before) << before.error().message;

    ASSERT_TRUE(server_->wipe());
    const auto planned = plan(*before);
    ASSERT_TRUE(planned) << planned.error().message;
    std::uint64_t bytes = 0;
    for (const PlanStep& step : *planned) {
        bytes += step.bytes;
        EXPECT_FALSE(step.replaces) << step.what;
    }
    EXPECT_GT(bytes, 100'000u);
    EXPECT_EQ(databases(), "postgres");    // a plan changes nothing

    // By one connection, then again by several.
    config_.restore_jobs = 1;
    ASSERT_TRUE(restore(*before));
    ASSERT_TRUE(server_->wipe());
    config_.restore_jobs = 3;
    const auto restored = restore(*before);
    ASSERT_TRUE(restored) << restored.error().message;
    EXPECT_EQ(databases(), "bytes empty latin odd 'na\"me=x/y postgres trading");
    const auto after = capture();
    ASSERT_TRUE(after) << after.error().message;
    ASSERT_EQ(after->facts["databases"].items().size(), before->facts["databases"].items().size());
    for (std::size_t i = 0; i < before->facts["databases"].items().size(); ++i)
        expect_equal_content(before->facts["databases"].items()[i], after->facts["databases"].items()[i]);
    for (const json::Value& database : (*restored)["databases"].items())
        EXPECT_TRUE(database["warnings"].items().empty()) << dump(database, 2);
    EXPECT_TRUE((*restored)["globals"]["warnings"].items().empty()) << dump((*restored)["globals"], 2);

    // It works, not only looks the same: roles with their passwords, triggers, identity, sequences, foreign keys.
    EXPECT_EQ(
        sql("postgres",
            "SELECT a.rolpassword LIKE 'SCRAM%', r.rolconfig::text FROM pg_authid a JOIN pg_roles r USING (rolname) "
            "WHERE rolname = 'desk'"),
        "t|{work_mem=7MB}");
    sql("trading",
        "SET default_transaction_read_only = off; SET search_path = public; UPDATE instruments SET note = 'n' WHERE id "
        "= 1; INSERT INTO instruments(symbol) VALUES ('NQ')");
    EXPECT_EQ(sql("trading", "SELECT note FROM public.instruments WHERE id = 1"), "n!");
    EXPECT_EQ(sql("trading", "SELECT id FROM public.instruments WHERE symbol = 'NQ'"), "5");
    EXPECT_FALSE(server_->sql("trading",
                              "SET default_transaction_read_only = off; INSERT INTO public.trades(at, instrument, qty, "
                              "px) VALUES (now(), 99, 1, 1)"));
    EXPECT_EQ(sql("trading", "SHOW search_path"), "\"$user\", \"Odd \"\"Schema\", public");
    EXPECT_NE(sql("trading", "SELECT count(*) FROM pg_stats WHERE tablename = 'trades'"), "0");    // analysed
}

// NS-17: "database already exists"
TEST_F(PostgresRestore, RefusesADatabaseWithContentAndTouchesNothing) {
    sql("postgres", "CREATE DATABASE trading; CREATE DATABASE other");
    sql("trading", "CREATE TABLE t AS SELECT 1 AS a");
    sql("other", "CREATE TABLE t AS SELECT 1 AS a");
    const auto captured = capture();
    ASSERT_TRUE(captured) << captured.error().message;
    sql("trading", "UPDATE t SET a = 2");
    sql("postgres", "DROP DATABASE other");
    for (const Error& error : {restore(*captured).error(), plan(*captured).error()}) {
        EXPECT_EQ(error.code, ErrorCode::exists);
        EXPECT_THAT(error.message, HasSubstr("trading"));
        EXPECT_THAT(error.hint, HasSubstr("--replace"));
    }
    EXPECT_EQ(databases(), "postgres trading");
    EXPECT_EQ(sql("trading", "SELECT a FROM t"), "2");
}

TEST_F(PostgresRestore, SwitchesOverSessionsAndKeepsTheOldOneAside) {
    sql("postgres", "CREATE DATABASE trading; CREATE ROLE desk LOGIN PASSWORD 'old'");
    sql("trading", "CREATE TABLE t AS SELECT 1 AS a");
    const auto captured = capture();
    ASSERT_TRUE(captured) << captured.error().message;
    sql("trading", "UPDATE t SET a = 2");
    sql("postgres", "ALTER ROLE desk PASSWORD 'new'");
    const std::string password = sql("postgres", "SELECT rolpassword FROM pg_authid WHERE rolname = 'desk'");

    const auto planned = plan(*captured, WhenExisting::switch_over);
    ASSERT_TRUE(planned) << planned.error().message;
    EXPECT_TRUE(planned->back().replaces) << planned->back().what;
    // Programs that come back whenever they are thrown out.
    std::vector<std::jthread> programs;
    for (int i = 0; i < 3; ++i)
        programs.emplace_back([this](std::stop_token stop) {
            while (!stop.stop_requested())
                static_cast<void>(server_->sql("trading", "SELECT pg_sleep(0.5)").has_value());
        });
    const auto restored = restore(*captured, WhenExisting::switch_over);
    for (auto& program : programs) program.request_stop();
    ASSERT_TRUE(restored) << restored.error().message;
    EXPECT_EQ(sql("trading", "SELECT a FROM t"), "1");

    const auto& databases_back = (*restored)["databases"].items();
    const std::string kept = databases_back.back()["kept_as"].text();
    EXPECT_TRUE(kept.starts_with("trading_replaced_2")) << dump(*restored, 2);
    EXPECT_THAT(said_, HasSubstr(kept));
    EXPECT_EQ(sql("postgres", "SELECT datallowconn FROM pg_database WHERE datname = '" + kept + "'"), "f");
    sql("postgres", "ALTER DATABASE \"" + kept + "\" ALLOW_CONNECTIONS true");
    EXPECT_EQ(sql(kept, "SELECT a FROM t"), "2");
    // A role that is there keeps its password.
    EXPECT_EQ(sql("postgres", "SELECT rolpassword FROM pg_authid WHERE rolname = 'desk'"), password);

    const auto again = restore(*captured, WhenExisting::switch_over);
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_NE((*again)["databases"].items().back()["kept_as"].text(), kept);
}

TEST_F(PostgresRestore, ReplacesTheMaintenanceDatabaseItself) {
    sql("postgres", "CREATE TABLE t AS SELECT 1 AS a");
    const auto captured = capture();
    ASSERT_TRUE(captured) << captured.error().message;
    sql("postgres", "UPDATE t SET a = 2");
    const auto switched = restore(*captured, WhenExisting::switch_over);
    ASSERT_TRUE(switched) << switched.error().message;
    EXPECT_EQ(sql("postgres", "SELECT a FROM t"), "1");
    ASSERT_TRUE(server_->wipe());
    const auto restored = restore(*captured);
    ASSERT_TRUE(restored) << restored.error().message;
    EXPECT_EQ(sql("postgres", "SELECT a FROM t"), "1");
    EXPECT_EQ(databases(), "postgres");    // the empty one is gone
}

TEST_F(PostgresRestore, TakesThePlaceOfAnEmptyDatabaseOnlyWhenNobodyIsInIt) {
    sql("postgres", "CREATE DATABASE trading");
    sql("trading", "CREATE TABLE t AS SELECT 1 AS a");
    const auto captured = capture();
    ASSERT_TRUE(captured);
    sql("postgres", "DROP DATABASE trading; CREATE DATABASE trading");
    {
        os::Command command;
        command.arguments = server_->psql_arguments("trading");
        command.input = os::Stream::pipe;
        auto session = os::Process::start(command);
        ASSERT_TRUE(session);
        while (sql("postgres", "SELECT count(*) FROM pg_stat_activity WHERE datname = 'trading'") == "0") {
        }
        const auto refused = restore(*captured);
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().code, ErrorCode::exists);
        EXPECT_THAT(refused.error().message, HasSubstr("connected"));
    }
    while (sql("postgres", "SELECT count(*) FROM pg_stat_activity WHERE datname = 'trading'") != "0") {
    }
    const auto restored = restore(*captured);
    ASSERT_TRUE(restored) << restored.error().message;
    EXPECT_EQ(sql("trading", "SELECT a FROM t"), "1");
    EXPECT_EQ(databases(), "postgres trading");
}

TEST_F(PostgresRestore, NoticesWhenTheRestoredIsNotWhatWasSaved) {
    sql("postgres", "CREATE DATABASE trading");
    sql("trading", "CREATE TABLE t AS SELECT n AS a FROM generate_series(1, 10) n; CREATE SEQUENCE s");
    config_.databases = {"trading"};
    auto captured = capture();
    ASSERT_TRUE(captured);
    ASSERT_TRUE(server_->wipe());
    const std::string facts = dump(captured->facts);
    const auto tampered = [&](std::string_view from, std::string_view to) {
        std::string text = facts;
        const std::size_t at = text.find(from);
        EXPECT_NE(at, text.npos) << from;
        captured->facts = *json::parse(text.replace(at, from.size(), to), "facts");
        const auto restored = restore(*captured);
        EXPECT_FALSE(restored);
        EXPECT_EQ(databases(), "postgres");    // nothing is left
        return restored ? Error{} : restored.error();
    };
    Error error = tampered(R"("rows":10,"digest":")", R"("rows":10,"digest":"1)");
    EXPECT_EQ(error.code, ErrorCode::mismatch);
    EXPECT_THAT(error.message, HasSubstr("public.t: as many rows, but another content"));
    error = tampered(R"("rows":10)", R"("rows":11)");
    EXPECT_EQ(error.code, ErrorCode::mismatch);
    EXPECT_THAT(error.message, HasSubstr("10 rows instead of 11"));
    error = tampered(R"("functions":0)", R"("functions":1)");
    EXPECT_EQ(error.code, ErrorCode::mismatch);
    captured->facts = *json::parse(facts, "facts");
    EXPECT_TRUE(restore(*captured));
}

// A dump that ends early, whatever its manifest says: pg_restore or the comparison sees it, beside the live database.
TEST_F(PostgresRestore, ATruncatedDumpIsFoundBeforeAnythingIsReplaced) {
    sql("postgres", "CREATE DATABASE trading");
    sql("trading", "CREATE TABLE t AS SELECT n AS a FROM generate_series(1, 2000) n; CREATE INDEX ON t (a)");
    config_.databases = {"trading"};
    auto captured = capture();
    ASSERT_TRUE(captured);
    sql("trading", "DELETE FROM t WHERE a > 5");
    const auto node = repository_->find_node(captured->snapshot.snapshot.tree, "/postgres/trading.dump");
    const Bytes whole = vault::read_small(*repository_, *node).value();
    for (const std::size_t size :
         {std::size_t(0), std::size_t(4), std::size_t(2000), whole.size() / 2, whole.size() - 40, whole.size() - 1}) {
        auto backup = vault::Backup::start(*repository_, {});
        ASSERT_TRUE(backup);
        ASSERT_TRUE((*backup)->add_file("postgres/trading.dump", ByteView(whole).first(size)));
        ASSERT_TRUE((*backup)->commit());
        ASSERT_TRUE(repository_->load_index(true));
        CapturedPostgres cut = *captured;
        cut.snapshot = repository_->find_snapshot("latest").value();
        cut.facts.set("globals", json::Value());
        std::string facts = json::dump(cut.facts);
        const std::string bytes = fmt::format("\"bytes\":{}", whole.size());
        facts.replace(facts.find(bytes), bytes.size(), fmt::format("\"bytes\":{}", size));
        cut.facts = *json::parse(facts, "facts");
        const auto restored = restore(cut, WhenExisting::switch_over);
        EXPECT_FALSE(restored) << size;
        EXPECT_EQ(sql("trading", "SELECT count(*) FROM t"), "5") << size;
        EXPECT_EQ(databases(), "postgres trading") << size;
    }
    // pg_amcheck on what comes back whole.
    ASSERT_TRUE(restore(*captured, WhenExisting::switch_over));
    const auto checked =
        server_->run_tool({"pg_amcheck", "--install-missing", "--heapallindexed", "--host=" + server_->socket_folder(),
                           fmt::format("--port={}", server_->port()), "--username=postgres", "trading"});
    EXPECT_TRUE(checked) << checked.error().message;
}

TEST_F(PostgresRestore, KilledHalfWayLeavesTheOldOneAndWorksTheNextTime) {
    sql("postgres", "CREATE DATABASE trading");
    sql("trading", "CREATE TABLE t AS SELECT n AS a, repeat(md5(n::text), 10) AS b FROM generate_series(1, 100000) n");
    const auto captured = capture();
    ASSERT_TRUE(captured) << captured.error().message;
    sql("trading", "TRUNCATE t");
    const std::string beside = beside_name("trading", captured->snapshot.id);
    // The server dies while pg_restore loads.
    std::jthread killer([&](std::stop_token stop) {
        while (!stop.stop_requested()) {
            const auto loading = server_->sql("template1", "SELECT count(*) FROM pg_stat_activity WHERE datname = '" +
                                                               beside + "' AND query LIKE 'COPY%'");
            if (loading && loading->starts_with("1")) break;
        }
        server_->kill();
    });
    const auto failed = restore(*captured, WhenExisting::switch_over);
    killer.request_stop();
    killer.join();
    ASSERT_FALSE(failed);
    ASSERT_TRUE(server_->restart());
    EXPECT_EQ(sql("trading", "SELECT count(*) FROM t"), "0");
    EXPECT_THAT(databases(), HasSubstr(beside));    // what the kill left
    const auto restored = restore(*captured, WhenExisting::switch_over);
    ASSERT_TRUE(restored) << restored.error().message;
    EXPECT_EQ(sql("trading", "SELECT count(*) FROM t"), "100000");
    EXPECT_THAT(databases(), Not(HasSubstr("_holdfast_")));
}

TEST_F(PostgresRestore, SaysWhatIsMissingOnTheServer) {
    sql("postgres", "CREATE ROLE desk; CREATE DATABASE trading OWNER desk");
    sql("trading", "CREATE TABLE t AS SELECT 1 AS a; ALTER TABLE t OWNER TO desk");
    config_.globals = false;
    const auto captured = capture();
    ASSERT_TRUE(captured);
    ASSERT_TRUE(server_->wipe());
    const auto failed = restore(*captured);
    ASSERT_FALSE(failed);
    EXPECT_THAT(failed.error().message, HasSubstr("role \"desk\" does not exist"));
    EXPECT_EQ(databases(), "postgres");
}

TEST_F(PostgresRestore, WithoutAServerOrPasswordSaysSo) {
    const auto captured = capture();
    ASSERT_TRUE(captured);
    ASSERT_TRUE(os::write_file(folder_.path() + "/password", as_bytes("wrong\n")));
    EXPECT_EQ(restore(*captured).error().code, ErrorCode::denied);
    ASSERT_TRUE(server_->stop());
    EXPECT_EQ(restore(*captured).error().code, ErrorCode::unreachable);
    EXPECT_EQ(plan(*captured).error().code, ErrorCode::unreachable);
}

TEST_F(PostgresRestore, BringsATablespaceBackOrDoesWithoutIt) {
    const std::string place = server_->socket_folder() + "/fast";
    sql("postgres", fmt::format("\\! mkdir {0}; chown --reference={1} {0}\n", place, server_->socket_folder()));
    sql("postgres", fmt::format("CREATE TABLESPACE fast LOCATION '{}'", place));
    sql("postgres", "CREATE DATABASE trading TABLESPACE fast");
    sql("trading", "CREATE TABLE t AS SELECT 1 AS a; CREATE TABLE u(a int) TABLESPACE pg_default");
    const auto captured = capture();
    ASSERT_TRUE(captured) << captured.error().message;
    ASSERT_TRUE(server_->wipe());
    ASSERT_TRUE(os::remove_tree(place));
    const auto restored = restore(*captured);
    ASSERT_TRUE(restored) << restored.error().message;
    EXPECT_EQ((*restored)["globals"]["tablespaces_missing"].items().size(), 1u);
    EXPECT_THAT(dump(*restored), HasSubstr("there is no tablespace fast"));
    EXPECT_EQ(sql("trading", "SELECT a FROM t"), "1");
}

TEST(PostgresBesideName, FitsTheServersLimit) {
    const Id id = *Id::parse(std::string(64, 'a'));
    EXPECT_EQ(beside_name("trading", id), "trading_holdfast_aaaaaaaa");
    const std::string a = beside_name(std::string(60, 'x') + "1", id), b = beside_name(std::string(60, 'x') + "2", id);
    EXPECT_LE(a.size(), 63u);
    EXPECT_NE(a, b);
    std::string umlauts;
    for (int i = 0; i < 30; ++i) umlauts += "ü";
    const std::string cut = beside_name(umlauts, id);
    EXPECT_LE(cut.size(), 63u);
    EXPECT_EQ(cut.find('_') % 2, 0u);    // no half letter
}

}    // namespace
}    // namespace holdfast::recovery
