// Kills, full disks, power cuts and rivals: whatever happens to a writer, the repository checks, every snapshot that was
// ever said to be there restores, and the next run goes on from what is stored.

#include "holdfast/testing/faulty_backend.hpp"
#include "holdfast/vault/fixture_test.hpp"

namespace holdfast::vault {
namespace {

using storage::FileKind;

class CrashTest : public VaultTest {
protected:
    void fill(int round) {
        write("src/changing", noise(3'000'000, static_cast<std::uint64_t>(1000 + round)));
        write("src/r" + std::to_string(round), noise(300'000, static_cast<std::uint64_t>(2000 + round)));
    }
    void expect_whole(const std::string& when) {
        const auto report = checked(true);
        EXPECT_TRUE(report.ok()) << when << ":\n" << all_of(report.errors);
    }
};

TEST_F(CrashTest, KilledAtAnyMomentNothingBreaksAndTheNextRunCompletes) {
    init();
    write("src/large", noise(12'000'000));
    HF_OK(back_up(path("src")));
    repository_.reset();
    RandomKills kills(20261120);
    for (int round = 0; round < 30; ++round) {
        fill(round);
        kills.run([&] {
            // A process of its own threads: none of the parent's run in it.
            auto opened = Repository::open(storage::local_backend(repo_path()), Secret(k_password), clock_);
            if (!opened) return false;
            repository_ = *std::move(opened);
            return back_up(path("src")).has_value();
        });
        reopen();
        expect_whole("round " + std::to_string(round));
        if (round % 5 == 4) {
            HF_OK(back_up(path("src")));
            HF_OK(os::remove_tree(path("out")));
            HF_OK(restore_latest("out"));
            EXPECT_EQ(listing(path("out") + path("src")), listing(path("src")));
        }
        repository_.reset();
    }
    EXPECT_GT(kills.count(), 10);
    // Unnamed files leave nothing: what is in the data folders are packs.
    const auto strays = sh("find \"$1\" -name '*tmp*' -type f", {repo_path()});
    EXPECT_EQ(strays.output, "");
}

TEST_F(CrashTest, ARunThatIsAbandonedSavesTheNextOneItsWork) {
    init();
    {
        const auto backup = Backup::start(*repository_, small_packs());
        HF_OK(backup);
        HF_OK((*backup)->add_file("a", as_bytes(noise(5'000'000))));
    }
    reopen();
    EXPECT_TRUE(repository_->snapshots()->empty());
    const auto backup = Backup::start(*repository_, small_packs());
    HF_OK(backup);
    HF_OK((*backup)->add_file("a", as_bytes(noise(5'000'000))));
    const auto outcome = (*backup)->commit();
    HF_OK(outcome);
    EXPECT_EQ(outcome->summary.data_blobs, 0u);
    expect_whole("abandoned");
}

TEST_F(CrashTest, AFullDiskAtAnyByteIsSaidAndLeavesAWholeRepository) {
    const auto faults = std::make_shared<testing::Faults>();
    init(testing::faulty_backend(storage::local_backend(repo_path()), faults));
    write("src/a", noise(4'000'000));
    write("src/b", std::string(1'000'000, 'b'));
    for (std::int64_t room : {0, 100, 400, 1'000, 100'000, 1'100'000, 3'000'000, 4'000'000, 4'001'500, 4'003'000}) {
        faults->bytes_left = room;
        const auto full = back_up(path("src"));
        if (!full) {
            EXPECT_EQ(full.error().code, ErrorCode::disk_full) << room << ": " << error_text(full.error());
        }
        faults->bytes_left = std::int64_t(1) << 62;
        expect_whole("room for " + std::to_string(room));
    }
    HF_OK(back_up(path("src")));
    HF_OK(restore_latest("out"));
    EXPECT_EQ(listing(path("out") + path("src")), listing(path("src")));
}

TEST_F(CrashTest, AReallyFullDiskKeepsNothingTemporary) {
    HF_OK(os::make_folders(repo_path()));
    ASSERT_TRUE(sh("mount -t tmpfs -o size=6m tmpfs \"$1\"", {repo_path()}).ok);
    init();
    write("src/small", noise(500'000, 4));
    const auto fits = back_up(path("src"));
    write("src/a", noise(12'000'000));
    const auto full = back_up(path("src"));
    const auto strays = sh("find \"$1\" -name '*tmp*' -type f", {repo_path()});
    const auto report = checked(true);
    repository_.reset();
    ASSERT_TRUE(sh("umount \"$1\"", {repo_path()}).ok);
    HF_OK(fits);
    ASSERT_FALSE(full);
    EXPECT_EQ(full.error().code, ErrorCode::disk_full) << error_text(full.error());
    EXPECT_FALSE(full.error().hint.empty());
    EXPECT_EQ(strays.output, "");
    EXPECT_TRUE(report.ok()) << all_of(report.errors);
}

TEST_F(CrashTest, APowerCutLosesNoSnapshotThatWasReported) {
    for (std::uint64_t seed = 0; seed < 24; ++seed) {
        repository_.reset();
        HF_OK(os::remove_tree(repo_path()));
        const auto faults = std::make_shared<testing::Faults>();
        init(testing::faulty_backend(storage::local_backend(repo_path()), faults));
        write("src/a", noise(2'500'000, seed));
        const auto first = back_up(path("src"));
        HF_OK(first);
        write("src/b", noise(2'500'000, seed + 100));
        // The second run dies of a full disk somewhere; then the power goes.
        faults->bytes_left = static_cast<std::int64_t>(seed * 130'000);
        const auto second = back_up(path("src"));
        faults->bytes_left = std::int64_t(1) << 62;
        const auto below = storage::local_backend(repo_path());
        HF_OK(testing::lose_power(*below, *faults, std::mt19937_64(seed)()));
        reopen();
        expect_whole("seed " + std::to_string(seed));
        EXPECT_TRUE(repository_->find_snapshot(first->snapshot.hex()));
        if (second) {
            EXPECT_TRUE(repository_->find_snapshot(second->snapshot.hex()));
        }
    }
}

TEST_F(CrashTest, APowerCutAfterAnyFileGotItsNameLeavesAWholeRepository) {
    // After each file: every subset of the names since the last sync is lost once.
    bool finished = false;
    for (std::int64_t commits = 1; !finished; ++commits) {
        ASSERT_LT(commits, 50);
        std::size_t unsynced = 0;
        for (std::uint64_t lost = 0; lost < std::uint64_t(1) << unsynced || lost == 0; ++lost) {
            repository_.reset();
            HF_OK(os::remove_tree(repo_path()));
            const auto faults = std::make_shared<testing::Faults>();
            init(testing::faulty_backend(storage::local_backend(repo_path()), faults));
            write("src/a", noise(2'500'000));
            faults->commits_left = commits;
            finished = back_up(path("src")).has_value();
            faults->commits_left = std::int64_t(1) << 62;
            unsynced = std::max(unsynced, faults->unsynced.size());
            HF_OK(testing::lose_power(*storage::local_backend(repo_path()), *faults, lost));
            reopen();
            expect_whole("after " + std::to_string(commits) + " files, lost " + std::to_string(lost));
            if (finished) {
                EXPECT_EQ(repository_->snapshots()->size(), 1u);
            }
        }
    }
}

TEST_F(CrashTest, ASyncThatFailsFailsTheRun) {
    const auto faults = std::make_shared<testing::Faults>();
    init(testing::faulty_backend(storage::local_backend(repo_path()), faults));
    write("src/a", noise(100'000));
    faults->fail_sync = true;
    EXPECT_EQ(back_up(path("src")).error().code, ErrorCode::io);
    faults->fail_sync = false;
    EXPECT_TRUE(files_of(FileKind::snapshot).empty());
    HF_OK(back_up(path("src")));
    expect_whole("after");
}

TEST_F(CrashTest, APackIsSafeBeforeAnIndexNamesItAndAnIndexBeforeTheSnapshot) {
    const auto faults = std::make_shared<testing::Faults>();
    init(testing::faulty_backend(storage::local_backend(repo_path()), faults));
    write("src/a", noise(5'000'000));
    HF_OK(back_up(path("src")));
    int stage = 0;
    for (const storage::FileName& name : faults->committed) {
        const int at = name.kind == FileKind::pack       ? 1
                       : name.kind == FileKind::index    ? 2
                       : name.kind == FileKind::snapshot ? 3
                                                         : 0;
        if (at == 0) continue;
        EXPECT_GE(at, stage);
        stage = std::max(stage, at);
    }
    EXPECT_EQ(stage, 3);
    EXPECT_TRUE(faults->unsynced.empty() || faults->unsynced.back().name.kind == FileKind::lock);
}

TEST_F(CrashTest, TwoBackupsAtOnceBothCount) {
    init();
    write("one/a", noise(6'000'000, 1));
    write("two/a", noise(6'000'000, 1));
    write("two/b", noise(1'000'000, 2));
    auto rival = Repository::open(storage::local_backend(repo_path()), Secret(k_password), clock_);
    HF_OK(rival);
    std::thread other([&] {
        const auto backup = Backup::start(**rival, small_packs());
        ASSERT_TRUE(backup);
        EXPECT_TRUE((*backup)->add_path(path("two")));
        EXPECT_TRUE((*backup)->commit());
    });
    const auto mine = back_up(path("one"));
    other.join();
    HF_OK(mine);
    reopen();
    EXPECT_EQ(repository_->snapshots()->size(), 2u);
    expect_whole("two at once");
}

}    // namespace
}    // namespace holdfast::vault
