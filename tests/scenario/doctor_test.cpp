// `holdfast doctor`: each trouble in a sentence, with the command that cures it. The stores' own troubles are in
// source/examine_test.cpp and policy/redis_advice_test.cpp.

#include <gmock/gmock.h>

#include "scenario.hpp"

namespace holdfast::scenario {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class Doctor : public Scenario {
protected:
    void configure(const std::string& more = {}) const {
        write(at("holdfast.toml"), "stack = \"desk\"\n[[files]]\npaths = [\"" + at("etc") + "\"]\n" + more);
    }
    Answer doctor(std::vector<std::string> more = {}) const {
        std::vector<std::string> all{"doctor", "--config", at("holdfast.toml")};
        all.insert(all.end(), more.begin(), more.end());
        return holdfast(all);
    }
};

// Requirements: NS-14 (told when no backup is young enough), NS-17.
TEST_F(Doctor, FollowsAStackFromNothingToAllIsWell) {
    make_files(at("etc"));
    configure();
    Answer told = doctor();
    EXPECT_EQ(told.exit, 3);
    EXPECT_THAT(told.output,
                AllOf(HasSubstr("trouble repository: there is no repository"), HasSubstr("`holdfast init`")));

    make_cheap_repository();
    told = doctor();
    EXPECT_EQ(told.exit, 3);
    EXPECT_THAT(told.output, AllOf(HasSubstr("it holds no backup"), HasSubstr("holdfast backup\n")));

    ASSERT_EQ(holdfast({"backup", "--config", at("holdfast.toml")}).exit, 0);
    told = doctor();
    EXPECT_EQ(told.exit, 0) << told.output;
    EXPECT_EQ(told.output, "all is well\n");

    // A component that came later has never been saved; a file that went is missed.
    configure("[[journal]]\npath = \"" + at("journal") + "\"\n");
    told = doctor({"--json"});
    EXPECT_EQ(told.exit, 3);
    const json::Value findings = told.json()["findings"];
    ASSERT_EQ(findings.items().size(), 2u) << told.output;
    EXPECT_EQ(findings.items()[0]["subject"].text(), "journal");
    EXPECT_EQ(findings.items()[0]["severity"].text(), "trouble");
    EXPECT_EQ(findings.items()[0]["cure"].text(), "holdfast backup --only journal");
    // Only what is asked for is looked at.
    EXPECT_EQ(doctor({"config"}).exit, 0);
    EXPECT_EQ(doctor({"config"}).output, "all is well\n");
}

// NS-17: restored data too old, backups too slow; and what a restore has left.
TEST_F(Doctor, SpeaksOfRestoresAndSlowBackups) {
    make_files(at("etc"));
    configure();
    make_cheap_repository();
    ASSERT_EQ(holdfast({"backup", "--config", at("holdfast.toml")}).exit, 0);
    const std::string old = holdfast({"snapshots", "--json"}).json()["snapshots"].items().at(0)["id"].text();
    write(at("etc/newer"), "x");
    ASSERT_EQ(holdfast({"backup", "--config", at("holdfast.toml")}).exit, 0);
    ASSERT_EQ(holdfast({"restore", old, "--replace", "--yes", "--config", at("holdfast.toml")}).exit, 0);
    const Answer told = doctor();
    EXPECT_EQ(told.exit, 0) << told.output;
    EXPECT_THAT(told.output, AllOf(HasSubstr("there is a newer whole backup"), HasSubstr("--only config --replace")));
    configure("[doctor]\nkept_aside_max_days = 0\nbackup_max_minutes = 0\n");
    EXPECT_THAT(doctor().output, AllOf(HasSubstr("is still kept"), HasSubstr("holdfast restore --commit"),
                                       HasSubstr("the newest backup took"), HasSubstr("most of it for this")));
    ASSERT_EQ(holdfast({"restore", "--undo", "--yes", "--config", at("holdfast.toml")}).exit, 0);
    EXPECT_TRUE(os::exists(at("etc/newer")));
    ASSERT_EQ(holdfast({"restore", "--commit", "--yes", "--config", at("holdfast.toml")}).exit, 0);
    configure();
    EXPECT_EQ(doctor().output, "all is well\n");
    // A record that cannot be read is told, and hides nothing else.
    write(at("home/.local/state/holdfast/restores/desk/20260101T000000.json"), "{}");
    EXPECT_THAT(doctor({"restore"}).output, HasSubstr("is no record of a restore"));
}

TEST_F(Doctor, AWrongPasswordAndAMisspeltNameAreErrorsWithARemedy) {
    make_files(at("etc"));
    make_cheap_repository();
    configure();
    write(at("wrong"), "something else\n", 0600);
    const Answer wrong = holdfast({"doctor", "--config", at("holdfast.toml"), "--password-file", at("wrong")});
    EXPECT_EQ(wrong.exit, 3);
    EXPECT_THAT(wrong.output,
                AllOf(HasSubstr("trouble repository: "), HasSubstr("password"), Not(HasSubstr("something else"))));
    const Answer misspelt = doctor({"confg"});
    EXPECT_EQ(misspelt.exit, 2);
    EXPECT_THAT(misspelt.errors, HasSubstr("confg is not in"));
}

}    // namespace
}    // namespace holdfast::scenario
