// Configuration files are kept with each change, checked, compared, brought back: EA-03, EA-15, MT-02.

#include <gmock/gmock.h>
#include <signal.h>
#include <unistd.h>

#include "scenario.hpp"
#include "watching.hpp"

namespace holdfast::scenario {
namespace {

using testing::HasSubstr;

class ConfigVersions : public Scenario {
protected:
    void configure(const std::string& more) const {
        write(at("holdfast.toml"), "[[keep]]\npaths = [\"" + at("ea.json") + "\"]\nprofile = \"ea\"\n" + more);
    }
    Answer config(std::vector<std::string> words) const {
        words.insert(words.begin(), "config");
        words.insert(words.end(), {"--config", at("holdfast.toml")});
        return holdfast_bare(std::move(words));
    }
};

TEST_F(ConfigVersions, TheDaemonKeepsTellsAndRestores) {
    configure("on_invalid = \"restore\"\nsettle_milliseconds = 20\n");
    write(at("ea.json"), "{\"lots\": 1}\n");
    Watching watch(command({"config", "watch", "--json", "--config", at("holdfast.toml")}));
    // The first look settles, too: "watching" may come before or after.
    bool watching = false, kept = false;
    while (!watching || !kept) {
        const json::Value event = watch.next();
        ASSERT_NE(event["event"].text(), "ended") << json::dump(event);
        watching |= event["event"].text() == "watching";
        kept |= event["event"].text() == "kept";
    }
    ASSERT_TRUE(os::write_file(at("ea.json"), as_bytes("{\"lots\": 2}\n")));
    json::Value event = watch.next();
    EXPECT_EQ(event["event"].text(), "kept");
    EXPECT_EQ(event["version"]["version"].natural(), 2u);

    ASSERT_TRUE(os::write_file(at("ea.json"), as_bytes("{\"lots\": 3,}\n")));
    event = watch.next();
    EXPECT_EQ(event["event"].text(), "restored") << json::dump(event);
    EXPECT_EQ(event["fault"]["line"].natural(), 1u);
    EXPECT_EQ(event["fault"]["column"].natural(), 11u);
    EXPECT_EQ(os::read_text(at("ea.json")).value(), "{\"lots\": 2}\n");
    EXPECT_EQ(os::read_text(event["aside"].text()).value(), "{\"lots\": 3,}\n");
    EXPECT_EQ(watch.stop().code, 0);
}

TEST_F(ConfigVersions, CheckSaysFileLineColumnAndReason) {
    write(at("good.toml"), "a = 1\n");
    write(at("bad.env"), "A=1\nB\n");
    const Answer checked = holdfast_bare({"config", "check", at("good.toml"), at("bad.env"), at("none.json")});
    EXPECT_EQ(checked.exit, 1);
    EXPECT_THAT(checked.output, HasSubstr("good.toml: good\n"));
    EXPECT_THAT(checked.output, HasSubstr("bad.env:2:2: '=' is expected after B"));
    EXPECT_THAT(checked.output, HasSubstr("none.json"));
    const json::Value report = holdfast_bare({"config", "check", "--json", at("bad.env")}).json();
    EXPECT_EQ(report["files"].items()[0]["fault"]["line"].natural(), 2u);
    EXPECT_FALSE(report["files"].items()[0]["good"].boolean(true));
    EXPECT_EQ(holdfast_bare({"config", "check", at("good.toml")}).exit, 0);
    EXPECT_EQ(holdfast_bare({"config", "check", at("x.yml")}).exit, 2);
}

TEST_F(ConfigVersions, ListShowDiffRestore) {
    configure("");
    for (int lots = 1; lots <= 4; ++lots) {
        write(at("ea.json"), "{\n  \"lots\": " + std::to_string(lots) + "\n}\n");
        EXPECT_EQ(config({"watch", "--once"}).exit, 0);
        EXPECT_EQ(config({"watch", "--once"}).output, "");    // nothing changed, nothing to tell
    }
    const json::Value list = config({"versions", at("ea.json"), "--json"}).json();
    ASSERT_EQ(list["versions"].items().size(), 3u);    // EA-03
    EXPECT_EQ(list["versions"].items()[2]["version"].natural(), 4u);
    EXPECT_TRUE(list["versions"].items()[2]["present"].boolean());
    EXPECT_EQ(config({"show", at("ea.json"), "--version", "2"}).output, "{\n  \"lots\": 2\n}\n");
    Answer diff = config({"diff", at("ea.json"), "--from", "2", "--to", "4"});
    EXPECT_EQ(diff.exit, 1);
    EXPECT_THAT(diff.output, HasSubstr("-  \"lots\": 2\n+  \"lots\": 4\n"));
    EXPECT_EQ(config({"diff", at("ea.json")}).exit, 0);

    write(at("ea.json"), "{\n  \"lots\":\n}\n");
    const Answer once = config({"watch", "--once"});
    EXPECT_EQ(once.exit, 1);
    EXPECT_THAT(once.output, HasSubstr(at("ea.json") + ":3:1: a value is expected here, not '}'"));
    const Answer planned = config({"restore", at("ea.json"), "--dry-run"});
    EXPECT_THAT(planned.output, HasSubstr("+  \"lots\": 4"));
    EXPECT_EQ(os::read_text(at("ea.json")).value(), "{\n  \"lots\":\n}\n");
    const json::Value restored = config({"restore", at("ea.json"), "--json"}).json();
    EXPECT_TRUE(restored["changed"].boolean());
    EXPECT_EQ(os::read_text(at("ea.json")).value(), "{\n  \"lots\": 4\n}\n");
    EXPECT_EQ(os::read_text(restored["aside"].text()).value(), "{\n  \"lots\":\n}\n");
    EXPECT_EQ(config({"restore", at("ea.json"), "--version", "3"}).exit, 0);
    EXPECT_EQ(os::read_text(at("ea.json")).value(), "{\n  \"lots\": 3\n}\n");
    const Answer gone = config({"restore", at("ea.json"), "--version", "1"});
    EXPECT_EQ(gone.exit, 1);
    EXPECT_THAT(gone.errors, HasSubstr("versions 2 to 4 are kept"));
    // A file that was removed comes back, too.
    ASSERT_EQ(::unlink(at("ea.json").c_str()), 0);
    EXPECT_EQ(config({"restore", at("ea.json")}).exit, 0);
    EXPECT_EQ(os::read_text(at("ea.json")).value(), "{\n  \"lots\": 4\n}\n");
}

TEST_F(ConfigVersions, ABackupTakesTheVersionsAlong) {
    make_cheap_repository();
    configure("");
    write(at("ea.json"), "{}\n");
    ASSERT_EQ(config({"watch", "--once"}).exit, 0);
    const std::string file = config({"versions", at("ea.json"), "--json"}).json()["versions"].items()[0]["file"].text();
    write(at("stack.toml"), "[[files]]\nname = \"config\"\npaths = [\"" + at(".holdfast") + "\"]\n");
    ASSERT_EQ(holdfast({"backup", "--config", at("stack.toml")}).exit, 0);
    EXPECT_EQ(holdfast({"dump", "latest", "/config" + file}).output, "{}\n");
}

TEST_F(ConfigVersions, TheServiceManagerHearsThatItIsReady) {
    configure("");
    write(at("ea.json"), "{}\n");
    Watching watch(
        command({"config", "watch", "--json", "--config", at("holdfast.toml")}, {{"NOTIFY_SOCKET", at("nobody")}}));
    while (watch.next()["event"].text() != "watching") continue;    // nobody listens: no harm
    EXPECT_EQ(watch.stop().code, 0);
}

}    // namespace
}    // namespace holdfast::scenario
