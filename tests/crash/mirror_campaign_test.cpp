// Mirrors and healing, killed at every step.

#include <filesystem>

#include "campaign.hpp"
#include "holdfast/storage/local.hpp"
#include "holdfast/vault/check.hpp"

namespace holdfast::crash {
namespace {

class CopiesUnderFire : public Campaign {
protected:
    void configure(const std::string& more = "") {
        write(at("holdfast.toml"), "state_folder = \"" + at("state") + "\"\n[repository]\nlocation = \"" + repo() +
                                       "\"\npassword_file = \"" + at("password") +
                                       "\"\n[[mirror]]\nname = \"far\"\nlocation = \"" + at("mirror") + "\"\n" + more);
    }
};

TEST_F(CopiesUnderFire, MirrorSync) {
    make_template();
    configure();
    Target target;
    target.name = "mirror sync";
    target.points_step = 2;
    target.arguments = {"mirror", "sync", "far", "--config", at("holdfast.toml")};
    target.prepare = [&] {
        ASSERT_TRUE(os::remove_tree(at("mirror")).has_value());
        ASSERT_TRUE(os::remove_tree(at("state")).has_value());
    };
    target.expect_done = [&] {
        const auto copy =
            vault::Repository::open(storage::local_backend(at("mirror")), Secret(std::string(k_password)), clock_);
        ASSERT_TRUE(copy.has_value()) << copy.error().message;
        EXPECT_EQ((*copy)->snapshots()->size(), snapshots_.size());
    };
    fire(target);
}

// What was forgotten and pruned here goes there, too.
TEST_F(CopiesUnderFire, MirrorSyncThatDeletes) {
    make_template();
    configure("grace_days = 0\n");
    reset();
    ASSERT_EQ(run({"mirror", "sync", "far", "--config", at("holdfast.toml")}).exit, 0);
    std::filesystem::rename(at("mirror"), at("mirror-before"));
    std::filesystem::rename(at("state"), at("state-before"));
    ASSERT_EQ(run({"forget", "--keep-last", "2", "--prune", "--max-unused", "0"}).exit, 0);
    keep_as_template();
    const auto expect_good = [&](bool done) {
        const auto copy =
            vault::Repository::open(storage::local_backend(at("mirror")), Secret(std::string(k_password)), clock_);
        ASSERT_TRUE(copy.has_value()) << copy.error().message;
        const auto report = vault::check(**copy, {.read_data = true, .progress = {}});
        ASSERT_TRUE(report.has_value()) << report.error().message;
        for (const std::string& error : report->errors) ADD_FAILURE() << "the mirror: " << error;
        EXPECT_GE(report->snapshots, 2u);
        if (!done) return;
        EXPECT_EQ(report->snapshots, 2u);
        EXPECT_EQ((*copy)->snapshots()->back().id, snapshots_.back().id);
    };
    Target target;
    target.name = "mirror sync that deletes";
    target.arguments = {"mirror", "sync", "far", "--config", at("holdfast.toml")};
    target.prepare = [&] {
        for (const std::string name : {"mirror", "state"}) {
            ASSERT_TRUE(os::remove_tree(at(name)).has_value());
            std::filesystem::copy(at(name + "-before"), at(name), std::filesystem::copy_options::recursive);
        }
    };
    target.after_kill = [&] { expect_good(false); };
    target.expect_done = [&] { expect_good(true); };
    target.random_kills = 6;
    fire(target);
}

}    // namespace
}    // namespace holdfast::crash
