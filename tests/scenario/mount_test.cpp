// A repository as folders: mounted by the real program, read by the system's own tools, ended as a user ends it.
// Needs root and /dev/fuse; without them these stories fail.

#include <gmock/gmock.h>
#include <sys/xattr.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <thread>

#include "scenario.hpp"

namespace holdfast::scenario {
namespace {

using testing::HasSubstr;

class Mounts : public Scenario {
protected:
    void SetUp() override {
        make_repository();
        make_files(at("source"), 3);
        ASSERT_EQ(::setxattr(at("source/etc/desk.conf").c_str(), "user.note", "kept", 4, 0), 0);
        ASSERT_EQ(holdfast({"backup", at("source"), "--tag", "first", "--host", "desk1"}).exit, 0);
        write(at("source/etc/later"), "later");
        ASSERT_EQ(holdfast({"backup", at("source"), "--tag", "second", "--host", "desk2"}).exit, 0);
        ASSERT_TRUE(os::make_folders(at("mnt")));
    }
    void TearDown() override { run({"sh", "-c", "umount -l \"$0\" 2>/dev/null", at("mnt")}); }

    void mount(std::vector<std::string> more = {}) {
        std::vector<std::string> words{"mount", at("mnt")};
        words.insert(words.end(), more.begin(), more.end());
        auto started = os::Process::start(command(
            words,
            {{"HOLDFAST_REPOSITORY", repository()}, {"HOLDFAST_PASSWORD_FILE", password_file()}, {"TZ", "UTC"}}));
        ASSERT_TRUE(started);
        process_.emplace(*std::move(started));
        // It says a line once it is mounted; its end, without one, is a failure.
        char line[200];
        const auto n = ::read(process_->output(), line, sizeof line);
        ASSERT_GT(n, 0) << process_->errors();
        EXPECT_THAT(std::string(line, static_cast<std::size_t>(n)), HasSubstr("mounted at " + at("mnt")));
    }
    int end() {
        const auto status = process_->wait(std::chrono::seconds(60));
        return status ? status->code : -1;
    }
    bool is_mounted() const { return os::read_text("/proc/self/mounts")->find(at("mnt") + " ") != std::string::npos; }

    std::optional<os::Process> process_;
};

TEST_F(Mounts, ASnapshotReadsAsItWasSaved) {
    mount();
    const std::string latest = at("mnt/snapshots/latest") + at("source");
    expect_equal_trees(at("source"), latest);
    EXPECT_EQ(run({"diff", "-r", "--no-dereference", at("source"), latest}).exit, 0);
    char value[10];
    EXPECT_EQ(::getxattr((latest + "/etc/desk.conf").c_str(), "user.note", value, sizeof value), 4);
    EXPECT_LT(::getxattr((latest + "/etc/desk.conf").c_str(), "user.none", value, sizeof value), 0);
    EXPECT_EQ(os::status_of(latest + "/hard")->st_ino, os::status_of(latest + "/etc/desk.conf")->st_ino);
    // Nothing can be changed.
    EXPECT_NE(run({"sh", "-c", "echo x > \"$0\"", latest + "/etc/new"}).exit, 0);
    EXPECT_NE(run({"rm", latest + "/etc/later"}).exit, 0);
    process_->kill(SIGINT);
    EXPECT_EQ(end(), 0);
    EXPECT_FALSE(is_mounted());
    // It let go of its lock.
    EXPECT_EQ(run({"restic", "check", "-q"}).exit, 0);
}

TEST_F(Mounts, SnapshotsAreFoundByTimeIdHostAndTag) {
    mount();
    EXPECT_EQ(os::list_folder(at("mnt")).value(), (std::vector<std::string>{"hosts", "ids", "snapshots", "tags"}));
    EXPECT_EQ(os::list_folder(at("mnt/snapshots"))->size(), 3u);    // with latest
    EXPECT_EQ(os::list_folder(at("mnt/ids"))->size(), 2u);
    EXPECT_FALSE(os::exists(at("mnt/hosts/desk1/latest") + at("source/etc/later")));
    EXPECT_TRUE(os::exists(at("mnt/hosts/desk2/latest") + at("source/etc/later")));
    EXPECT_FALSE(os::exists(at("mnt/tags/first/latest") + at("source/etc/later")));
    EXPECT_TRUE(std::filesystem::is_symlink(at("mnt/snapshots/latest")));
    ASSERT_EQ(run({"umount", at("mnt")}).exit, 0);
    EXPECT_EQ(end(), 0);
}

TEST_F(Mounts, FiltersAndTemplatesChooseWhatIsShown) {
    mount({"--tag", "first", "--path-template", "by-day/%h-%T", "--time-template", "2006"});
    EXPECT_EQ(os::list_folder(at("mnt")).value(), std::vector<std::string>{"by-day"});
    const auto names = os::list_folder(at("mnt/by-day")).value();
    ASSERT_EQ(names.size(), 2u);
    EXPECT_THAT(names[0], HasSubstr("desk1-20"));
    process_->kill(SIGTERM);
    EXPECT_EQ(end(), 0);
}

TEST_F(Mounts, SnapshotsThatAreMadeAndForgottenMeanwhileAppearAndGo) {
    mount();
    const auto wait_for = [](const std::function<bool()>& condition) {
        const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(60);
        while (!condition() && std::chrono::steady_clock::now() < limit)
            std::this_thread::sleep_for(std::chrono::milliseconds(50));
        return condition();
    };
    const std::string latest = at("mnt/snapshots/latest") + at("source");
    EXPECT_FALSE(os::exists(latest + "/etc/newest"));
    const std::string open = at("mnt/hosts/desk1/latest") + at("source/etc/desk.conf");
    std::ifstream held(open);
    write(at("source/etc/newest"), "newest");
    ASSERT_EQ(holdfast({"backup", at("source"), "--tag", "third", "--host", "desk3"}).exit, 0);
    EXPECT_TRUE(wait_for([&] { return os::list_folder(at("mnt/snapshots"))->size() == 4; }));    // with latest
    EXPECT_TRUE(os::exists(at("mnt/tags/third/latest") + at("source/etc/newest")));
    EXPECT_TRUE(wait_for([&] { return os::exists(latest + "/etc/newest"); }));
    expect_equal_trees(at("source"), latest);
    // forget wants the repository alone; somebody else's program may remove a snapshot file all the same.
    const auto known = holdfast({"snapshots", "--host", "desk1", "--json"}).json()["snapshots"].items();
    ASSERT_EQ(known.size(), 1u);
    ASSERT_TRUE(os::remove_tree(repository() + "/snapshots/" + known[0]["id"].text()));
    EXPECT_TRUE(wait_for([&] { return !os::exists(at("mnt/hosts/desk1")); }));
    EXPECT_EQ(os::list_folder(at("mnt/ids"))->size(), 2u);
    std::string line;
    EXPECT_TRUE(std::getline(held, line)) << "what is open stays readable";
    process_->kill(SIGINT);
    EXPECT_EQ(end(), 0);
}

TEST_F(Mounts, ItEndsThoughSomebodyStandsInIt) {
    mount();
    os::Command stander;
    stander.arguments = {"sleep", "1000"};
    stander.folder = at("mnt/snapshots/latest") + at("source");
    auto standing = os::Process::start(stander);
    ASSERT_TRUE(standing);
    process_->kill(SIGINT);
    EXPECT_EQ(end(), 0);
    EXPECT_FALSE(is_mounted());
}

TEST_F(Mounts, PlacesThatCannotBeAreRefused) {
    EXPECT_EQ(holdfast({"mount", at("nowhere")}).exit, 1);
    EXPECT_EQ(holdfast({"mount", at("source/etc/desk.conf")}).exit, 2);
    const Answer inside = holdfast({"mount", repository()});
    EXPECT_EQ(inside.exit, 2);
    EXPECT_THAT(inside.errors, HasSubstr("elsewhere"));
    EXPECT_EQ(holdfast({"mount", at("mnt"), "--path-template", "%q"}).exit, 2);
}

}    // namespace
}    // namespace holdfast::scenario
