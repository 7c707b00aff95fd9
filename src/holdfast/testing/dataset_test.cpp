#include "holdfast/testing/dataset.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <sstream>

#include "holdfast/os/file.hpp"
#include "holdfast/testing/trades.hpp"

namespace holdfast::testing {
namespace {

using ::testing::Eq;
using ::testing::Ge;
using ::testing::Le;
using ::testing::Ne;

constexpr std::uint64_t k_small = 3'000'000;

os::TempFolder folder() { return os::TempFolder::create("dataset").value(); }
std::string read(const std::string& path) { return os::read_text(path).value(); }

std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> lines;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
}

TEST(Dataset, IsTheSameForOneSeedAndAnotherForAnother) {
    const auto place = folder();
    ASSERT_TRUE(make_dataset(place.path() + "/a", 7, k_small));
    ASSERT_TRUE(make_dataset(place.path() + "/b", 7, k_small));
    ASSERT_TRUE(make_dataset(place.path() + "/c", 8, k_small));
    for (const char* name : {"/sql/trading.sql", "/redis/dump.rdb", "/logs/trading-03.jsonl"}) {
        EXPECT_THAT(read(place.path() + "/b" + name), Eq(read(place.path() + "/a" + name))) << name;
        EXPECT_THAT(read(place.path() + "/c" + name), Ne(read(place.path() + "/a" + name))) << name;
    }
}

TEST(Dataset, RefusesAFolderThatHoldsSomething) {
    const auto place = folder();
    ASSERT_TRUE(os::write_file(place.path() + "/mine", as_bytes("x")));
    const Status made = make_dataset(place.path(), 1, k_small);
    ASSERT_FALSE(made);
    EXPECT_THAT(made.error().code, Eq(ErrorCode::exists));
    EXPECT_THAT(read(place.path() + "/mine"), Eq("x"));
}

TEST(Dataset, AChangeOfOnePerCentChangesAboutOnePerCentOfTheDumpsRows) {
    const auto place = folder();
    ASSERT_TRUE(make_dataset(place.path() + "/a", 7, k_small));
    auto before = lines_of(read(place.path() + "/a/sql/trading.sql"));
    ASSERT_TRUE(change_dataset(place.path() + "/a", 1.0));
    auto after = lines_of(read(place.path() + "/a/sql/trading.sql"));
    std::sort(before.begin(), before.end());
    std::sort(after.begin(), after.end());
    std::vector<std::string> fresh;
    std::set_difference(after.begin(), after.end(), before.begin(), before.end(), std::back_inserter(fresh));
    EXPECT_THAT(fresh.size(), Ge(before.size() * 6 / 1000));
    EXPECT_THAT(fresh.size(), Le(before.size() * 13 / 1000));
}

TEST(Dataset, AChangeOnlyAppendsToTheLastLog) {
    const auto place = folder();
    ASSERT_TRUE(make_dataset(place.path() + "/a", 7, k_small));
    const std::string old_log = read(place.path() + "/a/logs/trading-00.jsonl");
    const std::string last_log = read(place.path() + "/a/logs/trading-11.jsonl");
    ASSERT_TRUE(change_dataset(place.path() + "/a", 1.0));
    EXPECT_THAT(read(place.path() + "/a/logs/trading-00.jsonl"), Eq(old_log));
    const std::string longer = read(place.path() + "/a/logs/trading-11.jsonl");
    EXPECT_TRUE(longer.starts_with(last_log));
    EXPECT_GT(longer.size(), last_log.size());
}

TEST(Dataset, ChangingWithoutADatasetSaysWhatIsMissing) {
    const auto place = folder();
    const Status changed = change_dataset(place.path(), 1.0);
    ASSERT_FALSE(changed);
    EXPECT_THAT(changed.error().code, Eq(ErrorCode::not_found));
}

TEST(Desk, MakesARecordAgainFromItsIndexAlone) {
    const Desk desk(5);
    EXPECT_THAT(desk.order(1234).client_id, Eq(Desk(5).order(1234).client_id));
    EXPECT_THAT(desk.order(1234).client_id, Ne(Desk(6).order(1234).client_id));
    EXPECT_THAT(desk.order(1234, 1).status, Ne(desk.order(1234, 0).status)) << "a later version differs";
    EXPECT_THAT(sql_time(0), Eq("1970-01-01 00:00:00.000000"));
    EXPECT_THAT(decimal_price(-108342), Eq("-1.08342"));
    EXPECT_THAT(uuid(~0ull, ~0ull), Eq("ffffffff-ffff-4fff-bfff-ffffffffffff"));
}

}    // namespace
}    // namespace holdfast::testing
