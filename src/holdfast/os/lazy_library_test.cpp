#include "holdfast/os/lazy_library.hpp"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#if defined(__x86_64__)

// Of libm, because no program fails to find it: an integer and a floating point argument.
#define HF_LIBRARY "libm.so.6"
extern "C" double yn(int order, double x);
HF_LAZY(yn);
extern "C" double hf_test_no_function();
HF_LAZY(hf_test_no_function);
#undef HF_LIBRARY
#define HF_LIBRARY "libhf-test-none.so.1"
extern "C" void hf_test_no_library();
HF_LAZY(hf_test_no_library);

namespace holdfast::os {
namespace {

TEST(LazyLibrary, FirstAndLaterCallsGetTheirArguments) {
    std::vector<std::thread> threads;
    for (int i = 0; i < 8; ++i)
        threads.emplace_back([] {
            for (int k = 0; k < 3; ++k) EXPECT_NEAR(yn(1, 2.0), -0.1070324315, 1e-9);
        });
    for (std::thread& thread : threads) thread.join();
}

TEST(LazyLibrary, SaysWhatIsMissing) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_EXIT(hf_test_no_library(), testing::ExitedWithCode(127), "libhf-test-none.so.1 cannot be loaded");
    EXPECT_EXIT(hf_test_no_function(), testing::ExitedWithCode(127), "libm.so.6 cannot be loaded");
}

}    // namespace
}    // namespace holdfast::os

#endif
