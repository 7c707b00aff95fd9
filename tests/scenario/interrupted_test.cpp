// A run that is killed leaves a repository that checks, and what it stored is not stored again.

#include <gmock/gmock.h>
#include <signal.h>

#include <filesystem>
#include <thread>

#include "scenario.hpp"

namespace holdfast::scenario {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

class Interrupted : public Scenario {
protected:
    std::uintmax_t packed() const {
        std::uintmax_t bytes = 0;
        for (const auto& entry : std::filesystem::recursive_directory_iterator(repository() + "/data"))
            if (entry.is_regular_file()) bytes += entry.file_size();
        return bytes;
    }

    // Sends the signal once `bytes` lie in the repository. When the machine stalls between that look and the signal, the
    // backup may be done already: then it is tried again in a new repository.
    os::ExitStatus stop_backup_at(std::uintmax_t bytes, int signal) {
        for (int attempt = 0;; ++attempt) {
            EXPECT_TRUE(os::remove_tree(repository()));
            make_repository();
            auto process =
                os::Process::start(command({"backup", at("source")}, {{"HOLDFAST_REPOSITORY", repository()},
                                                                      {"HOLDFAST_PASSWORD_FILE", password_file()}}))
                    .value();
            for (int looks = 0; packed() < bytes && looks < 60'000; ++looks) std::this_thread::sleep_for(1ms);
            process.kill(signal);
            const os::ExitStatus status = process.wait(60s).value();
            if (!status.ok() || attempt == 5) return status;
        }
    }
};

TEST_F(Interrupted, AKilledBackupLeavesARepositoryThatChecksAndTheNextRunIsWhole) {
    make_files(at("source"), 128);
    ASSERT_EQ(stop_backup_at(20 << 20, SIGKILL).signal, SIGKILL);
    const Answer checked = holdfast({"check", "--read-data"});
    EXPECT_EQ(checked.exit, 0) << checked.output << checked.errors;
    EXPECT_EQ(run({"restic", "check", "--read-data"}).exit, 0);
    EXPECT_EQ(holdfast({"snapshots", "--json"}).json()["snapshots"].items().size(), 0u);
    const Answer again = holdfast({"backup", at("source")});
    ASSERT_EQ(again.exit, 0) << again.errors;
    ASSERT_EQ(holdfast({"restore", "latest", "--target", at("back")}).exit, 0);
    expect_equal_trees(at("source"), at("back") + at("source"));
    EXPECT_EQ(holdfast({"check", "--read-data"}).exit, 0);
}

TEST_F(Interrupted, ASignalStopsABackupWith130AndNothingHalfDone) {
    make_files(at("source"), 128);
    EXPECT_EQ(stop_backup_at(10 << 20, SIGTERM).code, 130);
    EXPECT_EQ(holdfast({"snapshots", "--json"}).json()["snapshots"].items().size(), 0u);
    EXPECT_TRUE(os::list_folder(repository() + "/locks")->empty());
    EXPECT_EQ(holdfast({"check"}).exit, 0);
}

TEST_F(Interrupted, WhatAStoppedRunIndexedIsNotStoredAgain) {
    make_files(at("source"), 96);
    ASSERT_EQ(stop_backup_at(40 << 20, SIGTERM).code, 130);
    const json::Value report = holdfast({"backup", at("source"), "--json"}).json();
    EXPECT_LT(report["summary"]["bytes_added"].natural(), std::uint64_t(90) << 20);
    EXPECT_TRUE(report["complete"].boolean());
}

}    // namespace
}    // namespace holdfast::scenario
