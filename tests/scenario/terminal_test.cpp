// What a person at a terminal sees, and what a program that reads us does not.

#include <gmock/gmock.h>

#include "scenario.hpp"

namespace holdfast::scenario {
namespace {

using testing::HasSubstr;
using testing::Not;

using Terminal = Scenario;

TEST_F(Terminal, AsksForANewPasswordTwiceWithoutEcho) {
    const Answer made = on_terminal({"init", "--repo", repository()}, "hunter2\nhunter2\n");
    EXPECT_EQ(made.exit, 0) << made.output;
    EXPECT_THAT(made.output, HasSubstr("new repository password: "));
    EXPECT_THAT(made.output, HasSubstr("the same again: "));
    EXPECT_THAT(made.output, Not(HasSubstr("hunter2")));
    const Answer listed = on_terminal({"snapshots", "--repo", repository()}, "hunter2\n");
    EXPECT_EQ(listed.exit, 0) << listed.output;
    EXPECT_THAT(listed.output, Not(HasSubstr("hunter2")));
    EXPECT_EQ(on_terminal({"snapshots", "--repo", repository()}, "hunter3\n").exit, 12);
}

TEST_F(Terminal, TwoPasswordsThatDifferMakeNothing) {
    EXPECT_EQ(on_terminal({"init", "--repo", repository()}, "hunter2\nhunter3\n").exit, 2);
    EXPECT_FALSE(os::exists(repository() + "/config"));
}

TEST_F(Terminal, ShowsProgressThereAndNowhereElse) {
    make_repository();
    make_files(at("source"), 64);
    const Environment environment{{"HOLDFAST_REPOSITORY", repository()}, {"HOLDFAST_PASSWORD_FILE", password_file()}};
    const Answer seen = on_terminal({"backup", at("source")}, "", environment);
    EXPECT_EQ(seen.exit, 0);
    EXPECT_THAT(seen.output, HasSubstr("\r\x1b[K"));
    EXPECT_THAT(seen.output, HasSubstr("files"));
    EXPECT_THAT(on_terminal({"backup", at("source"), "--force", "-q"}, "", environment).output,
                Not(HasSubstr("\x1b[K")));
    const Answer piped = holdfast({"backup", at("source"), "--force"});
    EXPECT_THAT(piped.output + piped.errors, Not(HasSubstr("\x1b")));
    EXPECT_EQ(piped.errors, "");
}

TEST_F(Terminal, NoColorIsObeyed) {
    const Answer coloured = on_terminal({"bakup"}, "");
    EXPECT_THAT(coloured.output, HasSubstr("\x1b[31m"));
    EXPECT_THAT(on_terminal({"bakup"}, "", {{"NO_COLOR", "1"}}).output, Not(HasSubstr("\x1b")));
}

TEST_F(Terminal, ARestoreIntoPlaceAsksAndTakesOnlyYes) {
    make_repository();
    make_files(at("source"));
    write(at("holdfast.toml"), "stack = \"desk\"\n[[files]]\npaths = [\"" + at("source") + "\"]\n");
    const Environment environment{{"HOLDFAST_REPOSITORY", repository()},
                                  {"HOLDFAST_PASSWORD_FILE", password_file()},
                                  {"HOLDFAST_CONFIG", at("holdfast.toml")}};
    ASSERT_EQ(holdfast({"backup"}, environment).exit, 0);
    ASSERT_TRUE(os::remove_tree(at("source")).has_value());
    EXPECT_EQ(on_terminal({"restore", "latest"}, "no\n", environment).exit, 130);
    EXPECT_FALSE(os::exists(at("source")));
    const Answer silent = holdfast({"restore", "latest"}, environment);
    EXPECT_EQ(silent.exit, 2);
    EXPECT_THAT(silent.errors, HasSubstr("--yes"));
    EXPECT_FALSE(os::exists(at("source")));
    const Answer agreed = on_terminal({"restore", "latest"}, "yes\n", environment);
    EXPECT_EQ(agreed.exit, 0) << agreed.output;
    EXPECT_TRUE(os::exists(at("source/etc/desk.conf")));
}

}    // namespace
}    // namespace holdfast::scenario
