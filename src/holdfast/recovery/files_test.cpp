// Files go back into place: beside first, then by one rename.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/recovery/restore_store.hpp"
#include "holdfast/source/capture_fixture_test.hpp"

namespace holdfast::recovery {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

class FilesRestore : public ::testing::Test {
protected:
    void SetUp() override {
        repository_ = source::make_test_repository(folder_.path() + "/vault", clock_);
        ASSERT_TRUE(repository_);
        put("desk/a.conf", "limit = 5\n");
        put("desk/deep/b.conf", "x");
        put("single.toml", "one file\n");
        config_.name = "config";
        config_.paths = {path("desk"), path("single.toml")};
        back_up();
    }

    std::string path(const std::string& name) const { return folder_.path() + "/live/" + name; }
    void put(const std::string& name, std::string_view text) const {
        ASSERT_TRUE(os::make_folders(os::parent_folder(path(name)), 0750));
        ASSERT_TRUE(os::write_file(path(name), as_bytes(text), 0640));
    }
    std::string text(const std::string& name) const { return os::read_text(path(name)).value_or("(nothing)"); }

    void back_up() {
        const auto captured = source::capture_alone(
            *repository_, clock_, "config", folder_.path(),
            [&](source::CaptureContext& context) { return source::capture_files(config_, context); });
        ASSERT_TRUE(captured) << captured.error().message;
        facts_ = captured->facts;
        snapshot_ = captured->snapshot;
    }
    RestoreContext context(WhenExisting existing = WhenExisting::refuse) const {
        return {*repository_, snapshot_, facts_, clock_, "config", folder_.path(), existing, [](std::string_view) {}};
    }
    // Nothing of the work may stay beside the paths.
    void expect_clean() const {
        const auto names = os::list_folder(folder_.path() + "/live").value();
        for (const std::string& name : names) EXPECT_THAT(name, ::testing::Not(HasSubstr(".holdfast-restore")));
    }

    os::TempFolder folder_ = os::TempFolder::create("holdfast-files").value();
    mutable os::SystemClock clock_;
    std::unique_ptr<vault::Repository> repository_;
    policy::FilesConfig config_;
    vault::SnapshotEntry snapshot_;
    json::Value facts_;
};

TEST_F(FilesRestore, ComeBackWhereTheyWereWithTheirModes) {
    // EA-15, NS-08
    ASSERT_TRUE(os::remove_tree(folder_.path() + "/live"));
    const auto restored = restore_files(config_, context());
    ASSERT_TRUE(restored) << restored.error().message;
    EXPECT_EQ(text("desk/a.conf"), "limit = 5\n");
    EXPECT_EQ(text("desk/deep/b.conf"), "x");
    EXPECT_EQ(text("single.toml"), "one file\n");
    EXPECT_EQ(os::status_of(path("desk"))->st_mode & 07777, 0750u);
    EXPECT_EQ(os::status_of(path("single.toml"))->st_mode & 07777, 0640u);
    EXPECT_EQ((*restored)["files"].natural(), 3u);
    EXPECT_TRUE((*restored)["equal"].boolean());
    expect_clean();
}

TEST_F(FilesRestore, AnExistingPathIsRefusedBeforeAnythingIsTouched) {
    ASSERT_TRUE(os::remove_tree(path("desk")));    // only the second of the two is in the way
    EXPECT_EQ(plan_files(config_, context()).error().code, ErrorCode::exists);
    const auto refused = restore_files(config_, context());
    EXPECT_EQ(refused.error().code, ErrorCode::exists);
    EXPECT_THAT(refused.error().hint, HasSubstr("--replace"));
    EXPECT_FALSE(os::exists(path("desk")));
    expect_clean();
}

TEST_F(FilesRestore, SwitchingKeepsTheOldOnesUnderANameThatIsTold) {
    put("desk/a.conf", "limit = 500\n");
    put("desk/new.conf", "later");
    const auto plan = plan_files(config_, context(WhenExisting::switch_over));
    ASSERT_TRUE(plan) << plan.error().message;
    ASSERT_THAT(*plan, SizeIs(2));
    EXPECT_TRUE(plan->at(0).replaces);
    EXPECT_EQ(plan->at(0).bytes, 11u);
    EXPECT_EQ(text("desk/a.conf"), "limit = 500\n");    // planning changes nothing
    const auto restored = restore_files(config_, context(WhenExisting::switch_over));
    ASSERT_TRUE(restored) << restored.error().message;
    EXPECT_EQ(text("desk/a.conf"), "limit = 5\n");
    EXPECT_FALSE(os::exists(path("desk/new.conf")));
    ASSERT_THAT((*restored)["kept"].items(), SizeIs(2));
    const std::string kept = (*restored)["kept"].items()[0].text();
    EXPECT_EQ(os::read_text(kept + "/a.conf").value(), "limit = 500\n");
    EXPECT_EQ(os::read_text(kept + "/new.conf").value(), "later");
    expect_clean();
}

TEST_F(FilesRestore, WhatAKilledAttemptLeftIsClearedAway) {
    ASSERT_TRUE(os::remove_tree(path("desk")));
    ASSERT_TRUE(os::remove_tree(path("single.toml")));
    put(".holdfast-restore-" + snapshot_.id.brief() + "-desk/config/rubbish", "half");
    ASSERT_TRUE(plan_files(config_, context()));
    ASSERT_TRUE(restore_files(config_, context()));
    EXPECT_EQ(text("desk/a.conf"), "limit = 5\n");
    expect_clean();
}

TEST_F(FilesRestore, PathsInAManifestCannotClimb) {
    for (const char* bad : {"relative", "/", "/a/../../etc", "/a//b", ""}) {
        facts_.set("paths", json::Array{json::Value(bad)});
        EXPECT_EQ(plan_files(config_, context()).error().code, ErrorCode::corrupt) << bad;
        EXPECT_EQ(restore_files(config_, context(WhenExisting::switch_over)).error().code, ErrorCode::corrupt) << bad;
    }
}

TEST_F(FilesRestore, AMissingFileInTheVaultIsAMismatch) {
    ASSERT_TRUE(os::remove_tree(folder_.path() + "/live"));
    facts_.set("files", 4);
    EXPECT_EQ(restore_files(config_, context()).error().code, ErrorCode::mismatch);
}

TEST_F(FilesRestore, AMountPointIsToldAndLeftAsItIs) {
    ASSERT_EQ(::mount("tmpfs", path("desk").c_str(), "tmpfs", 0, "size=1m"), 0) << "the suite mounts: it runs as root";
    put("desk/mine", "kept");
    const auto refused = restore_files(config_, context(WhenExisting::switch_over));
    EXPECT_EQ(text("desk/mine"), "kept");
    EXPECT_EQ(::umount2(path("desk").c_str(), MNT_DETACH), 0);
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().hint, HasSubstr("--target"));
    expect_clean();
}

}    // namespace
}    // namespace holdfast::recovery
