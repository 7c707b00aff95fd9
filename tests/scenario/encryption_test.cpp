// What lies in the vault, and beside it, tells nobody without the key what was backed up: neither content nor names,
// paths, hosts, tags. The stolen disk, the untrusted provider.

#include <fmt/core.h>
#include <gmock/gmock.h>

#include <filesystem>

#include "scenario.hpp"

namespace holdfast::scenario {
namespace {

namespace fs = std::filesystem;

class Encryption : public Scenario {
protected:
    static constexpr const char* k_marker = "NIFTY-50-SECRET";

    void SetUp() override {
        make_cheap_repository();
        // Content that compresses, content that does not, a database with its write-ahead log, names, links, tags.
        std::string rows;
        for (int i = 0; i < 20'000; ++i) rows += fmt::format("{} order {}\n", k_marker, i);
        write(at("source/rows.csv"), rows);
        write(at("source/short"), k_marker);
        write(at("source/") + k_marker + ".duckdb", std::string(64 << 10, '\0') + k_marker);
        write(at("source/") + k_marker + ".duckdb.wal", std::string("WAL ") + k_marker);
        fs::create_symlink(k_marker, at("source/link"));
    }
    /// The files below `folder` in which the marker can be read, in content or name.
    std::vector<std::string> readable_in(const std::string& folder) const {
        std::vector<std::string> found;
        int files = 0;
        for (const auto& entry : fs::recursive_directory_iterator(at(folder))) {
            const std::string path = entry.path();
            bool readable = path.find(k_marker, at(folder).size()) != std::string::npos;
            if (entry.is_regular_file()) {
                ++files;
                readable |= as_text(os::read_file(path).value()).find(k_marker) != std::string_view::npos;
            }
            if (readable) found.push_back(path);
        }
        EXPECT_GT(files, 0) << folder;
        return found;
    }
};

TEST_F(Encryption, NothingOfABackupCanBeReadInTheVaultItsMirrorOrItsParity) {    // DD-05, NS-15
    write(at("holdfast.toml"), "state_folder = \"" + at("state") + "\"\n[repository]\nlocation = \"" + repository() +
                                   "\"\npassword_file = \"" + password_file() +
                                   "\"\n[[mirror]]\nname = \"far\"\nlocation = \"" + at("mirror") + "\"\n");
    ASSERT_FALSE(readable_in("source").empty());
    const std::vector<std::string> tagged = {"backup", at("source"), "--tag", k_marker, "--host", k_marker};
    ASSERT_EQ(holdfast(tagged).exit, 0);
    ASSERT_EQ(holdfast({"mirror", "sync", "far", "--config", at("holdfast.toml")}).exit, 0);
    ASSERT_EQ(holdfast({"parity", "create"}).exit, 0);
    // Rewritten and copied anew, too.
    write(at("source/more"), k_marker);
    ASSERT_EQ(holdfast(tagged).exit, 0);
    ASSERT_EQ(holdfast({"forget", "--keep-last", "1", "--prune", "--max-unused", "0"}).exit, 0);
    for (const char* place : {"repository", "mirror", "state", "home"}) {
        if (std::string_view(place) == "home" && fs::is_empty(at("home"))) continue;
        EXPECT_THAT(readable_in(place), testing::IsEmpty()) << place;
    }
    // And who has the key has all of it.
    ASSERT_EQ(holdfast({"restore", "latest", "--target", at("back")}).exit, 0);
    expect_equal_trees(at("source"), at("back") + at("source"));
}

TEST_F(Encryption, TheSameContentInTwoVaultsHasNothingInCommon) {    // DD-05, NS-15
    ASSERT_EQ(holdfast({"backup", at("source")}).exit, 0);
    const Environment other = {{"HOLDFAST_REPOSITORY", at("other")}};
    ASSERT_EQ(holdfast({"init", "--generate-key", at("other.key")}, other).exit, 0);
    const Environment with_key = {{"HOLDFAST_REPOSITORY", at("other")}, {"HOLDFAST_PASSWORD_FILE", at("other.key")}};
    ASSERT_EQ(holdfast({"backup", at("source")}, with_key).exit, 0);
    const auto packs = [&](const std::string& folder) {
        std::vector<std::string> names;
        for (const auto& entry : fs::recursive_directory_iterator(at(folder + "/data")))
            if (entry.is_regular_file()) names.push_back(entry.path().filename());
        return names;
    };
    for (const std::string& name : packs("repository"))
        EXPECT_THAT(packs("other"), testing::Not(testing::Contains(name)));
    // One vault's key opens nothing of the other.
    EXPECT_EQ(holdfast({"snapshots"}, {{"HOLDFAST_PASSWORD_FILE", at("other.key")}}).exit, 12);
    EXPECT_EQ(holdfast({"snapshots"}, other).exit, 12);
}

}    // namespace
}    // namespace holdfast::scenario
