// The repository's tools, as a user would use them: look, copy, mend, unlock.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <limits.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>

#include "scenario.hpp"

namespace holdfast::scenario {
namespace {

using testing::HasSubstr;
using testing::Not;

class Tools : public Scenario {
protected:
    void SetUp() override {
        make_cheap_repository();
        make_files(at("source"), 2);
        ASSERT_EQ(holdfast({"backup", at("source")}).exit, 0);
    }
    void back_up_again() {
        write(at("source/etc/desk.conf"), "limit = 7\n", 0640);
        write(at("source/new"), "new\n");
        ASSERT_EQ(holdfast({"backup", at("source")}).exit, 0);
    }
    std::vector<std::string> ids() const {
        std::vector<std::string> all;
        const json::Value answer = holdfast({"snapshots", "--json"}).json();
        for (const json::Value& snapshot : answer["snapshots"].items()) all.push_back(snapshot["id"].text());
        return all;
    }
    static void damage(const std::string& path) {
        auto bytes = os::read_file(path).value();
        bytes[1000] ^= std::byte{4};
        ASSERT_TRUE(os::write_file(path, bytes, 0400).has_value());
    }
    void remove_all(const std::string& folder) const {
        for (const auto& entry : std::filesystem::directory_iterator(repository() + "/" + folder))
            std::filesystem::remove(entry.path());
    }
};

TEST_F(Tools, DiffFindStatsAndLsLookInside) {    // NS-19
    back_up_again();
    const auto two = ids();
    const Answer diff = holdfast({"diff", two[0], two[1]});
    EXPECT_EQ(diff.exit, 0) << diff.errors;
    EXPECT_THAT(diff.output, HasSubstr("M    " + at("source/etc/desk.conf")));
    EXPECT_THAT(diff.output, HasSubstr("+    " + at("source/new")));
    const Answer found = holdfast({"find", "desk.c*"});
    EXPECT_THAT(found.output, HasSubstr(at("source/etc/desk.conf")));
    EXPECT_EQ(holdfast({"find", "desk.c*", "--json"}).json()["matches"].items().size(), 2u);
    EXPECT_TRUE(holdfast({"find", "nowhere", "--json"}).json()["matches"].items().empty());
    const json::Value stats = holdfast({"stats", "latest", "--largest", "1", "--json"}).json();
    EXPECT_EQ(stats["largest"].items().at(0)["size"].natural(), 1u << 20);
    EXPECT_GT(stats["total_size"].natural(), 2u << 20);
    const json::Value raw = holdfast({"stats", "--mode", "raw-data", "--json"}).json();
    EXPECT_GT(raw["total_blob_count"].natural(), 4u);

    const Answer direct = holdfast({"ls", "latest", at("source")});
    EXPECT_THAT(direct.output, HasSubstr(at("source/etc\n")));
    EXPECT_THAT(direct.output, Not(HasSubstr("desk.conf\n" + at("source/etc/secret.key"))));
    const Answer all = holdfast({"ls", "latest", at("source"), "--recursive", "--sort", "size", "-l"});
    EXPECT_LT(all.output.find("part-000"), all.output.find("desk.conf"));
    EXPECT_GT(holdfast({"ls", "latest", "--json"}).json()["entries"].items().size(), 8u);
}

TEST_F(Tools, DumpStreamsAFileAndAFolder) {
    EXPECT_EQ(holdfast({"dump", "latest", at("source/etc/desk.conf")}).output, "limit = 5\n");
    const Answer archived = holdfast({"dump", "--target", at("a.tar"), "latest", at("source/etc")});
    ASSERT_EQ(archived.exit, 0) << archived.errors;
    EXPECT_THAT(run({"tar", "-tf", at("a.tar")}).output, HasSubstr("source/etc/desk.conf"));
    ASSERT_EQ(holdfast({"dump", "-a", "zip", "--target", at("a.zip"), "latest", at("source/etc")}).exit, 0);
    EXPECT_EQ(run({"unzip", "-tq", at("a.zip")}).exit, 0);
}

TEST_F(Tools, DumpLeavesNoTargetWhenItFails) {
    const Answer none = holdfast({"dump", "--target", at("none"), "latest", "/not/there"});
    EXPECT_EQ(none.exit, 1);
    EXPECT_FALSE(os::exists(at("none")));
    EXPECT_EQ(holdfast({"dump", "latest", at("source/link")}).exit, 1);
    damage(largest_in("data"));
    const Answer damaged = holdfast({"dump", "--target", at("broken.tar"), "latest", at("source")});
    EXPECT_EQ(damaged.exit, 1);
    EXPECT_FALSE(os::exists(at("broken.tar")));
}

// The reader of a pipe sleeps, and the pipe is full: the write waits. One signal ends it, whatever it passed on before.
TEST_F(Tools, ASignalEndsAWriteThatNobodyReads) {
    write(at("large"), std::string(8u << 20, 'x'));
    ASSERT_EQ(holdfast({"backup", at("large"), at("source")}).exit, 0);
    for (const auto& arguments :
         {std::vector<std::string>{"dump", "latest", at("source")}, {"dump", "latest", at("large")}}) {
        auto dump = os::Process::start(
            command(arguments, {{"HOLDFAST_REPOSITORY", repository()}, {"HOLDFAST_PASSWORD_FILE", password_file()}}));
        ASSERT_TRUE(dump.has_value()) << dump.error().message;
        const int room = ::fcntl(dump->output(), F_GETPIPE_SZ);
        const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(60);
        for (int held = 0; held <= room - PIPE_BUF && std::chrono::steady_clock::now() < limit; ::usleep(1000))
            ASSERT_EQ(::ioctl(dump->output(), FIONREAD, &held), 0);
        dump->kill(SIGTERM);
        const auto ended = dump->wait(std::chrono::seconds(60));
        ASSERT_TRUE(ended.has_value()) << "it did not end";
        EXPECT_EQ(ended->code, 130) << ended->text() << dump->errors();
        EXPECT_THAT(dump->errors(), HasSubstr("stopped"));
    }
}

TEST_F(Tools, CatAndListShowObjectsAndKeepTheMasterKey) {
    EXPECT_THAT(holdfast({"cat", "config"}).output, HasSubstr("chunker_polynomial"));
    EXPECT_EQ(holdfast({"cat", "snapshot", "latest"}).json()["paths"].items().at(0).text(), at("source"));
    EXPECT_THAT(holdfast({"cat", "tree", "latest:" + at("source/etc")}).output, HasSubstr("desk.conf"));
    const Answer key = holdfast({"cat", "masterkey"});
    EXPECT_EQ(key.exit, 1);
    EXPECT_THAT(key.output, Not(HasSubstr("encrypt")));
    EXPECT_THAT(holdfast({"cat", "masterkey", "--show-secret"}).output, HasSubstr("encrypt"));
    const Answer packs = holdfast({"list", "packs"}), theirs = run({"restic", "--no-cache", "list", "packs"});
    EXPECT_EQ(std::count(packs.output.begin(), packs.output.end(), '\n'),
              std::count(theirs.output.begin(), theirs.output.end(), '\n'));
    for (const char* kind : {"blobs", "index", "snapshots", "keys", "locks"})
        EXPECT_EQ(holdfast({"list", kind}).exit, 0) << kind;
    EXPECT_EQ(holdfast({"list", "secrets"}).exit, 2);
    EXPECT_EQ(holdfast({"cat", "blob", "0000000000"}).exit, 1);
    EXPECT_EQ(holdfast({"cat", "index"}).exit, 2);
}

TEST_F(Tools, CopyAndRekeyMakeSecondRepositories) {    // DD-06
    back_up_again();
    const std::string other = at("other");
    ASSERT_EQ(holdfast({"init", "--repo", other, "--from-repo", repository(), "--from-password-file", password_file(),
                        "--copy-chunker-params"})
                  .exit,
              0);
    const Answer copied = holdfast(
        {"copy", "--repo", other, "--from-repo", repository(), "--from-password-file", password_file(), "--json"});
    ASSERT_EQ(copied.exit, 0) << copied.errors;
    EXPECT_EQ(copied.json()["copied"].integer(), 2);
    EXPECT_EQ(run({"restic", "--no-cache", "-r", other, "check", "--read-data"}).exit, 0);
    EXPECT_EQ(holdfast({"copy", "--repo", other, "--from-repo", other, "--from-password-file", password_file()}).exit,
              2);

    write(at("fresh"), "fresh password\n", 0600);
    const Answer rekeyed = holdfast({"rekey", "--to", at("rekeyed"), "--new-password-file", at("fresh"), "--json"});
    ASSERT_EQ(rekeyed.exit, 0) << rekeyed.errors;
    EXPECT_TRUE(rekeyed.json()["verified"].boolean());
    EXPECT_EQ(rekeyed.json()["snapshots"].integer(), 2);
    EXPECT_EQ(
        holdfast({"restore", "latest", "--repo", at("rekeyed"), "--password-file", at("fresh"), "--target", at("back")})
            .exit,
        0);
    expect_equal_trees(at("source"), at("back") + at("source"));
    EXPECT_EQ(holdfast({"rekey", "--to", repository()}).exit, 1);    // onto itself
    EXPECT_EQ(holdfast({"rekey"}).exit, 2);
}

TEST_F(Tools, ALostIndexDamagedPackAndLostSnapshotAreMended) {
    remove_all("index");
    EXPECT_NE(holdfast({"restore", "latest", "--target", at("back")}).exit, 0);
    EXPECT_EQ(holdfast({"repair", "index"}).exit, 0);
    EXPECT_EQ(holdfast({"check", "--read-data"}).exit, 0);

    const std::string pack = largest_in("data");
    damage(pack);
    const Answer mended = holdfast({"repair", "packs", "--save-to", at("kept"), "--json"});
    EXPECT_EQ(mended.exit, 3) << mended.errors;
    EXPECT_EQ(mended.json()["lost"].items().size(), 1u);
    EXPECT_TRUE(os::exists(at("kept/pack-" + os::file_name(pack))));
    const Answer told = holdfast({"repair", "snapshots", "--dry-run"});
    EXPECT_EQ(told.exit, 3);
    EXPECT_THAT(told.output, HasSubstr(at("source/")));
    EXPECT_EQ(holdfast({"repair", "snapshots", "--forget"}).exit, 3);
    EXPECT_EQ(holdfast({"repair", "snapshots"}).exit, 0);    // nothing is left to do
    EXPECT_EQ(holdfast({"check", "--read-data"}).exit, 0);
    EXPECT_EQ(run({"restic", "--no-cache", "check", "--read-data"}).exit, 0);

    remove_all("snapshots");
    const Answer recovered = holdfast({"recover", "--json"});
    EXPECT_EQ(recovered.exit, 0) << recovered.errors;
    EXPECT_GE(recovered.json()["roots"].items().size(), 1u);
    EXPECT_EQ(holdfast({"find", "desk.conf", "--json"}).json()["matches"].items().size(),
              recovered.json()["roots"].items().size());
}

TEST_F(Tools, UnlockTakesAwayWhatAKilledRunLeft) {
    EXPECT_THAT(holdfast({"unlock"}).output, HasSubstr("no locks"));
    write(repository() + "/locks/" + std::string(64, 'a'), "half a lock");
    EXPECT_THAT(holdfast({"unlock"}).output, HasSubstr("still held"));
    EXPECT_EQ(holdfast({"unlock", "--remove-all"}).exit, 0);
    EXPECT_TRUE(std::filesystem::is_empty(repository() + "/locks"));
}

TEST_F(Tools, ASubsetOfTheDataIsChecked) {    // NS-16
    back_up_again();
    std::uint64_t read = 0;
    for (const char* part : {"1/2", "2/2"})
        read += holdfast({"check", "--read-data-subset", part, "--json"}).json()["bytes_read"].natural();
    EXPECT_EQ(read, holdfast({"check", "--read-data", "--json"}).json()["bytes_read"].natural());
    EXPECT_EQ(holdfast({"check", "--read-data-subset", "0/2"}).exit, 2);
    EXPECT_EQ(holdfast({"check", "--read-data-subset", "1%", "--read-data"}).exit, 2);
    damage(largest_in("data"));
    EXPECT_EQ(holdfast({"check", "--read-data-subset", "100%"}).exit, 1);
}

}    // namespace
}    // namespace holdfast::scenario
