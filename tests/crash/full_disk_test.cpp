// The disk is full at any point of a run: it is said, nothing that was there is hurt, and with room the same run succeeds.

#include <fmt/core.h>
#include <sys/mount.h>
#include <sys/statvfs.h>

#include <filesystem>

#include "campaign.hpp"

namespace holdfast::crash {
namespace {

class FullDisk : public Campaign {
protected:
    // The template on a small file system of its own, with `room` bytes left.
    void mount_with_room(std::uint64_t room) {
        ASSERT_TRUE(os::make_folders(repo()).has_value());
        ASSERT_EQ(::mount("tmpfs", repo().c_str(), "tmpfs", 0, "size=64m"), 0) << "this suite mounts: it runs as root";
        std::filesystem::copy(at("template"), repo(), std::filesystem::copy_options::recursive);
        struct statvfs st{};
        ASSERT_EQ(::statvfs(repo().c_str(), &st), 0);
        const std::uint64_t used = (st.f_blocks - st.f_bfree) * st.f_frsize;
        const std::string size = fmt::format("size={}", used + room);
        ASSERT_EQ(::mount("tmpfs", repo().c_str(), "tmpfs", MS_REMOUNT, size.c_str()), 0);
    }
    void unmount() { EXPECT_EQ(::umount2(repo().c_str(), MNT_DETACH), 0); }
};

TEST_F(FullDisk, AtAnyPointOfABackup) {
    make_template();
    ASSERT_TRUE(os::remove_tree(repo()).has_value());
    write(source() + "/changing", noise(200'000, 99));
    write(source() + "/new", noise(90'000, 98));
    int full = 0, fits = 0;
    // tmpfs gives pages: every number of them until the run fits.
    for (std::uint64_t pages = 0; pages < 200 && fits < 3 && !HasFailure(); pages += pages < 8 ? 1 : 5) {
        SCOPED_TRACE(fmt::format("{} pages of room", pages));
        mount_with_room(pages * 4096);
        const Run run_full = run({"backup", source(), "--json"});
        if (run_full.exit == 0) {
            ++fits;
        } else {
            ++full;
            EXPECT_EQ(run_full.exit, 1) << run_full.output << run_full.errors;
            EXPECT_NE(run_full.output.find("disk_full"), std::string::npos) << run_full.output << run_full.errors;
        }
        // Even a lock needs room, so the check comes after there is some.
        ASSERT_EQ(::mount("tmpfs", repo().c_str(), "tmpfs", MS_REMOUNT, "size=64m"), 0);
        expect_snapshots_and_check(run_full.exit == 0 ? 5 : 4);
        const Run again = run({"backup", source()});
        EXPECT_EQ(again.exit, 0) << again.output << again.errors;
        expect_snapshots_and_check(run_full.exit == 0 ? 6 : 5);
        unmount();
    }
    EXPECT_GT(full, 10);
    EXPECT_GT(fits, 0);
}

}    // namespace
}    // namespace holdfast::crash
