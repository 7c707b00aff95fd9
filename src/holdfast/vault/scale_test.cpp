// Many snapshots, a clock that jumps, a repository that may only be read.

#include <unistd.h>

#include "holdfast/vault/fixture_test.hpp"

namespace holdfast::vault {
namespace {

using storage::FileKind;
using storage::FileName;

// Counts what is asked of the storage: time on a loaded machine proves nothing, calls do.
class Counting final : public storage::Backend {
public:
    struct Counts {
        std::atomic<std::uint64_t> reads = 0, lists = 0, removes = 0;
    };
    Counting(std::unique_ptr<storage::Backend> below, Counts& counts) : below_(std::move(below)), counts_(counts) {}
    Status create_layout() override { return below_->create_layout(); }
    Result<std::unique_ptr<storage::Upload>> start(FileKind kind) override { return below_->start(kind); }
    Status put(const FileName& name, ByteView bytes) override { return below_->put(name, bytes); }
    Result<Bytes> read(const FileName& name) override {
        ++counts_.reads;
        return below_->read(name);
    }
    Status read_at(const FileName& name, std::uint64_t offset, ByteSpan to) override {
        ++counts_.reads;
        return below_->read_at(name, offset, to);
    }
    Result<std::uint64_t> size(const FileName& name) override { return below_->size(name); }
    Status list(FileKind kind, const std::function<void(const Id&, std::uint64_t)>& found) override {
        ++counts_.lists;
        return below_->list(kind, found);
    }
    Status remove(const FileName& name) override {
        ++counts_.removes;
        return below_->remove(name);
    }
    Status sync() override { return below_->sync(); }
    bool lists_at_once() const override { return true; }
    std::string location() const override { return below_->location(); }

private:
    const std::unique_ptr<storage::Backend> below_;
    Counts& counts_;
};

// The wall clock is what a test sets it to; instants go on as they do.
class JumpingClock final : public Clock {
public:
    Timestamp now() const override { return real_.now() + Duration(jump.load()); }
    Instant instant() const override { return real_.instant(); }
    void sleep(Duration d) override { real_.sleep(d); }
    std::atomic<std::int64_t> jump = 0;

private:
    os::SystemClock real_;
};

constexpr std::int64_t k_year = std::int64_t(365) * 24 * 3600 * 1'000'000'000;

class Scale : public VaultTest {};

TEST_F(Scale, TenThousandSnapshotsAreReadOnceEach) {
    init();
    write("src/a", noise(20'000));
    HF_OK(back_up(path("src")));
    const auto first = repository_->find_snapshot("latest");
    HF_OK(first);
    constexpr std::uint64_t k_count = 10'000;
    for (std::uint64_t i = 1; i < k_count; ++i) {
        format::Snapshot snapshot = first->snapshot;
        snapshot.time = snapshot.time + std::chrono::minutes(i);
        snapshot.hostname = "host-" + std::to_string(i % 7);
        HF_OK(repository_->write_document(FileKind::snapshot, format::encode(snapshot)));
    }
    Counting::Counts counts;
    reopen(std::make_unique<Counting>(storage::local_backend(repo_path()), counts));
    counts.reads = counts.lists = 0;
    const auto all = repository_->snapshots();
    HF_OK(all);
    EXPECT_EQ(all->size(), k_count);
    EXPECT_LE(counts.reads, k_count);
    EXPECT_EQ(counts.lists, 1u);

    counts.reads = counts.lists = 0;
    const auto latest = repository_->find_snapshot("latest", {"host-3", {}, {}});
    HF_OK(latest);
    EXPECT_EQ(latest->snapshot.hostname, "host-3");
    EXPECT_LE(counts.reads, k_count);

    // Their one tree is read once, not ten thousand times.
    counts.reads = counts.lists = 0;
    const auto report = checked(true);
    EXPECT_TRUE(report.ok());
    EXPECT_EQ(report.snapshots, k_count);
    EXPECT_LE(counts.reads, k_count + 100);

    // A backup beside them reads them when it looks for its parent, and its own few files.
    counts.reads = counts.lists = 0;
    HF_OK(back_up(path("src")));
    EXPECT_LE(counts.reads, k_count + 100);
}

TEST_F(Scale, AClockThatJumpsByYearsTakesNoLockAwayAndLosesNoSnapshot) {
    JumpingClock jumping;
    init();
    repository_.reset();
    auto opened = Repository::open(storage::local_backend(repo_path()), Secret(k_password), jumping);
    HF_OK(opened);
    repository_ = *std::move(opened);
    // Another process's lock, and ours, while the clock is set back and forth.
    write("src/a", noise(10'000));
    for (const std::int64_t jump : {std::int64_t(0), 30 * k_year, -50 * k_year, k_year / 8760, -k_year / 8760}) {
        jumping.jump = 0;
        auto held = repository_->lock(LockMode::shared);
        HF_OK(held);
        jumping.jump = jump;
        EXPECT_TRUE((*held)->still_held()) << jump;
        auto rival = Repository::open(storage::local_backend(repo_path()), Secret(k_password), jumping);
        HF_OK(rival);
        const auto exclusive = (*rival)->lock(LockMode::exclusive);
        ASSERT_FALSE(exclusive) << "a lock was taken from its living owner after a jump of " << jump;
        EXPECT_EQ(exclusive.error().code, ErrorCode::locked);
        held->reset();
        HF_OK(back_up(path("src")));
        const auto report = checked(true);
        EXPECT_TRUE(report.ok()) << all_of(report.errors);
    }
    EXPECT_EQ(repository_->snapshots()->size(), 5u);
    EXPECT_TRUE(files_of(FileKind::lock).empty());
}

TEST_F(Scale, ARepositoryThatMayOnlyBeReadSaysSoAndIsNotHurt) {
    init();
    write("src/a", noise(10'000));
    HF_OK(back_up(path("src")));
    const std::string before = listing(repo_path());
    repository_.reset();
    // Root may write everywhere but on a file system that is mounted read-only.
    ASSERT_TRUE(sh("mount --bind \"$1\" \"$1\" && mount -o remount,ro,bind \"$1\"", {repo_path()}).ok);
    auto opened = Repository::open(storage::local_backend(repo_path()), Secret(k_password), clock_);
    std::optional<Error> refused;
    bool found = false;
    if (opened) {
        repository_ = *std::move(opened);
        found = repository_->find_snapshot("latest").has_value();
        if (const auto run = back_up(path("src")); !run) refused = run.error();
    }
    repository_.reset();
    ASSERT_TRUE(sh("umount \"$1\"", {repo_path()}).ok);
    ASSERT_TRUE(refused) << "a backup into a read-only repository succeeded";
    EXPECT_TRUE(found);
    EXPECT_NE(refused->message, "");
    EXPECT_EQ(listing(repo_path()), before);
}

}    // namespace
}    // namespace holdfast::vault
