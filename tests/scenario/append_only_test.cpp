// Append-only storage, as a user meets it: what would take something away is refused with its reason before anything has
// changed; what only adds, and what cleans up after the dead, works. Covers NS-06.

#include <fmt/core.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <filesystem>

#include "scenario.hpp"

namespace holdfast::scenario {
namespace {

using testing::HasSubstr;

class AppendOnly : public Scenario {
protected:
    void SetUp() override {
        make_cheap_repository();
        for (const unsigned seed : {1u, 2u}) {
            ASSERT_TRUE(os::remove_tree(at("source")));
            make_files(at("source"), 2, seed);
            ASSERT_EQ(holdfast({"backup", at("source")}).exit, 0);
        }
        write(at("second"), "the second one\n", 0600);
        ASSERT_EQ(holdfast({"key", "add", "--new-password-file", at("second")}).exit, 0);
        const json::Value keys = holdfast({"key", "list", "--json"}).json();
        for (const json::Value& key : keys["keys"].items())
            if (!key["current"].boolean()) other_key_ = key["id"].text();
        std::filesystem::create_directory(at("served"));
        std::filesystem::rename(repository(), at("served/desk"));
    }
    Environment over(const Serving& serving) const {
        return {{"HOLDFAST_REPOSITORY", "rest:" + serving.url + "desk/"}};
    }
    /// Names and lengths of all files; their names are hashes of what is in them.
    std::vector<std::string> files() const {
        std::vector<std::string> all;
        for (const auto& entry : std::filesystem::recursive_directory_iterator(at("served/desk")))
            if (entry.is_regular_file()) all.push_back(fmt::format("{} {}", entry.path().string(), entry.file_size()));
        std::ranges::sort(all);
        return all;
    }
    std::string other_key_;
};

TEST_F(AppendOnly, WhatWouldTakeAwayIsRefusedWithItsReasonAndNothingHasChanged) {
    const Serving serving = serve("served", {"--no-auth", "--append-only"});
    const Environment there = over(serving);
    const auto before = files();
    const std::vector<std::vector<std::string>> refused = {
        {"forget", "--keep-last", "1"}, {"forget", "--keep-last", "1", "--prune"},
        {"forget", "latest"},           {"prune", "--max-unused", "0"},
        {"tag", "--add", "audit"},      {"rewrite", "--exclude", "*.conf", "--forget"},
        {"key", "remove", other_key_},  {"key", "passwd", "--new-password-file", at("second")},
    };
    for (const auto& words : refused) {
        SCOPED_TRACE(words[0] + ' ' + words[1]);
        const Answer answer = holdfast(words, there);
        EXPECT_EQ(answer.exit, 1) << answer.output << answer.errors;
        EXPECT_THAT(answer.errors, HasSubstr("does not let files be removed"));
        EXPECT_THAT(answer.errors, HasSubstr("append-only storage keeps every snapshot on purpose"));
        EXPECT_EQ(files(), before);
    }
    EXPECT_EQ(holdfast({"check", "--read-data"}, there).exit, 0);
    EXPECT_EQ(holdfast({"backup", at("source")}, there).exit, 0);
    EXPECT_EQ(holdfast({"snapshots", "--json"}, there).json()["snapshots"].items().size(), 3u);
}

TEST_F(AppendOnly, LocksMayGoAndTheDeadBlockNobody) {
    const Serving serving = serve("served", {"--no-auth", "--append-only"});
    const Environment there = over(serving);
    write(at("served/desk/locks/") + std::string(64, 'a'), "half of a lo");
    EXPECT_EQ(holdfast({"backup", at("source")}, there).exit, 11);
    const auto before = files();
    const Answer kept = holdfast({"unlock"}, there);
    EXPECT_EQ(kept.exit, 0) << kept.errors;
    EXPECT_THAT(kept.output, HasSubstr("still held"));
    EXPECT_EQ(files(), before);
    const Answer removed = holdfast({"unlock", "--remove-all"}, there);
    EXPECT_EQ(removed.exit, 0) << removed.errors;
    EXPECT_THAT(removed.output, HasSubstr("removed"));
    EXPECT_EQ(files().size(), before.size() - 1);
    EXPECT_EQ(holdfast({"backup", at("source")}, there).exit, 0);
}

TEST_F(AppendOnly, RepairsMendWhatAddingMendsAndSayWhereTheyStop) {
    const Serving serving = serve("served", {"--no-auth", "--append-only"});
    const Environment there = over(serving);
    // Lost on the server's own disk; adding one brings it back.
    const std::string index = os::list_folder(at("served/desk/index")).value().front();
    ASSERT_TRUE(os::remove_tree(at("served/desk/index/") + index));
    const Answer mended = holdfast({"repair", "index"}, there);
    const Answer checked = holdfast({"check", "--read-data"}, there);
    EXPECT_EQ(checked.exit, 0) << mended.output << mended.errors << checked.output << checked.errors;
    if (mended.exit != 0) {
        EXPECT_THAT(mended.errors, HasSubstr("append-only")) << mended.errors;
    }
    EXPECT_EQ(holdfast({"snapshots", "--json"}, there).json()["snapshots"].items().size(), 2u);
}

}    // namespace
}    // namespace holdfast::scenario
