// A configured stack of files and logs (no servers): manifest, in-place restore, what is unreachable.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>

#include "scenario.hpp"

namespace holdfast::scenario {
namespace {

using testing::HasSubstr;

class Configured : public Scenario {
protected:
    void SetUp() override {
        make_repository();
        make_files(at("source"));
        configure();
    }
    void configure(const std::string& more = {}) const {
        write(at("holdfast.toml"), "stack = \"desk\"\n" + more + "[[files]]\npaths = [\"" + at("source") + "\"]\n");
    }
    Answer configured(std::vector<std::string> arguments) const {
        return holdfast(std::move(arguments), {{"HOLDFAST_CONFIG", at("holdfast.toml")}});
    }
    json::Value latest_snapshot() const {
        return configured({"snapshots", "--latest", "1", "--json"}).json()["snapshots"].items().at(0);
    }
};

TEST_F(Configured, OneRunIsOneSnapshotWithAManifest) {
    const Answer saved = configured({"backup", "--tag", "before-deploy"});
    ASSERT_EQ(saved.exit, 0) << saved.errors;
    EXPECT_THAT(saved.output, HasSubstr("complete"));
    const json::Value snapshot = latest_snapshot();
    EXPECT_EQ(snapshot["tags"].items().at(0).text(), "holdfast");
    EXPECT_EQ(snapshot["tags"].items().at(1).text(), "before-deploy");
    EXPECT_EQ(snapshot["paths"].items().at(0).text(), "/holdfast/desk");
    // restic finds the artefacts where the manifest says they are.
    ASSERT_EQ(run({"restic", "restore", "latest", "--target", at("back")}).exit, 0);
    const json::Value manifest = json::parse(os::read_text(at("back/manifest.json")).value(), "manifest").value();
    EXPECT_EQ(manifest["manifest_version"].integer(), 1);
    EXPECT_TRUE(manifest["complete"].boolean());
    EXPECT_EQ(manifest["stack"].text(), "desk");
    const json::Value& component = manifest["components"].items().at(0);
    EXPECT_EQ(component["name"].text(), "config");
    EXPECT_EQ(component["status"].text(), "complete");
    EXPECT_EQ(component["artefacts"].items().at(0).text(), "config");
    expect_equal_trees(at("source"), at("back/config") + at("source"));
}

TEST_F(Configured, ASecondRunTakesTheFirstAsItsParent) {
    ASSERT_EQ(configured({"backup"}).exit, 0);
    const json::Value second = configured({"backup", "--json"}).json();
    EXPECT_EQ(second["summary"]["files_unmodified"].natural() + 1,
              second["summary"]["files"].natural());    // but the manifest
    EXPECT_FALSE(latest_snapshot()["parent"].text().empty());
}

TEST_F(Configured, AnUnreachableServerLeavesTheRestSaved) {
    configure("[[redis]]\nport = 1\n");
    const Answer saved = configured({"backup"});
    EXPECT_EQ(saved.exit, 3);
    EXPECT_THAT(saved.errors, HasSubstr("redis"));
    EXPECT_THAT(saved.errors, HasSubstr("127.0.0.1:1"));
    const json::Value snapshot = latest_snapshot();
    EXPECT_EQ(snapshot["tags"].items().at(1).text(), "incomplete");
    const std::string listing = configured({"ls", "latest"}).output;
    EXPECT_THAT(listing, HasSubstr("/config" + at("source/etc/desk.conf")));
    EXPECT_THAT(listing, testing::Not(HasSubstr("/redis")));
    // What failed is not restored, and nothing passes for it.
    const Answer refused = configured({"restore", "latest", "--only", "redis", "--yes"});
    EXPECT_NE(refused.exit, 0);
    EXPECT_THAT(refused.errors, HasSubstr("its backup failed"));
    // Nothing but the failing one: no snapshot, and the failure's own exit status.
    const Answer alone = configured({"backup", "--only", "redis"});
    EXPECT_EQ(alone.exit, 1);
    EXPECT_EQ(configured({"snapshots", "--json"}).json()["snapshots"].items().size(), 1u);
}

TEST_F(Configured, FilesComeBackInPlaceAndTheOldOnesAreKept) {
    ASSERT_EQ(configured({"backup"}).exit, 0);
    write(at("source/etc/desk.conf"), "limit = 500\n", 0640);
    const Answer refused = configured({"restore", "latest", "--yes"});
    EXPECT_EQ(refused.exit, 1);
    EXPECT_THAT(refused.errors, HasSubstr("--replace"));
    EXPECT_EQ(os::read_text(at("source/etc/desk.conf")).value(), "limit = 500\n");

    const Answer dry = configured({"restore", "latest", "--dry-run", "--replace"});
    EXPECT_EQ(dry.exit, 0);
    EXPECT_THAT(dry.output, HasSubstr("replaces:"));
    EXPECT_EQ(os::read_text(at("source/etc/desk.conf")).value(), "limit = 500\n");

    const json::Value done = configured({"restore", "latest", "--yes", "--replace", "--json"}).json();
    EXPECT_TRUE(done["complete"].boolean());
    EXPECT_EQ(os::read_text(at("source/etc/desk.conf")).value(), "limit = 5\n");
    const std::string kept = done["components"].items().at(0)["result"]["kept"].items().at(0).text();
    EXPECT_EQ(os::read_text(kept + "/etc/desk.conf").value(), "limit = 500\n");
    // Nothing of the work stays beside them.
    const std::vector<std::string> beside = os::list_folder(at("")).value();
    for (const std::string& name : beside) EXPECT_THAT(name, testing::Not(HasSubstr(".holdfast-restore")));
    // What is there now is what was saved: the next run finds nothing new to store but the manifest.
    EXPECT_LT(configured({"backup", "--json"}).json()["summary"]["bytes_added"].natural(), 20000u);
}

TEST_F(Configured, OnlyAndWithoutChooseComponents) {
    write(at("log/today.log"), "line\n");
    configure("[[logs]]\npaths = [\"" + at("log") + "\"]\n");
    ASSERT_EQ(configured({"backup", "--only", "logs"}).exit, 0);
    EXPECT_THAT(configured({"ls", "latest"}).output, testing::Not(HasSubstr("desk.conf")));
    ASSERT_EQ(configured({"backup", "--without", "logs"}).exit, 0);
    EXPECT_THAT(configured({"ls", "latest"}).output, testing::Not(HasSubstr("today.log")));
    ASSERT_EQ(configured({"backup"}).exit, 0);
    ASSERT_EQ(configured({"restore", "latest", "--only", "logs", "--target", at("back")}).exit, 0);
    EXPECT_EQ(os::list_folder(at("back")).value(), std::vector<std::string>{"logs"});
    EXPECT_EQ(configured({"backup", "--only", "logs", "--without", "logs"}).exit, 2);
}

TEST_F(Configured, OldLogsAreLeftOut) {
    write(at("log/old.log"), "long ago\n");
    write(at("log/new.log"), "now\n");
    const timespec times[2] = {{1'600'000'000, 0}, {1'600'000'000, 0}};
    ASSERT_EQ(::utimensat(AT_FDCWD, at("log/old.log").c_str(), times, 0), 0);
    configure("[[logs]]\npaths = [\"" + at("log") + "\"]\n");
    ASSERT_EQ(configured({"backup"}).exit, 0);
    const std::string listing = configured({"ls", "latest"}).output;
    EXPECT_THAT(listing, HasSubstr("new.log"));    // NS-01
    EXPECT_THAT(listing, testing::Not(HasSubstr("old.log")));
}

TEST_F(Configured, ASnapshotOfPlainPathsIsNotRestoredIntoStores) {
    ASSERT_EQ(configured({"backup", at("source")}).exit, 0);
    EXPECT_EQ(configured({"restore", "latest", "--yes"}).exit, 1);    // no snapshot of this stack
    const std::string id = configured({"snapshots", "--json"}).json()["snapshots"].items().at(0)["id"].text();
    const Answer refused = configured({"restore", id, "--yes"});
    EXPECT_EQ(refused.exit, 1);
    EXPECT_THAT(refused.errors, HasSubstr("--target"));
}

}    // namespace
}    // namespace holdfast::scenario
