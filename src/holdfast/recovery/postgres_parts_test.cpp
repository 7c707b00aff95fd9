// Rows proven as COPY tells them, and loaded by several connections.

#include "holdfast/recovery/postgres_parts.hpp"

#include "holdfast/db/postgres_tools.hpp"
#include "holdfast/os/process.hpp"
#include "holdfast/recovery/postgres_suite.hpp"
#include "holdfast/recovery/postgres_tables.hpp"
#include "holdfast/source/postgres_content.hpp"
#include "holdfast/vault/restore.hpp"

namespace holdfast::recovery {
namespace {

using ::testing::HasSubstr;

class PostgresParts : public PostgresRestore {
protected:
    void SetUp() override {
        PostgresRestore::SetUp();
        sql("postgres", "CREATE DATABASE trading; CREATE ROLE desk");
        config_.databases = {"trading"};
    }
    const json::Value& trading(const CapturedPostgres& captured) { return captured.facts["databases"].items()[0]; }
    // The snapshot once more with other bytes in the dump; its manifest stays.
    CapturedPostgres with_dump(const CapturedPostgres& captured, std::string_view from, std::string_view to) {
        const auto node = repository_->find_node(captured.snapshot.snapshot.tree, "/postgres/trading.dump");
        std::string text(as_text(vault::read_small(*repository_, *node).value()));
        const std::size_t at = text.find(from);
        EXPECT_NE(at, text.npos) << from;
        text.replace(at, from.size(), to);
        auto backup = vault::Backup::start(*repository_, {});
        EXPECT_TRUE(backup);
        EXPECT_TRUE((*backup)->add_file("postgres/trading.dump", as_bytes(text)));
        EXPECT_TRUE((*backup)->commit());
        EXPECT_TRUE(repository_->load_index(true));
        CapturedPostgres changed = captured;
        changed.snapshot = repository_->find_snapshot("latest").value();
        changed.facts.set("globals", json::Value());
        return changed;
    }
    // The snapshot as `export` and `import` make it: the dump is a script, its manifest stays. `from` in it becomes `to`.
    CapturedPostgres as_script(const CapturedPostgres& captured, std::string_view from = {}, std::string_view to = {}) {
        const auto node = repository_->find_node(captured.snapshot.snapshot.tree, "/postgres/trading.dump");
        const std::string archive = folder_.path() + "/trading.dump", file = folder_.path() + "/trading.sql";
        EXPECT_TRUE(os::write_file(archive, vault::read_small(*repository_, *node).value()));
        os::Command command;
        command.arguments = {db::find_postgres_tool("pg_restore", 15, "")->path, "--file=" + file, archive};
        EXPECT_TRUE(os::run(command)->status.ok());
        std::string text = os::read_text(file).value();
        if (const std::size_t at = from.empty() ? text.npos : text.find(from); at != text.npos)
            text.replace(at, from.size(), to);
        auto changed = source::capture_alone(
            *repository_, clock_, "postgres", folder_.path() + "/scratch", [&](source::CaptureContext& context) {
                EXPECT_TRUE(context.backup.add_file("postgres/trading.sql", as_bytes(text)));
                json::Value database = trading(captured);
                database.set("file", "trading.sql").set("format", "plain").set("bytes", text.size());
                auto databases = json::Value::array();
                databases.push(std::move(database));
                json::Value facts = captured.facts;
                facts.set("databases", std::move(databases)).set("globals", json::Value());
                return Result<json::Value>(std::move(facts));
            });
        EXPECT_TRUE(changed) << changed.error().message;
        return *changed;
    }
    // The manifest as it was before rows were counted while the dump goes by.
    void make_old(CapturedPostgres& captured) {
        auto connection = db::PostgresConnection::connect({"127.0.0.1", server_->port(), "postgres", "trading"},
                                                          Secret(server_->password()));
        ASSERT_TRUE(connection);
        ASSERT_TRUE(source::pin_text_form(*connection));
        auto content = source::describe_content(*connection, policy::Proof::digest);
        ASSERT_TRUE(content);
        json::Value database = trading(captured);
        database.set("tables", (*content)["tables"]);
        database.set("archive", json::Value());
        auto databases = json::Value::array();
        databases.push(std::move(database));
        captured.facts.set("databases", std::move(databases));
        captured.facts = *json::parse(json::dump(captured.facts), "facts");
    }
    void replace_in_facts(CapturedPostgres& captured, std::string_view from, std::string_view to) {
        std::string text = json::dump(captured.facts);
        const std::size_t at = text.find(from);
        ASSERT_NE(at, text.npos) << from;
        captured.facts = *json::parse(text.replace(at, from.size(), to), "facts");
    }
};

// Two clusters whose servers write values each in its own way hold the same.
TEST_F(PostgresParts, SettingsOfTheServerChangeNoDigest) {
    sql("trading",
        "CREATE TABLE t (at timestamptz, span interval, bin bytea, f float8, tt timetz, r tstzrange, m money, re "
        "regclass); "
        "INSERT INTO t VALUES ('2026-03-29 02:30:00+01', '1 mon 2 days 03:04:05.6', '\\xff00', 0.1, '13:14+05:30', "
        "'[2026-01-01 00:00+00,2026-02-01 00:00+00)', 1234.5, 't'), (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)");
    const auto plain = capture();
    ASSERT_TRUE(plain) << plain.error().message;
    EXPECT_THAT(json::dump(trading(*plain)["tables"]), HasSubstr("\"copy:"));
    for (const char* setting : {"TimeZone = 'Asia/Kolkata'", "bytea_output = 'escape'", "DateStyle = 'SQL, DMY'",
                                "IntervalStyle = 'iso_8601'", "extra_float_digits = -3", "client_encoding = 'LATIN1'"})
        sql("postgres", fmt::format("ALTER ROLE postgres SET {}", setting));
    const auto other = capture();
    ASSERT_TRUE(other) << other.error().message;
    EXPECT_EQ(json::dump(trading(*plain)["tables"]), json::dump(trading(*other)["tables"]));
    const auto into_it = restore(*plain, WhenExisting::switch_over);
    ASSERT_TRUE(into_it) << into_it.error().message;
    ASSERT_TRUE(server_->wipe());
    const auto restored = restore(*other);
    ASSERT_TRUE(restored) << restored.error().message;
}

TEST_F(PostgresParts, SnapshotsWithDigestsOfTheServerAreProvenByThose) {
    sql("trading", "CREATE TABLE t AS SELECT n AS a, md5(n::text) AS b FROM generate_series(1, 1000) n");
    auto captured = capture();
    ASSERT_TRUE(captured) << captured.error().message;
    make_old(*captured);
    const std::string digest = trading(*captured)["tables"].items()[0]["digest"].text();
    ASSERT_FALSE(db::is_copy_digest(digest));
    EXPECT_TRUE(restore(*captured, WhenExisting::switch_over));
    PostgresPick pick;
    pick.tables = {"t"};
    const auto table = restore_postgres_tables(config_, context(*captured, WhenExisting::switch_over), pick);
    EXPECT_TRUE(table) << table.error().message;
    replace_in_facts(*captured, digest, "1" + digest);
    EXPECT_EQ(restore(*captured, WhenExisting::switch_over).error().code, ErrorCode::mismatch);
    EXPECT_EQ(restore_postgres_tables(config_, context(*captured, WhenExisting::switch_over), pick).error().code,
              ErrorCode::mismatch);
}

// One letter of one row: seen before anything is replaced, by one connection, by many, and inside the one transaction.
TEST_F(PostgresParts, ARowThatIsNotWhatWasSavedIsFoundBeforeAnythingIsReplaced) {
    sql("trading",
        "CREATE TABLE t AS SELECT n AS a, 'row ' || n AS b FROM generate_series(1, 1000) n; CREATE TABLE u AS TABLE t");
    const auto captured = capture();
    ASSERT_TRUE(captured) << captured.error().message;
    sql("trading", "DELETE FROM t WHERE a > 5");
    const CapturedPostgres changed = with_dump(*captured, "77\trow 77\n", "77\trow 78\n");
    for (const std::uint32_t jobs : {1u, 3u}) {
        config_.restore_jobs = jobs;
        const auto restored = restore(changed, WhenExisting::switch_over);
        ASSERT_FALSE(restored);
        EXPECT_EQ(restored.error().code, ErrorCode::mismatch) << restored.error().message;
        EXPECT_THAT(restored.error().message, HasSubstr("public.t: as many rows, but another content"));
        EXPECT_EQ(databases(), "postgres trading");
    }
    PostgresPick pick;
    pick.tables = {"t"};
    const auto table = restore_postgres_tables(config_, context(changed, WhenExisting::switch_over), pick);
    ASSERT_FALSE(table);
    EXPECT_EQ(table.error().code, ErrorCode::mismatch) << table.error().message;
    EXPECT_EQ(sql("trading", "SELECT count(*) FROM t"), "5");
    EXPECT_EQ(databases(), "postgres trading");
    pick.tables = {"u"};
    const auto untouched = restore_postgres_tables(config_, context(changed, WhenExisting::switch_over), pick);
    EXPECT_TRUE(untouched) << untouched.error().message;
}

// What the server refuses from one of several connections it says, and nothing is left.
TEST_F(PostgresParts, AFailureOfOneConnectionEndsAllAndLeavesNothing) {
    sql("trading",
        "CREATE TABLE big AS SELECT n AS a, repeat(md5(n::text), 5) AS b FROM generate_series(1, 50000) n; "
        "CREATE TABLE checked (a text CHECK (a <> 'wrong')); INSERT INTO checked VALUES ('right')");
    const auto captured = capture();
    ASSERT_TRUE(captured) << captured.error().message;
    const CapturedPostgres changed = with_dump(*captured, "right\n", "wrong\n");
    config_.restore_jobs = 2;
    const auto restored = restore(changed, WhenExisting::switch_over);
    ASSERT_FALSE(restored);
    EXPECT_THAT(restored.error().message, HasSubstr("checked_a_check"));
    EXPECT_EQ(databases(), "postgres trading");
    EXPECT_EQ(sql("trading", "SELECT count(*) FROM big"), "50000");
}

// NS-11: what must be made in order comes in order whatever the number of connections: keys after rows, rights last.
TEST_F(PostgresParts, ManyConnectionsBringTheSameAsOne) {
    sql("trading",
        "CREATE TABLE a (id int PRIMARY KEY, t text); INSERT INTO a SELECT n, 'x' || n FROM generate_series(1, 3000) "
        "n; "
        "CREATE TABLE b (id int PRIMARY KEY, a_id int REFERENCES a); INSERT INTO b SELECT n, n FROM generate_series(1, "
        "3000) n; "
        "CREATE INDEX ON b (a_id); CREATE TABLE c (LIKE a INCLUDING ALL); CREATE MATERIALIZED VIEW m AS TABLE b; "
        "CREATE SEQUENCE s START 40; SELECT nextval('s'); SELECT lo_from_bytea(0, 'large'), lo_from_bytea(0, "
        "'larger'); "
        "COMMENT ON TABLE b IS 'of b'; ALTER TABLE c OWNER TO desk; REVOKE ALL ON c FROM desk; GRANT SELECT ON a TO "
        "desk");
    const auto captured = capture();
    ASSERT_TRUE(captured) << captured.error().message;
    for (const std::uint32_t jobs : {1u, 2u, 5u}) {
        config_.restore_jobs = jobs;
        const auto restored = restore(*captured, WhenExisting::switch_over);
        ASSERT_TRUE(restored) << jobs << ": " << restored.error().message;
        EXPECT_EQ(sql("trading",
                      "SELECT obj_description('b'::regclass), has_table_privilege('desk', 'a', 'SELECT'), "
                      "has_table_privilege('desk', 'c', 'SELECT'), (SELECT count(*) FROM m), nextval('s')"),
                  "of b|t|f|3000|41");
        EXPECT_EQ(sql("trading", "SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND convalidated"), "1");
    }
}

// Indexes of partitions lock the tables of others: made side by side, one waits for the other for ever.
TEST_F(PostgresParts, PartitionedTablesWithKeysBetweenThemComeBackByManyConnections) {
    sql("trading",
        "CREATE TABLE days (day date PRIMARY KEY); "
        "CREATE TABLE orders (day date REFERENCES days, id int, t text, PRIMARY KEY (day, id)) PARTITION BY RANGE "
        "(day); CREATE INDEX ON orders (t); CREATE INDEX ON orders (id, t); "
        "CREATE TABLE fills (day date, id int, n int, PRIMARY KEY (day, id, n), "
        "FOREIGN KEY (day, id) REFERENCES orders) PARTITION BY RANGE (day); CREATE INDEX ON fills (n); "
        "ALTER TABLE orders ADD COLUMN n int, ADD CONSTRAINT last_fill FOREIGN KEY (day, id, n) REFERENCES fills; "
        "COMMENT ON CONSTRAINT last_fill ON orders IS 'the last one'; "
        "CREATE MATERIALIZED VIEW per_day AS SELECT d.day, count(*) FROM days d JOIN orders o USING (day) GROUP BY "
        "d.day; CREATE UNIQUE INDEX ON per_day (day); "
        "CREATE VIEW by_key AS SELECT d.day, d.*::text AS whole, count(*) FROM days d JOIN orders o USING (day) GROUP "
        "BY d.day; CREATE MATERIALIZED VIEW by_key_kept AS TABLE by_key; CREATE INDEX ON by_key_kept (whole)");
    std::string parts;
    for (int year = 2000; year < 2006; ++year)
        for (const char* table : {"orders", "fills"}) {
            parts += fmt::format(
                "CREATE TABLE {0}_{1} PARTITION OF {0} FOR VALUES FROM ('{1}-01-01') TO ('{2}-01-01') "
                "PARTITION BY RANGE (day);",
                table, year, year + 1);
            parts += fmt::format(
                "CREATE TABLE {0}_{1}a PARTITION OF {0}_{1} FOR VALUES FROM ('{1}-01-01') TO ('{1}-07-01');"
                "CREATE TABLE {0}_{1}b PARTITION OF {0}_{1} FOR VALUES FROM ('{1}-07-01') TO (MAXVALUE);",
                table, year);
        }
    sql("trading", parts +
                       "INSERT INTO days SELECT '2000-01-01'::date + 36 * n FROM generate_series(0, 60) n; "
                       "INSERT INTO orders SELECT day, 1, 'x' FROM days; INSERT INTO fills SELECT day, 1, 1 FROM days; "
                       "UPDATE orders SET n = 1; REFRESH MATERIALIZED VIEW per_day; "
                       "REFRESH MATERIALIZED VIEW by_key_kept");
    const auto captured = capture();
    ASSERT_TRUE(captured) << captured.error().message;
    for (const std::uint32_t jobs : {2u, 8u}) {
        config_.restore_jobs = jobs;
        const auto restored = restore(*captured, WhenExisting::switch_over);
        ASSERT_TRUE(restored) << restored.error().message;
        EXPECT_EQ(sql("trading",
                      "SELECT count(*) FILTER (WHERE convalidated AND conparentid = 0 AND contype = 'f'), "
                      "(SELECT count(*) FROM pg_index WHERE NOT indisvalid), (SELECT count(*) FROM per_day), "
                      "(SELECT count(*) FROM by_key_kept) FROM pg_constraint"),
                  "3|0|61|61");
    }
}

// Names and values of a database that is not in UTF-8.
TEST_F(PostgresParts, AnotherEncodingIsNoDifference) {
    sql("postgres", "DROP DATABASE trading; CREATE DATABASE trading ENCODING LATIN1 LOCALE 'C' TEMPLATE template0");
    sql("trading",
        "SET client_encoding = 'UTF8'; CREATE TABLE \"größe\" (\"spalte ü\" text, b int); "
        "INSERT INTO \"größe\" VALUES ('äöü', 1), ('ß', 2)");
    const auto captured = capture();
    ASSERT_TRUE(captured) << captured.error().message;
    EXPECT_TRUE(db::is_copy_digest(trading(*captured)["tables"].items()[0]["digest"].text()));
    for (const std::uint32_t jobs : {1u, 2u}) {
        config_.restore_jobs = jobs;
        const auto restored = restore(*captured, WhenExisting::switch_over);
        ASSERT_TRUE(restored) << restored.error().message;
    }
}

// pg_dump makes a child table with the columns of its parent first, whatever their order was: the rows of a script are named in the
// order of the table that was dumped.
TEST_F(PostgresParts, AScriptWhoseChildrenHaveTheirColumnsInAnotherOrderIsProven) {
    sql("trading",
        "CREATE SCHEMA \"Odd \"\"One\"; CREATE TABLE parent (a int, b text); "
        "CREATE TABLE child (b text, extra int, a int); ALTER TABLE child INHERIT parent; "
        "CREATE TABLE \"Odd \"\"One\".\"Child\" (b text, \"A b\" int, a int); "
        "ALTER TABLE \"Odd \"\"One\".\"Child\" INHERIT parent; "
        "CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $$ SELECT '\nCOPY public.child (a) FROM stdin;\n' $$; "
        "INSERT INTO parent VALUES (1, 'own'); INSERT INTO child VALUES ('COPY public.child (a) FROM stdin;', 2, 3); "
        "INSERT INTO \"Odd \"\"One\".\"Child\" VALUES ('c', 4, 5)");
    const auto captured = capture();
    ASSERT_TRUE(captured) << captured.error().message;
    const CapturedPostgres script = as_script(*captured);
    const auto restored = restore(script, WhenExisting::switch_over);
    ASSERT_TRUE(restored) << restored.error().message;
    EXPECT_EQ(sql("trading", "SELECT a, b, extra FROM child"), "3|COPY public.child (a) FROM stdin;|2");
    EXPECT_EQ(sql("trading", "SELECT a, b FROM parent ORDER BY 1"), "1|own\n3|COPY public.child (a) FROM stdin;\n5|c");
    EXPECT_EQ(restore(as_script(*captured, "own", "OWN"), WhenExisting::switch_over).error().code, ErrorCode::mismatch);
    EXPECT_EQ(sql("trading", "SELECT b FROM ONLY parent"), "own");
}

}    // namespace
}    // namespace holdfast::recovery
