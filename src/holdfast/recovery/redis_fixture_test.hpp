#pragma once
// A Redis with all kinds of data, a vault, and the way between them: what the suites of restores of Redis share.

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/recovery/restore_store.hpp"
#include "holdfast/source/capture_fixture_test.hpp"
#include "holdfast/testing/redis_data.hpp"
#include "holdfast/testing/redis_server.hpp"

namespace holdfast::recovery {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::RedisServer;

class RedisRestore : public ::testing::Test {
protected:
    void SetUp() override {
        repository_ = source::make_test_repository(folder_.path() + "/vault", clock_);
        ASSERT_TRUE(repository_);
        ASSERT_TRUE(os::make_folders(scratch_));
    }
    // A server that a start_command has started is not our child.
    void TearDown() override {
        if (server_ && server_->pid() == 0) static_cast<void>(server_->talk({{"SHUTDOWN", "NOSAVE"}}));
    }

    void start(std::vector<std::string> config = {}) {
        config.insert(config.end(), {"enable-debug-command yes", "repl-diskless-sync yes"});
        auto server = RedisServer::start(std::move(config));
        ASSERT_TRUE(server) << server.error().message << server.error().hint;
        server_.emplace(*std::move(server));
        config_.port = server_->port();
        config_.data_folder = server_->data_folder();
    }
    void start_by_command() { config_.start_command = {"redis-server", server_->config_file(), "--daemonize", "yes"}; }
    void fill() {
        ASSERT_TRUE(server_->talk(testing::every_redis_type()));
        digest_ = digest();
    }
    // The server's own digest of all databases, and the keys of each: independent of our reader.
    std::string digest() {
        return server_->talk({{"DEBUG", "DIGEST"}, {"DBSIZE"}, {"SELECT", "3"}, {"DBSIZE"}, {"FUNCTION", "LIST"}})
            .value_or("nothing");
    }
    void back_up(const std::optional<source::EarlierCopy>& earlier = {}) {
        const auto captured = source::capture_alone(
            *repository_, clock_, "redis", scratch_,
            [&](source::CaptureContext& context) { return source::capture_redis(config_, context); }, earlier);
        ASSERT_TRUE(captured) << captured.error().message;
        facts_ = captured->facts;
        snapshot_ = captured->snapshot;
    }
    // A snapshot with these bytes as its RDB, under the facts of the last one.
    void back_up_bytes(ByteView rdb) {
        auto backup = vault::Backup::start(*repository_, {});
        ASSERT_TRUE(backup);
        ASSERT_TRUE((*backup)->add_file("redis/dump.rdb", rdb));
        ASSERT_TRUE((*backup)->commit());
        snapshot_ = repository_->find_snapshot("latest").value();
        ASSERT_TRUE(repository_->load_index(true));
    }
    void kill_and_wipe() {
        server_->kill();
        ASSERT_TRUE(server_->wipe());
    }
    RestoreContext context(WhenExisting existing) {
        return {*repository_, snapshot_, facts_,   clock_,
                "redis",      scratch_,  existing, [this](std::string_view s) { said_.emplace_back(s); }};
    }
    Result<json::Value> restore(WhenExisting existing = WhenExisting::refuse) {
        return restore_redis(config_, context(existing));
    }
    std::vector<std::string> names() { return os::list_folder(server_->data_folder()).value(); }
    std::string in_data(const std::string& name) { return server_->data_folder() + "/" + name; }

    os::SystemClock clock_;
    os::TempFolder folder_ = *os::TempFolder::create("hf-redis-restore-");
    std::string scratch_ = folder_.path() + "/scratch";
    std::unique_ptr<vault::Repository> repository_;
    std::optional<RedisServer> server_;
    policy::RedisConfig config_;
    vault::SnapshotEntry snapshot_;
    json::Value facts_;
    std::string digest_;
    std::vector<std::string> said_;
};

}    // namespace holdfast::recovery
