#include "holdfast/os/scratch_folder.hpp"

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vector>

#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"

namespace holdfast::os {
namespace {

using ::testing::Contains;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

class Scratch : public ::testing::Test {
protected:
    std::string at(const std::string& name) const { return place_.path() + "/" + name; }
    std::vector<std::string> names() const { return list_folder(place_.path()).value(); }

    // A process that has a folder with a secret in it, and does nothing more until it is killed.
    struct Other {
        pid_t pid = -1;
        std::string name;    // of its folder
    };
    Other start_other() const {
        int report[2];
        EXPECT_EQ(::pipe(report), 0);
        Other other;
        other.pid = ::fork();
        if (other.pid == 0) {
            const auto folder = ScratchFolder::create("restore", place_.path());
            if (!folder || !write_file(folder->path() + "/secret", as_bytes("42"))) ::_exit(1);
            const std::string name = file_name(folder->path());
            if (::write(report[1], name.data(), name.size()) < 0) ::_exit(1);
            ::close(report[1]);
            for (;;) ::pause();
        }
        ::close(report[1]);
        char name[256];
        for (ssize_t got; (got = ::read(report[0], name, sizeof name)) > 0;)
            other.name.append(name, static_cast<std::size_t>(got));
        ::close(report[0]);
        EXPECT_THAT(other.name, StartsWith(fmt::format("holdfast-{}-{}-restore-", machine_tag(), other.pid)));
        return other;
    }
    static void kill(const Other& other) {
        ::kill(other.pid, SIGKILL);
        ASSERT_EQ(::waitpid(other.pid, nullptr, 0), other.pid);
    }
    static void create_and_leave(const std::string& in) { ASSERT_TRUE(ScratchFolder::create("run", in)); }

    TempFolder place_ = TempFolder::create("hf-scratch").value();
};

TEST_F(Scratch, IsPrivateAndGoneWithItsObject) {
    {
        ScratchFolder first = ScratchFolder::create("run", at("made/too")).value();
        EXPECT_EQ(status_of(first.path())->st_mode & 07777, 0700u);
        ASSERT_TRUE(make_folders(first.path() + "/below"));
        ASSERT_TRUE(write_file(first.path() + "/below/file", as_bytes("x")));
        const ScratchFolder moved = std::move(first);
        EXPECT_TRUE(exists(moved.path() + "/below/file"));
        const ScratchFolder second = ScratchFolder::create("run", at("made/too")).value();
        EXPECT_TRUE(exists(moved.path() + "/below/file"));    // our own, under our own number
    }
    EXPECT_THAT(list_folder(at("made/too")).value(), IsEmpty());
    ASSERT_TRUE(write_file(at("file"), {}));
    EXPECT_FALSE(ScratchFolder::create("run", at("file")));
}

// MT-06: what a killed restore laid out unencrypted goes with the next run; one that works keeps what it needs.
TEST_F(Scratch, OfAKilledProcessGoesWithTheNextOneAndThatOfALivingProcessStays) {
    const Other killed = start_other(), living = start_other();
    create_and_leave(place_.path());
    EXPECT_TRUE(exists(at(killed.name + "/secret")));
    kill(killed);
    EXPECT_TRUE(exists(at(killed.name + "/secret")));
    create_and_leave(place_.path());
    EXPECT_THAT(names(), ::testing::ElementsAre(living.name));
    EXPECT_TRUE(exists(at(living.name + "/secret")));
    kill(living);
    ScratchFolder::remove_dead(place_.path());
    EXPECT_THAT(names(), IsEmpty());
    ScratchFolder::remove_dead(at("nowhere"));
}

// Numbers are used again, and a container has its own: only the lock says who lives.
TEST_F(Scratch, OfADeadProcessWhoseNumberAnotherOneHasGoes) {
    ASSERT_TRUE(make_folders(at(fmt::format("holdfast-{}-{}-run-abcdef", machine_tag(), ::getppid()))));
    create_and_leave(place_.path());
    EXPECT_THAT(names(), IsEmpty());
}

TEST_F(Scratch, NothingElseIsTouchedAndNoLinkIsFollowed) {
    const std::string prefix = "holdfast-" + machine_tag() + "-1-run-";
    ASSERT_TRUE(make_folders(at("keep/deep")));
    ASSERT_TRUE(write_file(at("keep/file"), as_bytes("x")));
    // Whoever may write here plants links that look like a dead one's folder, or lie in one.
    ASSERT_EQ(::symlink(at("keep").c_str(), at(prefix + "link").c_str()), 0);
    ASSERT_EQ(::symlink(at("nowhere").c_str(), at(prefix + "dangling").c_str()), 0);
    ASSERT_TRUE(make_folders(at(prefix + "dead/below")));
    ASSERT_EQ(::symlink(at("keep").c_str(), at(prefix + "dead/link").c_str()), 0);
    ASSERT_EQ(::symlink(at("keep/file").c_str(), at(prefix + "dead/below/link").c_str()), 0);
    ASSERT_TRUE(write_file(at(prefix + "file"), as_bytes("x")));
    ASSERT_TRUE(make_folders(at("holdfast-0123456789abcdef-1-run-abcdef")));    // another machine's
    ASSERT_TRUE(make_folders(at("holdfast-restore--abcdef")));
    std::vector<std::string> expected{"holdfast-0123456789abcdef-1-run-abcdef",
                                      "holdfast-restore--abcdef",
                                      "keep",
                                      prefix + "link",
                                      prefix + "dangling",
                                      prefix + "file"};
    if (::geteuid() == 0) {    // only root can
        ASSERT_TRUE(make_folders(at(prefix + "of-another-user")));
        ASSERT_EQ(::chown(at(prefix + "of-another-user").c_str(), 65534, 65534), 0);
        expected.push_back(prefix + "of-another-user");
    }
    create_and_leave(place_.path());
    EXPECT_THAT(names(), ::testing::UnorderedElementsAreArray(expected));
    EXPECT_TRUE(exists(at("keep/file")));
    EXPECT_TRUE(exists(at("keep/deep")));
}

// Between its making and its lock a folder looks like a dead one's.
TEST_F(Scratch, ManyProcessesMayBeginAtOnce) {
    std::vector<pid_t> children;
    for (int i = 0; i < 6; ++i) {
        children.push_back(::fork());
        if (children.back() != 0) continue;
        for (int n = 0; n < 300; ++n) {
            const auto folder = ScratchFolder::create("run", place_.path());
            if (!folder || !write_file(folder->path() + "/file", as_bytes("x")) || !exists(folder->path() + "/file"))
                ::_exit(1);
        }
        ::_exit(0);
    }
    for (const pid_t child : children) {
        int status = 0;
        ASSERT_EQ(::waitpid(child, &status, 0), child);
        EXPECT_EQ(status, 0);
    }
    EXPECT_THAT(names(), IsEmpty());
}

}    // namespace
}    // namespace holdfast::os
