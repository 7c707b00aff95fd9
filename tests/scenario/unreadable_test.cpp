// What cannot be read is told, the rest is saved, and the run does not pass for whole.

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include "scenario.hpp"

namespace holdfast::scenario {
namespace {

using testing::HasSubstr;

class Unreadable : public Scenario {
protected:
    // Root reads everything: the program runs as nobody, with a repository of nobody's.
    void SetUp() override {
        ASSERT_EQ(::geteuid(), 0u) << "the suite runs as root";
        ASSERT_EQ(::chmod(at("").c_str(), 0755), 0);
        ASSERT_EQ(::chmod(at("home").c_str(), 0777), 0);
        ASSERT_EQ(::chmod(password_file().c_str(), 0644), 0);
        ASSERT_TRUE(os::make_folders(at("vault"), 0777).has_value());
        ASSERT_EQ(::chmod(at("vault").c_str(), 0777), 0);
        // The build folder may be closed to nobody.
        write(at("holdfast"), as_text(os::read_file(HF_BIN_DIR "/holdfast").value()), 0755);
        make_files(at("source"));
        ASSERT_EQ(::chmod(at("source/etc").c_str(), 0755), 0);
        ASSERT_EQ(as_nobody({"init"}).exit, 0);
    }

    Answer as_nobody(std::vector<std::string> arguments) const {
        os::Command nobody = command(
            arguments, {{"HOLDFAST_REPOSITORY", at("vault/repository")}, {"HOLDFAST_PASSWORD_FILE", password_file()}});
        nobody.arguments[0] = at("holdfast");
        nobody.user = "nobody";
        auto result = os::run(std::move(nobody), {}, std::chrono::minutes(2)).value();
        return {result.status.code, result.output, result.errors};
    }
};

TEST_F(Unreadable, AFileMakesTheRunIncompleteAndIsNamed) {
    const Answer saved = as_nobody({"backup", at("source")});
    EXPECT_EQ(saved.exit, 3);
    EXPECT_THAT(saved.errors, HasSubstr("secret.key"));
    const json::Value listed = as_nobody({"snapshots", "--json"}).json();
    EXPECT_EQ(listed["snapshots"].items().at(0)["tags"].items().at(0).text(), "incomplete");
    EXPECT_EQ(as_nobody({"restore", "latest", "--target", at("home/back")}).exit, 0);
    EXPECT_TRUE(os::exists(at("home/back") + at("source/data/part-000")));
    EXPECT_FALSE(os::exists(at("home/back") + at("source/etc/secret.key")));
}

TEST_F(Unreadable, AFileOfAComponentIsInTheManifestAndTheReport) {
    write(at("holdfast.toml"), "stack = \"desk\"\n[[files]]\npaths = [\"" + at("source") + "\"]\n");
    const Answer saved = as_nobody({"backup", "--config", at("holdfast.toml"), "--json"});
    EXPECT_EQ(saved.exit, 3);
    const json::Value report = saved.json();
    EXPECT_FALSE(report["complete"].boolean(true));
    const json::Value& component = report["components"].items().at(0);
    EXPECT_EQ(component["error"]["code"].text(), "incomplete");
    EXPECT_THAT(component["error"]["message"].text(), HasSubstr("secret.key"));
    EXPECT_EQ(component["facts"]["unreadable"].items().size(), 3u);    // secret.key, desk.conf and its second name
    ASSERT_EQ(as_nobody({"restore", "latest", "--target", at("home/back")}).exit, 0);
    const json::Value manifest = json::parse(os::read_text(at("home/back/manifest.json")).value(), "manifest").value();
    EXPECT_FALSE(manifest["complete"].boolean(true));
    EXPECT_EQ(manifest["components"].items().at(0)["status"].text(), "incomplete");
}

}    // namespace
}    // namespace holdfast::scenario
