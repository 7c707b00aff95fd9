// repair index, packs and snapshots, and recover: what is lost is told, what is whole comes back.

#include <algorithm>

#include "holdfast/testing/faulty_backend.hpp"
#include "holdfast/vault/fixture_test.hpp"
#include "holdfast/vault/lock.hpp"
#include "holdfast/vault/recover.hpp"
#include "holdfast/vault/repair_index.hpp"
#include "holdfast/vault/repair_packs.hpp"
#include "holdfast/vault/repair_snapshots.hpp"
#include "holdfast/vault/repository_state.hpp"

namespace holdfast::vault {
namespace {

using storage::FileKind;

class RepairTest : public VaultTest {
protected:
    void SetUp() override {
        init();
        for (std::uint64_t i = 0; i < 6; ++i) write("src/f" + std::to_string(i), noise(700'000, i + 1));
        write("src/sub/small", "content");
        HF_OK(back_up(path("src")));
        write("src/sub/second", "other content");
        HF_OK(back_up(path("src")));
    }
    Ran restic(const std::string& arguments) {
        return sh("restic --no-cache -r \"$1\" " + arguments, {repo_path(), path("src"), path("out-restic")});
    }
    void expect_whole() {
        const auto report = checked();
        EXPECT_TRUE(report.ok()) << all_of(report.errors);
        EXPECT_TRUE(report.hints.empty()) << all_of(report.hints);
    }
    void remove_all(FileKind kind) {
        for (const std::string& file : files_of(kind)) HF_OK(os::remove_tree(file));
    }
    // A pack that holds content, not trees.
    std::string data_pack() {
        for (const std::string& pack : files_of(FileKind::pack))
            if (os::status_of(pack)->st_size > 500'000) return pack;
        ADD_FAILURE();
        return {};
    }
    std::string tree_pack() {
        for (const std::string& pack : files_of(FileKind::pack))
            if (os::status_of(pack)->st_size < 100'000 && pack_type(pack) == format::BlobType::tree) return pack;
        ADD_FAILURE();
        return {};
    }
    format::BlobType pack_type(const std::string& pack) {
        EXPECT_TRUE(repository_->load_index());
        for (const auto& known : repository_->state().index.packs())
            if (known.id.hex() == os::file_name(pack)) return known.blobs[0].type;
        return format::BlobType::data;
    }
    static Id id_of(const std::string& file) { return Id::parse(os::file_name(file)).value(); }
    std::vector<SnapshotEntry> all() { return repository_->snapshots().value(); }
    RepairPacksOptions packs_options(std::vector<Id> ids = {}) {
        RepairPacksOptions options;
        options.packs = std::move(ids);
        options.storing = small_packs();
        return options;
    }
    RepairSnapshotsOptions snapshots_options(bool forget = false) {
        RepairSnapshotsOptions options;
        options.forget = forget;
        options.storing = small_packs();
        return options;
    }
    std::string restored_latest() {
        EXPECT_TRUE(os::remove_tree(path("out")));
        const auto done = restore_latest("out");
        EXPECT_TRUE(done) << error_text(done.error());
        return listing(path("out") + path("src"));
    }
};

TEST_F(RepairTest, AllIndexFilesLostAreMadeAnew) {
    const std::string before = restored_latest();
    remove_all(FileKind::index);
    reopen();
    EXPECT_FALSE(checked().ok());
    const auto report = repair_index(*repository_);
    HF_OK(report);
    EXPECT_TRUE(report->changed);
    EXPECT_EQ(report->packs_found, files_of(FileKind::pack).size());
    expect_whole();
    EXPECT_EQ(restored_latest(), before);
    EXPECT_TRUE(restic("check --read-data").ok);
}

TEST_F(RepairTest, ADamagedIndexFileIsReplaced) {
    flip_byte(files_of(FileKind::index)[0]);
    reopen();
    const auto report = repair_index(*repository_);
    HF_OK(report);
    EXPECT_EQ(report->damaged_index.size(), 1u);
    expect_whole();
}

TEST_F(RepairTest, ARightIndexIsLeftAlone) {
    const auto before = files_of(FileKind::index);
    const auto report = repair_index(*repository_);
    HF_OK(report);
    EXPECT_FALSE(report->changed);
    EXPECT_EQ(report->packs_read, 0u);
    const auto all_read = repair_index(*repository_, {.read_all_packs = true});
    HF_OK(all_read);
    EXPECT_EQ(all_read->packs_read, files_of(FileKind::pack).size());
    EXPECT_FALSE(all_read->changed);
    EXPECT_EQ(files_of(FileKind::index), before);
}

TEST_F(RepairTest, ADryRunOfAnythingWritesNothing) {
    remove_all(FileKind::index);
    reopen();
    const auto report = repair_index(*repository_, {.dry_run = true});
    HF_OK(report);
    EXPECT_TRUE(report->changed);
    EXPECT_TRUE(files_of(FileKind::index).empty());
    HF_OK(repair_index(*repository_));
    const std::string pack = data_pack();
    flip_byte(pack);
    const auto listing_before = sh("find \"$1\" -type f | sort", {repo_path()}).output;
    auto options = packs_options();
    options.dry_run = true;
    const auto packs = repair_packs(*repository_, options);
    HF_OK(packs);
    EXPECT_EQ(packs->damaged, std::vector<Id>{id_of(pack)});
    EXPECT_EQ(sh("find \"$1\" -type f | sort", {repo_path()}).output, listing_before);
}

TEST_F(RepairTest, AVanishedPackLeavesTheIndexAsItDoesResticS) {
    const std::string pack = data_pack();
    HF_OK(os::remove_tree(pack));
    const auto report = repair_index(*repository_);
    HF_OK(report);
    EXPECT_EQ(report->packs_vanished, 1u);
    for (const auto& known : repository_->state().index.packs()) EXPECT_NE(known.id, id_of(pack));
}

TEST_F(RepairTest, APackWithoutATableKeepsItsEntriesAndIsNamed) {
    const std::string pack = data_pack();
    HF_OK(os::write_file(pack,
                         os::read_file(pack)->empty() ? ByteView() : ByteView(*os::read_file(pack)).first(600'000)));
    const auto report = repair_index(*repository_);
    HF_OK(report);
    ASSERT_EQ(report->damaged_packs.size(), 1u);
    EXPECT_NE(report->damaged_packs[0].find(os::file_name(pack)), std::string::npos);
    // What lies in the part that is left can still be saved.
    const auto saved = repair_packs(*repository_, packs_options());
    HF_OK(saved);
    EXPECT_EQ(saved->damaged, std::vector<Id>{id_of(pack)});
}

TEST_F(RepairTest, GoodBlobsOfADamagedPackAreSavedAndTheBadOneIsTold) {
    const std::string pack = data_pack();
    ASSERT_TRUE(repository_->load_index());
    std::size_t blobs = 0;
    for (const auto& known : repository_->state().index.packs())
        if (known.id == id_of(pack)) blobs = known.blobs.size();
    ASSERT_GT(blobs, 1u);
    flip_byte(pack, 1000);    // in the first blob
    auto options = packs_options();
    options.save_to = path("saved");
    const auto report = repair_packs(*repository_, options);
    HF_OK(report);
    EXPECT_EQ(report->damaged, std::vector<Id>{id_of(pack)});
    EXPECT_EQ(report->lost.size(), 1u);
    EXPECT_EQ(report->blobs_saved, blobs - 1);
    ASSERT_EQ(report->copies.size(), 1u);
    EXPECT_TRUE(os::exists(report->copies[0]));
    EXPECT_FALSE(os::exists(pack));
    // One file is lost in both snapshots; it is left out of their repaired forms, everything else is there.
    const auto repaired = repair_snapshots(*repository_, all(), snapshots_options(true));
    HF_OK(repaired);
    ASSERT_EQ(repaired->repaired.size(), 2u);
    for (const auto& snapshot : repaired->repaired) {
        ASSERT_EQ(snapshot.lost.size(), 1u);
        EXPECT_TRUE(snapshot.lost[0].path.starts_with(path("src/f"))) << snapshot.lost[0].path;
        HF_OK(os::remove_tree(snapshot.lost[0].path));
    }
    expect_whole();
    EXPECT_EQ(all().size(), 2u);
    const std::string kept = restored_latest();
    for (const std::string& line : {std::string("sub/second|f"), std::string("f1|f")})
        if (os::exists(path("src/") + line.substr(0, line.find('|')))) {
            EXPECT_NE(kept.find(line), std::string::npos) << kept;
        }
    EXPECT_TRUE(restic("check --read-data").ok);
}

TEST_F(RepairTest, ADamagedPackWhoseBlobsAreWholeElsewhereLosesNothing) {
    // Two writers that stored the same at once.
    HF_OK(sh("cp -a \"$1\" \"$2\"", {repo_path(), path("copy")}).ok ? Status() : Status(fail(ErrorCode::io, "cp")));
    const std::string pack = data_pack();
    ASSERT_TRUE(restic("backup --force \"$2\"").ok);
    flip_byte(pack, 1000);
    const auto report = repair_packs(*repository_, packs_options({id_of(pack)}));
    HF_OK(report);
    EXPECT_LE(report->lost.size(), 1u);
}

TEST_F(RepairTest, APackThatNobodyKnowsIsNotFound) {
    EXPECT_EQ(repair_packs(*repository_, packs_options({Id{}})).error().code, ErrorCode::not_found);
}

TEST_F(RepairTest, ALostTreeTakesItsFolderAndNothingElse) {
    // The trees of the second snapshot alone.
    write("src/deep/one/two/file", "x");
    HF_OK(back_up(path("src")));
    const auto latest = repository_->find_snapshot("latest");
    HF_OK(latest);
    const auto folder = repository_->find_node(latest->snapshot.tree, path("src/deep/one"));
    HF_OK(folder);
    const auto pack = repository_->places(format::BlobType::tree, folder->subtree).at(0);
    flip_byte(repo_path() + "/" + storage::relative_path({FileKind::pack, pack.pack}), pack.blob.offset + 20);
    const auto packs = repair_packs(*repository_, packs_options());
    HF_OK(packs);
    ASSERT_EQ(packs->lost.size(), 1u);
    EXPECT_EQ(packs->lost[0].id, folder->subtree);
    const auto repaired = repair_snapshots(*repository_, all(), snapshots_options());
    HF_OK(repaired);
    EXPECT_EQ(repaired->whole, 2u);
    ASSERT_EQ(repaired->repaired.size(), 1u);
    EXPECT_EQ(repaired->repaired[0].lost.at(0).path, path("src/deep/one"));
    EXPECT_EQ(all().size(), 4u);    // the damaged one is kept
    const auto fixed = repository_->find_snapshot(repaired->repaired[0].target->hex());
    HF_OK(fixed);
    EXPECT_EQ(fixed->snapshot.original, latest->id);
    EXPECT_EQ(fixed->snapshot.tags.back(), "repaired");
    EXPECT_TRUE(repository_->find_node(fixed->snapshot.tree, path("src/deep")));
    EXPECT_FALSE(repository_->find_node(fixed->snapshot.tree, path("src/deep/one")));
    EXPECT_TRUE(repository_->find_node(fixed->snapshot.tree, path("src/sub/second")));
}

TEST_F(RepairTest, WholeSnapshotsAreNotRewritten) {
    const auto before = files_of(FileKind::snapshot);
    const auto report = repair_snapshots(*repository_, all(), snapshots_options(true));
    HF_OK(report);
    EXPECT_EQ(report->whole, 2u);
    EXPECT_TRUE(report->repaired.empty());
    EXPECT_EQ(files_of(FileKind::snapshot), before);
}

TEST_F(RepairTest, RepairsWantTheRepositoryAlone) {
    const auto lock = repository_->lock(LockMode::shared);
    HF_OK(lock);
    EXPECT_EQ(repair_index(*repository_).error().code, ErrorCode::locked);
    EXPECT_EQ(repair_packs(*repository_).error().code, ErrorCode::locked);
    EXPECT_EQ(repair_snapshots(*repository_, {}).error().code, ErrorCode::locked);
}

TEST_F(RepairTest, DeadAfterAnyStepOfAnIndexRepairNothingIsLost) {
    const std::string before = restored_latest();
    for (int commits = 0; commits < 4; ++commits) {
        remove_all(FileKind::index);
        const auto faults = std::make_shared<testing::Faults>();
        reopen(testing::faulty_backend(storage::local_backend(repo_path()), faults));
        faults->commits_left = commits;
        static_cast<void>(repair_index(*repository_).has_value());
        reopen();
        HF_OK(unlock(*repository_, true));
        HF_OK(repair_index(*repository_));
        expect_whole();
        EXPECT_EQ(restored_latest(), before);
    }
}

TEST_F(RepairTest, DeadAfterAnyStepOfAPackRepairWhatIsWholeStays) {
    flip_byte(data_pack(), 1000);
    for (int commits = 0; commits < 8; ++commits) {
        const auto faults = std::make_shared<testing::Faults>();
        reopen(testing::faulty_backend(storage::local_backend(repo_path()), faults));
        faults->commits_left = commits;
        static_cast<void>(repair_packs(*repository_, packs_options()).has_value());
        reopen();
        HF_OK(unlock(*repository_, true));
    }
    HF_OK(repair_packs(*repository_, packs_options()));
    const auto repaired = repair_snapshots(*repository_, all(), snapshots_options(true));
    HF_OK(repaired);
    for (const auto& snapshot : repaired->repaired) EXPECT_EQ(snapshot.lost.size(), 1u);
    EXPECT_TRUE(checked().ok());
}

TEST_F(RepairTest, LostSnapshotsComeBackAsFolders) {
    const auto trees = [&] {
        std::vector<std::string> names;
        for (const auto& entry : all()) names.push_back(entry.snapshot.tree.brief());
        std::ranges::sort(names);
        return names;
    }();
    remove_all(FileKind::snapshot);
    const auto report = recover(*repository_, small_packs());
    HF_OK(report);
    ASSERT_TRUE(report->snapshot);
    EXPECT_EQ(report->roots.size(), 2u);
    const auto entry = repository_->find_snapshot("latest");
    HF_OK(entry);
    EXPECT_EQ(entry->snapshot.paths, std::vector<std::string>{"/recover"});
    const auto top = repository_->read_tree(entry->snapshot.tree);
    HF_OK(top);
    ASSERT_EQ(top->nodes.size(), 2u);
    EXPECT_EQ(top->nodes[0].name, trees[0]);
    HF_OK(repository_->find_node(entry->snapshot.tree, trees[0] + path("src/f0")));
    expect_whole();
    EXPECT_TRUE(restic("check").ok);
    // Nothing is left to be found; restic sees it so, too.
    EXPECT_FALSE(recover(*repository_)->snapshot);
    const auto by_restic = restic("recover");
    EXPECT_TRUE(by_restic.ok) << by_restic.output;
    EXPECT_EQ(all().size(), 1u) << by_restic.output;
}

TEST_F(RepairTest, FindsTheSameLostTreesAsRestic) {
    remove_all(FileKind::snapshot);
    ASSERT_TRUE(restic("recover").ok);
    const auto theirs = repository_->find_snapshot("latest");
    HF_OK(theirs);
    const auto by_restic = repository_->read_tree(theirs->snapshot.tree);
    remove_all(FileKind::snapshot);
    reopen();
    HF_OK(repository_->load_index());
    const auto report = recover(*repository_, small_packs());
    HF_OK(report);
    // One root now: restic's folder of the two.
    ASSERT_EQ(report->roots.size(), 1u);
    EXPECT_EQ(report->roots[0], theirs->snapshot.tree);
}

TEST_F(RepairTest, ADamagedTreeIsLeftOutOfARecovery) {
    remove_all(FileKind::snapshot);
    flip_byte(tree_pack(), 20);
    const auto report = recover(*repository_, small_packs());
    HF_OK(report);
    EXPECT_GE(report->unreadable, 1u);
}

}    // namespace
}    // namespace holdfast::vault
