#include "holdfast/vault/mirror_plan.hpp"

#include <gtest/gtest.h>

#include <random>

namespace holdfast::vault {
namespace {

using std::chrono::hours;
using storage::FileKind;
using storage::FileName;

constexpr Duration k_day = hours(24);
constexpr Timestamp k_start{1'700'000'000'000'000'000};

FileName name(FileKind kind, unsigned number) {
    FileName name{kind, {}};
    if (kind != FileKind::config) store_le(name.id.bytes.data(), number + 1);
    return name;
}

class MirrorPlanTest : public ::testing::Test {
protected:
    MirrorPlanTest() {
        source_[name(FileKind::config, 0)] = 155;
        source_[name(FileKind::key, 0)] = 450;
        for (unsigned i = 0; i < 20; ++i) source_[name(FileKind::pack, i)] = 1000 + i;
        for (unsigned i = 0; i < 4; ++i) source_[name(FileKind::index, i)] = 300;
        for (unsigned i = 0; i < 6; ++i) source_[name(FileKind::snapshot, i)] = 200;
    }
    // One run whose plan is carried out.
    MirrorPlan run(Timestamp now) {
        MirrorPlan plan =
            plan_mirror(source_, mirror_, memory_, rules_, [&](const Id& id) { return named_ == id; }, now);
        for (const auto* files : {&plan.send, &plan.resend})
            for (const MirrorFile& file : *files) mirror_[file.name] = file.size;
        for (const FileName& gone : plan.remove) {
            mirror_.erase(gone);
            plan.memory.gone.erase(gone);
        }
        memory_ = plan.memory;
        return plan;
    }

    Listing source_, mirror_;
    MirrorMemory memory_;
    MirrorRules rules_;
    Id named_;
};

TEST_F(MirrorPlanTest, FilesTravelAfterWhatTheyNeed) {
    const MirrorPlan plan = run(k_start);
    ASSERT_EQ(plan.send.size(), source_.size());
    std::vector<FileKind> order;
    for (const MirrorFile& file : plan.send)
        if (order.empty() || order.back() != file.name.kind) order.push_back(file.name.kind);
    EXPECT_EQ(order,
              (std::vector{FileKind::key, FileKind::config, FileKind::pack, FileKind::index, FileKind::snapshot}));
    EXPECT_TRUE(run(k_start + k_day).send.empty());
}

TEST_F(MirrorPlanTest, ADeletionArrivesOnlyAfterTheGracePeriod) {
    run(k_start);
    source_.erase(name(FileKind::snapshot, 3));
    source_.erase(name(FileKind::pack, 7));
    for (int day = 1; day <= 14; ++day) {
        const MirrorPlan plan = run(k_start + day * k_day);
        EXPECT_TRUE(plan.remove.empty()) << day;
        EXPECT_EQ(plan.waiting, 2u);
    }
    // First seen on day 1.
    const MirrorPlan plan = run(k_start + 15 * k_day);
    EXPECT_EQ(plan.remove, (std::vector{name(FileKind::snapshot, 3), name(FileKind::pack, 7)}));
    EXPECT_EQ(plan.waiting, 0u);
}

TEST_F(MirrorPlanTest, NoWrongClockMakesADeletionEarly) {
    run(k_start);
    source_.erase(name(FileKind::snapshot, 3));
    run(k_start + hours(1));
    // A year too late, back, and too late again: at most half the grace counts each time, and only forward.
    EXPECT_TRUE(run(k_start + 365 * k_day).remove.empty());
    EXPECT_TRUE(run(k_start + hours(2)).remove.empty());
    EXPECT_TRUE(run(k_start + hours(3)).remove.empty());
}

TEST_F(MirrorPlanTest, ALostMemoryOnlyDelays) {
    run(k_start);
    source_.erase(name(FileKind::snapshot, 3));
    run(k_start + k_day);
    run(k_start + 8 * k_day);
    memory_ = {};
    EXPECT_TRUE(run(k_start + 40 * k_day).remove.empty());
    EXPECT_TRUE(run(k_start + 47 * k_day).remove.empty());
    EXPECT_EQ(run(k_start + 54 * k_day).remove.size(), 1u);
}

TEST_F(MirrorPlanTest, WhatComesBackStartsAnew) {
    run(k_start);
    source_.erase(name(FileKind::pack, 7));
    run(k_start + k_day);
    run(k_start + 8 * k_day);
    source_[name(FileKind::pack, 7)] = 1007;
    run(k_start + 9 * k_day);
    source_.erase(name(FileKind::pack, 7));
    EXPECT_TRUE(run(k_start + 16 * k_day).remove.empty());
    EXPECT_TRUE(run(k_start + 23 * k_day).remove.empty());
    EXPECT_EQ(run(k_start + 30 * k_day).remove.size(), 1u);
}

TEST_F(MirrorPlanTest, NothingEverLeavesAnAppendOnlyMirror) {
    run(k_start);
    rules_.append_only = true;
    source_.erase(name(FileKind::pack, 7));
    for (int day = 1; day < 100; day += 7) EXPECT_TRUE(run(k_start + day * k_day).remove.empty());
}

TEST_F(MirrorPlanTest, APackThatTheIndexNamesIsLostNotDeleted) {
    run(k_start);
    source_.erase(name(FileKind::pack, 7));
    named_ = name(FileKind::pack, 7).id;
    for (int day = 1; day < 100; day += 7) {
        const MirrorPlan plan = run(k_start + day * k_day);
        EXPECT_TRUE(plan.remove.empty());
        EXPECT_EQ(plan.lost_at_source, 1u);
    }
}

TEST_F(MirrorPlanTest, ASourceThatLooksEmptiedDeletesNothingUnlessToldTo) {
    run(k_start);
    const Listing before = source_;
    for (unsigned i = 0; i < 18; ++i) source_.erase(name(FileKind::pack, i));
    for (int day = 1; day < 100; day += 7) {
        const MirrorPlan plan = run(k_start + day * k_day);
        EXPECT_TRUE(plan.remove.empty());
        EXPECT_NE(plan.suspicion, "");
    }
    rules_.accept_mass_deletion = true;
    EXPECT_EQ(run(k_start + 101 * k_day).suspicion, "");
    rules_.accept_mass_deletion = false;
    // Once accepted it is remembered, and the grace period counts.
    EXPECT_TRUE(run(k_start + 108 * k_day).remove.empty());
    EXPECT_EQ(run(k_start + 115 * k_day).remove.size(), 18u);

    source_ = before;
    mirror_ = before;
    std::erase_if(source_, [](const auto& file) { return file.first.kind == FileKind::snapshot; });
    EXPECT_NE(run(k_start + 120 * k_day).suspicion, "");
}

TEST_F(MirrorPlanTest, AnotherSizeIsSentAgain) {
    run(k_start);
    mirror_[name(FileKind::pack, 3)] = 17;
    const MirrorPlan plan = run(k_start + k_day);
    ASSERT_EQ(plan.resend.size(), 1u);
    EXPECT_EQ(plan.resend[0].name, name(FileKind::pack, 3));
}

// Whatever happens on either side: a file goes only when it was away in every look for the grace period.
TEST_F(MirrorPlanTest, ARandomHistoryNeverDeletesEarly) {
    std::mt19937_64 random(5);
    std::map<FileName, Timestamp> gone_since;
    const Listing all = source_;
    Timestamp now = k_start;
    run(now);
    int removals = 0;
    for (int step = 0; step < 4000; ++step) {
        now = now + std::chrono::hours(random() % 60);
        for (int i = 0; i < 2; ++i) {
            auto pick = all.begin();
            std::advance(pick, static_cast<std::ptrdiff_t>(random() % all.size()));
            if (pick->first.kind == FileKind::config) continue;
            if (source_.contains(pick->first) && random() % 3 == 0) {
                source_.erase(pick->first);
            } else {
                source_[pick->first] = pick->second;
            }
        }
        for (const auto& [file, size] : all) {
            if (source_.contains(file))
                gone_since.erase(file);
            else
                gone_since.try_emplace(file, now);
        }
        if (random() % 50 == 0) memory_ = {};
        // What is written and read between runs.
        const auto again = decode_mirror_memory(encode(memory_), "test");
        ASSERT_TRUE(again);
        memory_ = *again;
        for (const FileName& removed : run(now).remove) {
            ++removals;
            ASSERT_TRUE(gone_since.contains(removed));
            ASSERT_GE(now - gone_since[removed], rules_.grace);
        }
    }
    EXPECT_GT(removals, 10);
}

TEST_F(MirrorPlanTest, ADamagedMemoryIsRefused) {
    for (const char* text : {"", "{", "[]", "{\"version\":2}", "{\"version\":1,\"looked_at\":\"yesterday\"}",
                             "{\"version\":1,\"gone\":[{\"kind\":\"pack\",\"id\":\"12\",\"seconds\":1}]}",
                             "{\"version\":1,\"gone\":[{\"kind\":\"x\"}]}"})
        EXPECT_FALSE(decode_mirror_memory(text, "test")) << text;
}

}    // namespace
}    // namespace holdfast::vault
