// NS-18: the environment variables of the guide's backup.sh and restore.sh keep working.

#include <fmt/core.h>
#include <gmock/gmock.h>

#include "scenario.hpp"

namespace holdfast::scenario {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

class GuideEnvironment : public Scenario {
protected:
    void SetUp() override {
        write(at("etc/.env"), "A=1\n");
        write(at("log/app.log"), "x\n");
        write(at("holdfast.toml"), fmt::format(R"(stack = "desk"
[[redis]]
port = 1
[[files]]
paths = ["{}"]
[[logs]]
paths = ["{}"]
)",
                                               at("etc"), at("log")));
        make_cheap_repository();
    }
    Answer with(const Environment& environment, std::vector<std::string> words) const {
        words.insert(words.end(), {"--config", at("holdfast.toml")});
        return holdfast(std::move(words), environment);
    }
    /// Names of the components of a backup's report.
    static std::vector<std::string> components(const Answer& answer) {
        std::vector<std::string> names;
        const json::Value report = answer.json();
        for (const json::Value& one : report["components"].items()) names.push_back(one["name"].text());
        return names;
    }
};

TEST_F(GuideEnvironment, BackupLeavesOutWhatItIsTold) {
    const Answer both = with({{"BACKUP_REDIS", "false"}}, {"backup", "--json"});
    EXPECT_EQ(both.exit, 0) << both.errors;
    EXPECT_THAT(components(both), UnorderedElementsAre("config", "logs"));
    // The guide's "configuration only".
    const Answer config =
        with({{"BACKUP_DATABASE", "False"}, {"BACKUP_REDIS", "0"}, {"BACKUP_LOGS", "no"}}, {"backup", "--json"});
    EXPECT_EQ(config.exit, 0) << config.errors;
    EXPECT_THAT(components(config), UnorderedElementsAre("config"));
    const Answer logs =
        with({{"BACKUP_REDIS", "false"}, {"BACKUP_CONFIG", "off"}, {"BACKUP_LOGS", "true"}}, {"backup", "--json"});
    EXPECT_THAT(components(logs), UnorderedElementsAre("logs"));

    const Answer against = with({{"BACKUP_CONFIG", "false"}}, {"backup", "--only", "config"});
    EXPECT_EQ(against.exit, 2);
    EXPECT_THAT(against.errors, HasSubstr("BACKUP_CONFIG=false leaves out config, and --only names it"));
    const Answer odd = with({{"BACKUP_CONFIG", "/etc/x"}}, {"backup"});
    EXPECT_EQ(odd.exit, 2);
    EXPECT_THAT(odd.errors, HasSubstr("BACKUP_CONFIG is neither true nor false"));
}

TEST_F(GuideEnvironment, TheTypeBecomesATag) {
    ASSERT_EQ(with({{"BACKUP_REDIS", "false"}, {"BACKUP_TYPE", "pre-deployment"}}, {"backup"}).exit, 0);
    EXPECT_THAT(holdfast({"snapshots", "--tag", "pre-deployment", "--json"}).output, HasSubstr("pre-deployment"));
    ASSERT_EQ(with({{"BACKUP_TYPE", "pre-deployment"}}, {"backup", at("etc"), "--tag", "pre-deployment"}).exit, 0);
    EXPECT_EQ(with({{"BACKUP_TYPE", "friday"}}, {"backup", at("etc")}).exit, 2);
    ASSERT_EQ(with({{"BACKUP_TYPE", "full"}}, {"backup", at("etc")}).exit, 0);
}

TEST_F(GuideEnvironment, RestoreTakesWhatItIsTold) {
    ASSERT_EQ(with({{"BACKUP_REDIS", "false"}}, {"backup"}).exit, 0);
    write(at("etc/.env"), "A=2\n");
    const Answer dry = with({{"DRY_RUN", "true"}}, {"restore", "latest", "--replace"});
    EXPECT_EQ(dry.exit, 0) << dry.errors;
    EXPECT_THAT(dry.errors, HasSubstr("DRY_RUN is set: nothing will be changed"));
    EXPECT_EQ(os::read_text(at("etc/.env")).value(), "A=2\n");
    const Answer plan = with({{"RESTORE_CONFIG", "false"}, {"DRY_RUN", "1"}}, {"restore", "latest", "--replace"});
    EXPECT_THAT(plan.output, HasSubstr("logs (logs)"));
    EXPECT_THAT(plan.output, Not(HasSubstr("config (files)")));
    ASSERT_EQ(with({{"RESTORE_CONFIG", "false"}}, {"restore", "latest", "--replace", "--yes"}).exit, 0);
    EXPECT_EQ(os::read_text(at("etc/.env")).value(), "A=2\n");
    EXPECT_EQ(with({{"RESTORE_CONFIG", "false"}}, {"restore", "latest", "--only", "config", "--yes"}).exit, 2);
    ASSERT_EQ(
        with({{"RESTORE_DATABASE", "false"}, {"DRY_RUN", "false"}}, {"restore", "latest", "--replace", "--yes"}).exit,
        0);
    EXPECT_EQ(os::read_text(at("etc/.env")).value(), "A=1\n");
    // As plain files, too.
    ASSERT_EQ(with({{"RESTORE_CONFIG", "false"}}, {"restore", "latest", "--target", at("back")}).exit, 0);
    EXPECT_FALSE(os::exists(at("back/config")));
    EXPECT_TRUE(os::exists(at("back/logs")));
}

TEST_F(GuideEnvironment, RetentionInDays) {
    for (int i = 0; i < 3; ++i) ASSERT_EQ(with({{"BACKUP_REDIS", "false"}}, {"backup"}).exit, 0);
    const Answer plan = with({{"RETENTION_DAILY", "3"}, {"DRY_RUN", "true"}}, {"forget"});
    EXPECT_EQ(plan.exit, 0) << plan.errors;
    EXPECT_THAT(plan.output, HasSubstr("would be removed"));
    for (const char* rule : {"3d", "30d", "90d"}) EXPECT_THAT(plan.output, HasSubstr(rule));
    EXPECT_EQ(holdfast({"snapshots", "--json"}).json()["snapshots"].items().size(), 3u);
    // What the command line says is all that counts.
    const Answer last = with({{"RETENTION_DAILY", "3"}}, {"forget", "--keep-last", "2"});
    EXPECT_EQ(last.exit, 0) << last.errors;
    EXPECT_EQ(holdfast({"snapshots", "--json"}).json()["snapshots"].items().size(), 2u);
    EXPECT_EQ(with({{"RETENTION_DAILY", "a week"}}, {"forget"}).exit, 2);
    EXPECT_EQ(with({}, {"forget"}).exit, 2);    // nothing says what may go
}

TEST_F(GuideEnvironment, TheRootHoldsTheVault) {
    const Environment root{{"BACKUP_ROOT", at("backups")}, {"HOLDFAST_PASSWORD_FILE", password_file()}};
    ASSERT_EQ(holdfast_bare({"init"}, root).exit, 0);
    EXPECT_TRUE(os::exists(at("backups/vault/config")));
    EXPECT_EQ(holdfast_bare({"backup", at("etc")}, root).exit, 0);
    EXPECT_EQ(holdfast_bare({"snapshots", "--repo", repository()}, root).exit, 0);    // an option goes before it
}

TEST_F(GuideEnvironment, TheHelpNamesAll) {
    const Answer help = holdfast_bare({"help", "environment"});
    EXPECT_EQ(help.exit, 0);
    for (const char* name : {"BACKUP_ROOT", "BACKUP_DATABASE", "BACKUP_REDIS", "BACKUP_CONFIG", "BACKUP_LOGS",
                             "RETENTION_DAILY", "RETENTION_WEEKLY", "RETENTION_MONTHLY", "RESTORE_DATABASE",
                             "RESTORE_REDIS", "RESTORE_CONFIG", "DRY_RUN", "BACKUP_TYPE"})
        EXPECT_THAT(help.output, HasSubstr(name));
}

}    // namespace
}    // namespace holdfast::scenario
