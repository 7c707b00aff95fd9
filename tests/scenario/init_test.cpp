// The first five minutes: init writes what backup reads, and never overwrites anything.

#include <gmock/gmock.h>

#include "scenario.hpp"

namespace holdfast::scenario {
namespace {

using testing::HasSubstr;

using Init = Scenario;

TEST_F(Init, MakesConfigurationPasswordAndVaultFromNothing) {
    const Answer made =
        holdfast_bare({"init", "--config", at("etc/holdfast.toml"), "--repo", repository(), "--no-detect"});
    ASSERT_EQ(made.exit, 0) << made.errors;
    EXPECT_EQ(os::status_of(at("etc/holdfast.toml"))->st_mode & 0777, 0600u);
    EXPECT_EQ(os::status_of(at("etc/holdfast.password"))->st_mode & 0777, 0600u);
    const std::string generated = os::read_text(at("etc/holdfast.password")).value();
    EXPECT_GE(generated.size(), 32u);
    EXPECT_THAT(made.output + made.errors, testing::Not(HasSubstr(generated.substr(0, generated.size() - 1))));
    EXPECT_THAT(made.output, HasSubstr("holdfast.password"));
    const Answer listed = holdfast_bare({"snapshots", "--config", at("etc/holdfast.toml")});
    EXPECT_EQ(listed.exit, 0) << listed.errors;
    // Nothing is configured yet, and backup says what to do.
    const Answer empty = holdfast_bare({"backup", "--config", at("etc/holdfast.toml")});
    EXPECT_EQ(empty.exit, 2);
    EXPECT_THAT(empty.errors, HasSubstr("holdfast.toml"));
}

TEST_F(Init, WithARepositoryAndNoConfigurationMakesJustTheRepository) {
    ASSERT_EQ(holdfast_bare({"init", "--repo", repository(), "--password-file", password_file()}).exit, 0);
    EXPECT_TRUE(os::list_folder(at("home"))->empty());
    EXPECT_EQ(holdfast({"check"}).exit, 0);
    EXPECT_EQ(run({"restic", "check"}).exit, 0);
}

TEST_F(Init, RefusesToTouchWhatIsThere) {
    ASSERT_EQ(holdfast({"init"}).exit, 0);
    const Answer again = holdfast({"init"});
    EXPECT_EQ(again.exit, 1);
    EXPECT_THAT(again.errors, HasSubstr("already"));
    // A configuration that names a repository is used, and stays as it is.
    const std::string text =
        "[repository]\nlocation = \"" + at("other") + "\"\npassword_file = \"" + password_file() + "\"\n";
    write(at("holdfast.toml"), text);
    EXPECT_EQ(holdfast_bare({"init", "--config", at("holdfast.toml")}).exit, 0);
    EXPECT_EQ(os::read_text(at("holdfast.toml")).value(), text);
    EXPECT_TRUE(os::exists(at("other/config")));
    // A password file is never overwritten.
    const Answer generate = holdfast_bare({"init", "--repo", at("third"), "--generate-key", password_file()});
    EXPECT_EQ(generate.exit, 1);
    EXPECT_THAT(generate.errors, HasSubstr("never overwrites"));
    EXPECT_EQ(os::read_text(password_file()).value(), password() + "\n");
    EXPECT_FALSE(os::exists(at("third/config")));
    // A repository that is there keeps its keys, and no file is made for nothing.
    const Answer there = holdfast_bare({"init", "--repo", repository(), "--generate-key", at("key")});
    EXPECT_EQ(there.exit, 1);
    EXPECT_THAT(there.errors, HasSubstr("key add"));
    EXPECT_FALSE(os::exists(at("key")));
}

TEST_F(Init, AMachineKeyOpensTheVaultForUsAndForRestic) {    // DD-05
    const Answer made = holdfast_bare({"init", "--repo", repository(), "--generate-key", at("keys/machine")});
    ASSERT_EQ(made.exit, 0) << made.errors;
    EXPECT_THAT(made.output, HasSubstr(at("keys/machine")));
    EXPECT_EQ(os::status_of(at("keys/machine"))->st_mode & 07777, 0600u);
    EXPECT_THAT(made.output + made.errors, testing::Not(HasSubstr(os::read_text(at("keys/machine"))->substr(8, 8))));
    write(at("data/file"), "content");
    const auto restic = [&](std::vector<std::string> words) {
        words.insert(words.begin(),
                     {"restic", "--no-cache", "-r", repository(), "--password-file", at("keys/machine")});
        return run(words);
    };
    EXPECT_EQ(restic({"backup", at("data")}).exit, 0);
    EXPECT_EQ(restic({"check", "--read-data"}).exit, 0);
    const Answer list =
        holdfast_bare({"key", "list", "--repo", repository(), "--password-file", at("keys/machine"), "--json"});
    ASSERT_EQ(list.exit, 0) << list.errors;
    EXPECT_EQ(list.json()["keys"].items().at(0)["kind"].text(), "machine");
    // The key and a password at once are a mistake, and a configuration that looks elsewhere for it as well.
    EXPECT_EQ(
        holdfast_bare({"init", "--repo", at("b"), "--generate-key", at("b.key"), "--password-file", at("x")}).exit, 2);
    write(at("holdfast.toml"),
          "[repository]\nlocation = \"" + at("c") + "\"\npassword_file = \"" + at("c.key") + "\"\n");
    const Answer elsewhere = holdfast_bare({"init", "--config", at("holdfast.toml"), "--generate-key", at("d.key")});
    EXPECT_EQ(elsewhere.exit, 2);
    EXPECT_THAT(elsewhere.errors, HasSubstr(at("c.key")));
    EXPECT_FALSE(os::exists(at("d.key")));
    EXPECT_EQ(holdfast_bare({"init", "--config", at("holdfast.toml"), "--generate-key", at("c.key")}).exit, 0);
    EXPECT_EQ(holdfast_bare({"snapshots", "--config", at("holdfast.toml")}).exit, 0);
}

TEST_F(Init, AConfigurationCanBeWrittenForAVaultThatIsThere) {
    ASSERT_EQ(holdfast({"init"}).exit, 0);
    const Answer written = holdfast({"init", "--config", at("holdfast.toml"), "--no-detect", "--json"});
    ASSERT_EQ(written.exit, 0) << written.output;
    EXPECT_FALSE(written.json()["repository"]["new"].boolean(true));
    EXPECT_EQ(holdfast_bare({"snapshots", "--config", at("holdfast.toml")}).exit, 0);
    // Not with a password that does not open it, and then nothing is left behind.
    write(at("wrong"), "not it\n", 0600);
    EXPECT_EQ(
        holdfast({"init", "--config", at("other.toml"), "--no-detect"}, {{"HOLDFAST_PASSWORD_FILE", at("wrong")}}).exit,
        12);
    EXPECT_FALSE(os::exists(at("other.toml")));
}

TEST_F(Init, FindsDuckDbFilesByWhatIsInThem) {
    write(at("data/trades.duckdb"), std::string(8, 'x') + "DUCK" + std::string(4096, '\0'));
    write(at("data/not.duckdb"), "something else");
    const Answer made = holdfast_bare(
        {"init", "--config", at("holdfast.toml"), "--repo", repository(), "--search", at("data"), "--json"});
    ASSERT_EQ(made.exit, 0) << made.output;
    const std::string text = os::read_text(at("holdfast.toml")).value();
    EXPECT_THAT(text, HasSubstr(at("data/trades.duckdb")));
    EXPECT_THAT(text, testing::Not(HasSubstr("not.duckdb")));
    EXPECT_GE(made.json()["found"]["duckdb"].natural(), 1u);
}

TEST_F(Init, TheEnvironmentOfResticIsHonoured) {
    ASSERT_EQ(run({"restic", "init"}).exit, 0);
    EXPECT_EQ(
        holdfast_bare({"snapshots"}, {{"RESTIC_REPOSITORY", repository()}, {"RESTIC_PASSWORD_FILE", password_file()}})
            .exit,
        0);
    EXPECT_EQ(holdfast_bare({"snapshots"}, {{"RESTIC_REPOSITORY", repository()}, {"RESTIC_PASSWORD", password()}}).exit,
              0);
    EXPECT_EQ(holdfast_bare({"snapshots"}, {{"RESTIC_REPOSITORY", repository()},
                                            {"RESTIC_PASSWORD_COMMAND", "cat " + password_file()}})
                  .exit,
              0);
    // Ours go first.
    EXPECT_EQ(holdfast_bare({"snapshots"}, {{"HOLDFAST_REPOSITORY", at("none")},
                                            {"RESTIC_REPOSITORY", repository()},
                                            {"RESTIC_PASSWORD", password()}})
                  .exit,
              10);
    EXPECT_EQ(holdfast_bare({"snapshots", "--repo", repository(), "--password-command", "cat " + password_file()}).exit,
              0);
    EXPECT_EQ(holdfast_bare({"snapshots"}, {{"HOLDFAST_REPO", repository()}, {"HOLDFAST_PASSWORD", password()}}).exit,
              0);
}

}    // namespace
}    // namespace holdfast::scenario
