#pragma once
// A ClickHouse of either generation, a vault, and the way between them: what the suites of recovery of ClickHouse share.

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "holdfast/db/clickhouse.hpp"
#include "holdfast/db/clickhouse_text.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/recovery/restore_store.hpp"
#include "holdfast/source/capture_fixture_test.hpp"
#include "holdfast/testing/clickhouse_engine.hpp"

namespace holdfast::recovery {

using testing::ClickHouseEngine;
using testing::ClickHouseGeneration;

class ClickHouseRestore : public ::testing::TestWithParam<ClickHouseGeneration> {
protected:
    void SetUp() override {
        auto engine = ClickHouseEngine::start(GetParam(), HF_BIN_DIR "/hf-chdb-front");
        ASSERT_TRUE(engine) << engine.error().message;
        engine_.emplace(*std::move(engine));
        repository_ = source::make_test_repository(folder_.path() + "/vault", clock_);
        ASSERT_TRUE(repository_);
        config_.url = engine_->url();
        connect();
        run("CREATE DATABASE d");
    }
    void connect() {
        db::clickhouse::Server server;
        server.url = engine_->url();
        auto client = db::clickhouse::Client::connect(std::move(server));
        ASSERT_TRUE(client) << client.error().message;
        client_.emplace(*std::move(client));
    }
    bool modern() const { return GetParam() == ClickHouseGeneration::v26; }
    void run(const std::string& statement, const db::clickhouse::Settings& settings = {}) {
        const auto done = client_->execute(statement, settings);
        ASSERT_TRUE(done) << statement << ": " << done.error().message;
    }
    std::string value(const std::string& query) {
        const auto rows = client_->rows(query);
        if (!rows) return rows.error().message;
        std::string text;
        for (const auto& row : *rows)
            for (const auto& field : row) text += (text.empty() ? "" : " ") + field;
        return text;
    }
    // Asked by another expression than the product's own.
    std::string content(const std::string& table, const std::string& columns = "*") {
        return value(fmt::format("SELECT count(), sum(sipHash64(toString(tuple({})))) FROM {}", columns, table));
    }
    void back_up() { back_up({}); }
    /// As the next run of a stack does it: parts of the one before are not read again.
    void back_up_on_top() { back_up(earlier_); }
    void back_up(const std::optional<source::EarlierCopy>& earlier) {
        const auto captured = source::capture_alone(
            *repository_, clock_, "clickhouse", folder_.path(),
            [&](source::CaptureContext& context) { return source::capture_clickhouse(config_, context); }, earlier);
        ASSERT_TRUE(captured) << captured.error().message;
        facts_ = captured->facts;
        snapshot_ = captured->snapshot;
        earlier_ = captured->as_earlier();
    }
    void lose_the_disk() {
        ASSERT_TRUE(engine_->wipe());
        ASSERT_TRUE(engine_->restart());
        connect();
    }
    RestoreContext context(WhenExisting existing = WhenExisting::refuse, const TableChoice* tables = nullptr) {
        return {*repository_, snapshot_,
                facts_,       clock_,
                "clickhouse", folder_.path(),
                existing,     [this](std::string_view sentence) { said_ += std::string(sentence) + "\n"; },
                tables};
    }
    Result<json::Value> restore(WhenExisting existing = WhenExisting::refuse) {
        return restore_clickhouse(config_, context(existing));
    }
    void expect_restored(WhenExisting existing = WhenExisting::refuse) {
        const auto result = restore(existing);
        ASSERT_TRUE(result) << result.error().message << " | " << result.error().hint;
        result_ = *result;
    }
    void expect_no_leftovers() {
        EXPECT_EQ(value("SELECT count() FROM system.tables WHERE name LIKE '%holdfast_restore%'"), "0");
    }

    os::SystemClock clock_;
    os::TempFolder folder_ = os::TempFolder::create("hf-clickhouse-test-").value();
    std::optional<ClickHouseEngine> engine_;
    std::optional<db::clickhouse::Client> client_;
    std::unique_ptr<vault::Repository> repository_;
    vault::SnapshotEntry snapshot_;
    json::Value facts_, result_;
    std::optional<source::EarlierCopy> earlier_;
    policy::ClickHouseConfig config_;
    std::string said_;
};

}    // namespace holdfast::recovery
