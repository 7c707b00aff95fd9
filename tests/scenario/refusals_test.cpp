// Bad input gets a clear sentence with the remedy and the right exit code, and nothing half-done.

#include <gmock/gmock.h>
#include <signal.h>

#include <thread>

#include "scenario.hpp"

namespace holdfast::scenario {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

using Refusals = Scenario;

TEST_F(Refusals, AWrongPasswordIs12) {
    make_repository();
    write(at("wrong"), "not it\n", 0600);
    for (const std::vector<std::string>& words :
         {std::vector<std::string>{"snapshots"}, {"check"}, {"backup", at("home")}}) {
        const Answer answer = holdfast(words, {{"HOLDFAST_PASSWORD_FILE", at("wrong")}});
        EXPECT_EQ(answer.exit, 12) << words[0];
        EXPECT_THAT(answer.errors, HasSubstr("password"));
        EXPECT_THAT(answer.errors, testing::Not(HasSubstr("not it")));
    }
}

TEST_F(Refusals, AMissingRepositoryIs10AndHintsAtInit) {
    const Answer answer = holdfast({"backup", at("home")});
    EXPECT_EQ(answer.exit, 10);
    EXPECT_THAT(answer.errors, HasSubstr(repository()));
    EXPECT_THAT(answer.errors, HasSubstr("holdfast init"));
    EXPECT_FALSE(os::exists(repository()));
}

TEST_F(Refusals, ALockedRepositoryIs11) {
    make_repository();
    make_files(at("source"), 64);
    // A backup is stopped in its tracks: its lock stands, its process is there.
    auto backup = os::Process::start(command({"backup", at("source")}, {{"HOLDFAST_REPOSITORY", repository()},
                                                                        {"HOLDFAST_PASSWORD_FILE", password_file()}}))
                      .value();
    while (os::list_folder(repository() + "/locks").value().empty()) std::this_thread::sleep_for(1ms);
    backup.kill(SIGSTOP);
    const Answer refused = holdfast({"check"});
    backup.kill(SIGCONT);
    EXPECT_EQ(refused.exit, 11) << refused.output;
    EXPECT_THAT(refused.errors, HasSubstr("lock"));
    EXPECT_TRUE(backup.wait(60s)->ok());
    EXPECT_EQ(holdfast({"check"}).exit, 0);
}

TEST_F(Refusals, AWrongCommandLineIs2WithASuggestion) {
    const Answer command = holdfast({"bakup"});
    EXPECT_EQ(command.exit, 2);
    EXPECT_THAT(command.errors, HasSubstr("did you mean 'backup'?"));
    const Answer option = holdfast({"backup", "--exlude", "x", at("home")});
    EXPECT_EQ(option.exit, 2);
    EXPECT_THAT(option.errors, HasSubstr("did you mean '--exclude'?"));
    EXPECT_EQ(holdfast({}).exit, 2);
}

TEST_F(Refusals, NoRepositoryNamedAndNoPasswordAre2) {
    const Answer nowhere = holdfast_bare({"snapshots"});
    EXPECT_EQ(nowhere.exit, 2);
    EXPECT_THAT(nowhere.errors, HasSubstr("--repo"));
    make_repository();
    const Answer silent = holdfast_bare({"snapshots", "--repo", repository()});
    EXPECT_EQ(silent.exit, 2);
    EXPECT_THAT(silent.errors, HasSubstr("--password-file"));
}

TEST_F(Refusals, AnUnknownKeyInTheConfigurationIsToldWithItsPlace) {
    write(at("holdfast.toml"), "stack = \"a\"\n[[redis]]\n  prot = 6379\n");
    const Answer answer = holdfast({"backup", "--config", at("holdfast.toml")});
    EXPECT_EQ(answer.exit, 2);
    EXPECT_THAT(answer.errors,
                HasSubstr(at("holdfast.toml") + ":3:3: unknown key 'prot' in [[redis]]; did you mean 'port'?"));
}

TEST_F(Refusals, AnUnknownComponentOrSnapshotIsTold) {
    make_repository();
    make_files(at("source"));
    write(at("holdfast.toml"), "[[files]]\npaths = [\"" + at("source") + "\"]\n");
    const Answer component = holdfast({"backup", "--config", at("holdfast.toml"), "--only", "confg"});
    EXPECT_EQ(component.exit, 2);
    EXPECT_THAT(component.errors, HasSubstr("did you mean 'config'?"));
    EXPECT_EQ(holdfast({"restore", "latest", "--target", at("back")}).exit, 1);
    EXPECT_EQ(holdfast({"restore", "12345678", "--target", at("back")}).exit, 1);
    EXPECT_FALSE(os::exists(at("back")));
}

TEST_F(Refusals, AMissingPasswordFileIsNamed) {
    make_repository();
    const Answer answer = holdfast({"snapshots", "--password-file", at("nowhere")});
    EXPECT_EQ(answer.exit, 1);
    EXPECT_THAT(answer.errors, HasSubstr(at("nowhere")));
}

TEST_F(Refusals, UnknownStorageIsTold) {
    EXPECT_THAT(holdfast({"snapshots", "--repo", "ftp:host/x"}).errors, HasSubstr("ftp"));
    EXPECT_NE(holdfast({"snapshots", "--repo", "ftp:host/x"}).exit, 0);
}

TEST_F(Refusals, ErrorsAreJsonWhenJsonWasAskedFor) {
    const json::Value missing = holdfast({"snapshots", "--json"}).json();
    EXPECT_EQ(missing["error"]["code"].text(), "no_repository");
    EXPECT_EQ(missing["error"]["exit"].integer(), 10);
    EXPECT_FALSE(missing["error"]["hint"].text().empty());
    EXPECT_EQ(holdfast({"bakup", "--json"}).json()["error"]["code"].text(), "usage");
}

TEST_F(Refusals, FileOptionsOfARestoreNeedATarget) {
    make_repository();
    const Answer answer = holdfast({"restore", "latest", "--include", "/a"});
    EXPECT_EQ(answer.exit, 2);
    EXPECT_THAT(answer.errors, HasSubstr("--target FOLDER"));
}

TEST_F(Refusals, HealingWhereNothingIsIs10) {
    const Answer answer = holdfast({"heal", "--repo", at("nowhere")});
    EXPECT_EQ(answer.exit, 10) << answer.errors;
    EXPECT_THAT(answer.errors, HasSubstr("--from"));
}

}    // namespace
}    // namespace holdfast::scenario
