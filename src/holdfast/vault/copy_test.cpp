#include "holdfast/vault/copy.hpp"

#include <algorithm>

#include "holdfast/testing/faulty_backend.hpp"
#include "holdfast/vault/fixture_test.hpp"
#include "holdfast/vault/lock.hpp"
#include "holdfast/vault/rekey.hpp"

namespace holdfast::vault {
namespace {

using storage::FileKind;

class CopyTest : public VaultTest {
protected:
    static constexpr const char* k_other_password = "shut sesame";

    void SetUp() override {
        init();
        write("src/large", noise(3'000'000));
        write("src/sub/small", "content");
        HF_OK(back_up(path("src")));
        write("src/large", noise(3'000'000, 2));
        write("src/sub/later", "more");
        HF_OK(back_up(path("src")));
        HF_OK(open_target(format::Polynomial(repository_->config().polynomial)));
    }
    Status open_target(std::optional<format::Polynomial> polynomial = {},
                       std::shared_ptr<testing::Faults> faults = nullptr) {
        target_.reset();
        auto backend = storage::local_backend(path("target"));
        if (faults) backend = testing::faulty_backend(std::move(backend), faults);
        if (os::exists(path("target/config"))) {
            HF_TRY(target_, Repository::open(std::move(backend), Secret(k_other_password), clock_));
        } else {
            InitOptions options;
            options.cost = {1024, 8, 1};
            options.polynomial = polynomial;
            HF_TRY(target_, Repository::init(std::move(backend), Secret(k_other_password), clock_, options));
        }
        return {};
    }
    static CopyOptions copying() {
        CopyOptions options;
        options.storing = small_packs();
        return options;
    }
    Result<CopyReport> copy_all() {
        return copy_snapshots(*repository_, *target_, repository_->snapshots().value(), copying());
    }
    std::string restored(Repository& repository, const SnapshotEntry& entry) {
        RestoreOptions options;
        options.target = path("restored");
        EXPECT_TRUE(os::remove_tree(options.target));
        EXPECT_TRUE(repository.load_index());
        const auto done = restore(repository, entry, options);
        EXPECT_TRUE(done) << error_text(done.error());
        return listing(options.target);
    }
    void expect_target_whole() {
        const auto report = check(*target_, {.read_data = true, .progress = {}});
        HF_OK(report);
        EXPECT_TRUE(report->ok()) << all_of(report->errors);
    }
    Ran restic(const std::string& arguments) {
        return sh(
            "export RESTIC_FROM_PASSWORD=\"$RESTIC_PASSWORD\" RESTIC_PASSWORD='shut sesame'; restic --no-cache -r "
            "\"$2\" " +
                arguments,
            {repo_path(), path("target")});
    }
    std::unique_ptr<Repository> target_;
};

TEST_F(CopyTest, EverySnapshotRestoresEqualFromTheOther) {
    const auto report = copy_all();
    HF_OK(report);
    ASSERT_EQ(report->snapshots.size(), 2u);
    expect_target_whole();
    const auto theirs = target_->snapshots().value();
    ASSERT_EQ(theirs.size(), 2u);
    for (const CopiedSnapshot& copied : report->snapshots) {
        EXPECT_FALSE(copied.existed);
        const auto there = target_->find_snapshot(copied.target.hex());
        HF_OK(there);
        EXPECT_EQ(there->snapshot.original, copied.source.id);
        EXPECT_TRUE(same_content(there->snapshot, copied.source.snapshot));
        EXPECT_EQ(restored(*target_, *there), restored(*repository_, copied.source));
    }
    // Another master key: not a byte of a file is the same.
    EXPECT_NE(target_->master_key().encrypt, repository_->master_key().encrypt);
}

TEST_F(CopyTest, ASecondRunFindsAllThereAndAddsNothing) {
    HF_OK(copy_all());
    const auto again = copy_all();
    HF_OK(again);
    EXPECT_EQ(again->blobs, 0u);
    for (const CopiedSnapshot& copied : again->snapshots) EXPECT_TRUE(copied.existed);
    EXPECT_EQ(target_->snapshots()->size(), 2u);
}

TEST_F(CopyTest, KnowsWhatResticCopiedAndResticWhatWeDid) {
    ASSERT_TRUE(restic("copy --from-repo \"$1\" latest").ok);
    const auto ours = copy_all();
    HF_OK(ours);
    EXPECT_FALSE(ours->snapshots[0].existed);
    EXPECT_TRUE(ours->snapshots[1].existed);
    const auto theirs = restic("copy --from-repo \"$1\"");
    ASSERT_TRUE(theirs.ok) << theirs.output;
    EXPECT_EQ(target_->snapshots()->size(), 2u) << theirs.output;
    const auto checked_by_restic = restic("check --read-data");
    EXPECT_TRUE(checked_by_restic.ok) << checked_by_restic.output;
}

TEST_F(CopyTest, AChangedSnapshotOfTheSameOriginalIsCopiedAgain) {
    HF_OK(copy_all());
    ASSERT_TRUE(sh("restic --no-cache -r \"$1\" tag --add audited latest", {repo_path()}).ok);
    const auto again = copy_all();
    HF_OK(again);
    EXPECT_EQ(std::ranges::count_if(again->snapshots, [](const auto& s) { return !s.existed; }), 1);
    EXPECT_EQ(target_->snapshots()->size(), 3u);
}

TEST_F(CopyTest, TheSamePolynomialMakesLaterBackupsFindTheirBlobs) {
    HF_OK(copy_all());
    auto backup = Backup::start(*target_, small_packs());
    HF_OK(backup);
    HF_OK((*backup)->add_path(path("src")));
    const auto outcome = (*backup)->commit();
    HF_OK(outcome);
    EXPECT_EQ(outcome->summary.data_blobs, 0u);
}

TEST_F(CopyTest, AFullDiskLosesNothingAndTheNextRunGoesOn) {
    const auto faults = std::make_shared<testing::Faults>();
    HF_OK(open_target({}, faults));
    auto options = copying();
    options.snapshots_at_once = 1;
    faults->bytes_left = 4'000'000;    // enough for the first of the two
    const auto full = copy_snapshots(*repository_, *target_, repository_->snapshots().value(), options);
    EXPECT_EQ(full.error().code, ErrorCode::disk_full);
    faults->bytes_left = std::int64_t(1) << 40;
    EXPECT_EQ(target_->snapshots()->size(), 1u);
    expect_target_whole();
    const auto again = copy_all();
    HF_OK(again);
    EXPECT_LT(again->bytes_added, 3'100'000u);
    expect_target_whole();
}

TEST_F(CopyTest, DeadAfterAnyCommitTheTargetChecksAndCompletes) {
    for (int commits = 1; commits < 12; ++commits) {
        HF_OK(os::remove_tree(path("target")));
        HF_OK(open_target());
        const auto faults = std::make_shared<testing::Faults>();
        HF_OK(open_target({}, faults));
        faults->commits_left = commits;
        const bool done = copy_all().has_value();
        HF_OK(open_target());
        HF_OK(unlock(*target_, true));
        expect_target_whole();
        HF_OK(copy_all());
        EXPECT_EQ(target_->snapshots()->size(), 2u) << commits;
        expect_target_whole();
        if (done) break;
    }
}

TEST_F(CopyTest, RefusesToCopyOntoItself) {
    auto same = Repository::open(storage::local_backend(repo_path()), Secret(k_password), clock_);
    HF_OK(same);
    EXPECT_EQ(copy_snapshots(*repository_, **same, repository_->snapshots().value()).error().code, ErrorCode::usage);
}

TEST_F(CopyTest, ADamagedBlobStopsItAndIsNamed) {
    for (const std::string& pack : files_of(FileKind::pack))
        if (os::status_of(pack)->st_size > 500'000) flip_byte(pack);
    const auto report = copy_all();
    ASSERT_FALSE(report);
    EXPECT_EQ(report.error().code, ErrorCode::corrupt);
    EXPECT_NE(report.error().hint.find("repair packs"), std::string::npos);
    EXPECT_TRUE(target_->snapshots()->empty());
    expect_target_whole();
}

TEST_F(CopyTest, AMissingBlobIsToldBeforeAnythingIsCopied) {
    for (const std::string& index : files_of(FileKind::index)) HF_OK(os::remove_tree(index));
    reopen();
    const auto report = copy_all();
    ASSERT_FALSE(report);
    EXPECT_EQ(report.error().code, ErrorCode::corrupt);
    EXPECT_NE(report.error().hint.find("repair index"), std::string::npos);
}

TEST_F(CopyTest, AnExclusiveLockOnEitherSideKeepsItOut) {
    for (Repository* locked : {repository_.get(), target_.get()}) {
        const auto lock = locked->lock(LockMode::exclusive);
        HF_OK(lock);
        EXPECT_EQ(copy_all().error().code, ErrorCode::locked);
    }
}

TEST_F(CopyTest, RekeyMovesEverythingUnderANewKeyAndVerifiesIt) {    // DD-06
    const auto before =
        sh("cd \"$1\" && find . -type f ! -path './locks/*' -exec sha256sum {} + | sort", {repo_path()});
    const auto report = rekey(*repository_, *target_, {.copy = copying()});
    HF_OK(report);
    EXPECT_EQ(report->snapshots_copied, 2u);
    EXPECT_GT(report->blobs_verified, 4u);
    EXPECT_GT(report->bytes_verified, 6'000'000u);
    const auto after = sh("cd \"$1\" && find . -type f ! -path './locks/*' -exec sha256sum {} + | sort", {repo_path()});
    EXPECT_EQ(before.output, after.output);    // the old one is untouched
    // Again after another backup: only that comes over.
    write("src/new", noise(100'000, 9));
    HF_OK(back_up(path("src")));
    const auto again = rekey(*repository_, *target_, {.copy = copying()});
    HF_OK(again);
    EXPECT_EQ(again->snapshots_copied, 1u);
    EXPECT_LT(again->bytes_added, 200'000u);
}

TEST_F(CopyTest, RekeyRefusesAForeignRepository) {
    HF_OK(os::remove_tree(path("target")));
    HF_OK(open_target());    // a polynomial of its own
    EXPECT_EQ(rekey(*repository_, *target_).error().code, ErrorCode::exists);
    EXPECT_EQ(rekey(*repository_, *repository_).error().code, ErrorCode::exists);
}

TEST_F(CopyTest, RekeyRefusesATargetThatHoldsOtherSnapshots) {
    auto backup = Backup::start(*target_, small_packs());
    HF_OK(backup);
    HF_OK((*backup)->add_file("other", as_bytes("content")));
    HF_OK((*backup)->commit());
    EXPECT_EQ(rekey(*repository_, *target_).error().code, ErrorCode::exists);
}

TEST_F(CopyTest, RekeyNotesDamageInWhatItWrote) {
    HF_OK(copy_all());
    std::string pack;
    EXPECT_TRUE(target_->backend().list(FileKind::pack, [&](const Id& id, std::uint64_t size) {
        if (size > 500'000) pack = path("target/") + storage::relative_path({FileKind::pack, id});
    }));
    flip_byte(pack);
    const auto report = rekey(*repository_, *target_);
    ASSERT_FALSE(report);
    EXPECT_EQ(report.error().code, ErrorCode::mismatch);
}

}    // namespace
}    // namespace holdfast::vault
