// Several processes at once on one repository: locks keep them apart where they must, and every success is true.

#include <fmt/core.h>

#include <atomic>
#include <thread>

#include "campaign.hpp"

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

}    // namespace
}    // namespace holdfast::crash
