// Every command that writes, killed at every step and at random moments.

#include <unistd.h>

#include <algorithm>

#include "campaign.hpp"

namespace holdfast::crash {
namespace {

TEST_F(Campaign, Backup) {
    make_template();
    write(source() + "/changing", noise(200'000, 99));
    write(source() + "/new", noise(90'000, 98));
    Target target;
    target.name = "backup";
    target.arguments = {"backup", source()};
    target.random_kills = 40;
    fire(target);
}

TEST_F(Campaign, Init) {
    // No template: there is no repository before.
    Target target;
    target.name = "init";
    target.arguments = {"init"};
    target.again = {"snapshots"};
    target.makes_the_repository = true;
    target.random_kills = 2;    // a person's key costs 0.2 s and more
    fire(target);
}

TEST_F(Campaign, InitWithConfigurationAndPassword) {
    Target target;
    target.name = "init --config";
    target.arguments = {"init", "--config", at("new/holdfast.toml"), "--repo", repo(), "--no-detect"};
    target.prepare = [&] { ASSERT_TRUE(os::remove_tree(at("new")).has_value()); };
    target.password_file = at("new/holdfast.password");
    target.again = {"snapshots", "--config", at("new/holdfast.toml")};
    target.makes_the_repository = true;
    target.random_kills = 0;
    target.points_max = 11;    // two files; then the repository, as above
    fire(target);
}

TEST_F(Campaign, Restore) {
    make_template();
    Target target;
    target.name = "restore";
    target.random_kills = 25;
    target.arguments = {"restore", "latest", "--target", at("back"), "--overwrite", "if-changed"};
    target.prepare = [&] { ASSERT_TRUE(os::remove_tree(at("back")).has_value()); };
    target.expect_done = [&] { EXPECT_EQ(listing(at("back") + source()), listing(source())); };
    fire(target);
}

TEST_F(Campaign, Prune) {
    make_template();
    {
        // Two snapshots are gone; a small pack is left by a killed run.
        auto repository = open();
        ASSERT_TRUE(repository.has_value());
        for (const std::size_t i : {0, 2})
            ASSERT_TRUE((*repository)->backend().remove({storage::FileKind::snapshot, snapshots_[i].id}).has_value());
        write(repo() + "/data/00/" + std::string(64, '0'), "left by a killed run");
    }
    keep_as_template();
    Target target;
    target.name = "prune";
    target.arguments = {"prune", "--max-unused", "0"};
    target.random_kills = 15;
    fire(target);
}

TEST_F(Campaign, ForgetAndPrune) {
    make_template();
    Target target;
    target.name = "forget --prune";
    target.arguments = {"forget", "--keep-last", "2", "--prune", "--max-unused", "0", "--max-repack-size", "10M"};
    target.may_go = {snapshots_[0].id, snapshots_[1].id};
    target.random_kills = 8;
    fire(target);
}

TEST_F(Campaign, Tag) {
    make_template();
    Target target;
    target.name = "tag";
    target.arguments = {"tag", "--add", "audit", "--tag", "number-1"};
    target.may_go = {snapshots_[1].id};
    target.trees_that_stay = {snapshots_[1].snapshot.tree};
    target.random_kills = 6;
    target.expect_done = [&] {
        const auto repository = open();
        ASSERT_TRUE(repository.has_value());
        const auto entries = (*repository)->snapshots();
        ASSERT_TRUE(entries.has_value());
        EXPECT_EQ(entries->size(), 4u);    // the one that a killed run wrote is not written again
        for (const vault::SnapshotEntry& entry : *entries)
            EXPECT_EQ(std::ranges::count(entry.snapshot.tags, "audit"), entry.snapshot.original.has_value() ? 1 : 0);
    };
    fire(target);
}

TEST_F(Campaign, Rewrite) {
    make_template();
    Target target;
    target.name = "rewrite --forget";
    target.arguments = {"rewrite", "--exclude", "changing", "--forget", "--tag", "number-2"};
    target.may_go = {snapshots_[2].id};
    target.random_kills = 6;
    target.expect_done = [&] {
        const auto repository = open();
        ASSERT_TRUE(repository.has_value());
        const auto entries = (*repository)->snapshots();
        ASSERT_TRUE(entries.has_value());
        EXPECT_EQ(entries->size(), 4u);
        EXPECT_EQ(std::ranges::count_if(*entries, [](const auto& e) { return e.snapshot.original.has_value(); }), 1);
    };
    fire(target);
}

}    // namespace
}    // namespace holdfast::crash
