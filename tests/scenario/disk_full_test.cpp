// The disk fills up in the middle: the run says so, leaves nothing half-done, and goes on once there is room.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <unistd.h>

#include "scenario.hpp"
#include "small_disk.hpp"

namespace holdfast::scenario {
namespace {

using testing::HasSubstr;

class DiskFull : public Scenario {
protected:
    Answer on_small(std::vector<std::string> arguments) const {
        return holdfast(std::move(arguments), {{"HOLDFAST_REPOSITORY", at("small/repository")}});
    }

    const SmallDisk disk_{at("small"), 24 * k_mib};
};

TEST_F(DiskFull, InABackupTheRepositoryStaysGood) {
    ASSERT_EQ(on_small({"init"}).exit, 0);
    make_files(at("first"), 2);
    ASSERT_EQ(on_small({"backup", at("first")}).exit, 0);
    make_files(at("source"), 48, 7);
    const Answer full = on_small({"backup", at("source"), "--json"});
    EXPECT_EQ(full.exit, 1);
    EXPECT_EQ(full.json()["error"]["code"].text(), "disk_full");
    EXPECT_EQ(on_small({"snapshots", "--json"}).json()["snapshots"].items().size(), 1u);
    // The first snapshot is still whole, and readable although nothing more can be written.
    const Answer restored = on_small({"restore", "latest", "--target", at("back")});
    EXPECT_EQ(restored.exit, 0) << restored.errors;
    // With more room the same run goes through, and the repository checks.
    disk_.resize(120 * k_mib);
    EXPECT_EQ(on_small({"backup", at("source")}).exit, 0);
    const Answer checked = on_small({"check", "--read-data"});
    EXPECT_EQ(checked.exit, 0) << checked.errors;
}

TEST_F(DiskFull, InARestoreNoPartialFileStays) {
    make_repository();
    make_files(at("source"), 4);
    std::string large;
    for (int i = 0; i < 40; ++i) large += std::string(1 << 20, static_cast<char>('a' + i % 26));
    write(at("source/large"), large);
    ASSERT_EQ(holdfast({"backup", at("source")}).exit, 0);
    const Answer full = holdfast({"restore", "latest", "--target", at("small/back"), "--json"});
    EXPECT_EQ(full.exit, 1);
    EXPECT_EQ(full.json()["error"]["code"].text(), "disk_full");
    EXPECT_FALSE(os::exists(at("small/back") + at("source/large")));
    for (int i = 0; i < 4; ++i) {
        const std::string back = at("small/back") + at("source/data/part-00") + std::to_string(i);
        if (os::exists(back)) {
            EXPECT_EQ(os::status_of(back)->st_size, 1 << 20);
        }
    }
}

TEST_F(DiskFull, InitLeavesNoConfigurationBehind) {
    const os::Fd fill = os::open_file(at("small/fill"), O_WRONLY | O_CREAT).value();
    const std::string much(4096, 'x');
    while (os::write_all(fill.get(), as_bytes(much))) {
    }
    const Answer full =
        holdfast_bare({"init", "--config", at("home/holdfast.toml"), "--repo", at("small/repository"), "--no-detect"});
    EXPECT_EQ(full.exit, 1) << full.output;
    EXPECT_FALSE(os::exists(at("home/holdfast.toml")));
    EXPECT_FALSE(os::exists(at("home/holdfast.password")));
}

}    // namespace
}    // namespace holdfast::scenario
