// Locks of processes that cannot be seen from here, and locks that cannot be read.

#include <gmock/gmock.h>
#include <signal.h>
#include <sys/stat.h>

#include <chrono>
#include <thread>

#include "holdfast/os/host.hpp"
#include "scenario.hpp"

namespace holdfast::scenario {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

class Locks : public Scenario {
protected:
    std::vector<std::string> lock_files() const { return os::list_folder(repository() + "/locks").value(); }
};

TEST_F(Locks, AProcessInAnotherContainerIsNotTakenForDead) {
    make_cheap_repository();
    write(at("source/file"), std::string(1 << 20, 'x'));
    ASSERT_EQ(holdfast({"backup", at("source")}).exit, 0);
    ASSERT_EQ(::mkfifo(at("pipe").c_str(), 0600), 0);
    // A PID namespace of its own, and in it a PID that nobody has out here. Nobody reads from the pipe: it waits there.
    int free = 32'000;
    while (os::process_exists(free)) --free;
    os::Command container;
    container.arguments = {"unshare",
                           "--pid",
                           "--fork",
                           "--kill-child",
                           "--mount-proc",
                           "sh",
                           "-c",
                           R"SH(
        echo "$2" >/proc/sys/kernel/ns_last_pid
        "$0" dump latest "$3" 1<>"$1"; true)SH",
                           HF_BIN_DIR "/holdfast",
                           at("pipe"),
                           std::to_string(free - 1),
                           at("source/file")};
    container.environment = {{"HOLDFAST_REPOSITORY", repository()}, {"HOLDFAST_PASSWORD_FILE", password_file()}};
    auto inside = os::Process::start(container);
    ASSERT_TRUE(inside) << inside.error().message;
    const auto limit = std::chrono::steady_clock::now() + 60s;
    while (lock_files().empty() && std::chrono::steady_clock::now() < limit) std::this_thread::sleep_for(1ms);
    ASSERT_EQ(lock_files().size(), 1u) << inside->errors();

    for (const std::vector<std::string>& words : {std::vector<std::string>{"check"}, {"prune"}}) {
        const Answer refused = holdfast(words);
        EXPECT_EQ(refused.exit, 11) << refused.output << refused.errors;
        EXPECT_THAT(refused.errors, HasSubstr("is locked by"));
    }
    const Answer unlock = holdfast({"unlock"});
    EXPECT_EQ(unlock.exit, 0) << unlock.errors;
    EXPECT_THAT(unlock.output, HasSubstr("still held"));
    EXPECT_EQ(lock_files().size(), 1u);

    // Once it is dead only its age could tell: a person says so.
    inside->kill(SIGKILL);
    ASSERT_TRUE(inside->wait(60s));
    EXPECT_EQ(holdfast({"check"}).exit, 11);
    EXPECT_EQ(holdfast({"unlock", "--remove-all"}).exit, 0);
    EXPECT_EQ(holdfast({"check"}).exit, 0);
}

TEST_F(Locks, OneThatCannotBeReadKeepsEverybodyOutUntilAllAreRemoved) {
    make_cheap_repository();
    make_files(at("source"));
    write(repository() + "/locks/" + std::string(64, 'a'), "half of a lo");
    for (const std::vector<std::string>& words :
         {std::vector<std::string>{"backup", at("source")}, {"check"}, {"prune"}}) {
        const Answer refused = holdfast(words);
        EXPECT_EQ(refused.exit, 11) << refused.output;
        EXPECT_THAT(refused.errors, HasSubstr("cannot be read"));
        EXPECT_THAT(refused.errors, HasSubstr("holdfast unlock --remove-all"));
    }
    const Answer kept = holdfast({"unlock"});
    EXPECT_EQ(kept.exit, 0);
    EXPECT_THAT(kept.output, HasSubstr("unreadable lock"));
    EXPECT_EQ(lock_files().size(), 1u);
    EXPECT_EQ(holdfast({"unlock", "--remove-all"}).exit, 0);
    EXPECT_TRUE(lock_files().empty());
    EXPECT_EQ(holdfast({"backup", at("source")}).exit, 0);
}

TEST_F(Locks, ResticHonoursALockOfOursAndKeepsItInUnlock) {
    make_cheap_repository();
    write(at("source/file"), std::string(1 << 20, 'x'));
    ASSERT_EQ(holdfast({"backup", at("source")}).exit, 0);
    ASSERT_EQ(::mkfifo(at("pipe").c_str(), 0600), 0);
    // Nobody reads what it prints: it waits there.
    os::Command dump;
    dump.arguments = {
        "sh", "-c", "exec \"$0\" dump latest \"$2\" 1<>\"$1\"", HF_BIN_DIR "/holdfast", at("pipe"), at("source/file")};
    dump.environment = {{"HOLDFAST_REPOSITORY", repository()}, {"HOLDFAST_PASSWORD_FILE", password_file()}};
    auto writing = os::Process::start(dump);
    ASSERT_TRUE(writing);
    const auto limit = std::chrono::steady_clock::now() + 60s;
    while (lock_files().empty() && std::chrono::steady_clock::now() < limit) std::this_thread::sleep_for(1ms);
    const Answer refused = run({"restic", "--no-cache", "prune"});
    EXPECT_NE(refused.exit, 0);
    EXPECT_THAT(refused.errors, HasSubstr("locked"));
    EXPECT_EQ(run({"restic", "--no-cache", "unlock"}).exit, 0);
    EXPECT_EQ(lock_files().size(), 1u);
    // And once it is dead its lock is in nobody's way.
    writing->kill(SIGKILL);
    ASSERT_TRUE(writing->wait(60s));
    EXPECT_EQ(holdfast({"check"}).exit, 0);
    EXPECT_TRUE(lock_files().empty());
    EXPECT_EQ(run({"restic", "--no-cache", "check"}).exit, 0);
}

}    // namespace
}    // namespace holdfast::scenario
