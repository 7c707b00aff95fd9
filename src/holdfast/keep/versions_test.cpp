#include "holdfast/keep/versions.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "holdfast/format/sha256.hpp"
#include "holdfast/keep/in_place.hpp"
#include "holdfast/os/file.hpp"

namespace holdfast::keep {
namespace {

using policy::DocumentFormat;
using ::testing::HasSubstr;

constexpr Timestamp k_now{1'795'799'109'123'456'789};

class VersionsTest : public ::testing::Test {
protected:
    std::vector<std::string> contents() const {
        std::vector<std::string> all;
        const auto list = versions_.list().value();
        for (const Version& version : list) all.push_back(versions_.read(version).value());
        return all;
    }
    os::TempFolder scratch_ = os::TempFolder::create("hf-keep").value();
    std::string path_ = scratch_.path() + "/ea.json";
    Versions versions_{versions_folder(path_), path_};
};

TEST_F(VersionsTest, TheLastNAreKeptAndAnUnchangedSaveMakesNone) {    // EA-03 (3), MT-02 (5)
    EXPECT_TRUE(contents().empty());
    for (const char* text : {"{\"a\":1}", "{\"a\":2}", "{\"a\":3}", "{\"a\":4}"})
        EXPECT_TRUE(versions_.keep(text, k_now, 3).value().has_value());
    EXPECT_FALSE(versions_.keep("{\"a\":4}", k_now, 3).value().has_value());
    EXPECT_THAT(contents(), ::testing::ElementsAre("{\"a\":2}", "{\"a\":3}", "{\"a\":4}"));
    // What comes back after a change is a change.
    EXPECT_TRUE(versions_.keep("{\"a\":3}", k_now, 3).value().has_value());
    EXPECT_THAT(contents(), ::testing::ElementsAre("{\"a\":3}", "{\"a\":4}", "{\"a\":3}"));

    const Version newest = versions_.list()->back();
    EXPECT_EQ(newest.number, 5u);
    EXPECT_EQ(newest.at.nanoseconds, 1'795'799'109'123'000'000);
    EXPECT_EQ(newest.size, 7u);
    EXPECT_THAT(newest.file, HasSubstr("/.holdfast/ea.json/00000005-20261127T"));
    EXPECT_TRUE(newest.file.ends_with(".json"));
    EXPECT_EQ(os::status_of(newest.file)->st_mode & 07777, 0600u);
    EXPECT_EQ(os::status_of(versions_.folder())->st_mode & 07777, 0700u);
}

TEST_F(VersionsTest, TheNewestGoodOneIsLoadedPastDamage) {    // EA-15, MT-02: from the last valid one
    EXPECT_FALSE(versions_.newest_valid(DocumentFormat::json)->has_value());
    for (const char* text : {"{\"a\":1}", "{\"a\":2}", "{\"a\":3}"}) ASSERT_TRUE(versions_.keep(text, k_now, 3));
    const auto all = versions_.list().value();
    // Flipped, and still JSON: only the hash tells.
    ASSERT_TRUE(os::write_file(all[2].file, as_bytes("{\"a\":9}")));
    auto loaded = versions_.newest_valid(DocumentFormat::json).value();
    ASSERT_TRUE(loaded);
    EXPECT_EQ(loaded->content, "{\"a\":2}");
    EXPECT_EQ(loaded->skipped, 1u);
    EXPECT_EQ(versions_.read(all[2]).error().code, ErrorCode::corrupt);
    // Kept as they are, but no document of this format.
    loaded = versions_.newest_valid(DocumentFormat::env).value();
    EXPECT_FALSE(loaded);
    // The same content again makes the damaged one good.
    EXPECT_TRUE(versions_.keep("{\"a\":3}", k_now, 3).value().has_value());
    EXPECT_EQ(versions_.newest_valid(DocumentFormat::json).value()->content, "{\"a\":3}");
}

TEST_F(VersionsTest, OtherNamesInTheFolderAreNoVersions) {
    ASSERT_TRUE(versions_.keep("{}", k_now, 3));
    const std::string hash(64, 'a');
    for (const std::string& name : {std::string("README"), "00000009-20261127T170509.123Z-" + hash.substr(1) + ".json",
                                    "9-20261127T170509.123Z-" + hash + ".json", "00000009-20261327T170509.123Z-" + hash,
                                    "-00000009-20261127T170509.123Z-" + hash})
        ASSERT_TRUE(os::write_file(versions_.folder() + "/" + name, as_bytes("x")));
    EXPECT_EQ(versions_.list()->size(), 1u);
    EXPECT_EQ(versions_.keep("{\"a\":1}", k_now, 3).value()->number, 2u);
    EXPECT_TRUE(os::exists(versions_.folder() + "/README"));
}

TEST_F(VersionsTest, WhatIsSetAsideIsKeptOnceAndNeverPruned) {
    for (int i = 0; i < 10; ++i) ASSERT_TRUE(versions_.set_aside("bad " + std::to_string(i % 8), k_now));
    EXPECT_EQ(os::list_folder(versions_.folder() + "/rejected")->size(), 8u);
    EXPECT_TRUE(contents().empty());
}

TEST(InPlace, GoesThroughLinksAndKeepsTheMode) {
    const auto scratch = os::TempFolder::create("hf-keep").value();
    const std::string real = scratch.path() + "/real.json", link = scratch.path() + "/link.json";
    ASSERT_TRUE(os::write_file(real, as_bytes("old"), 0640));
    ASSERT_EQ(::symlink("real.json", link.c_str()), 0);
    ASSERT_TRUE(put(link, "new"));
    EXPECT_EQ(os::read_text(real).value(), "new");
    EXPECT_TRUE(S_ISLNK(os::status_of(link, false)->st_mode));
    EXPECT_EQ(os::status_of(real)->st_mode & 07777, 0640u);
    ASSERT_TRUE(put_over(link, "newer", format::sha256(as_bytes("new"))));
    EXPECT_EQ(os::read_text(real).value(), "newer");
    EXPECT_TRUE(S_ISLNK(os::status_of(link, false)->st_mode));
    EXPECT_EQ(os::status_of(real)->st_mode & 07777, 0640u);
    ASSERT_TRUE(put(scratch.path() + "/fresh.json", "x"));
    EXPECT_EQ(os::status_of(scratch.path() + "/fresh.json")->st_mode & 07777, 0600u);
    EXPECT_EQ(os::list_folder(scratch.path())->size(), 3u);
}

TEST(InPlace, WhoWritesMeanwhileWins) {
    const auto scratch = os::TempFolder::create("hf-keep").value();
    const std::string path = scratch.path() + "/a.json";
    ASSERT_TRUE(os::write_file(path, as_bytes("his new one")));
    const auto done = put_over(path, "an old one", format::sha256(as_bytes("what was judged")));
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, ErrorCode::changed);
    EXPECT_EQ(os::read_text(path).value(), "his new one");
    EXPECT_EQ(os::list_folder(scratch.path())->size(), 1u);
}

}    // namespace
}    // namespace holdfast::keep
