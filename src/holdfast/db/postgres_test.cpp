#include "holdfast/db/postgres.hpp"

#include <gtest/gtest.h>

#include <thread>

#include "holdfast/testing/postgres_server.hpp"

namespace holdfast::db {
namespace {

struct Postgres : ::testing::Test {
    static void SetUpTestSuite() {
        auto started = testing::PostgresServer::start();
        ASSERT_TRUE(started) << started.error().message;
        server = new testing::PostgresServer(*std::move(started));
    }
    static void TearDownTestSuite() {
        delete server;
        server = nullptr;
    }
    static PostgresAddress tcp(const std::string& database = "postgres") {
        return {"127.0.0.1", server->port(), "postgres", database};
    }
    static PostgresConnection connected() { return *PostgresConnection::connect(tcp(), Secret(server->password())); }
    static inline testing::PostgresServer* server = nullptr;
};

TEST_F(Postgres, AnswersWithRowsOfText) {
    auto connection = PostgresConnection::connect(tcp(), Secret(server->password()));
    ASSERT_TRUE(connection) << connection.error().message;
    EXPECT_EQ(connection->server_major(), 15);
    const auto rows = connection->query("SELECT n, NULL, 'ü' || $1, n = 2 FROM generate_series(1, 2) n", {"it's"});
    ASSERT_TRUE(rows) << rows.error().message;
    ASSERT_EQ(rows->size(), 2u);
    EXPECT_EQ((*rows)[1].integer(0), 2);
    EXPECT_FALSE((*rows)[1].cells[1]);
    EXPECT_EQ((*rows)[1].text(2), "üit's");
    EXPECT_FALSE((*rows)[0].boolean(3));
    EXPECT_TRUE((*rows)[1].boolean(3));
}

TEST_F(Postgres, WrongPasswordIsDeniedAndNotTold) {
    const auto refused = PostgresConnection::connect(tcp(), Secret("hunter2"));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::denied);
    EXPECT_EQ(refused.error().message.find("hunter2"), std::string::npos);
    EXPECT_FALSE(refused.error().hint.empty());
    const auto missing = PostgresConnection::connect(tcp(), Secret());
    ASSERT_FALSE(missing);
    EXPECT_EQ(missing.error().code, ErrorCode::denied);
}

TEST_F(Postgres, NamesADatabaseThatIsNotThere) {
    const auto missing = PostgresConnection::connect(tcp("no such=one"), Secret(server->password()));
    ASSERT_FALSE(missing);
    EXPECT_EQ(missing.error().code, ErrorCode::not_found);
    EXPECT_NE(missing.error().message.find("no such=one"), std::string::npos);
}

TEST_F(Postgres, UnreachableServerIsUnreachable) {
    const auto refused = PostgresConnection::connect({"127.0.0.1", 1, "postgres", "postgres"}, Secret());
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::unreachable);
    const auto no_socket = PostgresConnection::connect({"/nowhere", 5432, "postgres", "postgres"}, Secret());
    ASSERT_FALSE(no_socket);
    EXPECT_EQ(no_socket.error().code, ErrorCode::unreachable);
}

TEST_F(Postgres, ReportsTheServersSentenceAndGoesOn) {
    auto connection = connected();
    const auto failed = connection.query("SELECT * FROM nothing_here");
    ASSERT_FALSE(failed);
    EXPECT_EQ(connection.sql_state(), "42P01");
    EXPECT_NE(failed.error().message.find("nothing_here"), std::string::npos);
    const auto secret = connection.execute("CREATE ROLE a PASSWORD 'hunter2' NONSENSE");
    ASSERT_FALSE(secret);
    EXPECT_EQ(secret.error().message.find("hunter2"), std::string::npos);
    EXPECT_TRUE(connection.execute("SELECT 1; SELECT 2"));
    EXPECT_FALSE(connection.execute("SELECT 1; SELECT 1/0; SELECT 2"));
    EXPECT_TRUE(connection.query("SELECT 1"));
}

TEST_F(Postgres, CancelEndsARunningStatement) {
    auto connection = connected();
    std::jthread other([&] { connection.cancel(); });
    const auto stopped = connection.execute("SELECT pg_sleep(600)");
    ASSERT_FALSE(stopped);
    EXPECT_EQ(stopped.error().code, ErrorCode::cancelled);
}

TEST_F(Postgres, AKilledBackendIsUnreachable) {
    auto connection = connected();
    const auto killed = connection.query("SELECT pg_terminate_backend(pg_backend_pid())");
    ASSERT_FALSE(killed);
    EXPECT_EQ(killed.error().code, ErrorCode::unreachable);
    const auto after = connection.query("SELECT 1");
    ASSERT_FALSE(after);
    EXPECT_EQ(after.error().code, ErrorCode::unreachable);
}

TEST_F(Postgres, QuotedNamesAndTextsComeBackAsTheyWere) {
    auto connection = connected();
    for (const std::string odd : {"plain", "it's", "a\"b", "back\\slash'", "ünï code", "$1; --"}) {
        const auto rows = connection.query("SELECT " + quote_literal(odd) + " AS " + quote_identifier(odd));
        ASSERT_TRUE(rows) << rows.error().message;
        EXPECT_EQ((*rows)[0].text(0), odd);
    }
    EXPECT_TRUE(database_option("it's \\ a=b").starts_with("dbname='it\\'s \\\\ a=b' "));
}

}    // namespace
}    // namespace holdfast::db
