#include "holdfast/db/clickhouse.hpp"

#include <fmt/core.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <thread>

#include "holdfast/os/host.hpp"
#include "holdfast/os/socket.hpp"
#include "holdfast/testing/clickhouse_engine.hpp"
#include "holdfast/testing/freeze.hpp"

namespace holdfast::db::clickhouse {

using namespace std::chrono_literals;
using testing::ClickHouseEngine;
using testing::ClickHouseGeneration;

class ClickHouseClient : public ::testing::TestWithParam<ClickHouseGeneration> {
protected:
    void SetUp() override {
        auto engine = ClickHouseEngine::start(GetParam(), HF_BIN_DIR "/hf-chdb-front");
        ASSERT_TRUE(engine) << engine.error().message;
        engine_.emplace(*std::move(engine));
    }
    Server server() const {
        Server server;
        server.url = engine_->url();
        return server;
    }
    std::optional<ClickHouseEngine> engine_;
};

INSTANTIATE_TEST_SUITE_P(Generations, ClickHouseClient,
                         ::testing::Values(ClickHouseGeneration::v18, ClickHouseGeneration::v26),
                         [](const auto& p) { return p.param == ClickHouseGeneration::v18 ? "v18" : "v26"; });

TEST_P(ClickHouseClient, TellsTheVersionAndAnswers) {
    auto client = Client::connect(server());
    ASSERT_TRUE(client) << client.error().message;
    EXPECT_TRUE(client->version().starts_with(GetParam() == ClickHouseGeneration::v18 ? "18.16." : "26."));
    const auto rows = client->rows("SELECT 'a\tb', NULL, 7");
    ASSERT_TRUE(rows) << rows.error().message;
    EXPECT_EQ(*rows, (Rows{{"a\tb", "\\N", "7"}}));
}

TEST_P(ClickHouseClient, StreamsNativeBothWaysUnchanged) {
    auto client = Client::connect(server());
    ASSERT_TRUE(client) << client.error().message;
    ASSERT_TRUE(client->execute("CREATE DATABASE d"));
    for (const char* table : {"a", "b"})
        ASSERT_TRUE(client->execute(
            fmt::format("CREATE TABLE d.{} (n UInt64, s String) ENGINE = MergeTree ORDER BY n", table)));
    ASSERT_TRUE(client->execute(
        "INSERT INTO d.a SELECT number, toString(cityHash64(number)) FROM system.numbers LIMIT 300000"));
    std::string native;
    ASSERT_TRUE(client->read("SELECT n, s FROM d.a FORMAT Native",
                             [&](ByteView bytes) {
                                 native += as_text(bytes);
                                 return Status();
                             },
                             {{"max_threads", "1"}}));
    EXPECT_GT(native.size(), 5'000'000u);

    auto insertion = client->insert("INSERT INTO d.b (n, s) FORMAT Native");
    ASSERT_TRUE(insertion) << insertion.error().message;
    for (std::size_t at = 0; at < native.size(); at += 100'003)    // pieces that end anywhere
        ASSERT_TRUE((*insertion)->write(as_bytes(std::string_view(native).substr(at, 100'003))));
    const auto finished = (*insertion)->finish();
    ASSERT_TRUE(finished) << finished.error().message;
    insertion->reset();
    const auto sums = client->rows(
        "SELECT count(), sum(cityHash64(toString(tuple(n, s)))) FROM d.a UNION ALL "
        "SELECT count(), sum(cityHash64(toString(tuple(n, s)))) FROM d.b");
    ASSERT_TRUE(sums) << sums.error().message;
    ASSERT_EQ(sums->size(), 2u);
    EXPECT_EQ((*sums)[0], (*sums)[1]);
    EXPECT_EQ((*sums)[0][0], "300000");
}

TEST_P(ClickHouseClient, RefusesAWrongPasswordWithoutShowingIt) {
    Server wrong = server();
    wrong.user = "guarded";
    wrong.password = Secret("not-the-key");
    const auto client = Client::connect(std::move(wrong));
    ASSERT_FALSE(client);
    EXPECT_EQ(client.error().code, ErrorCode::denied) << client.error().message;
    EXPECT_EQ(client.error().message.find("not-the-key"), std::string::npos);
    EXPECT_NE(client.error().hint.find("password_file"), std::string::npos);

    Server right = server();
    right.user = "guarded";
    right.password = Secret("guarded-key");
    EXPECT_TRUE(Client::connect(std::move(right)));
}

TEST_P(ClickHouseClient, NamesWhatIsMissing) {
    auto client = Client::connect(server());
    ASSERT_TRUE(client) << client.error().message;
    const auto rows = client->rows("SELECT * FROM default.no_such_table");
    ASSERT_FALSE(rows);
    EXPECT_EQ(rows.error().code, ErrorCode::not_found) << rows.error().message;
    EXPECT_NE(rows.error().message.find("no_such_table"), std::string::npos);
    const auto syntax = client->execute("SELEKT 1");
    ASSERT_FALSE(syntax);
    EXPECT_EQ(syntax.error().code, ErrorCode::store);
}

TEST_P(ClickHouseClient, LetsNoRowsThroughWhenTheQueryFailsLate) {
    auto client = Client::connect(server());
    ASSERT_TRUE(client) << client.error().message;
    std::size_t bytes = 0;
    const auto read = client->read(
        "SELECT intDiv(1, 500000 - toInt64(number)) FROM (SELECT number FROM system.numbers LIMIT 600000) FORMAT "
        "Native",
        [&](ByteView piece) {
            bytes += piece.size();
            return Status();
        });
    ASSERT_FALSE(read);
    EXPECT_EQ(read.error().code, ErrorCode::store) << read.error().message;
    EXPECT_EQ(bytes, 0u);
}

TEST_P(ClickHouseClient, HandsTheSinksErrorOn) {
    auto client = Client::connect(server());
    ASSERT_TRUE(client) << client.error().message;
    const auto read = client->read("SELECT number FROM system.numbers LIMIT 10 FORMAT Native",
                                   [](ByteView) -> Status { return fail(ErrorCode::disk_full, "no room"); });
    ASSERT_FALSE(read);
    EXPECT_EQ(read.error().code, ErrorCode::disk_full);
    EXPECT_TRUE(client->rows("SELECT 1"));    // and the client works on
}

TEST_P(ClickHouseClient, SaysWhyAnInsertWasRefused) {
    auto client = Client::connect(server());
    ASSERT_TRUE(client) << client.error().message;
    auto insertion = client->insert("INSERT INTO default.no_such_table (n) FORMAT Native");
    ASSERT_TRUE(insertion) << insertion.error().message;
    Status status = (*insertion)->write(as_bytes("some bytes"));
    if (status) status = (*insertion)->finish();
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code, ErrorCode::not_found) << status.error().message;
}

TEST_P(ClickHouseClient, FindsADeadServerUnreachable) {
    auto client = Client::connect(server());
    ASSERT_TRUE(client) << client.error().message;
    engine_->kill();
    const auto rows = client->rows("SELECT 1");
    ASSERT_FALSE(rows);
    EXPECT_EQ(rows.error().code, ErrorCode::unreachable) << rows.error().message;
    EXPECT_TRUE(rows.error().retryable());
}

TEST_P(ClickHouseClient, GivesASilentServerUp) {
    Server patient = server();
    patient.idle_max = 500ms;
    auto client = Client::connect(std::move(patient));
    ASSERT_TRUE(client) << client.error().message;
    ASSERT_TRUE(testing::freeze(engine_->pid()));
    const auto rows = client->rows("SELECT 1");
    ::kill(engine_->pid(), SIGCONT);
    ASSERT_FALSE(rows);
    EXPECT_EQ(rows.error().code, ErrorCode::unreachable) << rows.error().message;
}

TEST_P(ClickHouseClient, BreaksOffWhenItIsToldToStop) {
    auto client = Client::connect(server());
    ASSERT_TRUE(client) << client.error().message;
    ASSERT_TRUE(testing::freeze(engine_->pid()));    // so that no answer can be faster than the stop
    os::g_stop_requested = true;
    const auto rows = client->rows("SELECT 1");
    os::g_stop_requested = false;
    ::kill(engine_->pid(), SIGCONT);
    ASSERT_FALSE(rows);
    EXPECT_EQ(rows.error().code, ErrorCode::cancelled);
}

TEST_P(ClickHouseClient, KnowsWhichSettingsTheServerKnows) {
    auto client = Client::connect(server());
    ASSERT_TRUE(client) << client.error().message;
    const auto known = client->known({{"max_threads", "1"}, {"no_such_setting", "1"}, {"optimize_on_insert", "0"}});
    ASSERT_TRUE(known) << known.error().message;
    EXPECT_EQ(known->size(), GetParam() == ClickHouseGeneration::v18 ? 1u : 2u);
}

TEST(ClickHouseAddress, MustNotHoldAPassword) {
    Server server;
    server.url = "http://user:secret@127.0.0.1:8123";
    const auto client = Client::connect(std::move(server));
    ASSERT_FALSE(client);
    EXPECT_EQ(client.error().code, ErrorCode::config);
    EXPECT_EQ(client.error().message.find("secret"), std::string::npos);
}

TEST(ClickHouseAddress, NobodyListensThere) {
    const auto port = os::free_port();
    ASSERT_TRUE(port);
    Server server;
    server.url = fmt::format("http://127.0.0.1:{}", *port);
    const auto client = Client::connect(std::move(server));
    ASSERT_FALSE(client);
    EXPECT_EQ(client.error().code, ErrorCode::unreachable);
    EXPECT_FALSE(client.error().hint.empty());
}

TEST(ClickHouseAddress, IsNoUrl) {
    for (const char* url : {"", "ftp://127.0.0.1:1", "http://"}) {
        Server server;
        server.url = url;
        const auto client = Client::connect(std::move(server));
        ASSERT_FALSE(client) << url;
        EXPECT_EQ(client.error().code, ErrorCode::config) << url << ": " << client.error().message;
    }
}

}    // namespace holdfast::db::clickhouse
