// The disk is full at the n-th write of every command that writes, for every n: it is said (disk_full), what was there is
// there, and with room the same command goes through. Prune and forget make room by themselves.

#include <algorithm>

#include "holdfast/testing/faulty_backend.hpp"
#include "holdfast/vault/fixture_test.hpp"
#include "holdfast/vault/heal.hpp"
#include "holdfast/vault/key_change.hpp"
#include "holdfast/vault/lock.hpp"
#include "holdfast/vault/mirror.hpp"
#include "holdfast/vault/prune.hpp"
#include "holdfast/vault/recover.hpp"
#include "holdfast/vault/rekey.hpp"
#include "holdfast/vault/removal.hpp"
#include "holdfast/vault/repair_index.hpp"
#include "holdfast/vault/repair_packs.hpp"
#include "holdfast/vault/repair_snapshots.hpp"
#include "holdfast/vault/repository_state.hpp"
#include "holdfast/vault/rewrite.hpp"
#include "holdfast/vault/tag.hpp"

namespace holdfast::vault {
namespace {

using storage::FileKind;

NewKey cheap_key() {
    NewKey key;
    key.cost = {16, 1, 1};
    return key;
}

class FullDisk : public VaultTest {
protected:
    // Three snapshots here; beside them an empty repository with another password.
    void SetUp() override {
        init();
        for (std::uint64_t i = 0; i < 3; ++i) {
            write("src/changing", noise(60'000, 10 + i));
            write("src/folder/" + std::to_string(i), noise(20'000, 20 + i));
            HF_OK(back_up(path("src")));
        }
        before_ = repository_->snapshots().value();
        const auto extra = add_key(*repository_, Secret("extra"), cheap_key());
        HF_OK(extra);
        extra_key_ = *extra;
        InitOptions options;
        options.cost = {16, 1, 1};
        options.polynomial = repository_->config().polynomial;
        HF_OK(Repository::init(storage::local_backend(path("other")), Secret(k_other), clock_, options));
        keep();
    }
    void keep() {
        repository_.reset();
        sh("rm -rf \"$3\"; mkdir \"$3\"; find \"$1/data\" \"$2/data\" -mindepth 1 -type d -empty -delete; "
           "cp -a \"$1\" \"$2\" \"$3\"",
           {repo_path(), path("other"), path("kept")});
    }
    void bring_back() {
        repository_.reset();
        ASSERT_TRUE(sh("rm -rf \"$1\" \"$2\" \"$3/mirror\"; cp -a \"$3/kept/repo\" \"$3/kept/other\" \"$3\"",
                       {repo_path(), path("other"), folder_.path()})
                        .ok);
    }
    Result<std::unique_ptr<Repository>> opened(std::unique_ptr<storage::Backend> backend,
                                               const char* password = k_password) {
        return Repository::open(std::move(backend), Secret(password), clock_);
    }

    /// The storage is given to `work` to do all with it; `place` is the folder that is full.
    using Work = std::function<Status(std::unique_ptr<storage::Backend>)>;
    struct Command {
        std::string place;
        Work work;
        bool mends = false;    // only afterwards the repository is whole
        std::size_t may_go = 0;    // of the oldest snapshots
        std::function<void()> look = {};    // at what success promises
        std::int64_t writes_min = 2;    // so many there are at least, the lock among them
    };
    void sweep(const Command& command) {
        std::int64_t full = 0;
        for (std::int64_t room = 0;; ++room) {
            ASSERT_LT(room, 200);
            SCOPED_TRACE("room for " + std::to_string(room) + " writes");
            bring_back();
            const auto faults = std::make_shared<testing::Faults>();
            faults->writes_left = room;
            const Status done = command.work(testing::faulty_backend(storage::local_backend(command.place), faults));
            if (!done) {
                ++full;
                EXPECT_EQ(done.error().code, ErrorCode::disk_full) << error_text(done.error());
                if (!command.mends) expect_whole(command.may_go);
                const Status again = command.work(storage::local_backend(command.place));
                EXPECT_TRUE(again) << error_text(again.error());
            }
            expect_whole(command.may_go);
            if (command.look) command.look();
            if (HasFailure()) return;
            if (done) break;
        }
        EXPECT_GE(full, command.writes_min);
    }
    // On this repository, over the storage that is full.
    Work here(std::function<Status(Repository&)> work, const char* password = k_password) {
        return [this, work = std::move(work), password](std::unique_ptr<storage::Backend> backend) -> Status {
            HF_TRY(const auto repository, opened(std::move(backend), password));
            return work(*repository);
        };
    }

    void expect_whole(std::size_t may_go) {
        reopen();
        const auto report = checked(true);
        EXPECT_TRUE(report.ok()) << all_of(report.errors);
        const auto entries = repository_->snapshots();
        HF_OK(entries);
        for (std::size_t i = may_go; i < before_.size(); ++i)
            EXPECT_TRUE(std::ranges::any_of(
                *entries, [&](const SnapshotEntry& e) { return e.snapshot.tree == before_[i].snapshot.tree; }))
                << "the tree of snapshot " << i << " is gone";
        EXPECT_TRUE(files_of(FileKind::lock).empty());
    }
    void expect_other_has_all() {
        const auto other = opened(storage::local_backend(path("other")), k_other);
        HF_OK(other);
        EXPECT_EQ((*other)->snapshots()->size(), before_.size());
        const auto report = check(**other, {.read_data = true, .progress = {}});
        HF_OK(report);
        EXPECT_TRUE(report->ok()) << all_of(report->errors);
    }
    // The newest content is in a pack of its own; without it one snapshot is damaged.
    void lose_a_pack() {
        reopen();
        HF_OK(repository_->load_index());
        const auto node = repository_->find_node(before_.back().snapshot.tree, path("src/folder/2")).value();
        const auto place = repository_->places(format::BlobType::data, node.content[0]).at(0);
        HF_OK(repository_->backend().remove({FileKind::pack, place.pack}));
        HF_OK(repair_index(*repository_));
        keep();
    }

    static constexpr const char* k_other = "shut sesame";
    std::vector<SnapshotEntry> before_;
    Id extra_key_;
};

PruneLimits all_that_is_unneeded() {
    PruneLimits limits;
    limits.max_unused = {MaxUnused::Kind::bytes, 0, 0};
    return limits;
}

TEST_F(FullDisk, Backup) {
    write("src/new", noise(30'000, 77));
    sweep({.place = repo_path(),
           .work = [this](std::unique_ptr<storage::Backend> backend) -> Status {
               HF_TRY(const auto repository, opened(std::move(backend)));
               BackupOptions options = small_packs();
               options.workers = 1;
               HF_TRY(const auto backup, Backup::start(*repository, options));
               HF_DO(backup->add_path(path("src")));
               HF_DO(backup->commit());
               return {};
           },
           .writes_min = 4});
}

TEST_F(FullDisk, ForgetAndPrune) {
    sweep({.place = repo_path(),
           .work = here([](Repository& repository) -> Status {
               HF_TRY(const auto lock, repository.lock(LockMode::exclusive));
               HF_TRY(const auto entries, repository.snapshots());
               if (entries.size() == 3) HF_DO(remove_files(repository, *lock, {{FileKind::snapshot, entries[0].id}}));
               PruneOptions options;
               options.limits = all_that_is_unneeded();
               HF_DO(prune(repository, *lock, options));
               return {};
           }),
           .may_go = 1,
           .writes_min = 3});
}

TEST_F(FullDisk, Tag) {
    sweep({.place = repo_path(),
           .work = here([](Repository& repository) -> Status {
               HF_TRY(const auto lock, repository.lock(LockMode::exclusive));
               HF_TRY(const auto entries, repository.snapshots());
               TagChange change;
               change.add = {"audit"};
               HF_DO(tag(repository, *lock, entries, entries, change));
               return {};
           }),
           .look = [this] {
               const auto entries = repository_->snapshots();
               HF_OK(entries);
               for (const SnapshotEntry& entry : *entries)
                   EXPECT_EQ(entry.snapshot.tags, std::vector<std::string>{"audit"});
           }});
}

TEST_F(FullDisk, Rewrite) {
    sweep({.place = repo_path(),
           .work = here([](Repository& repository) -> Status {
               HF_TRY(const auto lock, repository.lock(LockMode::exclusive));
               HF_TRY(const auto entries, repository.snapshots());
               RewriteOptions options;
               options.new_host = "renamed";
               options.forget = true;
               HF_DO(rewrite(repository, *lock, entries, entries, options));
               return {};
           }),
           .look = [this] {
               const auto entries = repository_->snapshots();
               HF_OK(entries);
               for (const SnapshotEntry& entry : *entries) EXPECT_EQ(entry.snapshot.hostname, "renamed");
           }});
}

TEST_F(FullDisk, RewriteThatMakesNewTrees) {
    sweep({.place = repo_path(),
           .work = here([](Repository& repository) -> Status {
               HF_TRY(const auto lock, repository.lock(LockMode::exclusive));
               HF_TRY(const auto entries, repository.snapshots());
               RewriteOptions options;
               options.excludes = {"changing"};
               HF_DO(rewrite(repository, *lock, entries, entries, options));
               return {};
           }),
           .writes_min = 4});
}

TEST_F(FullDisk, RepairIndex) {
    reopen();
    HF_OK(os::remove_tree(files_of(FileKind::index).front()));
    keep();
    sweep({.place = repo_path(),
           .work = here([](Repository& repository) -> Status {
               HF_DO(repair_index(repository));
               return {};
           }),
           .mends = true});
}

TEST_F(FullDisk, RepairSnapshots) {
    lose_a_pack();
    sweep({.place = repo_path(),
           .work = here([](Repository& repository) -> Status {
               RepairSnapshotsOptions options;
               options.forget = true;
               options.storing.workers = 1;
               HF_TRY(const auto entries, repository.snapshots());
               HF_DO(repair_snapshots(repository, entries, options));
               return {};
           }),
           .mends = true,
           .may_go = 3});
}

TEST_F(FullDisk, RepairPacks) {
    reopen();
    // In its own table: every blob is whole.
    const std::string pack = files_of(FileKind::pack).front();
    flip_byte(pack, os::read_file(pack)->size() - 8);
    keep();
    sweep({.place = repo_path(),
           .work = here([](Repository& repository) -> Status {
               RepairPacksOptions options;
               options.storing = small_packs();
               HF_DO(repair_packs(repository, options));
               return {};
           }),
           .mends = true});
}

TEST_F(FullDisk, Recover) {
    reopen();
    for (const std::string& file : files_of(FileKind::snapshot)) HF_OK(os::remove_tree(file));
    keep();
    sweep({.place = repo_path(),
           .work = here([](Repository& repository) -> Status {
               BackupOptions storing = small_packs();
               storing.workers = 1;
               HF_DO(recover(repository, storing));
               return {};
           }),
           .may_go = 3,
           .look = [this] { EXPECT_GE(repository_->snapshots()->size(), 1u); }});
}

TEST_F(FullDisk, Heal) {
    const auto good = storage::local_backend(path("good"));
    reopen();
    MirrorMemory memory;
    HF_OK(sync_mirror(*repository_, *good, memory, {}));
    const auto packs = files_of(FileKind::pack);
    flip_byte(packs[0]);
    HF_OK(os::remove_tree(packs[1]));
    flip_byte(files_of(FileKind::index).front());
    flip_byte(files_of(FileKind::snapshot)[1]);
    keep();
    sweep({.place = repo_path(),
           .work = here([&](Repository& repository) -> Status {
               const auto source = mirror_source("good", *good);
               HealOptions options;
               options.sources = {source.get()};
               options.live_files = false;
               options.aside_folder = path("aside");
               HealReport report;
               HF_DO(heal(repository, options, report));
               if (!report.well()) return fail(ErrorCode::corrupt, "not healed: " + all_of(report.errors_left));
               return {};
           }),
           .mends = true,
           .writes_min = 5});
}

TEST_F(FullDisk, KeyAdd) {
    sweep({.place = repo_path(),
           .work = here([](Repository& repository) -> Status {
               HF_DO(add_key(repository, Secret("new"), cheap_key()));
               return {};
           }),
           .look = [this] { HF_OK(opened(storage::local_backend(repo_path()), "new")); }});
}

TEST_F(FullDisk, KeyPasswd) {
    sweep({.place = repo_path(),
           .work = [this](std::unique_ptr<storage::Backend> backend) -> Status {
               HF_TRY(const auto repository, opened(std::move(backend), "extra"));
               HF_DO(change_password(*repository, Secret("new"), cheap_key()));
               return {};
           },
           .look =
               [this] {
                   HF_OK(opened(storage::local_backend(repo_path()), "new"));
                   EXPECT_FALSE(opened(storage::local_backend(repo_path()), "extra"));
               }});
}

TEST_F(FullDisk, KeyRemove) {
    sweep({.place = repo_path(),
           .work = here([this](Repository& repository) -> Status {
               HF_DO(remove_key(repository, extra_key_.hex()));
               return {};
           }),
           .look = [this] { EXPECT_FALSE(opened(storage::local_backend(repo_path()), "extra")); },
           .writes_min = 1});
}

TEST_F(FullDisk, CopyIntoOne) {
    sweep({.place = path("other"),
           .work = [this](std::unique_ptr<storage::Backend> backend) -> Status {
               HF_TRY(const auto from, opened(storage::local_backend(repo_path())));
               HF_TRY(const auto to, opened(std::move(backend), k_other));
               CopyOptions options;
               options.storing = small_packs();
               options.storing.workers = 1;
               HF_TRY(const auto entries, from->snapshots());
               HF_DO(copy_snapshots(*from, *to, entries, options));
               return {};
           },
           .look = [this] { expect_other_has_all(); },
           .writes_min = 5});
}

TEST_F(FullDisk, RekeyIntoOne) {
    sweep({.place = path("other"),
           .work = [this](std::unique_ptr<storage::Backend> backend) -> Status {
               HF_TRY(const auto from, opened(storage::local_backend(repo_path())));
               HF_TRY(const auto to, opened(std::move(backend), k_other));
               RekeyOptions options;
               options.copy.storing = small_packs();
               options.copy.storing.workers = 1;
               HF_DO(rekey(*from, *to, options));
               return {};
           },
           .look = [this] { expect_other_has_all(); },
           .writes_min = 5});
}

TEST_F(FullDisk, MirrorSync) {
    sweep({.place = path("mirror"),
           .work = [this](std::unique_ptr<storage::Backend> backend) -> Status {
               HF_TRY(const auto repository, opened(storage::local_backend(repo_path())));
               MirrorMemory memory;
               MirrorOptions options;
               options.connections = 1;
               HF_DO(sync_mirror(*repository, *backend, memory, options));
               return {};
           },
           .look =
               [this] {
                   const auto mirror = opened(storage::local_backend(path("mirror")));
                   HF_OK(mirror);
                   const auto report = check(**mirror, {.read_data = true, .progress = {}});
                   HF_OK(report);
                   EXPECT_TRUE(report->ok()) << all_of(report->errors);
                   EXPECT_EQ(report->snapshots, before_.size());
               },
           .writes_min = 8});
}

TEST_F(FullDisk, WhatOnlyReadsNeedsNoRoomWithoutALock) {
    const auto faults = std::make_shared<testing::Faults>();
    faults->writes_left = 0;
    auto repository = opened(testing::faulty_backend(storage::local_backend(repo_path()), faults));
    HF_OK(repository);
    const auto locked = check(**repository, {.read_data = true, .progress = {}});
    ASSERT_FALSE(locked);
    EXPECT_EQ(locked.error().code, ErrorCode::disk_full);
    EXPECT_NE(locked.error().hint.find("--no-lock"), std::string::npos) << locked.error().hint;
    const auto report = check(**repository, {.read_data = true, .progress = {}, .lock = false});
    HF_OK(report);
    EXPECT_TRUE(report->ok());
    EXPECT_EQ(report->snapshots, before_.size());
}

// What a backup left that filled the disk: packs with their index, and packs that no index names.
class FullOfLeftovers : public FullDisk {
protected:
    void SetUp() override {
        FullDisk::SetUp();
        reopen();
        packs_needed_ = files_of(FileKind::pack).size();
        const Id made = [&] {
            write("left/a", noise(50'000, 91));
            const auto done = back_up(path("left"));
            EXPECT_TRUE(done);
            return done->snapshot;
        }();
        HF_OK(repository_->backend().remove({FileKind::snapshot, made}));
        index_files_ = files_of(FileKind::index).size();
        keep();
    }
    Status prune_without_room(std::unique_ptr<storage::Backend> backend, bool index_goes_first = false) {
        HF_TRY(const auto repository, opened(std::move(backend)));
        HF_TRY(const auto needless, needless_files(*repository));
        HF_TRY(const auto lock, lock_making_room(*repository, needless));
        PruneOptions options;
        options.limits.max_repack = 0;
        options.index_goes_first = index_goes_first;
        HF_DO(prune(*repository, *lock, options));
        return {};
    }
    std::size_t packs_needed_ = 0, index_files_ = 0;
};

TEST_F(FullOfLeftovers, PruneFreesBeforeItWritesAndMakesRoomForItsLock) {
    bring_back();
    const auto faults = std::make_shared<testing::Faults>();
    faults->writes_left = 0;
    faults->writes_per_removal = 1;
    HF_OK(prune_without_room(testing::faulty_backend(storage::local_backend(repo_path()), faults)));
    expect_whole(0);
    EXPECT_EQ(files_of(FileKind::pack).size(), packs_needed_);
    EXPECT_EQ(files_of(FileKind::index).size(), index_files_ - 1);
}

TEST_F(FullOfLeftovers, NothingIsRemovedForALockWhileAnotherIsThere) {
    bring_back();
    reopen();
    const auto mine = repository_->lock(LockMode::shared);
    HF_OK(mine);
    const auto faults = std::make_shared<testing::Faults>();
    faults->writes_left = 0;
    const auto refused = prune_without_room(testing::faulty_backend(storage::local_backend(repo_path()), faults));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::locked);
    EXPECT_EQ(files_of(FileKind::index).size(), index_files_);
}

TEST_F(FullOfLeftovers, ADiskThatStaysFullIsSaidAndNothingNeededGoes) {
    bring_back();
    const auto faults = std::make_shared<testing::Faults>();
    faults->writes_left = 0;
    const auto refused = prune_without_room(testing::faulty_backend(storage::local_backend(repo_path()), faults));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::disk_full);
    expect_whole(0);
}

// All in one index file, so that none can go without a new one.
TEST_F(FullOfLeftovers, TheLastResortReplacesIndexFilesInTheirOwnRoom) {
    bring_back();
    reopen();
    RepairIndexOptions all;
    all.read_all_packs = true;
    HF_OK(os::remove_tree(files_of(FileKind::index).front()));
    HF_OK(repair_index(*repository_, all));
    ASSERT_EQ(files_of(FileKind::index).size(), 1u);
    keep();
    // Room for the lock and no more: then the usual order stops with a word of the last resort, which goes through.
    for (const bool last_resort : {false, true}) {
        bring_back();
        const auto faults = std::make_shared<testing::Faults>();
        faults->writes_left = 1;
        faults->writes_per_removal = last_resort ? 1 : 0;
        const auto done =
            prune_without_room(testing::faulty_backend(storage::local_backend(repo_path()), faults), last_resort);
        if (last_resort) {
            HF_OK(done);
        } else {
            ASSERT_FALSE(done);
            EXPECT_EQ(done.error().code, ErrorCode::disk_full);
            EXPECT_NE(done.error().hint.find("--unsafe-recover-no-free-space"), std::string::npos);
        }
        expect_whole(0);
        EXPECT_EQ(files_of(FileKind::pack).size() == packs_needed_, last_resort);
    }
    // Where not even the old one's room is left for the new one, its packs are there and can be named again.
    bring_back();
    const auto faults = std::make_shared<testing::Faults>();
    faults->writes_left = 1;
    const auto stuck = prune_without_room(testing::faulty_backend(storage::local_backend(repo_path()), faults), true);
    ASSERT_FALSE(stuck);
    EXPECT_NE(stuck.error().hint.find("holdfast repair index"), std::string::npos) << stuck.error().hint;
    reopen();
    HF_OK(repair_index(*repository_));
    expect_whole(0);
}

TEST_F(FullDisk, AForgottenSnapshotMakesRoomForTheLockOfTheForget) {
    bring_back();
    const auto faults = std::make_shared<testing::Faults>();
    faults->writes_left = 0;
    faults->writes_per_removal = 1;
    {
        auto repository = opened(testing::faulty_backend(storage::local_backend(repo_path()), faults));
        HF_OK(repository);
        const storage::FileName oldest{FileKind::snapshot, before_[0].id};
        HF_OK(lock_making_room(**repository, {&oldest, 1}));
    }
    expect_whole(1);
    EXPECT_EQ(repository_->snapshots()->size(), 2u);
}

}    // namespace
}    // namespace holdfast::vault
