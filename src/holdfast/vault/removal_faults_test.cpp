// Commands that take files away, on storage that dies at any of their steps and forgets what was not synced, removals
// included; and on storage that lets nothing be removed.

#include <algorithm>

#include "holdfast/testing/faulty_backend.hpp"
#include "holdfast/vault/fixture_test.hpp"
#include "holdfast/vault/key_change.hpp"
#include "holdfast/vault/prune.hpp"
#include "holdfast/vault/rekey.hpp"
#include "holdfast/vault/removal.hpp"
#include "holdfast/vault/repair_index.hpp"
#include "holdfast/vault/repair_packs.hpp"
#include "holdfast/vault/repair_snapshots.hpp"
#include "holdfast/vault/rewrite.hpp"
#include "holdfast/vault/tag.hpp"

namespace holdfast::vault {
namespace {

using storage::FileKind;

class RemovalFaults : public VaultTest {
protected:
    using Work = std::function<Status(Repository&)>;

    void SetUp() override {
        init();
        for (int i = 0; i < 3; ++i) {
            write("src/changing", noise(60'000, static_cast<std::uint64_t>(10 + i)));
            write("src/folder/" + std::to_string(i), noise(20'000, static_cast<std::uint64_t>(20 + i)));
            HF_OK(back_up(path("src")));
        }
        const auto entries = repository_->snapshots();
        HF_OK(entries);
        before_ = *entries;
        NewKey cheap;
        cheap.cost = {16, 1, 1};
        const auto extra = add_key(*repository_, Secret("extra"), cheap);
        HF_OK(extra);
        extra_key_ = *extra;
        repository_.reset();
        sh("find \"$1/data\" -mindepth 1 -type d -empty -delete; cp -a \"$1\" \"$2\"", {repo_path(), path("kept")});
    }
    void bring_back() {
        repository_.reset();
        ASSERT_TRUE(sh("rm -rf \"$1\"; cp -a \"$2\" \"$1\"", {repo_path(), path("kept")}).ok);
    }
    Result<std::unique_ptr<Repository>> opened(std::shared_ptr<testing::Faults> faults,
                                               const char* password = k_password) {
        return Repository::open(testing::faulty_backend(storage::local_backend(repo_path()), std::move(faults)),
                                Secret(password), clock_);
    }

    /// All snapshots but the first `may_go` are there by tree, and all is whole.
    void expect_whole(std::size_t may_go, const std::string& when) {
        reopen();
        const auto report = checked(true);
        EXPECT_TRUE(report.ok()) << when << ":\n" << all_of(report.errors);
        const auto entries = repository_->snapshots();
        HF_OK(entries);
        for (std::size_t i = may_go; i < before_.size(); ++i)
            EXPECT_TRUE(std::ranges::any_of(
                *entries, [&](const SnapshotEntry& e) { return e.snapshot.tree == before_[i].snapshot.tree; }))
                << when << ": the tree of snapshot " << i << " is gone";
    }

    void sweep(const Work& work, std::size_t may_go, const Work& prepare = {}, const char* password = k_password,
               const std::function<void(const std::string& when, bool done)>& look = {}) {
        bool finished = false;
        for (std::int64_t steps = 0; !finished; ++steps) {
            ASSERT_LT(steps, 100);
            // Nothing is lost, all is, and every second change one way and the other: an order that no disk owes us.
            for (const std::uint64_t lost :
                 {std::uint64_t(0), ~std::uint64_t(0), 0x5555555555555555u, 0xaaaaaaaaaaaaaaaau}) {
                const std::string when = "after " + std::to_string(steps) + " steps, lost " + std::to_string(lost);
                bring_back();
                if (prepare) {
                    reopen();
                    HF_OK(prepare(*repository_));
                    repository_.reset();
                }
                const auto faults = std::make_shared<testing::Faults>();
                {
                    auto repository = opened(faults, password);
                    HF_OK(repository);
                    faults->commits_left = steps + 1;    // the lock is the first
                    finished = work(**repository).has_value();
                }
                HF_OK(testing::lose_power(*storage::local_backend(repo_path()), *faults, lost));
                if (look) look(when, finished);
                if (!prepare) expect_whole(may_go, when);
                if (HasFailure()) return;
                // And the same again goes through.
                auto again = Repository::open(storage::local_backend(repo_path()), Secret(password), clock_);
                if (again && !look) HF_OK(work(**again));
                again = fail(ErrorCode::not_found, "closed");
                expect_whole(may_go, when + ", and again");
                if (HasFailure()) return;
            }
        }
    }

    std::vector<SnapshotEntry> before_;
    Id extra_key_;
};

Status forget_and_prune(Repository& repository) {
    HF_TRY(const auto lock, repository.lock(LockMode::exclusive));
    HF_TRY(const auto entries, repository.snapshots());
    // The oldest goes while there are three.
    if (entries.size() == 3) HF_DO(remove_files(repository, *lock, {{FileKind::snapshot, entries[0].id}}));
    PruneOptions options;
    options.limits.max_unused = {MaxUnused::Kind::bytes, 0, 0};
    HF_DO(prune(repository, *lock, options));
    return {};
}

Status tag_all(Repository& repository) {
    HF_TRY(const auto lock, repository.lock(LockMode::exclusive));
    HF_TRY(const auto entries, repository.snapshots());
    TagChange change;
    change.add = {"audit"};
    HF_DO(tag(repository, *lock, entries, entries, change));
    return {};
}

Status rename_host(Repository& repository) {
    HF_TRY(const auto lock, repository.lock(LockMode::exclusive));
    HF_TRY(const auto entries, repository.snapshots());
    RewriteOptions options;
    options.new_host = "renamed";
    options.forget = true;
    HF_DO(rewrite(repository, *lock, entries, entries, options));
    return {};
}

NewKey cheap_key() {
    NewKey key;
    key.cost = {16, 1, 1};
    return key;
}

TEST_F(RemovalFaults, ForgetAndPrune) { sweep(forget_and_prune, 1); }
TEST_F(RemovalFaults, Tag) { sweep(tag_all, 0); }
TEST_F(RemovalFaults, RewriteThatForgets) { sweep(rename_host, 0); }

TEST_F(RemovalFaults, APasswordChangeAlwaysLeavesOneThatOpens) {
    sweep(
        [](Repository& repository) -> Status {
            HF_DO(change_password(repository, Secret("changed"), cheap_key()));
            return {};
        },
        0, {}, "extra",
        [&](const std::string& when, bool) {
            const auto opens = [&](const char* password) {
                return Repository::open(storage::local_backend(repo_path()), Secret(password), clock_).has_value();
            };
            EXPECT_TRUE(opens("extra") || opens("changed")) << when;
        });
}

TEST_F(RemovalFaults, AKeyThatWasSaidToBeRemovedStaysRemovedAndTheOtherOpens) {
    sweep(
        [this](Repository& repository) -> Status {
            HF_DO(remove_key(repository, extra_key_.hex()));
            return {};
        },
        0, {}, k_password,
        [&](const std::string& when, bool done) {
            HF_OK(Repository::open(storage::local_backend(repo_path()), Secret(k_password), clock_));
            if (done) {
                EXPECT_FALSE(Repository::open(storage::local_backend(repo_path()), Secret("extra"), clock_)) << when;
            }
        });
}

// What is written lies in the new repository; the old one must not feel it.
TEST_F(RemovalFaults, Rekey) {
    bring_back();
    reopen();
    const auto open_target = [&](std::shared_ptr<testing::Faults> faults) {
        auto backend = storage::local_backend(path("target"));
        if (faults) backend = testing::faulty_backend(std::move(backend), std::move(faults));
        return Repository::open(std::move(backend), Secret("new"), clock_);
    };
    const auto expect_all_there = [&](const std::string& when) {
        const auto target = open_target(nullptr);
        HF_OK(target);
        EXPECT_EQ((*target)->snapshots()->size(), before_.size()) << when;
        const auto report = check(**target, {.read_data = true, .progress = {}});
        HF_OK(report);
        EXPECT_TRUE(report->ok()) << when << ":\n" << all_of(report->errors);
    };
    RekeyOptions options;
    options.copy.storing = small_packs();
    options.copy.storing.workers = 1;
    bool finished = false;
    for (std::int64_t steps = 0; !finished; ++steps) {
        ASSERT_LT(steps, 100);
        for (const std::uint64_t lost :
             {std::uint64_t(0), ~std::uint64_t(0), 0x5555555555555555u, 0xaaaaaaaaaaaaaaaau}) {
            const std::string when = "after " + std::to_string(steps) + " steps, lost " + std::to_string(lost);
            HF_OK(os::remove_tree(path("target")));
            InitOptions making;
            making.cost = {16, 1, 1};
            making.polynomial = repository_->config().polynomial;
            HF_OK(Repository::init(storage::local_backend(path("target")), Secret("new"), clock_, making));
            const auto faults = std::make_shared<testing::Faults>();
            {
                const auto target = open_target(faults);
                HF_OK(target);
                faults->commits_left = steps + 1;    // the lock is the first
                finished = rekey(*repository_, **target, options).has_value();
            }
            HF_OK(testing::lose_power(*storage::local_backend(path("target")), *faults, lost));
            if (finished) expect_all_there(when);
            {
                const auto target = open_target(nullptr);
                HF_OK(target);
                HF_OK(rekey(*repository_, **target, options));
            }
            expect_all_there(when + ", and again");
            if (HasFailure()) return;
        }
    }
    expect_whole(0, "the old one");
}

TEST_F(RemovalFaults, RepairSnapshots) {
    sweep(
        [](Repository& repository) -> Status {
            RepairSnapshotsOptions options;
            options.forget = true;
            options.storing.workers = 1;
            HF_TRY(const auto entries, repository.snapshots());
            HF_DO(repair_snapshots(repository, entries, options));
            return {};
        },
        1,
        [this](Repository& repository) -> Status {
            // One blob that only the oldest snapshot needs is lost.
            HF_DO(repository.load_index());
            HF_TRY(const auto node, repository.find_node(before_[0].snapshot.tree, path("src/changing")));
            const BlobPlace place = repository.places(format::BlobType::data, node.content[0]).at(0);
            flip_byte(repo_path() + '/' + storage::relative_path({FileKind::pack, place.pack}), place.blob.offset + 20);
            HF_DO(repair_packs(repository));
            return {};
        });
    // The last one ended well: repaired, and not twice.
    const auto entries = repository_->snapshots();
    HF_OK(entries);
    EXPECT_EQ(entries->size(), before_.size());
    EXPECT_EQ(std::ranges::count_if(*entries, [](const auto& e) { return e.snapshot.original.has_value(); }), 1);
}

TEST_F(RemovalFaults, RepairIndex) {
    sweep(
        [](Repository& repository) -> Status {
            RepairIndexOptions options;
            options.read_all_packs = true;
            HF_DO(repair_index(repository, options));
            return {};
        },
        0, [this](Repository&) -> Status { return os::remove_tree(files_of(FileKind::index).front()); });
}

TEST_F(RemovalFaults, RepairPacks) {
    sweep(
        [this](Repository& repository) -> Status {
            RepairPacksOptions options;
            options.save_to = path("saved");
            options.storing = small_packs();
            HF_DO(repair_packs(repository, options));
            return {};
        },
        0,
        [this](Repository&) -> Status {
            // In its own table: every blob is whole.
            const std::string pack = files_of(FileKind::pack).front();
            flip_byte(pack, os::read_file(pack)->size() - 8);
            return {};
        });
}

TEST_F(RemovalFaults, WhereNothingMayBeRemovedItIsSaidAndNothingIsDone) {
    const std::vector<std::pair<const char*, Work>> commands = {
        {"prune", forget_and_prune},
        {"tag", tag_all},
        {"rewrite", rename_host},
        {"key remove",
         [this](Repository& repository) -> Status {
             HF_DO(remove_key(repository, extra_key_.hex()));
             return {};
         }},
    };
    for (const auto& [name, work] : commands) {
        SCOPED_TRACE(name);
        bring_back();
        const auto faults = std::make_shared<testing::Faults>();
        auto repository = opened(faults);
        HF_OK(repository);
        faults->refuse_removals = true;
        const auto refused = work(**repository);
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().code, ErrorCode::denied) << refused.error().message;
        EXPECT_FALSE(refused.error().hint.empty()) << refused.error().message;
        repository = fail(ErrorCode::not_found, "closed");
        expect_whole(0, name);
        const auto entries = repository_->snapshots();
        HF_OK(entries);
        ASSERT_EQ(entries->size(), before_.size());
        for (std::size_t i = 0; i < before_.size(); ++i) EXPECT_EQ((*entries)[i].id, before_[i].id);
        HF_OK(Repository::open(storage::local_backend(repo_path()), Secret("extra"), clock_));
    }
}

}    // namespace
}    // namespace holdfast::vault
