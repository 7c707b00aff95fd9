// A vault with a mirror and parity through its life: it is copied after each backup, loses files, heals; its server is lost.

#include <gmock/gmock.h>
#include <unistd.h>

#include "scenario.hpp"

namespace holdfast::scenario {
namespace {

using testing::HasSubstr;

class Mirrors : public Scenario {
protected:
    void SetUp() override {
        configure("");
        make_repository();
        make_files(at("source"), 3);
    }
    void configure(const std::string& more, const std::string& mirror = "") {
        write(at("holdfast.toml"), "state_folder = \"" + at("state") + "\"\n[repository]\nlocation = \"" +
                                       repository() + "\"\npassword_file = \"" + password_file() + "\"\n" + more +
                                       "[[mirror]]\nname = \"far\"\nlocation = \"" + at("mirror") + "\"\n" + mirror);
    }
    Answer configured(std::vector<std::string> arguments) const {
        arguments.push_back("--config");
        arguments.push_back(at("holdfast.toml"));
        return holdfast_bare(std::move(arguments));
    }
    std::string content(const std::string& folder) const {
        return run({"sh", "-c",
                    "cd \"$0\" && find . -type f ! -path './locks/*' ! -path './parity/*' | sort | xargs sha256sum",
                    folder})
            .output;
    }
};

TEST_F(Mirrors, EveryBackupTravelsAndAServerThatIsLostComesBack) {
    // NS-05, NS-12, NS-16, NS-19.
    const Answer saved = configured({"backup", at("source")});
    ASSERT_EQ(saved.exit, 0) << saved.errors;
    EXPECT_THAT(saved.output, HasSubstr("mirror far: "));
    EXPECT_EQ(content(repository()), content(at("mirror")));
    EXPECT_EQ(configured({"mirror", "status"}).exit, 0);

    ASSERT_EQ(configured({"backup", at("source"), "--no-mirror"}).exit, 0);
    const Answer behind = configured({"mirror", "status", "--json"});
    EXPECT_EQ(behind.json()["mirrors"].items().at(0)["snapshots_missing"].natural(), 1u);
    EXPECT_EQ(configured({"mirror", "sync", "far"}).exit, 0);
    EXPECT_EQ(configured({"mirror", "verify"}).exit, 0);

    // The machine is gone; what is left is the mirror and the password.
    ASSERT_TRUE(os::remove_tree(repository()));
    ASSERT_EQ(holdfast({"restore", "latest", "--target", at("back"), "--repo", at("mirror")}).exit, 0);
    expect_equal_trees(at("source"), at("back") + at("source"));
    const Answer again = holdfast({"heal", "--from", at("mirror"), "--missing-snapshots", "--no-live-files"});
    EXPECT_EQ(again.exit, 0) << again.errors << again.output;
    EXPECT_EQ(content(repository()), content(at("mirror")));
    EXPECT_EQ(holdfast({"check", "--read-data"}).exit, 0);
}

TEST_F(Mirrors, DamageHealsFromTheMirrorAlsoWhereNothingOpens) {
    ASSERT_EQ(configured({"backup", at("source")}).exit, 0);
    const std::string before = content(repository());
    for (const std::string& victim : {repository() + "/config", largest_in("keys"), largest_in("data"),
                                      largest_in("index"), largest_in("snapshots")}) {
        ASSERT_EQ(::truncate(victim.c_str(), 50), 0);
        const Answer healed = configured({"heal", "--no-live-files", "--json"});
        EXPECT_EQ(healed.exit, 0) << victim << healed.output << healed.errors;
        EXPECT_TRUE(healed.json()["well"].boolean());
        EXPECT_EQ(healed.json()["healed"].items().size(), 1u);
        EXPECT_EQ(content(repository()), before);
    }
}

TEST_F(Mirrors, AMirrorThatIsAwayIsAWarningUntilItIsTooFarBehind) {
    ASSERT_EQ(configured({"backup", at("source")}).exit, 0);
    ASSERT_EQ(::rename(at("mirror").c_str(), at("unplugged").c_str()), 0);
    const Answer away = configured({"backup", at("source")});
    EXPECT_EQ(away.exit, 0) << away.errors;
    EXPECT_THAT(away.errors, HasSubstr("mirror far"));
    // Of another repository: that is no matter of waiting.
    ASSERT_EQ(holdfast({"init", "--repo", at("mirror")}).exit, 0);
    const Answer foreign = configured({"backup", at("source")});
    EXPECT_EQ(foreign.exit, 3);
    EXPECT_THAT(foreign.errors, HasSubstr("another repository"));
    EXPECT_EQ(configured({"mirror", "sync"}).exit, 1);
    EXPECT_EQ(configured({"mirror", "sync", "near"}).exit, 2);
}

TEST_F(Mirrors, ThreeTwoOneIsCountedAndWhatIsMissingIsSaid) {
    ASSERT_EQ(configured({"backup", at("source")}).exit, 0);
    const Answer lacking = configured({"status", "--copies"});
    EXPECT_EQ(lacking.exit, 3);
    EXPECT_THAT(lacking.output, HasSubstr("no copy off-site"));
    // A disk of its own that is carried away, and is of another kind.
    const auto elsewhere = os::TempFolder::create("hf-mirror", "/dev/shm").value();
    write(at("holdfast.toml"), os::read_text(at("holdfast.toml")).value() +
                                   "[[mirror]]\nname = \"tape\"\nlocation = \"" + elsewhere.path() +
                                   "/vault\"\nkind = \"tape\"\noff_site = true\n");
    EXPECT_EQ(configured({"status", "--copies"}).exit, 3);    // nothing was sent there yet
    ASSERT_EQ(configured({"mirror", "sync"}).exit, 0);
    const Answer enough = configured({"status", "--copies", "--json"});
    EXPECT_EQ(enough.exit, 0) << enough.output;
    EXPECT_TRUE(enough.json()["satisfied"].boolean());
    const json::Value status = configured({"status", "--json"}).json();
    EXPECT_EQ(status["snapshots"].natural(), 1u);
    EXPECT_EQ(status["components"].items().size(), 1u);
    EXPECT_FALSE(status["components"].items().at(0)["newest_whole"].is_null());
    EXPECT_EQ(status["password"]["age_days"].integer(-1), 0);
}

TEST_F(Mirrors, ParityRepairsAVaultWithASingleDisk) {
    configure("parity_percent = 20\n");
    ASSERT_EQ(configured({"backup", at("source"), "--no-mirror"}).exit, 0);
    const std::string before = content(repository());
    EXPECT_EQ(configured({"parity", "verify"}).exit, 0);
    EXPECT_EQ(run({"restic", "check", "--read-data"}).exit, 0);
    ASSERT_EQ(::unlink(largest_in("data").c_str()), 0);
    ASSERT_EQ(::truncate(largest_in("snapshots").c_str(), 20), 0);
    EXPECT_EQ(configured({"parity", "verify"}).exit, 1);
    const Answer repaired = configured({"parity", "repair"});
    EXPECT_EQ(repaired.exit, 0) << repaired.errors << repaired.output;
    EXPECT_EQ(content(repository()), before);
    EXPECT_EQ(configured({"parity", "verify"}).exit, 0);
}

}    // namespace
}    // namespace holdfast::scenario
