// Storage that fails at its n-th call, for every n, in three ways: the call is not done; it is done and its answer is
// lost; from then on nothing answers. Then the power goes, and every name that no sync() made safe is lost. Whatever
// happened: what was there is there, and a success that was reported is true.

#include "holdfast/testing/faulty_backend.hpp"
#include "holdfast/vault/fixture_test.hpp"

namespace holdfast::vault {
namespace {

using storage::FileKind;
using storage::FileName;

enum class Failing { not_done, answer_lost, dead_from_then_on };

struct Plan {
    Failing how = Failing::not_done;
    std::int64_t at = 0;    // the number of the call, from 1
    std::atomic<std::int64_t> calls = 0;
};

// Counts every call that changes or reads something, and fails where the plan says.
class Failer final : public storage::Backend {
public:
    Failer(std::unique_ptr<storage::Backend> below, std::shared_ptr<Plan> plan)
        : below_(std::move(below)), plan_(std::move(plan)) {}

    Status create_layout() override {
        return call([&] { return below_->create_layout(); });
    }
    Result<std::unique_ptr<storage::Upload>> start(FileKind kind) override {
        HF_DO(call([] { return Status(); }));
        HF_TRY(auto upload, below_->start(kind));
        return std::make_unique<FailingUpload>(*this, std::move(upload));
    }
    Status put(const FileName& name, ByteView bytes) override {
        return call([&] { return below_->put(name, bytes); });
    }
    Result<Bytes> read(const FileName& name) override {
        HF_DO(call([] { return Status(); }));
        return below_->read(name);
    }
    Status read_at(const FileName& name, std::uint64_t offset, ByteSpan to) override {
        return call([&] { return below_->read_at(name, offset, to); });
    }
    Result<std::uint64_t> size(const FileName& name) override {
        HF_DO(call([] { return Status(); }));
        return below_->size(name);
    }
    Status list(FileKind kind, const std::function<void(const Id&, std::uint64_t)>& found) override {
        return call([&] { return below_->list(kind, found); });
    }
    Status remove(const FileName& name) override {
        return call([&] { return below_->remove(name); });
    }
    Status sync() override {
        return call([&] { return below_->sync(); });
    }
    bool lists_at_once() const override { return true; }
    std::string location() const override { return below_->location(); }

private:
    class FailingUpload final : public storage::Upload {
    public:
        FailingUpload(Failer& owner, std::unique_ptr<storage::Upload> below)
            : owner_(owner), below_(std::move(below)) {}
        Status write(ByteView bytes) override {
            return owner_.call([&] { return below_->write(bytes); });
        }
        Status commit(const Id& id) override {
            return owner_.call([&] { return below_->commit(id); });
        }

    private:
        Failer& owner_;
        std::unique_ptr<storage::Upload> below_;
    };

    template <class Do>
    Status call(Do work) {
        const std::int64_t number = ++plan_->calls;
        const bool now = number == plan_->at;
        if (now && plan_->how == Failing::answer_lost) static_cast<void>(work().has_value());
        if (now || (plan_->how == Failing::dead_from_then_on && plan_->at != 0 && number > plan_->at))
            return fail(ErrorCode::io, "the storage fails call " + std::to_string(number));
        return work();
    }

    const std::unique_ptr<storage::Backend> below_;
    const std::shared_ptr<Plan> plan_;
};

class FaultSweep : public VaultTest {
protected:
    // The repository as it was before each attempt.
    void keep() {
        repository_.reset();
        sh("find \"$1/data\" -mindepth 1 -type d -empty -delete; rm -rf \"$2\"; cp -a \"$1\" \"$2\"",
           {repo_path(), path("kept")});
    }
    void bring_back() {
        repository_.reset();
        ASSERT_TRUE(sh("rm -rf \"$2\"; test ! -e \"$1\" || cp -a \"$1\" \"$2\"", {path("kept"), repo_path()}).ok);
    }

    /// `work` opens the repository through the failing storage and says whether it succeeded; `expect` looks at what is
    /// there after the power came back.
    void sweep(const std::string& name, const std::function<Status(std::unique_ptr<storage::Backend>)>& work,
               const std::function<void(bool succeeded, const std::string& when)>& expect) {
        for (const Failing how : {Failing::not_done, Failing::answer_lost, Failing::dead_from_then_on}) {
            std::int64_t failures = 0;
            for (std::int64_t at = 1;; ++at) {
                ASSERT_LT(at, 400) << name;
                const std::string when =
                    name + ", way " + std::to_string(static_cast<int>(how)) + ", call " + std::to_string(at);
                bring_back();
                const auto plan = std::make_shared<Plan>();
                plan->how = how;
                plan->at = at;
                const auto faults = std::make_shared<testing::Faults>();
                const Status done = work(std::make_unique<Failer>(
                    testing::faulty_backend(storage::local_backend(repo_path()), faults), plan));
                if (!done) {
                    ++failures;
                    EXPECT_NE(done.error().code, ErrorCode::internal) << when << done.error().message;
                }
                const bool reached = plan->calls >= at;
                // Odd calls: the power goes, too, and takes every name with it that was not safe.
                if (at % 2 == 1) {
                    const auto below = storage::local_backend(repo_path());
                    HF_OK(testing::lose_power(*below, *faults, ~std::uint64_t(0)));
                }
                // A lock that could not be removed is ours, and we live on; the program would have ended here.
                sh("rm -f \"$1\"/locks/*", {repo_path()});
                expect(done.has_value(), when);
                if (HasFailure()) return;
                if (!reached) {
                    EXPECT_TRUE(done.has_value()) << when;
                    break;
                }
            }
            EXPECT_GT(failures, 5) << name;
        }
    }
    void expect_whole(const std::string& when) {
        const auto report = checked(true);
        EXPECT_TRUE(report.ok()) << when << ":\n" << all_of(report.errors);
    }
};

TEST_F(FaultSweep, ABackupThatSucceedsIsThereAndOneThatFailsHurtsNothing) {
    init();
    write("src/a", noise(90'000));
    write("src/folder/b", std::string(5'000, 'b'));
    HF_OK(back_up(path("src")));
    const Id before = repository_->find_snapshot("latest")->id;
    keep();
    write("src/a", noise(80'000, 2));
    write("src/new", noise(10'000, 3));
    std::string made;
    sweep(
        "backup",
        [&](std::unique_ptr<storage::Backend> backend) -> Status {
            HF_TRY(auto repository, Repository::open(std::move(backend), Secret(k_password), clock_));
            BackupOptions options = small_packs();
            options.workers = 1;
            HF_TRY(const auto backup, Backup::start(*repository, options));
            HF_DO(backup->add_path(path("src")));
            HF_TRY(const auto outcome, backup->commit());
            made = outcome.snapshot.hex();
            return {};
        },
        [&](bool succeeded, const std::string& when) {
            reopen();
            expect_whole(when);
            EXPECT_TRUE(repository_->find_snapshot(before.hex())) << when;
            if (succeeded) {
                EXPECT_TRUE(repository_->find_snapshot(made)) << when << ": a success that was not true";
            }
        });
    reopen();
    HF_OK(restore_latest("out"));
    EXPECT_EQ(listing(path("out") + path("src")), listing(path("src")));
}

TEST_F(FaultSweep, AnInitThatSucceedsIsARepositoryAndOneThatFailsCanBeRepeated) {
    sweep(
        "init",
        [&](std::unique_ptr<storage::Backend> backend) -> Status {
            InitOptions options;
            options.cost = {16, 1, 1};
            HF_DO(Repository::init(std::move(backend), Secret(k_password), clock_, options));
            return {};
        },
        [&](bool succeeded, const std::string& when) {
            auto opened = Repository::open(storage::local_backend(repo_path()), Secret(k_password), clock_);
            if (succeeded) {
                EXPECT_TRUE(opened) << when << ": a success that was not true";
                return;
            }
            if (!opened) {
                // Not made: then it can be made now.
                EXPECT_EQ(opened.error().code, ErrorCode::no_repository) << when << error_text(opened.error());
                InitOptions options;
                options.cost = {16, 1, 1};
                EXPECT_TRUE(Repository::init(storage::local_backend(repo_path()), Secret(k_password), clock_, options))
                    << when;
            }
        });
}

TEST_F(FaultSweep, ACheckOverFailingStorageNeverSaysThatAllIsWell) {
    init();
    write("src/a", noise(20'000));
    HF_OK(back_up(path("src")));
    keep();
    sweep(
        "check",
        [&](std::unique_ptr<storage::Backend> backend) -> Status {
            HF_TRY(auto repository, Repository::open(std::move(backend), Secret(k_password), clock_));
            HF_TRY(const auto report, check(*repository, {.read_data = true, .progress = {}}));
            if (!report.ok()) return fail(ErrorCode::corrupt, report.errors.front());
            return {};
        },
        [&](bool, const std::string& when) {
            reopen();
            expect_whole(when);
        });
}

}    // namespace
}    // namespace holdfast::vault
