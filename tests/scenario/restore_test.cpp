// Restores as a user does them: parts, over what is there, after a kill, and what a wrong command line is told.

#include <gmock/gmock.h>

#include "scenario.hpp"

namespace holdfast::scenario {
namespace {

using testing::HasSubstr;

class Restores : public Scenario {
protected:
    void SetUp() override {
        make_repository();
        make_files(at("source"), 6);
        ASSERT_EQ(holdfast({"backup", at("source")}).exit, 0);
    }
    std::vector<std::string> into_back(std::vector<std::string> more) const {
        std::vector<std::string> all{"restore", "latest:" + at("source"), "--target", at("back")};
        all.insert(all.end(), more.begin(), more.end());
        return all;
    }
};

TEST_F(Restores, AKilledRestoreGoesOnWhereItWas) {
    // NS-19
    const Answer killed = holdfast(into_back({}), {{"HOLDFAST_CRASH_POINT", "restore.written:4"}});
    EXPECT_EQ(killed.exit, -9);
    const Answer refused = holdfast(into_back({}));
    EXPECT_EQ(refused.exit, 1);
    EXPECT_THAT(refused.errors, HasSubstr("--overwrite always|if-changed|if-newer|never"));
    const json::Value on = holdfast(into_back({"--overwrite", "if-changed", "--verify", "--json"})).json();
    EXPECT_GT(on["bytes_reused"].natural(), 0u);
    EXPECT_LT(on["bytes_reused"].natural(), on["bytes"].natural());
    EXPECT_EQ(on["bytes_verified"].natural(), on["bytes"].natural());
    expect_equal_trees(at("source"), at("back"));
    const Answer again = holdfast(into_back({"--overwrite", "if-changed"}));
    EXPECT_EQ(again.exit, 0);
    EXPECT_THAT(again.output, HasSubstr("was there already"));
}

TEST_F(Restores, EveryStepOfARestoreMayBeTheLast) {
    int steps = 0;
    for (int step = 1;; ++step, ++steps) {
        const Answer killed = holdfast(into_back({"--overwrite", "if-changed"}),
                                       {{"HOLDFAST_CRASH_POINT", "restore.finished:" + std::to_string(step)}});
        if (killed.exit == 0) break;
        ASSERT_EQ(killed.exit, -9);
        ASSERT_LT(steps, 100);
        ASSERT_EQ(run({"rm", "-rf", at("back") + "/etc"}).exit, 0);    // some is gone again
    }
    EXPECT_GT(steps, 2);
    expect_equal_trees(at("source"), at("back"));
}

TEST_F(Restores, PatternsComeFromTheCommandLineAndFromFiles) {
    write(at("wanted"), "# what the desk needs\n\n  *.CONF \r\n");
    ASSERT_EQ(holdfast(into_back({"--iinclude-file", at("wanted"), "--exclude", "secret*"})).exit, 0);
    EXPECT_TRUE(os::exists(at("back/etc/desk.conf")));
    EXPECT_FALSE(os::exists(at("back/data")));
    write(at("empty"), "# nothing\n");
    EXPECT_EQ(holdfast(into_back({"--include-file", at("empty"), "--overwrite", "always"})).exit, 2);
    EXPECT_EQ(holdfast(into_back({"--include", "*.absent", "--overwrite", "always"})).exit, 1);
}

TEST_F(Restores, DeleteIsRehearsedThenDone) {
    ASSERT_EQ(holdfast(into_back({})).exit, 0);
    write(at("back/etc/stray"), "x");
    write(at("back/etc/desk.conf"), "edited");
    const Answer rehearsed = holdfast(into_back({"--overwrite", "if-changed", "--delete", "--dry-run", "-v"}));
    EXPECT_EQ(rehearsed.exit, 0) << rehearsed.errors;
    EXPECT_THAT(rehearsed.output, HasSubstr("deleted   " + at("back/etc/stray")));
    EXPECT_THAT(rehearsed.output, HasSubstr("restored  " + at("back/etc/desk.conf")));
    EXPECT_TRUE(os::exists(at("back/etc/stray")));
    ASSERT_EQ(holdfast(into_back({"--overwrite", "if-changed", "--delete"})).exit, 0);
    EXPECT_FALSE(os::exists(at("back/etc/stray")));
    expect_equal_trees(at("source"), at("back"));
}

TEST_F(Restores, WhatMakesNoSenseIsRefused) {
    EXPECT_EQ(holdfast({"restore", "latest", "--delete"}).exit, 2);
    EXPECT_EQ(holdfast({"restore"}).exit, 2);
    EXPECT_EQ(holdfast({"restore", "latest", "--undo"}).exit, 2);
    EXPECT_EQ(holdfast({"restore", "--undo", "--commit"}).exit, 2);
    EXPECT_EQ(holdfast({"restore", "latest:/etc"}).exit, 2);
    EXPECT_EQ(holdfast({"restore", "latest:", "--target", at("back")}).exit, 2);
    EXPECT_EQ(holdfast(into_back({"--delete"})).exit, 2);
    EXPECT_EQ(holdfast(into_back({"--overwrite", "sometimes"})).exit, 2);
    EXPECT_EQ(holdfast({"restore", "latest:/not/there", "--target", at("back")}).exit, 1);
    EXPECT_FALSE(os::exists(at("back")));
}

}    // namespace
}    // namespace holdfast::scenario
