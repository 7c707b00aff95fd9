#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "holdfast/cli/commands.hpp"
#include "holdfast/cli/invocation.hpp"

namespace holdfast::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// Takes every kind of option, and shows what it was given.
struct Given {
    bool force = false;
    std::string host, colour, snapshot;
    std::vector<std::string> tags, excludes, paths;
    std::int64_t latest = 0;
};
Given g_given;

class Probe final : public Command {
public:
    explicit Probe(const char* name) : name_(name) { g_given = {}; }
    std::string_view name() const override { return name_; }
    std::string_view help() const override { return "a probe"; }
    std::string_view examples() const override { return "Examples\n"; }
    void declare(Options& options) override {
        options.argument("SNAPSHOT", g_given.snapshot, Options::Need::required, "ID");
        options.arguments("PATH", g_given.paths, Options::Need::optional, "paths");
        options.flag("-f,--force", g_given.force, "force");
        options.value("-H,--host", g_given.host, "HOST", "host");
        options.list("--tag", g_given.tags, "TAG", "tag");
        options.list("-e,--exclude", g_given.excludes, "PATTERN", "exclude");
        options.number("--latest", g_given.latest, 0, "N", "newest");
        options.choice("--colour", g_given.colour, {"red", "green"}, "colour");
    }
    Result<int> run(const Session&) override { return 0; }

private:
    const char* name_;
};

Result<Invocation> probe(std::vector<std::string> arguments) {
    bool json = false;
    std::vector<std::unique_ptr<Command>> commands;
    commands.push_back(std::make_unique<Probe>("check"));
    commands.push_back(std::make_unique<Probe>("group of"));
    g_given = {};
    return parse_arguments(std::move(arguments), std::move(commands), json);
}

Result<Invocation> parse(std::vector<std::string> arguments) {
    bool json = false;
    return parse_arguments(std::move(arguments), json);
}

TEST(Arguments, GlobalOptionsStandBeforeOrBehindTheCommand) {
    EXPECT_EQ(parse({"--repo", "/a", "check"})->global.repository, "/a");
    EXPECT_EQ(parse({"check", "--repo", "/a"})->global.repository, "/a");
    EXPECT_EQ(parse({"check", "-vv", "-q"})->global.verbose, 2);
}

TEST(Arguments, ACommandTakesWordsAndRepeatedOptions) {
    const auto invocation = probe({"check", "--exclude", "*.o", "1a2b", "/a", "-e", "*.tmp", "/b", "--tag", "x",
                                   "--latest", "3", "-f", "--host=h", "check", "--colour", "red"});
    ASSERT_TRUE(invocation) << invocation.error().message;
    EXPECT_EQ(invocation->command->name(), "check");
    EXPECT_THAT(g_given.excludes, ElementsAre("*.o", "*.tmp"));
    EXPECT_THAT(g_given.tags, ElementsAre("x"));
    EXPECT_EQ(g_given.snapshot, "1a2b");
    EXPECT_THAT(g_given.paths, ElementsAre("/a", "/b", "check"));    // a folder may be named like a command
    EXPECT_EQ(g_given.latest, 3);
    EXPECT_TRUE(g_given.force);
    EXPECT_EQ(g_given.host, "h");
    EXPECT_EQ(g_given.colour, "red");
}

TEST(Arguments, AnOptionTakesOneValueAndLeavesTheNextWordAlone) {
    ASSERT_TRUE(probe({"check", "--tag", "redis", "latest"}));
    EXPECT_THAT(g_given.tags, ElementsAre("redis"));
    EXPECT_EQ(g_given.snapshot, "latest");
}

TEST(Arguments, BehindTwoDashesNothingIsAnOption) {
    ASSERT_TRUE(probe({"check", "latest", "--", "--repo"}));
    EXPECT_THAT(g_given.paths, ElementsAre("--repo"));
}

TEST(Arguments, ACommandOfAGroupHasTwoWords) {
    const auto invocation = probe({"group", "of", "latest", "--tag", "x"});
    ASSERT_TRUE(invocation) << invocation.error().message;
    EXPECT_EQ(invocation->command->name(), "group of");
    EXPECT_EQ(probe({"group"}).error().message, "`holdfast group` needs one of: of");
    EXPECT_EQ(probe({"group", "off"}).error().message, "unknown command 'group off'; did you mean 'group of'?");
    EXPECT_EQ(probe({"group", "of", "latest", "--tga=x"}).error().message,
              "unknown option '--tga'; did you mean '--tag'?");
    EXPECT_EQ(probe({"group", "of", "--help"})->text, probe({"help", "group", "of"})->text);
}

TEST(Arguments, EveryCommandIsFoundByItsFirstWordAlone) {
    for (const auto& command : all_commands()) {
        const std::string name(command->name()), first = name.substr(0, name.find(' '));
        const auto named = commands_named({"--quiet", first, "1a2b"});
        EXPECT_TRUE(std::ranges::any_of(named, [&](const auto& one) { return one->name() == name; })) << name;
        for (const auto& one : named)
            EXPECT_TRUE((std::string(one->name()) + " ").starts_with(first + " ")) << one->name();
    }
    EXPECT_TRUE(commands_named({"--quiet", "of"}).empty());
}

TEST(Arguments, AValueOutsideItsRangeIsAUsageError) {
    EXPECT_THAT(probe({"check", "latest", "--colour", "blue"}).error().message, HasSubstr("red"));
    EXPECT_EQ(probe({"check", "latest", "--latest", "-1"}).error().code, ErrorCode::usage);
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
    EXPECT_EQ(parse({"dump"}).error().code, ErrorCode::usage);
    EXPECT_EQ(parse({"check", "extra"}).error().message, "unexpected argument 'extra'");
    EXPECT_EQ(parse({"backup", "--tag"}).error().code, ErrorCode::usage);
    EXPECT_EQ(parse({"snapshots", "--latest", "many"}).error().code, ErrorCode::usage);
    EXPECT_EQ(parse({"snapshots", "--latest", "-1"}).error().code, ErrorCode::usage);
    EXPECT_EQ(parse({"completion", "tcsh"}).error().message, "no completion for the shell 'tcsh'");
}

TEST(Arguments, JsonIsKnownAlsoWhenTheRestIsWrong) {
    bool json = false;
    EXPECT_FALSE(parse_arguments({"bakup", "--json"}, all_commands(), json).has_value());
    EXPECT_TRUE(json);
}

TEST(Arguments, HelpTeachesExamplesExitCodesAndEnvironment) {
    const std::string general = parse({"--help"})->text;
    EXPECT_EQ(general, parse({"help"})->text);
    for (const char* word :
         {"First steps", "Exit codes", "HOLDFAST_PASSWORD_FILE", "RESTIC_REPOSITORY", "wrong password"})
        EXPECT_THAT(general, HasSubstr(word));
    EXPECT_THAT(general, testing::Not(HasSubstr("internal")));
    EXPECT_THAT(parse({"completion", "--help"})->text, HasSubstr("Examples"));
    for (const auto& command : all_commands()) {
        std::vector<std::string> words;    // one, or two in a group
        const std::string name(command->name());
        const std::size_t space = name.find(' ');
        if (space != std::string::npos) words.push_back(name.substr(0, space));
        words.push_back(name.substr(space + 1));
        std::vector<std::string> asked = words, topic = words;
        asked.emplace_back("--help");
        topic.insert(topic.begin(), "help");
        EXPECT_THAT(parse(asked)->text, HasSubstr("Examples")) << name;
        EXPECT_EQ(parse(asked)->text, parse(topic)->text) << name;
    }
}

TEST(Arguments, InternalPassesItsWordsOn) {
    EXPECT_THAT(parse({"internal", "errors"})->internal.value(), ElementsAre("errors"));
}

}    // namespace
}    // namespace holdfast::cli
