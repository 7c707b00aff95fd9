// Restores into folders that are not empty: what may stay, what is written, what goes; and what must never happen.

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

#include "holdfast/storage/backend.hpp"
#include "holdfast/vault/fixture_test.hpp"

namespace holdfast::vault {
namespace {

class RestoreOptionsTest : public VaultTest {
protected:
    void SetUp() override {
        init();
        write("src/large", noise(12'000'000, 3));    // several chunks, wherever they are cut: none is over 8 MiB
        write("src/conf/a.conf", "alpha");
        write("src/conf/b.txt", "beta");
        write("src/logs/today.LOG", "log");
        set_times("src", "2024-05-01");
        HF_OK(back_up(path("src")));
        HF_OK(repository_->load_index());
        options_.subfolder = path("src");
    }
    void set_times(const std::string& below, const std::string& day) {
        ASSERT_TRUE(sh("find \"$1\" -exec touch -h -d \"$2\" {} +", {path(below), day + "T00:00:00Z"}).ok);
    }
    Result<RestoreSummary> restored(std::optional<Overwrite> overwrite = {}) {
        options_.overwrite = overwrite;
        options_.each = [&](const RestoreItem& item) {
            did_.insert(std::to_string(static_cast<int>(item.action)) + item.path.substr(path("out").size()));
        };
        did_.clear();
        return restore_latest("out", options_);
    }
    bool did(RestoreItem::Action action, const std::string& name) const {
        return did_.contains(std::to_string(static_cast<int>(action)) + name);
    }
    ino_t inode(const std::string& name) const { return os::status_of(path(name), false).value().st_ino; }

    using Action = RestoreItem::Action;
    RestoreOptions options_;
    std::set<std::string> did_;
};

TEST_F(RestoreOptionsTest, AnEqualCopyIsNotWrittenAgain) {
    HF_OK(restored());
    const ino_t before = inode("out/large");
    const auto again = restored(Overwrite::if_changed);
    HF_OK(again);
    EXPECT_EQ(again->files, 4u);
    EXPECT_EQ(again->files_unchanged, 4u);
    EXPECT_EQ(again->bytes_reused, again->bytes);
    EXPECT_TRUE(did(Action::unchanged, "/large"));
    EXPECT_EQ(inode("out/large"), before);
    EXPECT_EQ(listing(path("out")), listing(path("src")));
}

TEST_F(RestoreOptionsTest, OnlyChunksThatDifferAreWritten) {
    HF_OK(restored());
    const ino_t before = inode("out/large");
    flip_byte(path("out/large"), 2'500'000);
    // flip_byte replaced the file; the next restore changes it where it lies.
    const ino_t changed = inode("out/large");
    EXPECT_NE(before, changed);
    const auto again = restored(Overwrite::if_changed);
    HF_OK(again);
    EXPECT_TRUE(did(Action::updated, "/large"));
    EXPECT_EQ(inode("out/large"), changed);
    EXPECT_EQ(again->files_unchanged, 3u);
    EXPECT_GT(again->bytes_reused, 1'000'000u);
    EXPECT_LT(again->bytes_reused, again->bytes);
    EXPECT_EQ(listing(path("out")), listing(path("src")));
}

TEST_F(RestoreOptionsTest, ACopyThatIsTooShortOrTooLongIsMended) {
    for (const char* change :
         {"truncate -s 3000000 \"$1\"", "head -c 100000 /dev/zero >> \"$1\"", ": > \"$1\"", "touch \"$1\""}) {
        HF_OK(restored(Overwrite::always));
        ASSERT_TRUE(sh(change, {path("out/large")}).ok);
        const auto again = restored(Overwrite::if_changed);
        HF_OK(again);
        EXPECT_TRUE(did(Action::updated, "/large")) << change;
        EXPECT_EQ(listing(path("out")), listing(path("src"))) << change;
    }
}

TEST_F(RestoreOptionsTest, AStoppedRestoreGoesOn) {
    options_.past_cache_min = 0;
    options_.progress = [](const RestoreProgress& now) {
        if (now.bytes_done > 1'000'000) os::g_stop_requested = true;
    };
    options_.workers = 1;
    const auto stopped = restored();
    os::g_stop_requested = false;
    ASSERT_FALSE(stopped);
    EXPECT_EQ(stopped.error().code, ErrorCode::cancelled);
    EXPECT_NE(stopped.error().hint.find("if-changed"), std::string::npos);
    EXPECT_TRUE(os::exists(path("out/large")));
    EXPECT_NE(read("out/large"), read("src/large"));
    options_.progress = {};
    const auto finished = restored(Overwrite::if_changed);
    HF_OK(finished);
    EXPECT_GT(finished->bytes_reused, 500'000u);
    EXPECT_LT(finished->bytes_reused, 12'000'000u);
    EXPECT_EQ(listing(path("out")), listing(path("src")));
}

TEST_F(RestoreOptionsTest, NeverLeavesWhatIsThereAndMakesTheRest) {
    write("out/conf/a.conf", "mine");
    write("out/logs", "a file where a folder has to be");
    const auto refused = restored(Overwrite::never);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::exists);
    EXPECT_NE(refused.error().message.find("/logs"), std::string::npos);
    EXPECT_EQ(read("out/conf/a.conf"), "mine");
    EXPECT_EQ(read("out/conf/b.txt"), "beta");
    EXPECT_EQ(read("out/logs"), "a file where a folder has to be");
    ASSERT_TRUE(sh("rm \"$1\"", {path("out/logs")}).ok);
    const auto done = restored(Overwrite::never);
    HF_OK(done);
    EXPECT_EQ(done->skipped, 3u);
    EXPECT_EQ(read("out/logs/today.LOG"), "log");
    EXPECT_EQ(read("out/conf/a.conf"), "mine");
}

TEST_F(RestoreOptionsTest, IfNewerKeepsWhatIsLater) {
    write("out/conf/a.conf", "later");
    write("out/conf/b.txt", "older");
    set_times("out/conf/a.conf", "2025-01-01");
    set_times("out/conf/b.txt", "2023-01-01");
    HF_OK(restored(Overwrite::if_newer));
    EXPECT_EQ(read("out/conf/a.conf"), "later");
    EXPECT_EQ(read("out/conf/b.txt"), "beta");
    EXPECT_TRUE(did(Action::skipped, "/conf/a.conf"));
}

TEST_F(RestoreOptionsTest, AFileWithAnotherNameElsewhereIsNeverChangedThroughIt) {
    write("victim", "untouched");
    HF_OK(os::make_folders(path("out")));
    ASSERT_EQ(::link(path("victim").c_str(), path("out/large").c_str()), 0);
    HF_OK(restored(Overwrite::if_changed));
    EXPECT_EQ(read("victim"), "untouched");
    EXPECT_EQ(listing(path("out")), listing(path("src")));
}

TEST_F(RestoreOptionsTest, ASecretIsNotWrittenIntoAFileThatOthersMayRead) {
    ASSERT_TRUE(sh("chmod 600 \"$1\"; touch -d 2024-05-01T00:00:00Z \"$1\"", {path("src/large")}).ok);
    HF_OK(back_up(path("src")));
    write("out/large", "open to all");    // 0644; somebody may hold it open
    const ino_t open_to_all = inode("out/large");
    HF_OK(restored(Overwrite::if_changed));
    EXPECT_NE(inode("out/large"), open_to_all);
    write("out/conf/a.conf", "foreign");
    ASSERT_EQ(::chown(path("out/conf/a.conf").c_str(), 4711, 4711), 0);
    const ino_t foreign = inode("out/conf/a.conf");
    HF_OK(restored(Overwrite::if_changed));
    EXPECT_NE(inode("out/conf/a.conf"), foreign);
    EXPECT_EQ(listing(path("out")), listing(path("src")));
}

TEST_F(RestoreOptionsTest, LinksInTheTargetAreReplacedNotFollowed) {
    write("victim/file", "untouched");
    HF_OK(os::make_folders(path("out")));
    ASSERT_EQ(::symlink(path("victim/file").c_str(), path("out/large").c_str()), 0);
    ASSERT_EQ(::symlink(path("victim").c_str(), path("out/conf").c_str()), 0);
    options_.delete_others = true;
    for (const Overwrite overwrite : {Overwrite::if_changed, Overwrite::always}) {
        HF_OK(restored(overwrite));
        EXPECT_EQ(read("victim/file"), "untouched");
        EXPECT_EQ(os::list_folder(path("victim")).value(), std::vector<std::string>{"file"});
        EXPECT_EQ(listing(path("out")), listing(path("src")));
    }
}

TEST_F(RestoreOptionsTest, DeleteTakesWhatTheSnapshotDoesNotHave) {
    HF_OK(restored());
    write("victim/file", "untouched");
    write("out/extra/deep/er", "x");
    write("out/conf/old.conf", "x");
    ASSERT_EQ(::symlink(path("victim").c_str(), path("out/conf/link").c_str()), 0);
    options_.delete_others = true;
    options_.dry_run = true;
    const auto rehearsed = restored(Overwrite::if_changed);
    HF_OK(rehearsed);
    EXPECT_EQ(rehearsed->deleted, 5u);
    EXPECT_TRUE(did(Action::deleted, "/extra/deep/er"));
    EXPECT_TRUE(os::exists(path("out/extra/deep/er")));
    options_.dry_run = false;
    const auto done = restored(Overwrite::if_changed);
    HF_OK(done);
    EXPECT_EQ(done->deleted, 5u);
    EXPECT_EQ(read("victim/file"), "untouched");
    EXPECT_EQ(listing(path("out")), listing(path("src")));
}

TEST_F(RestoreOptionsTest, DeleteReachesOnlyAsFarAsIncludesAndExcludes) {
    HF_OK(restored());
    write("out/conf/old.conf", "x");
    write("out/conf/old.txt", "x");
    write("out/extra/x.conf", "x");
    write("out/extra/keep.conf", "x");
    write("out/extra/y.txt", "x");
    options_.delete_others = true;
    options_.patterns.include = {"*.conf"};
    options_.patterns.exclude = {"keep*"};
    HF_OK(restored(Overwrite::always));
    EXPECT_FALSE(os::exists(path("out/conf/old.conf")));
    EXPECT_FALSE(os::exists(path("out/extra/x.conf")));
    for (const char* kept : {"out/conf/old.txt", "out/extra/keep.conf", "out/extra/y.txt", "out/large"})
        EXPECT_TRUE(os::exists(path(kept))) << kept;
}

TEST_F(RestoreOptionsTest, DeleteStopsAtMountPoints) {
    HF_OK(restored());
    HF_OK(os::make_folders(path("out/extra/disk")));
    ASSERT_TRUE(sh("mount -t tmpfs tmpfs \"$1\" && echo x > \"$1\"/file", {path("out/extra/disk")}).ok);
    options_.delete_others = true;
    const auto done = restored(Overwrite::always);
    const bool there = os::exists(path("out/extra/disk/file"));
    ASSERT_TRUE(sh("umount \"$1\"", {path("out/extra/disk")}).ok);
    HF_OK(done);
    EXPECT_TRUE(there);
    ASSERT_EQ(done->warnings.size(), 1u);
    EXPECT_NE(done->warnings[0].first.find("disk"), std::string::npos);
}

TEST_F(RestoreOptionsTest, DeletingNeedsLeaveToOverwriteAndARootThatIsNotTheMachine) {
    options_.delete_others = true;
    EXPECT_EQ(restored().error().code, ErrorCode::usage);
    options_.overwrite = Overwrite::always;
    options_.target = "/";
    options_.dry_run = true;
    EXPECT_EQ(restore(*repository_, repository_->find_snapshot("latest").value(), options_).error().code,
              ErrorCode::usage);
}

TEST_F(RestoreOptionsTest, AFolderFullOfOtherThingsGoesOnlyWithDelete) {
    write("out/large/mine", "precious");
    const auto refused = restored(Overwrite::always);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::exists);
    EXPECT_EQ(read("out/large/mine"), "precious");
    EXPECT_EQ(read("out/conf/a.conf"), "alpha");    // the rest is there
    options_.delete_others = true;
    HF_OK(restored(Overwrite::always));
    EXPECT_EQ(listing(path("out")), listing(path("src")));
}

TEST_F(RestoreOptionsTest, AnImmutableFileCostsOnlyItself) {
    // Only disk file systems know the flag.
    auto disk = os::TempFolder::create("hf-immutable", "/var/tmp");
    HF_OK(disk);
    const std::string file = disk->path() + "/large";
    HF_OK(os::write_file(file, as_bytes("old"), 0644));
    const auto set_flag = [&](bool on) {
        const os::Fd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
        int flags = 0;
        if (::ioctl(fd.get(), FS_IOC_GETFLAGS, &flags) != 0) return false;
        flags = on ? flags | FS_IMMUTABLE_FL : flags & ~FS_IMMUTABLE_FL;
        return ::ioctl(fd.get(), FS_IOC_SETFLAGS, &flags) == 0;
    };
    ASSERT_TRUE(set_flag(true));
    options_.target = disk->path();
    for (const Overwrite overwrite : {Overwrite::always, Overwrite::if_changed}) {
        options_.overwrite = overwrite;
        const auto refused = restore(*repository_, repository_->find_snapshot("latest").value(), options_);
        EXPECT_FALSE(refused);
        if (!refused) {
            EXPECT_EQ(refused.error().code, ErrorCode::denied) << refused.error().message;
            EXPECT_NE(refused.error().message.find("/large"), std::string::npos);
        }
        EXPECT_EQ(os::read_text(disk->path() + "/conf/a.conf").value_or(""), "alpha");
    }
    ASSERT_TRUE(set_flag(false));
    EXPECT_EQ(os::read_text(file).value_or(""), "old");
}

TEST_F(RestoreOptionsTest, PatternsChoose) {
    options_.patterns.include = {"*.conf"};
    options_.patterns.iinclude = {"*.log"};
    const auto some = restored();
    HF_OK(some);
    EXPECT_EQ(some->files, 2u);
    EXPECT_EQ(some->folders, 2u);
    EXPECT_TRUE(os::exists(path("out/logs/today.LOG")));
    options_.patterns = {.include = {}, .iinclude = {}, .exclude = {"/conf"}, .iexclude = {"*.log"}};
    HF_OK(restored(Overwrite::always));
    options_.patterns = {.include = {"*.nothing"}, .iinclude = {}, .exclude = {}, .iexclude = {}};
    EXPECT_EQ(restored(Overwrite::always).error().code, ErrorCode::not_found);
    options_.patterns.include = {"/conf/a.conf", "/conf/typo"};
    EXPECT_EQ(restored(Overwrite::always).error().code, ErrorCode::not_found);
}

TEST_F(RestoreOptionsTest, ZerosBecomeHolesAndReadAsZeros) {
    std::string zeros = noise(100'000, 5);
    zeros.resize(30'000'000, '\0');
    zeros += "end";
    write("src/zeros", zeros);
    write("src/only-zeros", std::string(3'000'001, '\0'));
    set_times("src", "2024-05-02");
    HF_OK(back_up(path("src")));
    options_.sparse = true;
    HF_OK(restored());
    EXPECT_EQ(listing(path("out")), listing(path("src")));
    EXPECT_LT(os::status_of(path("out/zeros")).value().st_blocks * 512, 2'500'000);
    EXPECT_EQ(os::status_of(path("out/only-zeros")).value().st_blocks, 0);
    // Where something else lies, the place is freed.
    write("out/zeros", std::string(30'100'000, 'x'));
    HF_OK(restored(Overwrite::if_changed));
    EXPECT_TRUE(did(Action::updated, "/zeros"));
    EXPECT_EQ(listing(path("out")), listing(path("src")));
    EXPECT_LT(os::status_of(path("out/zeros")).value().st_blocks * 512, 2'500'000);
}

TEST_F(RestoreOptionsTest, VerifyReadsBackAndFindsWhatIfChangedTrusts) {
    options_.verify = true;
    const auto good = restored();
    HF_OK(good);
    EXPECT_EQ(good->files_verified, 4u);
    EXPECT_EQ(good->bytes_verified, good->bytes);
    // Damage that keeps size and time is what if_changed does not see, and --verify does.
    flip_byte(path("out/large"));
    ASSERT_TRUE(sh("touch -r \"$1\" \"$2\"", {path("src/large"), path("out/large")}).ok);
    const auto bad = restored(Overwrite::if_changed);
    ASSERT_FALSE(bad);
    EXPECT_EQ(bad.error().code, ErrorCode::mismatch);
    EXPECT_NE(bad.error().message.find("/large"), std::string::npos);
    HF_OK(restored(Overwrite::always));
}

TEST_F(RestoreOptionsTest, ADamagedRepositoryDoesNotCostTheFileThatWasThere) {
    HF_OK(restored());
    flip_byte(path("out/large"), 10);
    const auto large =
        repository_->find_node(repository_->find_snapshot("latest")->snapshot.tree, path("src/large")).value();
    const auto place = repository_->places(format::BlobType::data, large.content.at(0)).at(0);
    flip_byte(repo_path() + '/' + storage::relative_path({storage::FileKind::pack, place.pack}),
              place.blob.offset + 40);
    EXPECT_EQ(restored(Overwrite::if_changed).error().code, ErrorCode::corrupt);
    EXPECT_EQ(read("out/large").size(), 12'000'000u);
}

TEST_F(RestoreOptionsTest, AForeignAccessListDoesNotStay) {
    HF_OK(restored());
    ASSERT_EQ(::setxattr(path("out/large").c_str(), "user.other", "x", 1, 0), 0);
    HF_OK(restored(Overwrite::if_changed));
    EXPECT_LT(::getxattr(path("out/large").c_str(), "user.other", nullptr, 0), 0);
}

}    // namespace
}    // namespace holdfast::vault
