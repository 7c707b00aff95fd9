#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "holdfast/cli/invocation.hpp"

namespace holdfast::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Result<Invocation> parse(std::vector<std::string> arguments) {
    bool json = false;
    return parse_arguments(std::move(arguments), json);
}

TEST(Arguments, GlobalOptionsStandBeforeOrBehindTheCommand) {
    EXPECT_EQ(parse({"--repo", "/a", "check"})->global.repository, "/a");
    EXPECT_EQ(parse({"check", "--repo", "/a"})->global.repository, "/a");
    EXPECT_EQ(parse({"check", "-vv", "-q"})->global.verbose, 2);
}

TEST(Arguments, ABackupTakesPathsAndRepeatedOptions) {
    const Invocation invocation =
        parse({"backup", "--exclude", "*.o", "/a", "-e", "*.tmp", "/b", "--tag", "x", "check"}).value();
    EXPECT_EQ(invocation.command, Invocation::Command::backup);
    EXPECT_THAT(invocation.backup.exclude, ElementsAre("*.o", "*.tmp"));
    EXPECT_THAT(invocation.backup.tags, ElementsAre("x"));
    EXPECT_THAT(invocation.backup.paths, ElementsAre("/a", "/b", "check"));    // a folder may be named like a command
}

TEST(Arguments, AnOptionTakesOneValueAndLeavesTheNextWordAlone) {
    const Invocation invocation = parse({"restore", "--only", "redis", "latest"}).value();
    EXPECT_THAT(invocation.restore.only, ElementsAre("redis"));
    EXPECT_EQ(invocation.restore.snapshot, "latest");
}

TEST(Arguments, BehindTwoDashesNothingIsAnOption) {
    EXPECT_THAT(parse({"backup", "--", "--repo"})->backup.paths, ElementsAre("--repo"));
}

TEST(Arguments, AnUnknownCommandIsAnsweredWithTheLikelyOne) {
    const Error error = parse({"bakup"}).error();
    EXPECT_EQ(error.code, ErrorCode::usage);
    EXPECT_EQ(error.message, "unknown command 'bakup'; did you mean 'backup'?");
    EXPECT_EQ(parse({"frobnicate"}).error().message, "unknown command 'frobnicate'");
    EXPECT_EQ(parse({"help", "resotre"}).error().message, "unknown command 'resotre'; did you mean 'restore'?");
}

TEST(Arguments, AnUnknownOptionIsAnsweredWithTheLikelyOne) {
    EXPECT_EQ(parse({"backup", "--exlude=*.o", "/a"}).error().message,
              "unknown option '--exlude'; did you mean '--exclude'?");
    EXPECT_EQ(parse({"check", "--frobnicate"}).error().message, "unknown option '--frobnicate'");
    EXPECT_EQ(parse({"--jsno", "check"}).error().message, "unknown option '--jsno'; did you mean '--json'?");
}

TEST(Arguments, WhatIsLackingOrTooMuchIsAUsageError) {
    EXPECT_EQ(parse({}).error().code, ErrorCode::usage);
    EXPECT_EQ(parse({"restore"}).error().code, ErrorCode::usage);
    EXPECT_EQ(parse({"check", "extra"}).error().message, "unexpected argument 'extra'");
    EXPECT_EQ(parse({"backup", "--tag"}).error().code, ErrorCode::usage);
    EXPECT_EQ(parse({"snapshots", "--latest", "many"}).error().code, ErrorCode::usage);
    EXPECT_EQ(parse({"snapshots", "--latest", "-1"}).error().code, ErrorCode::usage);
    EXPECT_EQ(parse({"completion", "tcsh"}).error().message, "no completion for the shell 'tcsh'");
    EXPECT_EQ(parse({"restore", "latest", "--include", "/a"}).error().code, ErrorCode::usage);
}

TEST(Arguments, JsonIsKnownAlsoWhenTheRestIsWrong) {
    bool json = false;
    EXPECT_FALSE(parse_arguments({"bakup", "--json"}, json).has_value());
    EXPECT_TRUE(json);
}

TEST(Arguments, HelpTeachesExamplesExitCodesAndEnvironment) {
    const std::string general = parse({"--help"})->text;
    EXPECT_EQ(general, parse({"help"})->text);
    for (const char* word :
         {"First steps", "Exit codes", "HOLDFAST_PASSWORD_FILE", "RESTIC_REPOSITORY", "wrong password"})
        EXPECT_THAT(general, HasSubstr(word));
    EXPECT_THAT(general, testing::Not(HasSubstr("internal")));
    for (const char* command : {"init", "backup", "snapshots", "ls", "restore", "check", "completion"}) {
        EXPECT_THAT(parse({command, "--help"})->text, HasSubstr("Examples")) << command;
        EXPECT_EQ(parse({command, "--help"})->text, parse({"help", command})->text) << command;
    }
}

TEST(Arguments, InternalPassesItsWordsOn) {
    EXPECT_THAT(parse({"internal", "errors"})->internal, ElementsAre("errors"));
}

}    // namespace
}    // namespace holdfast::cli
