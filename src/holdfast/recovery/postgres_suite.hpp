#pragma once
// What the tests of PostgreSQL restores share: a real server, a vault, capture and restore of what the server holds.

#include <fmt/core.h>
#include <gmock/gmock.h>

#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/recovery/restore_store.hpp"
#include "holdfast/source/capture_fixture_test.hpp"
#include "holdfast/testing/postgres_server.hpp"

namespace holdfast::recovery {

using CapturedPostgres = source::CapturedAlone;

class PostgresRestore : public ::testing::Test {
protected:
    void SetUp() override {
        os::install_signal_handlers();
        auto started = testing::PostgresServer::start();
        ASSERT_TRUE(started) << started.error().message;
        server_.emplace(*std::move(started));
        repository_ = source::make_test_repository(folder_.path() + "/vault", clock_);
        ASSERT_TRUE(repository_);
        ASSERT_TRUE(os::write_file(folder_.path() + "/password", as_bytes(server_->password() + "\n")));
        config_.host = "127.0.0.1";
        config_.port = server_->port();
        config_.password.file = folder_.path() + "/password";
    }
    std::string sql(const std::string& database, std::string_view script) {
        auto done = server_->sql(database, script);
        EXPECT_TRUE(done) << done.error().message;
        std::string text = done.value_or("");
        while (!text.empty() && text.back() == '\n') text.pop_back();
        return text;
    }
    Result<CapturedPostgres> capture() {
        return source::capture_alone(
            *repository_, clock_, "postgres", folder_.path() + "/scratch",
            [&](source::CaptureContext& context) { return source::capture_postgres(config_, context); });
    }
    RestoreContext context(const CapturedPostgres& captured, WhenExisting existing) {
        return {*repository_,   captured.snapshot,
                captured.facts, clock_,
                "postgres",     folder_.path() + "/scratch",
                existing,       [this](std::string_view said) { said_ += fmt::format("{}\n", said); }};
    }
    Result<json::Value> restore(const CapturedPostgres& captured, WhenExisting existing = WhenExisting::refuse) {
        return restore_postgres(config_, context(captured, existing));
    }
    Result<std::vector<PlanStep>> plan(const CapturedPostgres& captured, WhenExisting existing = WhenExisting::refuse) {
        return plan_postgres(config_, context(captured, existing));
    }
    std::string databases() {
        return sql("template1",
                   "SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_database "
                   "WHERE NOT datistemplate");
    }

    os::SystemClock clock_;
    os::TempFolder folder_ = *os::TempFolder::create("hf-postgres-restore-");
    std::optional<testing::PostgresServer> server_;
    std::unique_ptr<vault::Repository> repository_;
    policy::PostgresConfig config_;
    std::string said_;
};

}    // namespace holdfast::recovery
