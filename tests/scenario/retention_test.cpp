// Snapshots that go and stay, space that is freed, tags and rewritten snapshots: as a user does it.

#include <gmock/gmock.h>

#include <filesystem>

#include "scenario.hpp"

namespace holdfast::scenario {
namespace {

using testing::HasSubstr;

class Retention : public Scenario {
protected:
    /// Four snapshots; each has a large file of its own.
    void fill() {
        make_repository();
        make_files(at("data"), 1);
        for (unsigned i = 0; i < 4; ++i) {
            ASSERT_TRUE(os::remove_tree(at("data/changing")));
            make_files(at("data/changing"), 3, 100 + i);
            const Answer saved = holdfast({"backup", at("data"), "--tag", "run-" + std::to_string(i)});
            ASSERT_EQ(saved.exit, 0) << saved.errors;
        }
    }
    json::Value snapshots() const { return holdfast({"snapshots", "--json"}).json()["snapshots"]; }
    std::uintmax_t stored() const {
        std::uintmax_t bytes = 0;
        for (const auto& entry : std::filesystem::recursive_directory_iterator(repository() + "/data"))
            if (entry.is_regular_file()) bytes += entry.file_size();
        return bytes;
    }
};

TEST_F(Retention, ForgetSaysWhatStaysAndWhyAndPruneFreesTheRest) {    // NS-19
    fill();
    const Answer tried = holdfast({"forget", "--keep-last", "1", "--keep-tag", "run-1", "--dry-run"});
    ASSERT_EQ(tried.exit, 0) << tried.errors;
    EXPECT_THAT(tried.output, HasSubstr("2 of 4 stay"));
    EXPECT_THAT(tried.output, HasSubstr("has tags [run-1]"));
    EXPECT_THAT(tried.output, HasSubstr("last snapshot"));
    EXPECT_EQ(snapshots().items().size(), 4u);

    const Answer done = holdfast({"forget", "--keep-last", "1", "--keep-tag", "run-1", "--json"});
    ASSERT_EQ(done.exit, 0) << done.errors;
    EXPECT_EQ(done.json()["groups"].items()[0]["keep"].items().size(), 2u);
    EXPECT_EQ(done.json()["removed"].items().size(), 2u);
    EXPECT_EQ(snapshots().items().size(), 2u);

    const auto before = stored();
    const json::Value planned = holdfast({"prune", "--dry-run", "--json"}).json();
    EXPECT_GT(planned["freed_bytes"].natural(), 5'000'000u);
    EXPECT_EQ(stored(), before);
    const Answer pruned = holdfast({"prune"});
    ASSERT_EQ(pruned.exit, 0) << pruned.errors;
    EXPECT_THAT(pruned.output, HasSubstr("freed"));
    EXPECT_LT(stored() + 5'000'000, before);

    ASSERT_EQ(holdfast({"check", "--read-data"}).exit, 0);
    ASSERT_EQ(holdfast({"restore", "latest", "--target", at("back")}).exit, 0);
    expect_equal_trees(at("data"), at("back") + at("data"));
    EXPECT_EQ(run({"restic", "check", "--read-data"}).exit, 0);
}

TEST_F(Retention, NothingIsRemovedThatNobodyMeantToRemove) {
    fill();
    EXPECT_EQ(holdfast({"forget"}).exit, 2);
    EXPECT_EQ(holdfast({"forget", "--keep-daily", "many"}).exit, 2);
    EXPECT_EQ(holdfast({"forget", "--keep-within", "5w"}).exit, 2);
    EXPECT_EQ(holdfast({"forget", "--unsafe-allow-remove-all"}).exit, 2);
    const Answer all = holdfast({"forget", "--keep-tag", "nobody"});
    EXPECT_EQ(all.exit, 2);
    EXPECT_THAT(all.errors, HasSubstr("--unsafe-allow-remove-all"));
    EXPECT_EQ(holdfast({"prune", "--max-unused", "lots"}).exit, 2);
    EXPECT_EQ(holdfast({"tag"}).exit, 2);
    EXPECT_EQ(holdfast({"rewrite"}).exit, 2);
    EXPECT_EQ(snapshots().items().size(), 4u);
    EXPECT_EQ(holdfast({"forget", "--tag", "run-0", "--unsafe-allow-remove-all"}).exit, 0);
    EXPECT_EQ(snapshots().items().size(), 3u);
    EXPECT_EQ(holdfast({"forget", "latest", "--prune"}).exit, 0);
    EXPECT_EQ(snapshots().items().size(), 2u);
}

TEST_F(Retention, TagAndRewriteMakeNewSnapshotsOutOfOldOnes) {
    fill();
    const Answer tagged = holdfast({"tag", "--add", "audit,2026", "latest", "--json"});
    ASSERT_EQ(tagged.exit, 0) << tagged.errors;
    EXPECT_EQ(tagged.json()["changed"].items().size(), 1u);
    EXPECT_EQ(holdfast({"snapshots", "--tag", "audit", "--json"}).json()["snapshots"].items().size(), 1u);
    EXPECT_EQ(snapshots().items().size(), 4u);

    write(at("patterns"), "# what should never have been saved\n\n" + at("data") + "/changing\n");
    const Answer tried = holdfast({"rewrite", "--exclude-file", at("patterns"), "--dry-run"});
    ASSERT_EQ(tried.exit, 0) << tried.errors;
    EXPECT_THAT(tried.output, HasSubstr("4 of 4 snapshots would change"));
    ASSERT_EQ(holdfast({"rewrite", "--exclude-file", at("patterns"), "--forget"}).exit, 0);
    EXPECT_EQ(snapshots().items().size(), 4u);
    EXPECT_EQ(holdfast({"snapshots", "--tag", "audit", "--json"}).json()["snapshots"].items().size(), 1u);
    ASSERT_EQ(holdfast({"prune", "--max-unused", "0"}).exit, 0);
    EXPECT_LT(stored(), 4'000'000u);
    ASSERT_EQ(holdfast({"restore", "latest", "--target", at("back")}).exit, 0);
    std::filesystem::remove_all(at("data/changing"));
    expect_equal_trees(at("data"), at("back") + at("data"));
    ASSERT_EQ(
        holdfast({"rewrite", "--new-host", "desk-2", "--new-time", "2020-01-02 03:04:05", "--forget", "latest"}).exit,
        0);
    EXPECT_EQ(holdfast({"snapshots", "--host", "desk-2", "--json"}).json()["snapshots"].items().size(), 1u);
    EXPECT_EQ(run({"restic", "check", "--read-data"}).exit, 0);
}

}    // namespace
}    // namespace holdfast::scenario
