// The disk is full at any point of a run: it is said, nothing that was there is hurt, and with room the same run succeeds.

#include <fcntl.h>
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
    void give_room() { ASSERT_EQ(::mount("tmpfs", repo().c_str(), "tmpfs", MS_REMOUNT, "size=64m"), 0); }
    // To the last byte, with a file that the repository does not know.
    void fill() {
        const os::Fd ballast = os::open_file(repo() + "/ballast", O_WRONLY | O_CREAT).value();
        const std::string page(4096, 'x');
        while (os::write_all(ballast.get(), as_bytes(page))) {
        }
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
        give_room();
        expect_snapshots_and_check(run_full.exit == 0 ? 5 : 4);
        const Run again = run({"backup", source()});
        EXPECT_EQ(again.exit, 0) << again.output << again.errors;
        expect_snapshots_and_check(run_full.exit == 0 ? 6 : 5);
        unmount();
    }
    EXPECT_GT(full, 10);
    EXPECT_GT(fits, 0);
}

// Nothing needed is touched, and what only looks works without a lock, at every number of pages.
TEST_F(FullDisk, AtAnyPointOfAPrune) {
    make_template();
    ASSERT_EQ(run({"forget", "--keep-last", "2"}).exit, 0);
    keep_as_template();
    ASSERT_TRUE(os::remove_tree(repo()).has_value());
    int full = 0, fits = 0;
    for (std::uint64_t pages = 0; pages < 400 && fits < 2 && !HasFailure(); pages += pages < 6 ? 1 : 12) {
        SCOPED_TRACE(fmt::format("{} pages of room", pages));
        mount_with_room(pages * 4096);
        const Run pruned = run({"prune", "--max-unused", "0", "--json"});
        ++(pruned.exit == 0 ? fits : full);
        if (pruned.exit != 0) {
            EXPECT_EQ(pruned.exit, 1) << pruned.output << pruned.errors;
            EXPECT_NE(pruned.output.find("disk_full"), std::string::npos) << pruned.output << pruned.errors;
            const bool has_remedy = pruned.output.find("prune --max-repack-size 0") != std::string::npos ||
                                    pruned.output.find("holdfast forget") != std::string::npos;    // not even a lock
            EXPECT_TRUE(has_remedy) << pruned.output;
        }
        const Run looked = run({"check", "--read-data", "--no-lock"});
        EXPECT_EQ(looked.exit, 0) << looked.output << looked.errors;
        give_room();
        expect_snapshots_and_check(2);
        EXPECT_EQ(run({"prune", "--max-unused", "0"}).exit, 0);
        expect_snapshots_and_check(2);
        unmount();
    }
    EXPECT_GT(full, 5);
    EXPECT_GT(fits, 0);
}

// A backup filled the disk to the last byte: a user who knows no more than what the errors say gets out of it.
TEST_F(FullDisk, WhatTheErrorsSayLeadsOutOfIt) {
    make_template();
    ASSERT_TRUE(os::remove_tree(repo()).has_value());
    mount_with_room(40u << 20);
    write(at("much/file"), noise(60u << 20, 77));    // some packs of it fit
    EXPECT_EQ(run({"backup", at("much")}).exit, 1);
    fill();
    const Run backup = run({"backup", source()});
    EXPECT_EQ(backup.exit, 1);
    EXPECT_NE(backup.errors.find("holdfast prune --max-repack-size 0"), std::string::npos) << backup.errors;
    EXPECT_NE(backup.errors.find("--no-lock"), std::string::npos) << backup.errors;
    EXPECT_EQ(run({"check", "--read-data", "--no-lock"}).exit, 0);
    EXPECT_EQ(run({"restore", "latest", "--target", at("back"), "--no-lock"}).exit, 0);
    EXPECT_EQ(listing(at("back") + source()), listing(source()));
    EXPECT_EQ(run({"prune", "--dry-run", "--max-repack-size", "0"}).exit, 0);
    const Run prune = run({"prune", "--max-repack-size", "0"});
    EXPECT_EQ(prune.exit, 0) << prune.output << prune.errors;
    EXPECT_EQ(run({"backup", source()}).exit, 0);
    give_room();
    expect_snapshots_and_check(5);
    unmount();
}

// Nothing is left over: only a snapshot can go.
TEST_F(FullDisk, ForgetWorksWithoutRoomForALock) {
    make_template();
    ASSERT_TRUE(os::remove_tree(repo()).has_value());
    mount_with_room(4096);
    fill();
    const Run stuck = run({"prune", "--max-repack-size", "0"});
    EXPECT_EQ(stuck.exit, 1);
    EXPECT_NE(stuck.errors.find("holdfast forget"), std::string::npos) << stuck.errors;
    const Run dry = run({"forget", "--keep-last", "2", "--dry-run"});
    EXPECT_EQ(dry.exit, 0) << dry.errors;
    EXPECT_NE(dry.output.find("2 snapshots would be removed"), std::string::npos) << dry.output;
    const Run forgot = run({"forget", "--keep-last", "2", "--prune", "--max-repack-size", "0"});
    EXPECT_EQ(forgot.exit, 0) << forgot.output << forgot.errors;
    give_room();
    expect_snapshots_and_check(2);
    unmount();
}

// The target is full: no file that is only half there, and with room the same command goes through.
TEST_F(FullDisk, AtAnyPointOfARestore) {
    make_template();
    ASSERT_TRUE(os::make_folders(at("small")).has_value());
    const std::string before = listing(source());
    int full = 0, fits = 0;
    for (std::uint64_t pages = 1; pages < 300 && fits < 1 && !HasFailure(); pages += pages < 8 ? 1 : 12) {
        SCOPED_TRACE(fmt::format("{} pages of room", pages));
        const std::string size = fmt::format("size={}", pages * 4096);
        ASSERT_EQ(::mount("tmpfs", at("small").c_str(), "tmpfs", 0, size.c_str()), 0);
        const std::vector<std::string> restore = {"restore",     "latest",     "--target", at("small/back"),
                                                  "--overwrite", "if-changed", "--json"};
        const Run restored = run(restore);
        ++(restored.exit == 0 ? fits : full);
        if (restored.exit != 0) {
            EXPECT_EQ(restored.exit, 1) << restored.output;
            EXPECT_NE(restored.output.find("disk_full"), std::string::npos) << restored.output << restored.errors;
            for (const char* name : {"kept", "text", "changing"})
                if (os::exists(at("small/back") + source() + '/' + name)) {
                    EXPECT_EQ(os::read_file(at("small/back") + source() + '/' + name).value(),
                              os::read_file(source() + '/' + name).value())
                        << name;
                }
        }
        ASSERT_EQ(::mount("tmpfs", at("small").c_str(), "tmpfs", MS_REMOUNT, "size=64m"), 0);
        const Run again = run(restore);
        EXPECT_EQ(again.exit, 0) << again.output << again.errors;
        EXPECT_EQ(listing(at("small/back") + source()), before);
        EXPECT_EQ(::umount2(at("small").c_str(), MNT_DETACH), 0);
    }
    EXPECT_GT(full, 8);
    EXPECT_GT(fits, 0);
}

}    // namespace
}    // namespace holdfast::crash
