#include "holdfast/cli/completion.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace holdfast::cli {
namespace {

using testing::HasSubstr;

const std::vector<CommandShape> k_commands{
    {"backup", "save: it's one snapshot", {{"--tag", "mark", true}, {"-q", "quiet", false}}, {}},
    {"ls", "list", {}, {"latest"}}};

TEST(Completion, KnowsCommandsOptionsAndWordsInEachShell) {
    for (const char* shell : {"bash", "zsh", "fish"}) {
        const std::string script = completion_script(shell, k_commands).value();
        for (const char* word : {"backup", "ls", "tag", "latest"}) EXPECT_THAT(script, HasSubstr(word)) << shell;
    }
}

TEST(Completion, QuotesWhatWouldEndAWord) {
    EXPECT_THAT(completion_script("zsh", k_commands).value(), HasSubstr("'backup:save\\: it'\\''s one snapshot'"));
    EXPECT_THAT(completion_script("fish", k_commands).value(), HasSubstr("-d 'save: it'\\''s one snapshot'"));
}

TEST(Completion, RefusesShellsThatItDoesNotKnow) {
    EXPECT_EQ(completion_script("tcsh", k_commands).error().code, ErrorCode::usage);
}

}    // namespace
}    // namespace holdfast::cli
