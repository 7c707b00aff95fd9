// A user backs up plain folders and gets them back, with holdfast or with restic.

#include <gmock/gmock.h>

#include "scenario.hpp"

namespace holdfast::scenario {
namespace {

using testing::HasSubstr;

using Paths = Scenario;

TEST_F(Paths, ComeBackAsTheyWere) {
    make_repository();
    make_files(at("source"), 2);
    const Answer saved = holdfast({"backup", at("source")});
    ASSERT_EQ(saved.exit, 0) << saved.errors;
    EXPECT_THAT(saved.output, HasSubstr("saved"));
    const Answer restored = holdfast({"restore", "latest", "--target", at("back")});
    ASSERT_EQ(restored.exit, 0) << restored.errors;
    expect_equal_trees(at("source"), at("back") + at("source"));
}

TEST_F(Paths, ResticReadsChecksAndRestoresWhatWeWrote) {
    make_repository();
    make_files(at("source"), 2);
    ASSERT_EQ(holdfast({"backup", at("source"), "--tag", "evening"}).exit, 0);
    const Answer checked = run({"restic", "check", "--read-data"});
    EXPECT_EQ(checked.exit, 0) << checked.output << checked.errors;
    EXPECT_THAT(run({"restic", "snapshots"}).output, HasSubstr("evening"));
    const Answer restored = run({"restic", "restore", "latest", "--target", at("back")});
    ASSERT_EQ(restored.exit, 0) << restored.errors;
    expect_equal_trees(at("source"), at("back") + at("source"));
}

TEST_F(Paths, WeReadCheckAndRestoreWhatResticWrote) {
    ASSERT_EQ(run({"restic", "init"}).exit, 0);
    make_files(at("source"), 2);
    ASSERT_EQ(run({"restic", "backup", at("source")}).exit, 0);
    const Answer checked = holdfast({"check", "--read-data"});
    EXPECT_EQ(checked.exit, 0) << checked.output << checked.errors;
    const Answer restored = holdfast({"restore", "latest", "--target", at("back")});
    ASSERT_EQ(restored.exit, 0) << restored.errors;
    expect_equal_trees(at("source"), at("back") + at("source"));
}

TEST_F(Paths, ASecondRunReadsNothingAgain) {
    make_repository();
    make_files(at("source"), 2);
    const json::Value first = holdfast({"backup", at("source"), "--json"}).json();
    const json::Value second = holdfast({"backup", at("source"), "--json"}).json();
    EXPECT_GT(first["summary"]["bytes_added"].natural(), 2u << 20);
    EXPECT_LT(second["summary"]["bytes_added"].natural(), 4096u);    // /tmp itself may have changed
    EXPECT_EQ(second["summary"]["files_unmodified"].natural(), second["summary"]["files"].natural());
    EXPECT_NE(first["snapshot"].text(), second["snapshot"].text());
    // --force reads all, and finds it known.
    const json::Value forced = holdfast({"backup", at("source"), "--json", "--force"}).json();
    EXPECT_EQ(forced["summary"]["files_unmodified"].natural(), 0u);
}

TEST_F(Paths, AnExcludeLeavesOutAndAnIncludeTakesOnly) {
    make_repository();
    make_files(at("source"));
    ASSERT_EQ(holdfast({"backup", at("source"), "--exclude", "*.key"}).exit, 0);
    EXPECT_THAT(holdfast({"ls", "latest"}).output, testing::Not(HasSubstr("secret.key")));
    ASSERT_EQ(holdfast({"restore", "latest", "--target", at("back"), "--include", at("source/etc")}).exit, 0);
    EXPECT_TRUE(os::exists(at("back") + at("source/etc/desk.conf")));
    EXPECT_FALSE(os::exists(at("back") + at("source/data")));
}

TEST_F(Paths, ATargetThatIsNotEmptyIsLeftAlone) {
    make_repository();
    make_files(at("source"));
    ASSERT_EQ(holdfast({"backup", at("source")}).exit, 0);
    write(at("back/mine"), "precious");
    const Answer refused = holdfast({"restore", "latest", "--target", at("back")});
    EXPECT_EQ(refused.exit, 1);
    EXPECT_THAT(refused.errors, HasSubstr(at("back")));
    EXPECT_THAT(refused.errors, HasSubstr("--overwrite"));
    EXPECT_EQ(os::list_folder(at("back")).value(), std::vector<std::string>{"mine"});
    EXPECT_EQ(holdfast({"restore", "latest", "--target", at("back"), "--overwrite", "always"}).exit, 0);
    EXPECT_EQ(os::read_text(at("back/mine")).value(), "precious");
}

TEST_F(Paths, ADryRunChangesNothing) {
    make_repository();
    make_files(at("source"));
    ASSERT_EQ(holdfast({"backup", at("source")}).exit, 0);
    const Answer dry = holdfast({"restore", "latest", "--target", at("back"), "--dry-run"});
    EXPECT_EQ(dry.exit, 0) << dry.errors;
    EXPECT_THAT(dry.output, HasSubstr("would restore"));
    EXPECT_FALSE(os::exists(at("back")));
}

TEST_F(Paths, APathThatIsNotThereIsToldBeforeAnythingIsSaved) {
    make_repository();
    make_files(at("source"));
    const Answer refused = holdfast({"backup", at("source"), at("nowhere")});
    EXPECT_EQ(refused.exit, 1);
    EXPECT_THAT(refused.errors, HasSubstr("nowhere"));
    EXPECT_EQ(holdfast({"snapshots", "--json"}).json()["snapshots"].items().size(), 0u);
}

TEST_F(Paths, TheRepositoryDoesNotSwallowItself) {
    make_repository();
    make_files(at("home/source"));
    ASSERT_EQ(holdfast({"backup", at("")}).exit, 0);
    EXPECT_THAT(holdfast({"ls", "latest"}).output, testing::Not(HasSubstr(repository())));
}

TEST_F(Paths, SnapshotsAreFoundByTagHostPathAndNumber) {
    make_repository();
    make_files(at("source"));
    ASSERT_EQ(holdfast({"backup", at("source"), "--tag", "one", "--host", "alpha"}).exit, 0);
    ASSERT_EQ(holdfast({"backup", at("source"), "--tag", "two", "--host", "beta"}).exit, 0);
    const auto count = [&](std::vector<std::string> more) {
        more.insert(more.begin(), {"snapshots", "--json"});
        return holdfast(more).json()["snapshots"].items().size();
    };
    EXPECT_EQ(count({}), 2u);
    EXPECT_EQ(count({"--tag", "one"}), 1u);
    EXPECT_EQ(count({"--host", "beta"}), 1u);
    EXPECT_EQ(count({"--path", at("source")}), 2u);
    EXPECT_EQ(count({"--tag", "one", "--host", "beta"}), 0u);
    EXPECT_EQ(count({"--latest", "1"}), 1u);
    EXPECT_EQ(holdfast({"ls", "latest", "--tag", "three"}).exit, 1);
}

TEST_F(Paths, LsShowsModesOwnersAndLinks) {
    make_repository();
    make_files(at("source"));
    ASSERT_EQ(holdfast({"backup", at("source")}).exit, 0);
    const std::string listing = holdfast({"ls", "-l", "latest", at("source")}).output;
    EXPECT_THAT(listing, HasSubstr("drwxr-x--T"));
    EXPECT_THAT(listing, HasSubstr("-rw-r----- root"));
    EXPECT_THAT(listing, HasSubstr("link -> etc/desk.conf"));
    EXPECT_THAT(listing, HasSubstr("odd name \\xff\\x0a"));    // never raw on a terminal
    const Answer missing = holdfast({"ls", "latest", "/nowhere"});
    EXPECT_EQ(missing.exit, 1);
    EXPECT_THAT(missing.errors, HasSubstr("nowhere"));
}

}    // namespace
}    // namespace holdfast::scenario
