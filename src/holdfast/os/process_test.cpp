#include "holdfast/os/process.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"

namespace holdfast::os {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

Command shell(const std::string& script) {
    Command command;
    command.arguments = {"/bin/sh", "-c", script};
    return command;
}

TEST(Run, CollectsOutputErrorsAndStatus) {
    const Finished finished = run(shell("cat; echo bad >&2; exit 3"), "fed").value();
    EXPECT_EQ(finished.output, "fed");
    EXPECT_EQ(finished.errors, "bad");
    EXPECT_EQ(finished.status.code, 3);
    EXPECT_FALSE(finished.status.ok());
    EXPECT_EQ(finished.status.text(), "exit status 3");
}

TEST(Run, MovesMoreThanAPipeHolds) {
    const std::string much(3 << 20, 'x');
    EXPECT_EQ(run(shell("cat"), much)->output, much);
}

TEST(Run, EndsAChildThatTakesTooLong) {
    EXPECT_EQ(run(shell("sleep 100"), {}, 50ms).error().code, ErrorCode::unreachable);
}

TEST(Run, StopsAtTheOutputLimit) {
    EXPECT_EQ(run(shell("yes"), {}, std::nullopt, 100'000).error().code, ErrorCode::corrupt);
}

TEST(Run, DoesNotWaitForADaemonThatHoldsThePipes) {
    const Finished finished = run(shell("sleep 60 & echo $!; echo said >&2")).value();
    EXPECT_EQ(finished.errors, "said");
    ::kill(std::stoi(finished.output), SIGKILL);
}

TEST(Process, SaysWhichProgramIsMissing) {
    Command command;
    command.arguments = {"no-such-program-here"};
    const auto result = Process::start(command);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, ErrorCode::not_found);
    EXPECT_THAT(result.error().message, HasSubstr("no-such-program-here"));
    command.arguments = {"/etc/passwd"};
    EXPECT_EQ(Process::start(command).error().code, ErrorCode::denied);
}

TEST(Process, ReportsTheSignalThatEndedIt) {
    Process process = Process::start(shell("sleep 100")).value();
    process.kill(SIGTERM);
    EXPECT_EQ(process.wait()->signal, SIGTERM);
}

TEST(Process, IsKilledWhenItsOwnerGoes) {
    pid_t pid = 0;
    {
        Process process = Process::start(shell("sleep 100")).value();
        pid = process.pid();
        EXPECT_TRUE(process_exists(pid));
    }
    EXPECT_FALSE(process_exists(pid));
}

TEST(Process, ChangesTheEnvironmentAsAsked) {
    ::setenv("HF_TEST_REMOVED", "yes", 1);
    Command command = shell("echo \"$HF_TEST_ADDED-$HF_TEST_REMOVED\"");
    command.environment = {{"HF_TEST_ADDED", "value"}};
    command.without_environment = {"HF_TEST_REMOVED"};
    EXPECT_EQ(run(command)->output, "value-\n");
}

TEST(Process, BecomesAnotherUserWhenItMay) {
    if (::geteuid() != 0) return;    // only root can
    Command command = shell("id -un");
    command.user = "nobody";
    command.folder = "/";
    EXPECT_EQ(run(command)->output, "nobody\n");
}

TEST(ProcessExists, DoesNotCountTheDead) {
    EXPECT_TRUE(process_exists(::getpid()));
    EXPECT_FALSE(process_exists(0x3fffffff));
}

}    // namespace
}    // namespace holdfast::os
