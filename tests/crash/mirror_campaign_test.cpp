// Mirrors and healing, killed at every step.

#include "campaign.hpp"
#include "holdfast/storage/local.hpp"

namespace holdfast::crash {
namespace {

class CopiesUnderFire : public Campaign {
protected:
    void configure() {
        write(at("holdfast.toml"), "state_folder = \"" + at("state") + "\"\n[repository]\nlocation = \"" + repo() +
                                       "\"\npassword_file = \"" + at("password") +
                                       "\"\n[[mirror]]\nname = \"far\"\nlocation = \"" + at("mirror") + "\"\n");
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

}    // namespace
}    // namespace holdfast::crash
