// A mirror through everything that happens to one: first send, new files, deletions, damage on either side, cuts and kills.

#include "holdfast/vault/mirror.hpp"

#include "holdfast/testing/faulty_backend.hpp"
#include "holdfast/vault/fixture_test.hpp"

namespace holdfast::vault {
namespace {

using storage::FileKind;

// The machine's clock, moved by hand.
class MovedClock final : public Clock {
public:
    Timestamp now() const override { return real_.now() + moved_; }
    Instant instant() const override { return real_.instant() + moved_; }
    void sleep(Duration d) override { real_.sleep(d); }
    Duration moved_{};

private:
    os::SystemClock real_;
};

class MirrorTest : public VaultTest {
protected:
    void SetUp() override {
        init();
        write("src/a", noise(2'500'000, 1));
        write("src/b", std::string(300'000, 'b'));
        HF_OK(back_up(path("src")));
        mirror_ = storage::local_backend(path("mirror"));
    }
    Result<MirrorReport> sync() { return sync_mirror(*repository_, *mirror_, memory_, options_); }
    // The repository at the mirror opens, checks in both programs, and gives everything back.
    void expect_good_mirror(std::size_t snapshots) {
        auto opened = Repository::open(storage::local_backend(path("mirror")), Secret(k_password), clock_);
        HF_OK(opened);
        auto report = check(**opened, {.read_data = true, .progress = {}});
        HF_OK(report);
        EXPECT_TRUE(report->ok()) << all_of(report->errors);
        EXPECT_EQ(report->snapshots, snapshots);
    }
    void expect_restores_from_mirror() {
        auto opened = Repository::open(storage::local_backend(path("mirror")), Secret(k_password), clock_);
        HF_OK(opened);
        HF_OK((*opened)->load_index());
        const auto latest = (*opened)->find_snapshot("latest");
        HF_OK(latest);
        HF_OK(os::remove_tree(path("out")));
        RestoreOptions to;
        to.target = path("out");
        HF_OK(restore(**opened, *latest, to));
        EXPECT_EQ(listing(path("out") + path("src")), listing(path("src")));
    }

    std::unique_ptr<storage::Backend> mirror_;
    MirrorMemory memory_;
    MirrorOptions options_;
};

TEST_F(MirrorTest, AServerThatIsLostComesBackFromItsMirrorAlone) {
    // NS-05, and the storage half of NS-12.
    const auto sent = sync();
    HF_OK(sent);
    EXPECT_TRUE(sent->complete());
    EXPECT_GT(sent->files_read_back, 0u);
    repository_.reset();
    HF_OK(os::remove_tree(repo_path()));
    expect_good_mirror(1);
    expect_restores_from_mirror();
    EXPECT_TRUE(sh("restic -r \"$1\" check --read-data && restic -r \"$1\" restore latest --target \"$2\"",
                   {path("mirror"), path("by-restic")})
                    .ok);
    EXPECT_EQ(listing(path("by-restic") + path("src")), listing(path("src")));
}

TEST_F(MirrorTest, OnlyWhatIsNewTravels) {
    HF_OK(sync());
    write("src/c", noise(1'200'000, 3));
    HF_OK(back_up(path("src")));
    const auto lag = measure_lag(*repository_, *mirror_);
    HF_OK(lag);
    EXPECT_EQ(lag->snapshots_missing, 1u);
    const auto sent = sync();
    HF_OK(sent);
    EXPECT_EQ(sent->files_sent, lag->files_missing);
    EXPECT_EQ(sent->bytes_sent, lag->bytes_missing);
    EXPECT_LT(sent->bytes_sent, 1'300'000u);
    expect_good_mirror(2);
    const auto again = sync();
    HF_OK(again);
    EXPECT_EQ(again->files_sent, 0u);
    EXPECT_EQ(measure_lag(*repository_, *mirror_)->files_missing, 0u);
}

TEST_F(MirrorTest, LocksStayAtHome) {
    const auto lock = repository_->lock(LockMode::shared);
    HF_OK(lock);
    HF_OK(sync());
    EXPECT_EQ(sh("ls \"$1/locks\" | wc -l", {path("mirror")}).output, "0\n");
}

TEST_F(MirrorTest, AnotherRepositoryIsNotTouched) {
    const auto other = [&](std::unique_ptr<storage::Backend> at) {
        InitOptions options;
        options.cost = {1024, 8, 1};
        return Repository::init(std::move(at), Secret(k_password), clock_, options);
    };
    HF_OK(other(storage::local_backend(path("mirror"))));
    const std::string before = listing(path("mirror"));
    const auto refused = sync();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::exists);
    EXPECT_EQ(listing(path("mirror")), before);
    // Nor one whose config is lost.
    HF_OK(mirror_->remove({FileKind::config, {}}));
    EXPECT_EQ(sync().error().code, ErrorCode::exists);
}

TEST_F(MirrorTest, ADamagedFileNeverReachesTheMirror) {
    const std::string pack = files_of(FileKind::pack).at(0);
    flip_byte(pack);
    const auto held = sync();
    HF_OK(held);
    ASSERT_EQ(held->faults.size(), 1u);
    EXPECT_FALSE(held->complete());
    EXPECT_FALSE(os::exists(path("mirror/") + pack.substr(repo_path().size() + 1)));
    // Index and snapshot would promise what is not there.
    EXPECT_EQ(sh("ls \"$1/index\" \"$1/snapshots\" | grep -c ^[0-9a-f]", {path("mirror")}).output, "0\n");
    flip_byte(pack);
    HF_OK(sync());
    expect_good_mirror(1);
}

TEST_F(MirrorTest, DamageHereNeverReplacesAGoodFileThere) {
    // Ransomware that rewrites every file in place.
    HF_OK(sync());
    const std::string before = listing(path("mirror"));
    for (const FileKind kind : {FileKind::pack, FileKind::index, FileKind::snapshot})
        for (const std::string& file : files_of(kind)) {
            flip_byte(file);
            HF_OK(os::write_file(file, as_bytes(read(file.substr(folder_.path().size() + 1)) + "more")));
        }
    const auto opened = Repository::open(storage::local_backend(repo_path()), Secret(k_password), clock_);
    HF_OK(opened);
    EXPECT_FALSE(sync_mirror(**opened, *mirror_, memory_, options_));    // its index cannot be read
    EXPECT_EQ(listing(path("mirror")), before);
    // With the old index still in memory, too.
    const auto tried = sync();
    if (tried) {
        EXPECT_FALSE(tried->complete());
    }
    EXPECT_EQ(listing(path("mirror")), before);
    expect_restores_from_mirror();
}

TEST_F(MirrorTest, ADeletionArrivesAfterItsTime) {
    MovedClock clock;
    auto opened = Repository::open(storage::local_backend(repo_path()), Secret(k_password), clock);
    HF_OK(opened);
    repository_ = *std::move(opened);
    HF_OK(sync());
    write("src/c", noise(1'200'000, 3));
    HF_OK(back_up(path("src")));
    HF_OK(sync());
    ASSERT_TRUE(sh("restic -r \"$1\" forget --keep-last 1 --prune", {repo_path()}).ok);
    for (int day = 0; day <= 13; ++day) {
        const auto kept = sync();
        HF_OK(kept);
        EXPECT_EQ(kept->removed, 0u) << day;
        EXPECT_GT(kept->waiting, 0u);
        expect_good_mirror(2);
        clock.moved_ += std::chrono::hours(24);
    }
    const auto swept = sync();
    HF_OK(swept);
    EXPECT_GT(swept->removed, 0u);
    EXPECT_EQ(swept->waiting, 0u);
    expect_good_mirror(1);
    EXPECT_TRUE(sh("diff -r \"$1/data\" \"$2/data\"", {path("mirror"), repo_path()}).ok);
}

TEST_F(MirrorTest, ALostIndexFileKeepsItsCopyAtTheMirror) {
    MovedClock clock;
    HF_OK(sync());
    const std::string index = files_of(FileKind::index).at(0);
    ASSERT_TRUE(sh("rm \"$1\"", {index}).ok);
    auto opened = Repository::open(storage::local_backend(repo_path()), Secret(k_password), clock);
    HF_OK(opened);
    repository_ = *std::move(opened);
    for (int week = 0; week < 8; ++week) {
        const auto kept = sync();
        HF_OK(kept);
        EXPECT_EQ(kept->removed, 0u);
        clock.moved_ += std::chrono::hours(24 * 7);
    }
    expect_good_mirror(1);
}

TEST_F(MirrorTest, AMirrorThatDecaysIsFoundAndMended) {
    HF_OK(sync());
    const std::string pack = path("mirror/") + files_of(FileKind::pack).at(0).substr(repo_path().size() + 1);
    flip_byte(pack);
    EXPECT_EQ(sync()->files_sent, 0u);    // the size is right
    VerifyOptions look;
    const auto found = verify_mirror(*repository_, *mirror_, memory_, look);
    HF_OK(found);
    EXPECT_EQ(found->errors.size(), 1u);
    EXPECT_EQ(memory_.verified_at.nanoseconds, 0);
    look.repair = true;
    const auto mended = verify_mirror(*repository_, *mirror_, memory_, look);
    HF_OK(mended);
    EXPECT_EQ(mended->repaired, 1u);
    EXPECT_TRUE(mended->errors.empty());
    EXPECT_GT(memory_.verified_at.nanoseconds, 0);
    expect_good_mirror(1);
    // A file that ends early is noticed by its size alone.
    ASSERT_TRUE(sh("truncate -s 100 \"$1\"", {pack}).ok);
    EXPECT_EQ(sync()->files_sent, 1u);
    expect_good_mirror(1);
}

TEST_F(MirrorTest, KilledAtAnyMomentTheMirrorChecksAndTheNextSyncCompletes) {
    write("src/large", noise(8'000'000, 9));
    HF_OK(back_up(path("src")));
    repository_.reset();
    RandomKills kills(3);
    for (int round = 0; round < 40; ++round) {
        if (round % 10 == 0) {
            HF_OK(os::remove_tree(path("mirror")));
        }
        kills.run([&] {
            auto opened = Repository::open(storage::local_backend(repo_path()), Secret(k_password), clock_);
            return opened && sync_mirror(**opened, *mirror_, memory_, options_);
        });
        if (!os::exists(path("mirror/config"))) continue;
        auto opened = Repository::open(storage::local_backend(path("mirror")), Secret(k_password), clock_);
        HF_OK(opened);
        const auto report = check(**opened, {.read_data = true, .progress = {}});
        HF_OK(report);
        EXPECT_TRUE(report->ok()) << all_of(report->errors);
    }
    EXPECT_GT(kills.count(), 10);
    reopen();
    HF_OK(sync());
    expect_good_mirror(2);
    expect_restores_from_mirror();
}

TEST_F(MirrorTest, CutAfterAnyFileWithAnyLossTheMirrorChecks) {
    bool finished = false;
    for (std::int64_t commits = 0; !finished; ++commits) {
        ASSERT_LT(commits, 60);
        for (std::uint64_t lost : {std::uint64_t(0), ~std::uint64_t(0), std::uint64_t(0x5555), std::uint64_t(0xaaaa)}) {
            HF_OK(os::remove_tree(path("mirror")));
            memory_ = {};
            const auto faults = std::make_shared<testing::Faults>();
            const auto faulty = testing::faulty_backend(storage::local_backend(path("mirror")), faults);
            faults->commits_left = commits;
            options_.connections = 1;
            finished = sync_mirror(*repository_, *faulty, memory_, options_).has_value();
            HF_OK(testing::lose_power(*mirror_, *faults, lost));
            auto opened = Repository::open(storage::local_backend(path("mirror")), Secret(k_password), clock_);
            if (opened) {
                const auto report = check(**opened, {.read_data = true, .progress = {}});
                HF_OK(report);
                EXPECT_TRUE(report->ok()) << commits << all_of(report->errors);
            } else {
                EXPECT_TRUE(opened.error().code == ErrorCode::no_repository ||
                            opened.error().code == ErrorCode::corrupt)
                    << error_text(opened.error());
            }
            HF_OK(sync());
            expect_good_mirror(1);
        }
    }
}

TEST_F(MirrorTest, AFullMirrorIsSaidAndGoesOnLater) {
    const auto faults = std::make_shared<testing::Faults>();
    const auto faulty = testing::faulty_backend(storage::local_backend(path("mirror")), faults);
    faults->bytes_left = 1'500'000;
    EXPECT_EQ(sync_mirror(*repository_, *faulty, memory_, options_).error().code, ErrorCode::disk_full);
    EXPECT_EQ(memory_.complete_at.nanoseconds, 0);
    HF_OK(sync());
    EXPECT_GT(memory_.complete_at.nanoseconds, 0);
    expect_good_mirror(1);
}

TEST_F(MirrorTest, AnEmptyMountPointIsNotFilledInsteadOfTheDisk) {
    HF_OK(sync());
    HF_OK(os::remove_tree(path("mirror")));
    HF_OK(os::make_folders(path("mirror")));
    EXPECT_EQ(sync().error().code, ErrorCode::not_found);
    EXPECT_TRUE(os::list_folder(path("mirror"))->empty());
    options_.rules.accept_mass_deletion = true;
    HF_OK(sync());
    expect_good_mirror(1);
}

TEST_F(MirrorTest, ADryRunChangesNothing) {
    options_.dry_run = true;
    const auto would = sync();
    HF_OK(would);
    EXPECT_GT(would->files_sent, 3u);
    EXPECT_FALSE(os::exists(path("mirror")));
}

}    // namespace
}    // namespace holdfast::vault
