// Every command that writes, killed at every step and at random moments.

#include <unistd.h>

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
    target.random_kills = 200;
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
    target.random_kills = 150;
    target.arguments = {"restore", "latest", "--target", at("back"), "--overwrite", "if-changed"};
    target.prepare = [&] { ASSERT_TRUE(os::remove_tree(at("back")).has_value()); };
    target.expect_done = [&] { EXPECT_EQ(listing(at("back") + source()), listing(source())); };
    fire(target);
}

}    // namespace
}    // namespace holdfast::crash
