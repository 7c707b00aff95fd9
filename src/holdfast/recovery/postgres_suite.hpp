#pragma once
// What the tests of PostgreSQL restores share: a real server, a vault, capture and restore of what the server holds.

#include <fmt/core.h>
#include <gmock/gmock.h>

#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/recovery/restore_store.hpp"
#include "holdfast/source/capture.hpp"
#include "holdfast/testing/postgres_server.hpp"

namespace holdfast::recovery {

struct CapturedPostgres {
    json::Value facts;
    vault::SnapshotEntry snapshot;
};

class PostgresRestore : public ::testing::Test {
protected:
    void SetUp() override {
        os::install_signal_handlers();
        auto started = testing::PostgresServer::start();
        ASSERT_TRUE(started) << started.error().message;
        server_.emplace(*std::move(started));
        auto backend = storage::open_backend(folder_.path() + "/vault");
        ASSERT_TRUE(backend);
        auto made =
            vault::Repository::init(*std::move(backend), Secret("pw"), clock_, {{1024, 8, 1}, {}});    // a cheap key
        ASSERT_TRUE(made) << made.error().message;
        repository_ = *std::move(made);
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
        HF_DO(repository_->load_index(true));
        HF_TRY(auto backup, vault::Backup::start(*repository_, {}));
        source::CaptureContext context{*backup, clock_, "postgres", folder_.path() + "/scratch"};
        HF_TRY(auto facts, source::capture_postgres(config_, context));
        HF_TRY([[maybe_unused]] const auto outcome, backup->commit());
        HF_TRY(auto snapshot, repository_->find_snapshot("latest"));
        HF_DO(repository_->load_index(true));
        // As the manifest stores them.
        HF_TRY(auto stored, json::parse(dump(facts), "facts"));
        return CapturedPostgres{std::move(stored), std::move(snapshot)};
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
