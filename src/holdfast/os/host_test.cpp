#include "holdfast/os/host.hpp"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>

namespace holdfast::os {
namespace {

// In a process of its own, since rights that were given up do not come back. Its exit status: 0, or the line that failed.
int in_child(const std::function<int()>& what) {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(what());
    int status = -1;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

TEST(PreferThisThread, WithARealTimePriorityItGoesFirstAndOthersStayAsTheyAre) {
    EXPECT_EQ(
        in_child([] {
            // Who may: root with CAP_SYS_NICE, in a control group that has real time to give.
            if (const auto given = prefer_this_thread(7); !given)
                return given.error().code == ErrorCode::denied && ::sched_getscheduler(0) == SCHED_OTHER ? 0 : __LINE__;
            sched_param parameters{};
            ::sched_getparam(0, &parameters);
            if (::sched_getscheduler(0) != SCHED_FIFO || parameters.sched_priority != 7) return __LINE__;
            if (!prefer_this_thread(0) || ::sched_getscheduler(0) != SCHED_OTHER) return __LINE__;
            return 0;
        }),
        0);
}

TEST(PreferThisThread, WithoutTheRightItSaysWhatGivesItAndGoesOn) {
    EXPECT_EQ(in_child([] {
                  const rlimit none{0, 0};
                  ::setrlimit(RLIMIT_RTPRIO, &none);
                  if (::geteuid() == 0 && ::setuid(65534) != 0) return __LINE__;
                  const auto refused = prefer_this_thread(7);
                  if (refused || refused.error().code != ErrorCode::denied) return __LINE__;
                  if (refused.error().hint.find("LimitRTPRIO=") == std::string::npos) return __LINE__;
                  if (::sched_getscheduler(0) != SCHED_OTHER) return __LINE__;
                  return 0;
              }),
              0);
}

}    // namespace
}    // namespace holdfast::os
