// Redis out of a real repository into real servers.

#include <fcntl.h>
#include <pwd.h>
#include <sys/file.h>
#include <unistd.h>

#include "holdfast/recovery/redis_compare.hpp"
#include "holdfast/recovery/redis_fixture_test.hpp"
#include "holdfast/recovery/redis_settings.hpp"
#include "holdfast/vault/restore.hpp"

namespace holdfast::recovery {
namespace {

// NS-01, MT-13, EA-13
TEST_F(RedisRestore, IntoAWipedFolderIsEqualAndStarted) {
    start();
    start_by_command();
    fill();
    back_up();
    kill_and_wipe();
    const auto plan = plan_redis(config_, context(WhenExisting::refuse));
    ASSERT_TRUE(plan) << plan.error().message;
    EXPECT_EQ(plan->at(0).bytes, facts_["bytes"].natural());
    EXPECT_THAT(names(), IsEmpty());    // a plan changes nothing

    const auto restored = restore();
    ASSERT_TRUE(restored) << restored.error().message << restored.error().hint;
    EXPECT_EQ(digest(), digest_);
    EXPECT_TRUE((*restored)["started"].boolean());
    EXPECT_EQ((*restored)["keys"].natural(), facts_["keys"].natural());
    EXPECT_EQ(dump((*restored)["databases"], 0), dump(facts_["databases"], 0));
    EXPECT_THAT(names(), ::testing::ElementsAre("dump.rdb"));
}

// NS-08. A server of which nobody set otherwise gathers replicas for 5 s; here the test would run into its time limit.
TEST_F(RedisRestore, TheComparisonDoesNotWaitForOtherReplicas) {
    start({"repl-diskless-sync-delay 600"});
    start_by_command();
    server_->talk({{"CONFIG", "SET", "repl-diskless-sync-delay", "0"}}).value();
    fill();
    back_up();
    kill_and_wipe();
    const auto restored = restore();
    ASSERT_TRUE(restored) << restored.error().message << restored.error().hint;
    EXPECT_THAT(server_->talk({{"CONFIG", "GET", "repl-diskless-sync-delay"}}).value(), HasSubstr("600"));
}

TEST_F(RedisRestore, WithoutAStartCommandProvesTheFileInAServerOfItsOwn) {
    start();
    fill();
    back_up();
    kill_and_wipe();
    const auto restored = restore();
    ASSERT_TRUE(restored) << restored.error().message << restored.error().hint;
    EXPECT_FALSE((*restored)["started"].boolean(true));
    EXPECT_THAT(said_.back(), HasSubstr("not started"));
    EXPECT_THAT(names(), ::testing::ElementsAre("dump.rdb"));
    ASSERT_TRUE(server_->restart());
    EXPECT_EQ(digest(), digest_);
}

// EA-09: with appendonly yes a server does not look at dump.rdb, and starts empty without a manifest.
TEST_F(RedisRestore, OfAnAppendOnlyServerDoesNotLetTheOldLogWin) {
    start({"appendonly yes", "appendfsync always"});
    start_by_command();
    fill();
    back_up();
    ASSERT_TRUE(server_->talk({{"DEL", "hash:large"}, {"SET", "newer", "than the backup"}}));
    ASSERT_NE(digest(), digest_);
    server_->kill();
    const auto restored = restore(WhenExisting::switch_over);
    ASSERT_TRUE(restored) << restored.error().message << restored.error().hint;
    EXPECT_TRUE((*restored)["append_only"].boolean());
    EXPECT_EQ(digest(), digest_);

    // It goes on from there: what is written now survives its next start.
    ASSERT_TRUE(server_->talk({{"SET", "after", "the restore"}}));
    const std::string after = digest();
    static_cast<void>(server_->talk({{"SHUTDOWN"}}));
    ASSERT_TRUE(server_->restart());
    EXPECT_EQ(digest(), after);

    // And the old data is still whole where the result says.
    server_->kill();
    const std::string aside = (*restored)["old_one_is_at"].text();
    ASSERT_TRUE(os::remove_tree(in_data("appendonlydir")));
    ASSERT_EQ(::rename((aside + "/appendonlydir").c_str(), in_data("appendonlydir").c_str()), 0);
    ASSERT_TRUE(server_->restart());
    EXPECT_THAT(server_->talk({{"GET", "newer"}}).value(), HasSubstr("than the backup"));
}

TEST_F(RedisRestore, IntoAWipedAppendOnlyServerWritesAManifest) {
    start({"appendonly yes", "appenddirname logs", "appendfilename \"my.aof\""});
    start_by_command();
    config_.append_only = true;
    config_.append_folder_name = "logs";
    config_.append_file_name = "my.aof";
    fill();
    back_up();
    kill_and_wipe();
    const auto restored = restore();
    ASSERT_TRUE(restored) << restored.error().message << restored.error().hint;
    EXPECT_EQ(digest(), digest_);
    EXPECT_TRUE(os::exists(in_data("logs/my.aof.manifest")));
}

// NS-17
TEST_F(RedisRestore, ThatComesUpWithZeroKeysIsAMismatchWithTheRemedy) {
    start({"appendonly yes"});
    start_by_command();
    fill();
    back_up();
    kill_and_wipe();    // and nobody told us that it is append-only
    const auto restored = restore();
    ASSERT_FALSE(restored);
    EXPECT_EQ(restored.error().code, ErrorCode::mismatch);
    EXPECT_THAT(restored.error().message,
                HasSubstr("holds 0 keys and not " + std::to_string(facts_["keys"].natural())));
    EXPECT_THAT(restored.error().hint, HasSubstr("append_only = true"));
    EXPECT_TRUE(os::exists(in_data("dump.rdb")));

    config_.append_only = true;    // the remedy works
    const auto again = restore(WhenExisting::switch_over);
    ASSERT_TRUE(again) << again.error().message << again.error().hint;
    EXPECT_EQ(digest(), digest_);
}

TEST_F(RedisRestore, OverDataIsRefusedAndTouchesNothing) {
    start();
    start_by_command();
    fill();
    back_up();
    ASSERT_TRUE(server_->talk({{"SET", "newer", "than the backup"}}));
    const auto running = restore();
    ASSERT_FALSE(running);
    EXPECT_EQ(running.error().code, ErrorCode::exists);
    ASSERT_TRUE(server_->talk({{"GET", "newer"}}));
    ASSERT_TRUE(server_->save());
    ASSERT_TRUE(server_->stop());
    const Bytes before = os::read_file(in_data("dump.rdb")).value();
    for (const auto& error : {plan_redis(config_, context(WhenExisting::refuse)).error(), restore().error()}) {
        EXPECT_EQ(error.code, ErrorCode::exists);
        EXPECT_THAT(error.message, HasSubstr("dump.rdb"));
        EXPECT_THAT(error.hint, HasSubstr("--replace"));
    }
    EXPECT_EQ(os::read_file(in_data("dump.rdb")).value(), before);
    EXPECT_THAT(names(), ::testing::ElementsAre("dump.rdb"));
}

TEST_F(RedisRestore, StopsARunningServerWithoutLettingItSave) {
    start({"save 3600 1"});
    start_by_command();
    fill();
    ASSERT_TRUE(server_->save());
    back_up();
    ASSERT_TRUE(server_->talk({{"FLUSHALL"}, {"SET", "newer", "than the backup"}}));
    const auto restored = restore(WhenExisting::switch_over);
    ASSERT_TRUE(restored) << restored.error().message << restored.error().hint;
    EXPECT_EQ(digest(), digest_);
    EXPECT_TRUE(os::exists((*restored)["old_one_is_at"].text() + "/dump.rdb"));
    server_->kill();    // reaps the one that was stopped
}

TEST_F(RedisRestore, UsesTheStopCommand) {
    start();
    start_by_command();
    config_.stop_command = {"redis-cli", "-p", std::to_string(server_->port()), "SHUTDOWN", "SAVE"};
    fill();
    back_up();
    ASSERT_TRUE(server_->talk({{"FLUSHALL"}}));
    // Empty, and without files: nothing would be replaced. That it saves when it is stopped must not win.
    const auto restored = restore();
    ASSERT_TRUE(restored) << restored.error().message << restored.error().hint;
    EXPECT_EQ(digest(), digest_);
    server_->kill();

    config_.stop_command = {"false"};
    const auto refused = restore(WhenExisting::switch_over);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::store);
    EXPECT_EQ(digest(), digest_);
}

TEST_F(RedisRestore, RefusesARunningServerThatItMayNotStop) {
    start();
    ASSERT_TRUE(server_->talk({{"SET", "a", "b"}}));
    back_up();
    ASSERT_TRUE(server_->talk({{"FLUSHALL"}}));
    for (const WhenExisting existing : {WhenExisting::refuse, WhenExisting::switch_over}) {
        const auto restored = restore(existing);
        ASSERT_FALSE(restored);
        EXPECT_EQ(restored.error().code, ErrorCode::locked);
        EXPECT_THAT(restored.error().hint, HasSubstr("stop_command"));
    }
    EXPECT_THAT(names(), IsEmpty());
}

TEST_F(RedisRestore, LeavesOutWhatHasExpiredAndNothingElse) {
    start();
    start_by_command();
    fill();
    const std::string soon = std::to_string(clock_.now().nanoseconds / 1'000'000 + 1500);
    ASSERT_TRUE(
        server_->talk({{"SET", "short", "1", "PXAT", soon}, {"SELECT", "3"}, {"SET", "short", "2", "PXAT", soon}}));
    back_up();
    ASSERT_EQ(server_->talk({{"EXISTS", "short"}}).value(), ":1\r\n")
        << "the backup took longer than the test allows for";
    kill_and_wipe();
    while (clock_.now().nanoseconds / 1'000'000 <= std::stoll(soon)) clock_.sleep(20ms);
    const auto restored = restore();
    ASSERT_TRUE(restored) << restored.error().message << restored.error().hint;
    EXPECT_EQ((*restored)["expired_since"].natural(), 2u);
    EXPECT_EQ((*restored)["keys"].natural(), facts_["keys"].natural() - 2);
    EXPECT_EQ(digest(), digest_);
}

// CONFIG and ACL are taken aside; what differs afterwards is told, without the rules, which hold password hashes.
TEST_F(RedisRestore, TellsWhichSettingsAndUsersAreNotAsTheyWere) {
    start();
    start_by_command();
    fill();
    ASSERT_TRUE(server_->talk({{"CONFIG", "SET", "maxmemory", "123456789"},
                               {"ACL", "SETUSER", "desk", "on", ">a-secret-of-the-desk", "~*", "+@all"},
                               {"ACL", "SETUSER", "other", "on", "nopass", "~*", "+get"}}));
    back_up();
    kill_and_wipe();
    const auto restored = restore();
    ASSERT_TRUE(restored) << restored.error().message << restored.error().hint;
    EXPECT_THAT(json::dump((*restored)["settings_differ"]), HasSubstr("maxmemory is 0 and was 123456789"));
    EXPECT_EQ(json::dump((*restored)["users_differ"]), R"(["user desk is missing","user other is missing"])");
    EXPECT_EQ(json::dump(*restored).find("a-secret"), std::string::npos);
    EXPECT_EQ(compare_users("user a on #1 ~*\nuser b on\n", "user a on #2 ~*\nuser b on\nuser c on\n"),
              std::vector<std::string>{"user a has other rules"});
}

// A restore of an old moment must not lose the keys that were alive then, where that is wanted.
TEST_F(RedisRestore, KeysThatHaveExpiredSinceLiveOnWhenTheirTimesAreShifted) {
    start();
    start_by_command();
    fill();
    const std::int64_t now = clock_.now().nanoseconds / 1'000'000;
    ASSERT_TRUE(server_->talk({{"SET", "short", "1", "PXAT", std::to_string(now + 1500)},
                               {"SET", "long", "1", "PXAT", std::to_string(now + 3'600'000)},
                               {"SELECT", "3"},
                               {"SET", "short", "2", "PXAT", std::to_string(now + 1500)}}));
    back_up();
    const std::int64_t taken = parse_rfc3339(facts_["taken"].text())->nanoseconds / 1'000'000;
    kill_and_wipe();
    while (clock_.now().nanoseconds / 1'000'000 <= now + 1500) clock_.sleep(20ms);
    auto shifted = context(WhenExisting::refuse);
    shifted.expiry = Expiry::shifted;
    const std::int64_t before = clock_.now().nanoseconds / 1'000'000;
    auto restored = restore_redis(config_, shifted);
    ASSERT_TRUE(restored) << restored.error().message << restored.error().hint;
    const std::int64_t after = clock_.now().nanoseconds / 1'000'000;
    EXPECT_EQ((*restored)["keys"].natural() + (*restored)["expired_since"].natural(), facts_["keys"].natural());
    EXPECT_EQ((*restored)["expiry"].text(), "shifted");
    const std::string long_at = server_->talk({{"PEXPIRETIME", "long"}}).value();
    const std::int64_t moved = std::stoll(long_at.substr(1)) - (now + 3'600'000);
    EXPECT_GE(moved, before - taken);    // the age of the copy, as it was while we restored
    EXPECT_LE(moved, after - taken);

    // With no time at all: for a look, however long it takes.
    static_cast<void>(server_->talk({{"SHUTDOWN", "NOSAVE"}}));
    ASSERT_TRUE(server_->wipe());
    shifted.expiry = Expiry::never;
    restored = restore_redis(config_, shifted);
    ASSERT_TRUE(restored) << restored.error().message << restored.error().hint;
    EXPECT_EQ((*restored)["keys"].natural(), facts_["keys"].natural());
    EXPECT_EQ(
        server_->talk({{"GET", "short"}, {"TTL", "short"}, {"TTL", "long"}, {"SELECT", "3"}, {"GET", "short"}}).value(),
        "$1\r\n1\r\n:-1\r\n:-1\r\n+OK\r\n$1\r\n2\r\n");
    EXPECT_EQ((*restored)["databases"].items()[0]["expires"].natural(), 0u);
}

TEST_F(RedisRestore, RefusesADamagedRdbAndLeavesTheFolderAsItWas) {
    start();
    start_by_command();
    fill();
    back_up();
    const auto node = repository_->find_node(snapshot_.snapshot.tree, "/redis/dump.rdb");
    const Bytes good = vault::read_small(*repository_, *node).value();
    kill_and_wipe();

    Bytes flipped = good;
    flipped[good.size() / 2] ^= std::byte{1};
    const Bytes cut(good.begin(), good.end() - 9);
    for (const Bytes& bad : {flipped, cut, Bytes()}) {
        back_up_bytes(bad);
        const auto restored = restore();
        ASSERT_FALSE(restored);
        EXPECT_EQ(restored.error().code, ErrorCode::corrupt) << restored.error().message;
        EXPECT_THAT(names(), IsEmpty());
    }
    // Sound, but not what the manifest says.
    back_up_bytes(good);
    facts_.set("digest", std::string(64, '0'));
    auto start_command = std::exchange(config_.start_command, {});
    auto other = restore();
    ASSERT_FALSE(other);
    EXPECT_EQ(other.error().code, ErrorCode::mismatch);
    EXPECT_THAT(names(), IsEmpty());
    // Where the instance is compared key by key, that is where it is seen, and the restored files are named.
    config_.start_command = std::move(start_command);
    other = restore();
    ASSERT_FALSE(other);
    EXPECT_EQ(other.error().code, ErrorCode::mismatch);
    EXPECT_THAT(other.error().hint, HasSubstr("the restored files are in"));
}

TEST_F(RedisRestore, SaysWhatItNeedsToKnow) {
    start();
    ASSERT_TRUE(server_->talk({{"SET", "a", "b"}}));
    back_up();

    config_.data_folder = scratch_;    // a folder, but not the server's
    const auto elsewhere = plan_redis(config_, context(WhenExisting::switch_over));
    ASSERT_FALSE(elsewhere);
    EXPECT_EQ(elsewhere.error().code, ErrorCode::config);
    EXPECT_THAT(elsewhere.error().message, HasSubstr(server_->data_folder()));

    config_.data_folder.clear();    // asked from the server …
    EXPECT_EQ(plan_redis(config_, context(WhenExisting::refuse)).error().code, ErrorCode::exists);
    kill_and_wipe();
    const auto nowhere = plan_redis(config_, context(WhenExisting::refuse));
    ASSERT_FALSE(nowhere);    // … that is gone
    EXPECT_EQ(nowhere.error().code, ErrorCode::config);
    EXPECT_THAT(nowhere.error().hint, HasSubstr("data_folder"));
}

TEST_F(RedisRestore, RefusesAWrongPassword) {
    start();
    ASSERT_TRUE(server_->talk({{"SET", "a", "b"}}));
    back_up();
    ASSERT_TRUE(server_->talk({{"CONFIG", "SET", "requirepass", "right"}}));
    EXPECT_EQ(restore(WhenExisting::switch_over).error().code, ErrorCode::denied);
    config_.password.file = folder_.path() + "/password";
    ASSERT_TRUE(os::write_file(config_.password.file, as_bytes("wrong")));
    EXPECT_EQ(restore(WhenExisting::switch_over).error().code, ErrorCode::denied);
    EXPECT_THAT(names(), IsEmpty());
}

TEST_F(RedisRestore, GivesTheFilesToTheFoldersOwner) {
    ASSERT_EQ(::geteuid(), 0u) << "run as root";
    const passwd* nobody = ::getpwnam("nobody");
    ASSERT_NE(nobody, nullptr);
    start({"appendonly yes"});
    ASSERT_TRUE(server_->talk({{"SET", "a", "b"}}));
    back_up();
    config_.append_only = true;
    kill_and_wipe();
    ASSERT_EQ(::chown(server_->data_folder().c_str(), nobody->pw_uid, nobody->pw_gid), 0);
    const auto restored = restore();
    ASSERT_TRUE(restored) << restored.error().message << restored.error().hint;
    for (const char* name : {"dump.rdb", "appendonlydir", "appendonlydir/appendonly.aof.manifest",
                             "appendonlydir/appendonly.aof.1.base.rdb", "appendonlydir/appendonly.aof.1.incr.aof"})
        EXPECT_EQ(os::status_of(in_data(name))->st_uid, nobody->pw_uid) << name;

    config_.owner = "no-such-user";
    EXPECT_EQ(restore(WhenExisting::switch_over).error().code, ErrorCode::config);
}

TEST_F(RedisRestore, WaitsForNoSecondRestoreInTheSameFolder) {
    start();
    ASSERT_TRUE(server_->talk({{"SET", "a", "b"}}));
    back_up();
    kill_and_wipe();
    const os::Fd other = os::open_file(server_->data_folder(), O_RDONLY | O_DIRECTORY).value();
    ASSERT_EQ(::flock(other.get(), LOCK_EX), 0);
    EXPECT_EQ(restore().error().code, ErrorCode::locked);
}

TEST_F(RedisRestore, ComparisonSeesAnyDifference) {
    start();
    fill();
    ASSERT_TRUE(server_->save());
    const std::string file = in_data("dump.rdb");
    db::RedisLogin login;
    login.port = server_->port();
    ASSERT_TRUE(compare_redis(login, file, clock_));
    const testing::RedisCommands changes = {{"SET", "extra", "key"},
                                            {"DEL", "extra"},
                                            {"HSET", "hash:large", "0", "other"},
                                            {"DEL", "hash:small"},
                                            {"FUNCTION", "FLUSH"}};
    const std::vector<bool> equal = {false, true, false, false, false};
    for (std::size_t i = 0; i < changes.size(); ++i) {
        ASSERT_TRUE(server_->talk({changes[i]}));
        const auto compared = compare_redis(login, file, clock_);
        EXPECT_EQ(compared.has_value(), equal[i]) << changes[i][0] << " " << changes[i][1];
        EXPECT_EQ(compared ? ErrorCode::mismatch : compared.error().code, ErrorCode::mismatch);
    }
}

}    // namespace
}    // namespace holdfast::recovery
