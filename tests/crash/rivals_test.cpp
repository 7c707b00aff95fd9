// Several processes at once on one repository: locks keep them apart where they must, and every success is true.

#include <fmt/core.h>

#include <atomic>
#include <thread>

#include "campaign.hpp"
#include "holdfast/os/process.hpp"

namespace holdfast::crash {
namespace {

TEST_F(Campaign, TwoBackupsAndACheckAtOnce) {
    make_template();
    reset();
    std::atomic<int> saved = 0, locked = 0, checked = 0;
    const auto backup = [&](int who) {
        const std::string folder = at(fmt::format("mine-{}", who));
        for (int round = 0; round < 6; ++round) {
            write(folder + "/same", noise(60'000, 7));
            write(folder + "/own", noise(40'000, static_cast<std::uint64_t>(100 * who + round)));
            const Run done = run({"backup", folder}, Target{}, {}, -1, fmt::format("output-{}", who));
            if (done.exit == 0)
                ++saved;
            else
                EXPECT_EQ(done.exit, 11) << done.output << done.errors;    // the check has it to itself
            if (done.exit == 11) ++locked;
        }
    };
    const auto check = [&] {
        for (int round = 0; round < 6; ++round) {
            const Run done = run({"check", "--read-data"}, Target{}, {}, -1, "output-check");
            if (done.exit == 0)
                ++checked;
            else
                EXPECT_EQ(done.exit, 11) << done.output << done.errors;
        }
    };
    std::thread one([&] { backup(1); }), two([&] { backup(2); }), three(check);
    one.join();
    two.join();
    three.join();
    EXPECT_EQ(saved + locked, 12);
    // Whoever said so has a snapshot, and nobody else.
    expect_snapshots_and_check(4 + static_cast<std::size_t>(saved.load()));
    // With nobody else in the way all goes through.
    EXPECT_EQ(run({"backup", at("mine-1")}).exit, 0);
    EXPECT_EQ(run({"check"}).exit, 0);
}

// Each runs over and over in a process of its own: what one is told to be saved, the others must leave.
TEST_F(Campaign, TwoBackupsAndAForgetWithPruneAtOnce) {
    make_template();
    reset();
    struct Saved {
        std::string snapshot, folder;
        int round;
    };
    std::vector<Saved> saved[2];
    std::atomic<int> pruned = 0;
    std::atomic<bool> ending = false;
    constexpr int k_rounds = 12;
    const auto fill = [&](const std::string& folder, int who, int round) {
        write(folder + "/shared", noise(60'000, static_cast<std::uint64_t>(7 + round % 3)));    // both store it
        write(folder + "/own", noise(40'000, static_cast<std::uint64_t>(100 * who + round)));
    };
    const auto backup = [&](int who) {
        const std::string folder = at(fmt::format("mine-{}", who));
        for (int round = 0; round < k_rounds; ++round) {
            fill(folder, who, round);
            const Run done =
                run({"backup", folder, "--json", "--tag", "keep"}, Target{}, {}, -1, fmt::format("output-{}", who));
            EXPECT_TRUE(done.exit == 0 || done.exit == 11) << done.output << done.errors;
            if (done.exit != 0) continue;
            constexpr std::string_view k_key = "\"snapshot\": \"";
            const std::size_t from = done.output.find(k_key);
            ASSERT_NE(from, std::string::npos) << done.output;
            saved[who].push_back({done.output.substr(from + k_key.size(), 64), folder, round});
        }
    };
    const auto prune = [&] {
        // The template's snapshots go one by one, and with them packs whose blobs the backups may just find there.
        for (int last = 4; !ending; last = last > 1 ? last - 1 : 1) {
            const Run done = run(
                {"forget", "--keep-tag", "keep", "--keep-last", std::to_string(last), "--prune", "--max-unused", "0"},
                Target{}, {}, -1, "output-prune");
            EXPECT_TRUE(done.exit == 0 || done.exit == 11) << done.output << done.errors;
            if (done.exit == 0) ++pruned;
        }
    };
    std::thread pruning(prune);
    std::thread one([&] { backup(0); }), two([&] { backup(1); });
    one.join();
    two.join();
    ending = true;
    pruning.join();
    fmt::print("  {} and {} backups saved, {} prunes between them\n", saved[0].size(), saved[1].size(), pruned.load());
    // With nobody in the way all of them go through, whoever was locked out before.
    EXPECT_EQ(run({"prune", "--max-unused", "0"}).exit, 0);
    for (const int who : {0, 1}) {
        SCOPED_TRACE(fmt::format("backup {}: {} saved, {} prunes", who, saved[who].size(), pruned.load()));
        for (const Saved& one_of : saved[who]) {
            ASSERT_TRUE(os::remove_tree(at("back")).has_value());
            const Run back = run({"restore", one_of.snapshot, "--target", at("back")});
            ASSERT_EQ(back.exit, 0) << back.output << back.errors;
            fill(at("expected"), who, one_of.round);
            for (const char* name : {"/shared", "/own"})
                EXPECT_TRUE(os::read_text(at("back") + one_of.folder + name).value_or("gone") ==
                            os::read_text(at("expected") + name).value_or("missing"))
                    << one_of.snapshot << name;
        }
    }
    const Run checked = run({"check", "--read-data"});
    EXPECT_EQ(checked.exit, 0) << checked.output << checked.errors;
    os::Command restic;
    restic.arguments = {"restic", "check", "--read-data", "--no-cache"};
    restic.environment = {{"RESTIC_REPOSITORY", repo()}, {"RESTIC_PASSWORD_FILE", at("password")}};
    const auto judged = os::run(std::move(restic));
    ASSERT_TRUE(judged.has_value());
    EXPECT_TRUE(judged->status.ok()) << judged->output << judged->errors;
}

}    // namespace
}    // namespace holdfast::crash
