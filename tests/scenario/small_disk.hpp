#pragma once
// A file system of its own at a folder, to be filled: tmpfs, so the suite runs as root.

#include <fmt/core.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <cstdint>
#include <string>

#include "holdfast/os/file.hpp"

namespace holdfast::scenario {

constexpr std::uint64_t k_mib = 1 << 20;

class SmallDisk {
public:
    /// Anybody may write into it: servers run as users of their own.
    SmallDisk(std::string folder, std::uint64_t bytes) : folder_(std::move(folder)) {
        EXPECT_TRUE(os::make_folders(folder_, 0755));
        EXPECT_EQ(::mount("tmpfs", folder_.c_str(), "tmpfs", 0, fmt::format("size={},mode=0777", bytes).c_str()), 0)
            << "the suite mounts: it runs as root";
    }
    SmallDisk(const SmallDisk&) = delete;
    ~SmallDisk() { EXPECT_EQ(::umount2(folder_.c_str(), MNT_DETACH), 0); }

    void resize(std::uint64_t bytes) const {
        ASSERT_EQ(::mount("tmpfs", folder_.c_str(), "tmpfs", MS_REMOUNT, fmt::format("size={}", bytes).c_str()), 0);
    }
    /// So many bytes are free from now on.
    void leave(std::uint64_t bytes) const {
        struct statvfs now{};
        ASSERT_EQ(::statvfs(folder_.c_str(), &now), 0);
        resize((now.f_blocks - now.f_bfree) * now.f_frsize + bytes);
    }

private:
    const std::string folder_;
};

}    // namespace holdfast::scenario
