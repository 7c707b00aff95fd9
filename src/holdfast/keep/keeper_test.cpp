#include "holdfast/keep/keeper.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>

#include "holdfast/keep/in_place.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/testing/sim_clock.hpp"

namespace holdfast::keep {
namespace {

using namespace std::chrono_literals;
using Kind = Happening::Kind;
using ::testing::HasSubstr;

// The clock stands still but for what a test moves it, and inotify has every change when the call that made it returns: what
// happens here does not depend on how fast anything is.
class KeeperTest : public ::testing::Test {
protected:
    std::string at(std::string_view name) const { return scratch_.path() + "/" + std::string(name); }
    KeptFile file(std::string_view name, bool restore = false) const {
        KeptFile one;
        one.path = at(name);
        one.format = policy::document_format(name).value();
        one.versions = versions_folder(one.path, versions_root_.empty() ? "" : versions_root_);
        one.count = 3;
        one.size_max = 10 << 10;
        one.restore = restore;
        return one;
    }
    void start(std::vector<KeptFile> files) {
        files_ = files;
        keeper_.emplace(std::move(files), clock_);
        follow();
        start_ = keeper_->look_at_all();
        follow();
    }
    void follow() {
        for (const std::string& folder : keeper_->folders()) ASSERT_TRUE(watch_.add(folder));
    }
    // What is told now.
    std::vector<Happening> heard() {
        const auto changes = watch_.wait(0ns).value();
        auto happenings = keeper_->look(changes);
        follow();
        return happenings;
    }
    // What is told once all has settled.
    std::vector<Happening> settled() {
        auto all = heard();
        for (int i = 0; i < 3; ++i) {
            clock_.sleep(250ms);
            for (auto& one : heard()) all.push_back(std::move(one));
        }
        return all;
    }
    std::vector<std::string> versions(std::size_t i = 0) const {
        const Versions versions(files_[i].versions, files_[i].path);
        std::vector<std::string> all;
        const auto list = versions.list().value();
        for (const auto& version : list) all.push_back(versions.read(version).value());
        return all;
    }
    void truncate_and_write(const std::string& path, std::string_view text) const {
        std::ofstream(path, std::ios::trunc) << text;
    }

    os::TempFolder scratch_ = os::TempFolder::create("hf-keep").value();
    std::string versions_root_;
    testing::SimClock clock_;
    os::FolderWatch watch_ = os::FolderWatch::open().value();
    std::vector<KeptFile> files_;
    std::optional<Keeper> keeper_;
    std::vector<Happening> start_;
};

TEST_F(KeeperTest, EachGoodChangeIsAVersionHoweverItIsSaved) {    // EA-03, MT-02
    truncate_and_write(at("ea.json"), "{\"a\":1}");
    start({file("ea.json")});
    ASSERT_TRUE(start_.empty());    // nobody says that its writer has finished
    auto all = settled();
    ASSERT_EQ(all.size(), 1u);
    EXPECT_EQ(all[0].kind, Kind::kept);

    // Truncate and write, as most programs do.
    truncate_and_write(at("ea.json"), "{\"a\":2}");
    all = heard();
    ASSERT_EQ(all.size(), 1u) << "told at once: the clock has not moved";
    EXPECT_EQ(all[0].kind, Kind::kept);
    EXPECT_EQ(all[0].version->number, 2u);
    // Beside it and renamed over, as vim and every careful program does.
    truncate_and_write(at(".ea.json.swp"), "{\"a\":3}");
    ASSERT_EQ(::rename(at(".ea.json.swp").c_str(), at("ea.json").c_str()), 0);
    EXPECT_EQ(heard().size(), 1u);
    // The old one moved away as a backup, a new one written (vim with backupcopy=no, emacs).
    ASSERT_EQ(::rename(at("ea.json").c_str(), at("ea.json~").c_str()), 0);
    truncate_and_write(at("ea.json"), "{\"a\":4}");
    EXPECT_EQ(heard().size(), 1u);
    EXPECT_THAT(versions(), ::testing::ElementsAre("{\"a\":2}", "{\"a\":3}", "{\"a\":4}"));
    // Saved again without a change; and other files of the folder.
    truncate_and_write(at("ea.json"), "{\"a\":4}");
    truncate_and_write(at("other.json"), "{");
    EXPECT_TRUE(settled().empty());
    EXPECT_EQ(versions().size(), 3u);
}

TEST_F(KeeperTest, AHalfWrittenFileIsNotBadWhenItBecomesGoodInTime) {
    truncate_and_write(at("ea.json"), "{\"a\":1}");
    start({file("ea.json", true)});
    ASSERT_EQ(settled().size(), 1u);
    std::FILE* writer = std::fopen(at("ea.json").c_str(), "w");
    EXPECT_TRUE(heard().empty());    // empty
    clock_.sleep(200ms);
    std::fputs("{\"a\":", writer);
    std::fflush(writer);
    EXPECT_TRUE(heard().empty());
    clock_.sleep(200ms);
    EXPECT_TRUE(heard().empty());    // the time began anew with the last change
    std::fputs("2}", writer);
    std::fclose(writer);
    const auto all = heard();
    ASSERT_EQ(all.size(), 1u);
    EXPECT_EQ(all[0].kind, Kind::kept);
    EXPECT_EQ(os::read_text(at("ea.json")).value(), "{\"a\":2}");
}

TEST_F(KeeperTest, HalfAnEnvFileIsNoVersion) {    // each line of it is well-formed
    start({file(".env")});
    std::FILE* writer = std::fopen(at(".env").c_str(), "w");
    std::fputs("DB_HOST=db\n", writer);
    std::fflush(writer);
    EXPECT_TRUE(heard().empty());
    std::fputs("TRADING_ENABLED=false\n", writer);
    std::fclose(writer);
    ASSERT_EQ(heard().size(), 1u);
    EXPECT_THAT(versions(), ::testing::ElementsAre("DB_HOST=db\nTRADING_ENABLED=false\n"));
}

TEST_F(KeeperTest, ABadChangeIsToldWithItsPlaceAndLeftAlone) {    // EA-15
    truncate_and_write(at("ea.json"), "{\n  \"a\": 1\n}\n");
    start({file("ea.json")});
    settled();
    truncate_and_write(at("ea.json"), "{\n  \"a\": 1,\n}\n");
    EXPECT_TRUE(heard().empty());
    clock_.sleep(250ms);
    const auto all = heard();
    ASSERT_EQ(all.size(), 1u);
    EXPECT_EQ(all[0].kind, Kind::invalid);
    EXPECT_EQ(all[0].reason, at("ea.json") + ":2:9: a comma before the closing '}'");
    EXPECT_THAT(all[0].hint, HasSubstr("holdfast config restore"));
    EXPECT_EQ(os::read_text(at("ea.json")).value(), "{\n  \"a\": 1,\n}\n");
    EXPECT_EQ(versions().size(), 1u);
    EXPECT_TRUE(settled().empty());    // once
    // Mended by going back: no new version, and the next fault is told again.
    truncate_and_write(at("ea.json"), "{\n  \"a\": 1\n}\n");
    EXPECT_TRUE(settled().empty());
    truncate_and_write(at("ea.json"), "{\n  \"a\": 1,\n}\n");
    EXPECT_EQ(settled().size(), 1u);
}

TEST_F(KeeperTest, IfAskedTheLastGoodOneComesBackAndTheBadOneIsKept) {    // EA-15, MT-02
    truncate_and_write(at("ea.json"), "{\"a\":1}");
    ASSERT_EQ(::chmod(at("ea.json").c_str(), 0640), 0);
    start({file("ea.json", true)});
    settled();
    truncate_and_write(at("ea.json"), "{\"a\":");
    const auto all = settled();
    ASSERT_EQ(all.size(), 1u);
    EXPECT_EQ(all[0].kind, Kind::restored);
    EXPECT_THAT(all[0].reason, HasSubstr("ea.json:1:6: the file ends inside the object"));
    EXPECT_EQ(os::read_text(at("ea.json")).value(), "{\"a\":1}");
    EXPECT_EQ(os::status_of(at("ea.json"))->st_mode & 07777, 0640u);
    EXPECT_EQ(os::read_text(all[0].aside).value(), "{\"a\":");
    EXPECT_EQ(versions().size(), 1u);
}

TEST_F(KeeperTest, WithNothingToComeBackTheBadOneStays) {
    truncate_and_write(at("ea.json"), "{");
    start({file("ea.json", true)});
    const auto all = settled();
    ASSERT_EQ(all.size(), 2u);
    EXPECT_EQ(all[0].kind, Kind::invalid);
    EXPECT_EQ(all[1].kind, Kind::failed);
    EXPECT_THAT(all[1].reason, HasSubstr("no good version"));
    EXPECT_EQ(os::read_text(at("ea.json")).value(), "{");
}

TEST_F(KeeperTest, ALinkThatKubernetesSwapsIsFollowed) {
    versions_root_ = at("versions");
    // ConfigMap volume: app.json -> ..data/app.json, ..data -> ..1; an update renames a new link over ..data.
    ASSERT_TRUE(os::make_folders(at("map/..1")));
    truncate_and_write(at("map/..1/app.json"), "{\"a\":1}");
    ASSERT_EQ(::symlink("..1", at("map/..data").c_str()), 0);
    ASSERT_EQ(::symlink("..data/app.json", at("map/app.json").c_str()), 0);
    start({file("map/app.json")});
    settled();
    for (int n = 2; n <= 3; ++n) {
        const std::string folder = "map/.." + std::to_string(n), link = "map/..data_tmp";
        ASSERT_TRUE(os::make_folders(at(folder)));
        truncate_and_write(at(folder + "/app.json"), "{\"a\":" + std::to_string(n) + "}");
        ASSERT_EQ(::symlink(folder.substr(4).c_str(), at(link).c_str()), 0);
        ASSERT_EQ(::rename(at(link).c_str(), at("map/..data").c_str()), 0);
        ASSERT_TRUE(os::remove_tree(at("map/.." + std::to_string(n - 1))));
        const auto all = heard();
        ASSERT_EQ(all.size(), 1u) << n;
        EXPECT_EQ(all[0].kind, Kind::kept);
    }
    EXPECT_EQ(versions().size(), 3u);
    // And where the link leads, a plain change.
    truncate_and_write(at("map/..3/app.json"), "{\"a\":9}");
    EXPECT_EQ(heard().size(), 1u);
}

TEST_F(KeeperTest, AFileThatComesLaterIsSeenAndOneThatGoesIsTold) {
    start({file("later/ea.json")});
    const auto first = settled();
    ASSERT_EQ(first.size(), 1u);
    EXPECT_EQ(first[0].kind, Kind::missing);
    ASSERT_TRUE(os::make_folders(at("later")));
    EXPECT_TRUE(heard().empty());    // its folder is followed now
    truncate_and_write(at("later/ea.json"), "{}");
    EXPECT_EQ(settled().size(), 1u);
    ASSERT_EQ(::unlink(at("later/ea.json").c_str()), 0);
    const auto gone = settled();
    ASSERT_EQ(gone.size(), 1u);
    EXPECT_EQ(gone[0].kind, Kind::missing);
}

TEST_F(KeeperTest, WithoutInotifyLookingFromTimeToTimeIsEnough) {
    truncate_and_write(at("ea.json"), "{\"a\":1}");
    Keeper keeper({file("ea.json")}, clock_);
    EXPECT_TRUE(keeper.look_at_all().empty());
    clock_.sleep(250ms);
    EXPECT_EQ(keeper.look_at_all().size(), 1u);
    truncate_and_write(at("ea.json"), "{\"a\":2}");
    EXPECT_TRUE(keeper.look_at_all().empty());
    clock_.sleep(250ms);
    EXPECT_EQ(keeper.look_at_all().size(), 1u);
}

TEST_F(KeeperTest, TooLongIsToldAndNotKept) {    // EA-03: cap 10 KB
    start({file("ea.json", true)});
    truncate_and_write(at("ea.json"), "{\"a\":1}");
    settled();
    const std::string longer = "{\"a\":\"" + std::string(10 << 10, 'x') + "\"}";
    truncate_and_write(at("ea.json"), longer);
    const auto all = settled();
    ASSERT_EQ(all.size(), 1u);
    EXPECT_EQ(all[0].kind, Kind::too_long);
    EXPECT_EQ(os::read_text(at("ea.json")).value(), longer) << "it is good, so it is left alone";
    EXPECT_EQ(versions().size(), 1u);
}

TEST_F(KeeperTest, WhatAKilledRestoreLeftIsKept) {
    truncate_and_write(at("ea.json"), "{\"a\":1}");
    truncate_and_write(at(".ea.json.holdfast-restore"), "somebody's");
    start({file("ea.json", true)});
    EXPECT_FALSE(os::exists(at(".ea.json.holdfast-restore")));
    const std::string rejected = files_[0].versions + "/rejected";
    const auto names = os::list_folder(rejected).value();
    ASSERT_EQ(names.size(), 1u);
    EXPECT_EQ(os::read_text(rejected + "/" + names[0]).value(), "somebody's");
}

TEST_F(KeeperTest, AVersionThatCouldNotBeKeptIsKeptLater) {    // NS-17: disk full, rights
    start({file("ea.json")});
    settled();
    truncate_and_write(at(".holdfast"), "a file where the folder must be");
    truncate_and_write(at("ea.json"), "{}");
    auto all = heard();
    ASSERT_EQ(all.size(), 1u);
    EXPECT_EQ(all[0].kind, Kind::failed);
    ASSERT_EQ(::unlink(at(".holdfast").c_str()), 0);
    keeper_->look_at_all();
    clock_.sleep(250ms);
    all = keeper_->look_at_all();
    ASSERT_EQ(all.size(), 1u);
    EXPECT_EQ(all[0].kind, Kind::kept);
}

}    // namespace
}    // namespace holdfast::keep
