// Help, completion, JSON, the error page, and that no secret shows.

#include <gmock/gmock.h>
#include <signal.h>

#include <filesystem>
#include <thread>

#include "scenario.hpp"

namespace holdfast::scenario {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;

using Surface = Scenario;

TEST_F(Surface, HelpComesOnStandardOutputWith0) {
    for (const std::vector<std::string>& words :
         {std::vector<std::string>{"--help"}, {"help"}, {"help", "restore"}, {"backup", "-h"}}) {
        const Answer help = holdfast_bare(words);
        EXPECT_EQ(help.exit, 0);
        EXPECT_THAT(help.output, HasSubstr("Usage: holdfast"));
        EXPECT_EQ(help.errors, "");
    }
    EXPECT_THAT(holdfast_bare({"--version"}).output, HasSubstr("holdfast 0."));
    EXPECT_EQ(holdfast_bare({"version"}).output, holdfast_bare({"-V"}).output);
}

TEST_F(Surface, TheErrorPageIsTheOneInDocs) {
    EXPECT_EQ(holdfast_bare({"internal", "errors"}).output, os::read_text(HF_SOURCE_DIR "/docs/errors.md").value())
        << "run: holdfast internal errors > docs/errors.md";
}

TEST_F(Surface, EveryKeyOfTheConfigurationIsInItsPage) {
    const std::string page = os::read_text(HF_SOURCE_DIR "/docs/formats/configuration.md").value();
    for (const std::string table : {"", "[repository]", "[[postgres]]", "[[redis]]", "[[duckdb]]\npath = \"/x\"",
                                    "[[duckdb]]\npath = \"/x\"\n[[duckdb.rebuild]]\nfrom = \"c\"", "[[clickhouse]]",
                                    "[[files]]\npaths = [\"/x\"]", "[[logs]]\npaths = [\"/x\"]",
                                    "[[mirror]]\nlocation = \"/x\"", "[[keep]]\npaths = [\"/x.json\"]"}) {
        write(at("holdfast.toml"), table + "\nno_such_key = 1\n");
        const std::string hint =
            holdfast({"backup", "--config", at("holdfast.toml"), "--json"}).json()["error"]["hint"].text();
        ASSERT_THAT(hint, testing::StartsWith("known keys: "));
        for (std::size_t from = 12; from < hint.size();) {
            const std::size_t end = std::min(hint.find(", ", from), hint.size());
            const std::string key = hint.substr(from, end - from);
            EXPECT_TRUE(page.find('`' + key + '`') != page.npos || page.find('[' + key + ']') != page.npos)
                << table << " " << key;
            from = end + 2;
        }
    }
}

TEST_F(Surface, TheExampleOfThatPageIsAConfiguration) {
    const std::string page = os::read_text(HF_SOURCE_DIR "/docs/formats/configuration.md").value();
    const std::size_t from = page.find("```toml\n") + 8;
    write(at("holdfast.toml"), page.substr(from, page.find("```", from) - from));
    // It parses: what is missing is the repository.
    EXPECT_EQ(holdfast({"backup", "--config", at("holdfast.toml")}).exit, 10);
}

TEST_F(Surface, BashCompletesCommandsOptionsAndFiles) {
    write(at("complete.sh"), holdfast_bare({"completion", "bash"}).output + R"(
ask() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _holdfast; echo "${COMPREPLY[*]}"; }
ask holdfast ba
ask holdfast backup --excl
ask holdfast restore lat
ask holdfast completion ""
ask holdfast backup --password-file /etc/hostn
)");
    const Answer answer = run({"bash", at("complete.sh")});
    EXPECT_EQ(answer.exit, 0) << answer.errors;
    EXPECT_THAT(answer.output, testing::StartsWith("backup\n--exclude\nlatest\nbash zsh fish "));
    EXPECT_THAT(answer.output, testing::EndsWith("/etc/hostname\n"));
}

TEST_F(Surface, EachCommandAnswersWithOneJsonDocument) {
    const json::Value made = holdfast({"init", "--json"}).json();
    EXPECT_EQ(made["repository"]["id"].text().size(), 64u);
    make_files(at("source"));
    const json::Value saved = holdfast({"backup", at("source"), "--json", "--tag", "t"}).json();
    EXPECT_EQ(saved["snapshot"].text().size(), 64u);
    EXPECT_TRUE(saved["complete"].boolean());
    EXPECT_GT(saved["summary"]["bytes_stored"].natural(), 0u);
    const json::Value listed = holdfast({"snapshots", "--json"}).json()["snapshots"].items().at(0);
    EXPECT_EQ(listed["id"].text(), saved["snapshot"].text());
    EXPECT_EQ(listed["tags"].items().at(0).text(), "t");
    const json::Value entries = holdfast({"ls", "latest", "--json"}).json()["entries"];
    EXPECT_GT(entries.items().size(), 5u);
    EXPECT_EQ(entries.items().at(0)["type"].text(), "dir");
    const json::Value restored = holdfast({"restore", "latest", "--target", at("back"), "--json"}).json();
    EXPECT_GT(restored["files"].natural(), 3u);
    const json::Value checked = holdfast({"check", "--read-data", "--json"}).json();
    EXPECT_TRUE(checked["ok"].boolean());
    EXPECT_GT(checked["bytes_read"].natural(), 0u);
}

TEST_F(Surface, SecretsAreNeitherInArgumentsNorInOutputNorInTheLog) {
    make_repository();
    make_files(at("source"), 64);
    auto backup =
        os::Process::start(command({"backup", at("source"), "-vv", "--password-command", "cat " + password_file()},
                                   {{"HOLDFAST_REPOSITORY", repository()}}))
            .value();
    while (os::list_folder(repository() + "/locks").value().empty()) std::this_thread::sleep_for(1ms);
    backup.kill(SIGSTOP);
    unsigned seen = 0;
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
        const auto arguments = os::read_text(entry.path().string() + "/cmdline");
        if (!arguments) continue;
        if (arguments->find(at("source")) != std::string::npos) ++seen;
        EXPECT_THAT(*arguments, Not(HasSubstr(password()))) << entry.path();
    }
    backup.kill(SIGCONT);
    EXPECT_GE(seen, 1u);
    EXPECT_TRUE(backup.wait(60s)->ok());
    EXPECT_THAT(backup.errors(), Not(HasSubstr(password())));
    for (const Answer& answer :
         {holdfast({"snapshots", "-vv"}), holdfast({"check", "-vv", "--json"}), holdfast({"init", "-vv"})})
        EXPECT_THAT(answer.output + answer.errors, Not(HasSubstr(password())));
}

TEST_F(Surface, AClosedOutputIsNoSuccess) {
    const Answer full = run({"/bin/sh", "-c", HF_BIN_DIR "/holdfast help > /dev/full"});
    EXPECT_EQ(full.exit, 1);
}

}    // namespace
}    // namespace holdfast::scenario
