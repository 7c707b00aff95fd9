#include "holdfast/os/file_lock.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>

#include <thread>

#include "holdfast/os/file.hpp"

namespace holdfast::os {
namespace {

TEST(LockAlone, WaitsForOneThatIsGoneSoonAndNotForOneThatStays) {
    const TempFolder folder = *TempFolder::create("hf-lock-");
    const std::string path = folder.path() + "/lock";
    auto held = open_file(path, O_RDWR | O_CREAT);
    const auto mine = open_file(path, O_RDWR);
    ASSERT_TRUE(held && mine);
    ASSERT_EQ(::flock(held->get(), LOCK_EX), 0);
    const Status refused = lock_alone(mine->get(), "another one is at work", "wait for it");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::locked);
    EXPECT_EQ(refused.error().message + "; " + refused.error().hint, "another one is at work; wait for it");
    std::jthread ends([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
        *held = Fd();
    });
    EXPECT_TRUE(lock_alone(mine->get(), "another one is at work", "wait for it"));
    EXPECT_EQ(lock_alone(-1, "another one", "wait").error().code, errno_error(EBADF, "").code);
}

}    // namespace
}    // namespace holdfast::os
