#include "holdfast/source/postgres_physical.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <gmock/gmock.h>

#include <atomic>
#include <cstdlib>
#include <thread>

#include "holdfast/db/postgres.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/source/capture_fixture_test.hpp"
#include "holdfast/testing/postgres_server.hpp"
#include "holdfast/vault/restore.hpp"

namespace holdfast::source {
namespace {

using ::testing::HasSubstr;

struct Captured {
    json::Value facts;
    vault::SnapshotEntry snapshot;
};

class PostgresPhysical : public ::testing::Test {
protected:
    void SetUp() override {
        os::install_signal_handlers();
        auto started = testing::PostgresServer::start({.settings = {"autovacuum=off", "max_wal_size=64MB"}});
        ASSERT_TRUE(started) << started.error().message;
        server_.emplace(*std::move(started));
        repository_ = make_test_repository(folder_.path() + "/vault", clock_);
        ASSERT_TRUE(repository_);
        ASSERT_TRUE(os::write_file(password_file_, as_bytes(server_->password() + "\n")));
        config_.method = policy::PostgresMethod::physical;
        config_.host = "127.0.0.1";
        config_.port = server_->port();
        config_.password.file = password_file_;
    }
    std::string sql(std::string_view script, const std::string& database = "postgres") {
        return sql_of(*server_, script, database);
    }
    static std::string sql_of(const testing::PostgresServer& server, std::string_view script,
                              const std::string& database = "postgres") {
        auto done = server.sql(database, script);
        EXPECT_TRUE(done) << done.error().message;
        std::string text = done.value_or("");
        while (!text.empty() && text.back() == '\n') text.pop_back();
        return text;
    }
    Result<Captured> capture() {
        HF_DO(repository_->load_index(true));
        HF_TRY(auto backup, vault::Backup::start(*repository_, {}));
        CaptureContext context{*backup, clock_, "postgres", folder_.path() + "/scratch"};
        auto facts = capture_postgres(config_, context);
        if (!facts) backup->forget_path("postgres");    // as a run over the stack does
        HF_TRY([[maybe_unused]] const auto outcome, backup->commit());
        HF_TRY(auto snapshot, repository_->find_snapshot("latest"));
        last_tree_ = snapshot.snapshot.tree;
        HF_DO(repository_->load_index(true));
        if (!facts) return fail(std::move(facts).error());
        return Captured{*std::move(facts), std::move(snapshot)};
    }
    Error failure() {
        auto captured = capture();
        return captured ? Error{ErrorCode::internal, "it did not fail", {}} : captured.error();
    }
    // As any restic would lay it out: nothing of ours is at work on it.
    std::string plain_restore(const Captured& captured) {
        const std::string target = fmt::format("{}/plain-{}", server_->socket_folder(), ++restores_);
        vault::RestoreOptions options;
        options.target = target;
        options.subfolder = "/postgres";
        const auto restored = vault::restore(*repository_, captured.snapshot, options);
        EXPECT_TRUE(restored) << restored.error().message;
        // The folder above is ours; whose the files are came with them.
        EXPECT_EQ(::chmod(target.c_str(), 0755), 0);
        return target + "/data";
    }
    static Result<testing::PostgresServer> start_on(const std::string& data) {
        return testing::PostgresServer::start({.settings = {}, .data_folder = data});
    }

    os::SystemClock clock_;
    os::TempFolder folder_ = *os::TempFolder::create("hf-postgres-physical-");
    std::string password_file_ = folder_.path() + "/password";
    std::optional<testing::PostgresServer> server_;
    std::unique_ptr<vault::Repository> repository_;
    Id last_tree_;
    policy::PostgresConfig config_;
    int restores_ = 0;
};

// MT-16, NS-01: the files alone, laid out by anything that reads the vault, are a cluster.
TEST_F(PostgresPhysical, LaidOutPlainlyIsAClusterThatStarts) {
    const std::string place = server_->socket_folder() + "/fast";
    sql(fmt::format("\\! mkdir {0}; chown --reference={1} {0}\n", place, server_->socket_folder()));
    sql(fmt::format("CREATE TABLESPACE fast LOCATION '{}'", place));
    sql("CREATE ROLE desk LOGIN; CREATE TABLE t AS SELECT n AS id, md5(n::text) AS a FROM generate_series(1, 50000) n; "
        "CREATE TABLE f TABLESPACE fast AS TABLE t; CREATE INDEX ON t(id); CREATE UNLOGGED TABLE u AS SELECT 1 AS a");
    sql("SELECT lo_from_bytea(4711, 'large')");
    const std::string sums = sql("SELECT sum(id), md5(string_agg(a, '' ORDER BY id)) FROM t");
    const auto captured = capture();
    ASSERT_TRUE(captured) << captured.error().message;
    sql("UPDATE t SET a = ''; UPDATE f SET a = ''");
    EXPECT_EQ(captured->facts["method"].text(), "physical");
    EXPECT_TRUE(captured->facts["log_reserved"].boolean());
    EXPECT_EQ(captured->facts["tablespaces"].items().at(0)["location"].text(), place);
    EXPECT_EQ(captured->facts["system_identifier"].text(), sql("SELECT system_identifier FROM pg_control_system()"));
    EXPECT_EQ(sql("SELECT count(*) FROM pg_replication_slots"), "0");

    const std::string data = plain_restore(*captured);
    const auto verified = server_->run_tool({"pg_verifybackup", data});
    EXPECT_TRUE(verified) << verified.error().message;
    auto restored = start_on(data);
    ASSERT_TRUE(restored) << restored.error().message;
    EXPECT_EQ(sql_of(*restored, "SELECT sum(id), md5(string_agg(a, '' ORDER BY id)) FROM t"), sums);
    // Its tablespace is its own copy: the live one is not touched.
    EXPECT_EQ(sql_of(*restored, "SELECT sum(id), md5(string_agg(a, '' ORDER BY id)) FROM f"), sums);
    EXPECT_EQ(sql_of(*restored, "SELECT count(*) FROM u"), "0");
    EXPECT_EQ(sql_of(*restored, "SELECT convert_from(lo_get(4711), 'UTF8')"), "large");
    EXPECT_EQ(sql("SELECT count(*) FROM f WHERE a = ''"), "50000");
}

TEST_F(PostgresPhysical, OfUnchangedPagesNothingIsStoredAgain) {
    sql("CREATE TABLE t AS SELECT n AS id, md5(n::text) AS a, random() AS b FROM generate_series(1, 400000) n; "
        "VACUUM FREEZE t");
    const auto first = capture();
    ASSERT_TRUE(first) << first.error().message;
    const std::uint64_t bytes = first->facts["bytes"].natural();
    EXPECT_GT(bytes, std::uint64_t(30) << 20);
    const auto second = capture();
    ASSERT_TRUE(second) << second.error().message;
    EXPECT_LT(second->facts["bytes_added"].natural(), std::uint64_t(2) << 20);    // the log and pg_control
    // One row in the middle: its block, the end of the table, and the log.
    sql("UPDATE t SET b = -1 WHERE id = 200000; CHECKPOINT");
    const auto third = capture();
    ASSERT_TRUE(third);
    EXPECT_LT(third->facts["bytes_added"].natural(), std::uint64_t(3) << 20);
    EXPECT_GT(third->facts["bytes_added"].natural(), 0u);
}

TEST_F(PostgresPhysical, SaysBeforeAnythingIsReadWhatTheRoleLacks) {
    sql("CREATE ROLE cap LOGIN PASSWORD 'pw'");
    ASSERT_TRUE(os::write_file(password_file_, as_bytes("pw\n")));
    config_.user = "cap";
    Error error = failure();
    EXPECT_EQ(error.code, ErrorCode::denied) << error.message;
    EXPECT_THAT(error.hint, HasSubstr("ALTER ROLE \"cap\" REPLICATION;"));
    sql("ALTER ROLE \"cap\" REPLICATION");    // the remedy, as it was told
    const auto captured = capture();    // no right to read a table, and none needed
    EXPECT_TRUE(captured) << captured.error().message;
    ASSERT_TRUE(os::write_file(password_file_, as_bytes("wrong\n")));
    EXPECT_EQ(failure().code, ErrorCode::denied);
    // A server that hands out no replication at all.
    sql(fmt::format("\\! sed -i '/replication/d' {}/pg_hba.conf\n", server_->data_folder()));
    sql("SELECT pg_reload_conf()");
    ASSERT_TRUE(os::write_file(password_file_, as_bytes("pw\n")));
    for (int i = 0; i < 500 && failure().hint.find("pg_hba.conf") == std::string::npos; ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    error = failure();
    EXPECT_EQ(error.code, ErrorCode::denied);
    EXPECT_THAT(error.hint, HasSubstr("hostssl replication cap"));
}

TEST_F(PostgresPhysical, WithoutAFreeSlotItGoesOn) {
    ASSERT_TRUE(server_->stop());
    auto other = testing::PostgresServer::start(
        {.settings = {"max_replication_slots=0"}, .data_folder = server_->data_folder()});
    ASSERT_TRUE(other) << other.error().message;
    config_.port = other->port();
    const auto captured = capture();
    ASSERT_TRUE(captured) << captured.error().message;
    EXPECT_FALSE(captured->facts["log_reserved"].boolean());
}

TEST_F(PostgresPhysical, AServerThatKeepsNoLogIsToldHowToKeepIt) {
    ASSERT_TRUE(server_->stop());
    auto other = testing::PostgresServer::start(
        {.settings = {"wal_level=minimal", "max_wal_senders=0"}, .data_folder = server_->data_folder()});
    ASSERT_TRUE(other) << other.error().message;
    config_.port = other->port();
    const Error error = failure();
    EXPECT_THAT(error.hint, HasSubstr("max_wal_senders")) << error.message;
}

TEST_F(PostgresPhysical, AServerKilledInTheMiddleLeavesNothing) {
    sql("CREATE TABLE t AS SELECT n AS id, repeat(md5(n::text), 20) AS a FROM generate_series(1, 200000) n");
    // Dies when it has begun to send; should one copy be quicker than the killer, another one is not.
    for (int attempt = 0; attempt < 20; ++attempt) {
        std::jthread killer([&](std::stop_token stop) {
            while (!stop.stop_requested()) {
                const auto sending = server_->sql("postgres",
                                                  "SELECT count(*) FROM pg_stat_progress_basebackup WHERE "
                                                  "backup_streamed > 0 AND phase LIKE 'streaming database%'");
                if (sending && sending->starts_with("1")) return server_->kill();
            }
        });
        const auto captured = capture();
        killer.request_stop();
        killer.join();
        if (!captured) {
            EXPECT_EQ(captured.error().code, ErrorCode::unreachable) << captured.error().message;
            EXPECT_FALSE(repository_->find_node(last_tree_, "/postgres"));
            return;
        }
        server_->kill();
        ASSERT_TRUE(server_->restart());
    }
    FAIL() << "it was never killed in the middle";
}

// The server finds a page of its own damaged while it reads; what it sent until then must not pass for a copy.
TEST_F(PostgresPhysical, ADamagedPageOfTheLiveClusterFailsTheBackup) {
    ASSERT_TRUE(server_->stop());
    const auto enabled = server_->run_tool({"pg_checksums", "--enable", "-D", server_->data_folder()});
    ASSERT_TRUE(enabled) << enabled.error().message;
    ASSERT_TRUE(server_->restart());
    sql("CREATE TABLE t AS SELECT n AS id FROM generate_series(1, 10000) n; CHECKPOINT");
    EXPECT_TRUE(capture());
    const std::string file = fmt::format("{}/{}", server_->data_folder(), sql("SELECT pg_relation_filepath('t')"));
    {
        auto bytes = os::read_file(file);
        ASSERT_TRUE(bytes);
        (*bytes)[3 * 8192 + 5000] ^= std::byte(1);
        const auto opened = os::open_file(file, O_WRONLY);
        ASSERT_TRUE(opened);
        ASSERT_TRUE(os::pwrite_all(opened->get(), *bytes, 0));
    }
    const Error error = failure();
    EXPECT_EQ(error.code, ErrorCode::corrupt) << error.message;
    EXPECT_FALSE(repository_->find_node(last_tree_, "/postgres"));
}

TEST_F(PostgresPhysical, ATableDroppedMeanwhileIsNoMatter) {
    for (int i = 0; i < 8; ++i)
        sql(fmt::format("CREATE TABLE t{} AS SELECT repeat(md5(n::text), 10) AS a FROM generate_series(1, 20000) n",
                        i));
    sql("CREATE TABLE kept AS SELECT n AS id FROM generate_series(1, 1000) n");
    std::jthread dropper([&] {
        for (int i = 7; i >= 0; --i) {
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
            static_cast<void>(server_->sql("postgres", fmt::format("DROP TABLE t{}; CHECKPOINT", i)).has_value());
        }
    });
    const auto captured = capture();
    dropper.join();
    ASSERT_TRUE(captured) << captured.error().message;
    auto restored = start_on(plain_restore(*captured));
    ASSERT_TRUE(restored) << restored.error().message;
    EXPECT_EQ(sql_of(*restored, "SELECT count(*) FROM kept"), "1000");
    EXPECT_EQ(sql_of(*restored,
                     "SELECT count(*) FROM pg_class WHERE relname ~ '^t[0-7]$' AND "
                     "pg_relation_size(oid) = 0"),
              "0");
}

TEST_F(PostgresPhysical, OfAStandbyIsAsGood) {
    sql("CREATE TABLE t AS SELECT n AS id FROM generate_series(1, 20000) n");
    const std::string data = server_->socket_folder() + "/standby";
    const auto copied =
        server_->run_tool({"pg_basebackup", "-R", "-c", "fast", "-D", data, "-h", server_->socket_folder(), "-p",
                           std::to_string(server_->port()), "-U", "postgres"});
    ASSERT_TRUE(copied) << copied.error().message;
    auto standby = start_on(data);
    ASSERT_TRUE(standby) << standby.error().message;
    sql("INSERT INTO t VALUES (-1)");
    for (int i = 0; i < 3000 && sql_of(*standby, "SELECT count(*) FROM t WHERE id = -1") != "1"; ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    config_.port = standby->port();
    const auto captured = capture();
    ASSERT_TRUE(captured) << captured.error().message;
    const std::string restored_data = plain_restore(*captured);
    ASSERT_TRUE(os::remove_tree(restored_data + "/standby.signal"));    // else it would be one, too
    auto restored = start_on(restored_data);
    ASSERT_TRUE(restored) << restored.error().message;
    EXPECT_EQ(sql_of(*restored, "SELECT count(*), pg_is_in_recovery() FROM t"), "20001|f");
}

// A ledger whose sum is always 0, in as many rows as transfers were acknowledged: each copy must hold both, however much
// is written while it is taken.
TEST_F(PostgresPhysical, UnderAWriterThatNeverStopsEachCopyIsAnAcknowledgedState) {
    sql("CREATE TABLE accounts(id int PRIMARY KEY, balance bigint NOT NULL); "
        "INSERT INTO accounts SELECT n, 0 FROM generate_series(1, 1000) n; "
        "CREATE TABLE transfers(id int PRIMARY KEY, amount bigint NOT NULL)");
    std::atomic<int> acknowledged = 0;
    std::jthread writer([&](std::stop_token stop) {
        auto connection = db::PostgresConnection::connect(
            {server_->socket_folder(), server_->port(), "postgres", "postgres"}, Secret());
        if (!connection) return;
        for (int i = 1; !stop.stop_requested(); ++i) {
            if (!connection->execute(
                    fmt::format("BEGIN; INSERT INTO transfers VALUES ({0}, {1}); UPDATE accounts SET balance = balance "
                                "- {1} WHERE id "
                                "= {2}; UPDATE accounts SET balance = balance + {1} WHERE id = {3}; COMMIT",
                                i, i * 7919 % 1000, 1 + i % 1000, 1 + i * 31 % 1000)))
                return;
            acknowledged = i;
        }
    });
    const int rounds = os::environment("HF_SOAK_ROUNDS") ? std::atoi(os::environment("HF_SOAK_ROUNDS")->c_str()) : 4;
    for (int round = 0; round < rounds; ++round) {
        const int before = acknowledged;
        const auto patience = std::chrono::steady_clock::now() + std::chrono::minutes(1);
        while (acknowledged == before) {
            ASSERT_LT(std::chrono::steady_clock::now(), patience) << "the writer has ended";
            std::this_thread::yield();
        }
        const int begun = acknowledged;
        const auto captured = capture();
        const int ended = acknowledged;
        ASSERT_TRUE(captured) << captured.error().message;
        const std::string data = plain_restore(*captured);
        auto restored = start_on(data);
        ASSERT_TRUE(restored) << restored.error().message;
        EXPECT_EQ(sql_of(*restored, "SELECT sum(balance) FROM accounts"), "0");
        EXPECT_EQ(sql_of(*restored,
                         "SELECT count(*) = max(id) AND sum(amount) = (SELECT sum(n * 7919 % 1000) FROM "
                         "generate_series(1, max(id)) n) FROM transfers"),
                  "t");
        const int kept = std::atoi(sql_of(*restored, "SELECT max(id) FROM transfers").c_str());
        EXPECT_GE(kept, begun);    // what was acknowledged before the backup began is in it
        EXPECT_LE(kept, ended + 1);    // one may have been committed and not yet acknowledged
        const auto checked =
            restored->run_tool({"pg_amcheck", "--all", "--install-missing", "-h", restored->socket_folder(), "-p",
                                std::to_string(restored->port()), "-U", "postgres"});
        EXPECT_TRUE(checked) << checked.error().message;
        restored->kill();
        ASSERT_TRUE(os::remove_tree(os::parent_folder(data)));
    }
    writer.request_stop();
}

}    // namespace
}    // namespace holdfast::source
