#include "holdfast/vault/lock.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include "holdfast/vault/fixture_test.hpp"
#include "holdfast/vault/repository_state.hpp"

namespace holdfast::vault {
namespace {

using storage::FileKind;
using namespace std::chrono_literals;

class LockTest : public VaultTest {
protected:
    void SetUp() override { init(); }
    // As a lock of this process says it.
    format::PidOrigin own_origin() {
        const auto mine = repository_->lock(LockMode::shared);
        EXPECT_TRUE(mine);
        const auto id = Id::parse(files_of(FileKind::lock).front().substr(repo_path().size() + 7));
        const auto json = repository_->read_document({FileKind::lock, *id});
        EXPECT_TRUE(json);
        return format::decode_lock(*json, "ours")->origin.value();
    }
    // A lock file of somebody else.
    void foreign_lock(bool exclusive, const std::string& host, std::int64_t pid, std::optional<Timestamp> time = {},
                      std::optional<format::PidOrigin> origin = {}) {
        format::Lock lock;
        lock.time = time.value_or(clock_.now());
        lock.exclusive = exclusive;
        lock.hostname = host;
        lock.username = "trader";
        lock.pid = pid;
        lock.origin = std::move(origin);
        HF_OK(repository_->write_document(FileKind::lock, format::encode(lock)));
    }
    static std::int64_t gone_pid() {
        const pid_t child = ::fork();
        if (child == 0) ::_exit(0);
        ::waitpid(child, nullptr, 0);
        return child;
    }
};

TEST_F(LockTest, SharedLocksGoTogetherAndLeaveNothing) {
    {
        const auto one = repository_->lock(LockMode::shared);
        const auto two = repository_->lock(LockMode::shared);
        HF_OK(one);
        HF_OK(two);
        EXPECT_EQ(files_of(FileKind::lock).size(), 2u);
        EXPECT_TRUE((*one)->still_held());
    }
    EXPECT_TRUE(files_of(FileKind::lock).empty());
}

TEST_F(LockTest, ExclusiveExcludesAndNamesItsOwner) {
    const auto mine = repository_->lock(LockMode::exclusive);
    HF_OK(mine);
    for (const LockMode mode : {LockMode::shared, LockMode::exclusive}) {
        const auto other = repository_->lock(mode);
        ASSERT_FALSE(other);
        EXPECT_EQ(other.error().code, ErrorCode::locked);
        EXPECT_NE(other.error().message.find("PID " + std::to_string(::getpid())), std::string::npos)
            << other.error().message;
        EXPECT_NE(other.error().hint.find("unlock"), std::string::npos);
    }
    EXPECT_EQ(files_of(FileKind::lock).size(), 1u);    // the failed ones took theirs back
}

TEST_F(LockTest, SharedExcludesExclusive) {
    const auto mine = repository_->lock(LockMode::shared);
    HF_OK(mine);
    EXPECT_EQ(check(*repository_).error().code, ErrorCode::locked);
}

TEST_F(LockTest, ALockOfAProcessThatIsGoneIsRemoved) {
    foreign_lock(true, os::host_name(), gone_pid(), {}, own_origin());
    HF_OK(repository_->lock(LockMode::exclusive));
    EXPECT_TRUE(files_of(FileKind::lock).empty());
}

TEST_F(LockTest, ALockOfAnotherHostIsNeverRemoved) {
    foreign_lock(true, "elsewhere", gone_pid());
    const auto refused = repository_->lock(LockMode::shared);
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().message.find("trader@elsewhere"), std::string::npos);
    EXPECT_EQ(files_of(FileKind::lock).size(), 1u);
}

TEST_F(LockTest, UnlockRemovesWhatIsStaleAndLeavesTheLiving) {
    const auto mine = repository_->lock(LockMode::shared);
    HF_OK(mine);
    foreign_lock(true, os::host_name(), gone_pid());
    foreign_lock(true, "elsewhere", 17, clock_.now() - 31min);
    foreign_lock(false, "elsewhere", 18, clock_.now() - 29min);
    foreign_lock(false, "elsewhere", 19, clock_.now() + 3h);    // its clock is ahead
    const auto report = unlock(*repository_, false);
    HF_OK(report);
    EXPECT_EQ(report->removed.size(), 2u);
    EXPECT_EQ(report->left.size(), 3u);
    EXPECT_TRUE((*mine)->still_held());
    HF_OK(unlock(*repository_, true));
    EXPECT_TRUE(files_of(FileKind::lock).empty());
}

TEST_F(LockTest, APidOfAnotherContainerOrMachineSaysNothing) {
    const format::PidOrigin here = own_origin();
    format::PidOrigin container = here, machine = here;
    ++container.pid_namespace;
    machine.machine = "another";
    machine.boot = "another";
    // Of this host by its name; and of a program that does not say where its PIDs count.
    for (const auto& origin : {std::optional(container), std::optional(machine), std::optional<format::PidOrigin>()}) {
        foreign_lock(true, os::host_name(), gone_pid(), {}, origin);
        const auto refused = repository_->lock(LockMode::shared);
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().code, ErrorCode::locked);
        EXPECT_EQ(files_of(FileKind::lock).size(), 1u);
        // Who unlocks by hand: as restic does for those without, by age for the others.
        EXPECT_EQ(unlock(*repository_, false)->removed.size(), origin ? 0u : 1u);
        HF_OK(unlock(*repository_, true));
    }
    foreign_lock(true, os::host_name(), gone_pid(), clock_.now() - 31min, container);
    const auto refused = repository_->lock(LockMode::shared);
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().hint.find("`holdfast unlock`"), std::string::npos) << refused.error().hint;
    EXPECT_EQ(unlock(*repository_, false)->removed.size(), 1u);
}

TEST_F(LockTest, ALockFromBeforeThisMachineWasStartedIsRemoved) {
    format::PidOrigin before = own_origin();
    before.boot = "another";
    // Its PID is somebody else's now.
    foreign_lock(true, os::host_name(), 1, os::boot_time() - 1s, before);
    if (before.machine.empty()) {    // then only the age counts
        EXPECT_EQ(repository_->lock(LockMode::exclusive).error().code, ErrorCode::locked);
        return;
    }
    HF_OK(repository_->lock(LockMode::exclusive));
    // The same word of a time at which this machine ran already comes from a copy of it.
    foreign_lock(true, os::host_name(), 1, os::boot_time() + 1s, before);
    EXPECT_EQ(repository_->lock(LockMode::exclusive).error().code, ErrorCode::locked);
}

TEST_F(LockTest, ALockOfTheFutureBlocksAndTellsOfTheClock) {
    foreign_lock(true, "elsewhere", 17, clock_.now() + 24h);
    const auto refused = repository_->lock(LockMode::shared);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::locked);
    EXPECT_NE(refused.error().hint.find("clock of elsewhere"), std::string::npos) << refused.error().hint;
    EXPECT_TRUE(unlock(*repository_, false)->removed.empty());
}

// The wall clock of somebody who sets it.
class SetClock final : public Clock {
public:
    Timestamp now() const override { return {real_.now().nanoseconds + ahead.load()}; }
    Instant instant() const override { return real_.instant(); }
    void sleep(Duration d) override { real_.sleep(d); }
    std::atomic<std::int64_t> ahead = 0;

private:
    os::SystemClock real_;
};

TEST_F(LockTest, AJumpOfTheWallClockLosesNoLockOfOurs) {
    SetClock set;
    auto opened = Repository::open(storage::local_backend(repo_path()), Secret(k_password), set);
    HF_OK(opened);
    (*opened)->state().lock_timing.refresh_every = 5ms;
    const auto mine = (*opened)->lock(LockMode::exclusive);
    HF_OK(mine);
    for (const Duration jump : {Duration(24h * 3650), Duration(24h * -3650)}) {
        set.ahead = jump.count();
        const auto before = files_of(FileKind::lock);
        while (files_of(FileKind::lock) == before) clock_.sleep(1ms);
        EXPECT_TRUE((*mine)->still_held());
    }
}

TEST_F(LockTest, ALivingProcessHoldsItsLockWhateverTimeItTells) {
    foreign_lock(true, os::host_name(), ::getppid(), clock_.now() - 24h * 365, own_origin());
    EXPECT_EQ(repository_->lock(LockMode::shared).error().code, ErrorCode::locked);
    EXPECT_EQ(files_of(FileKind::lock).size(), 1u);
}

TEST_F(LockTest, UnlockTakesUnreadableLocksOnlyWithAllOthers) {
    HF_OK(os::write_file(repo_path() + "/locks/" + std::string(64, 'a'), as_bytes("no envelope at all")));
    EXPECT_EQ(unlock(*repository_, false)->left.size(), 1u);
    EXPECT_EQ(unlock(*repository_, true)->removed.size(), 1u);
    EXPECT_TRUE(files_of(FileKind::lock).empty());
}

TEST_F(LockTest, UnlockFreesWhatResticLeftAndTheReverse) {
    foreign_lock(true, "elsewhere", 17, clock_.now() - 31min);
    const auto refused = repository_->lock(LockMode::shared);
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().hint.find("`holdfast unlock`"), std::string::npos) << refused.error().hint;
    EXPECT_TRUE(sh("restic --no-cache -r \"$1\" unlock", {repo_path()}).ok);
    HF_OK(repository_->lock(LockMode::exclusive));
    // A restic that was killed while it read its input.
    const auto killed = sh(R"SH(
        mkfifo "$2"; exec 3<>"$2"
        restic --no-cache -r "$1" backup --stdin <&3 & pid=$!
        while [ -z "$(ls "$1/locks")" ] && kill -0 $pid; do sleep 0.05; done
        kill -9 $pid; wait $pid
    )SH",
                           {repo_path(), path("pipe")});
    ASSERT_EQ(files_of(FileKind::lock).size(), 1u) << killed.output;
    EXPECT_EQ(unlock(*repository_, false)->removed.size(), 1u);
    HF_OK(repository_->lock(LockMode::exclusive));
}

TEST_F(LockTest, OneThatSomebodyRemovedIsNotTakenAgainByTheNextRefresh) {
    repository_->state().lock_timing.refresh_every = 5ms;
    const auto mine = repository_->lock(LockMode::shared);
    HF_OK(mine);
    while ((*mine)->still_held()) {    // a refresh may be under way: it writes one more
        for (const std::string& file : files_of(FileKind::lock)) HF_OK(os::remove_tree(file));
        clock_.sleep(1ms);
    }
    EXPECT_EQ((*mine)->still_held().error().code, ErrorCode::locked);
}

TEST_F(LockTest, OneThatCannotBeReadCountsAndAnEmptyOneDoesNot) {
    const std::string empty = repo_path() + "/locks/" + std::string(64, 'b');
    HF_OK(os::write_file(empty, {}));
    HF_OK(repository_->lock(LockMode::exclusive));
    HF_OK(os::remove_tree(empty));
    foreign_lock(false, "elsewhere", 17);
    const std::string whole = files_of(FileKind::lock).front();
    const auto bytes = os::read_file(whole);
    HF_OK(bytes);
    const std::string damaged[] = {std::string(as_text(*bytes)).substr(0, bytes->size() / 2),
                                   "no envelope at all, only some text in a file"};
    for (const std::string& content : damaged) {
        HF_OK(os::write_file(whole, as_bytes(content)));
        for (const LockMode mode : {LockMode::shared, LockMode::exclusive}) {
            const auto refused = repository_->lock(mode);
            ASSERT_FALSE(refused);
            EXPECT_EQ(refused.error().code, ErrorCode::locked);
            EXPECT_NE(refused.error().hint.find("unlock --remove-all"), std::string::npos);
        }
    }
    EXPECT_TRUE(unlock(*repository_, false)->removed.empty());
    HF_OK(unlock(*repository_, true));
    HF_OK(repository_->lock(LockMode::exclusive));
}

TEST_F(LockTest, WaitsUntilTheOtherIsGone) {
    repository_->state().lock_timing.first_pause = 1ms;
    auto other = repository_->lock(LockMode::exclusive);
    HF_OK(other);
    std::thread releasing([&] {
        clock_.sleep(30ms);
        other->reset();
    });
    const auto mine = repository_->lock(LockMode::shared, 60s);
    releasing.join();
    HF_OK(mine);
}

TEST_F(LockTest, IsRefreshedUnderANewName) {
    repository_->state().lock_timing.refresh_every = 5ms;
    const auto mine = repository_->lock(LockMode::shared);
    HF_OK(mine);
    const auto before = files_of(FileKind::lock);
    while (files_of(FileKind::lock) == before) clock_.sleep(1ms);
    EXPECT_TRUE((*mine)->still_held());
}

TEST_F(LockTest, IsLostWhenSomebodyRemovedItWhileWeSlept) {
    auto& timing = repository_->state().lock_timing;
    timing.refresh_every = 20ms;
    timing.lost_after = 0ms;    // every refresh comes too late
    const auto mine = repository_->lock(LockMode::shared);
    HF_OK(mine);
    for (const std::string& file : files_of(FileKind::lock)) HF_OK(os::remove_tree(file));
    EXPECT_EQ((*mine)->still_held().error().code, ErrorCode::locked);
    clock_.sleep(60ms);
    EXPECT_EQ((*mine)->still_held().error().code, ErrorCode::locked);
}

TEST_F(LockTest, ABackupThatLostItsLockWritesNoSnapshot) {
    repository_->state().lock_timing.lost_after = -1ns;
    auto backup = Backup::start(*repository_, small_packs());
    HF_OK(backup);
    HF_OK((*backup)->add_file("a", as_bytes("content")));
    EXPECT_EQ((*backup)->commit().error().code, ErrorCode::locked);
    EXPECT_TRUE(files_of(FileKind::snapshot).empty());
}

}    // namespace
}    // namespace holdfast::vault
