#include "holdfast/cli/outcome_text.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace holdfast::cli {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

OutcomeText of(std::string_view text) { return outcome_text(json::parse(text, "result").value()); }

TEST(OutcomeText, SumsOverDatabasesAndCountsNothingTwice) {
    const OutcomeText text = of(R"({"databases": [
        {"name": "a", "rows": 10, "proof": "digest", "tables": [{"rows": 4}, {"rows": 6}], "kept_as": "a_old"},
        {"name": "b", "rows": 5, "proof": "digest"}]})");
    EXPECT_EQ(text.restored, "15 rows");
    EXPECT_EQ(text.compared, "digests equal");
    EXPECT_THAT(text.kept, ElementsAre("a_old"));
}

TEST(OutcomeText, ReadsTheWordsOfEachStore) {
    EXPECT_EQ(of(R"({"tables": [{"rows": 4}, {"rows": 6}], "digests_compared": true})").restored, "10 rows");
    EXPECT_EQ(of(R"({"keys": 7, "proof": "count"})").compared, "counts equal");
    const OutcomeText files = of(R"({"files": 3, "equal": true, "kept": ["/a.before-1", "/b.before-1"]})");
    EXPECT_EQ(files.restored, "3 files");
    EXPECT_THAT(files.kept, ElementsAre("/a.before-1", "/b.before-1"));
}

TEST(OutcomeText, ClaimsNothingThatWasNotSaid) {
    const OutcomeText text = of(R"({"proof": "none", "digests_compared": false})");
    EXPECT_EQ(text.restored, "");
    EXPECT_EQ(text.compared, "not compared");
    EXPECT_THAT(text.kept, IsEmpty());
}

}    // namespace
}    // namespace holdfast::cli
