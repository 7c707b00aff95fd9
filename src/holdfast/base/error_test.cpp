#include "holdfast/base/error.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <set>

#include "holdfast/base/result.hpp"

namespace holdfast {
namespace {

TEST(ErrorTable, HasOneNameAndMeaningPerCode) {
    std::set<std::string_view> names, meanings;
    int codes = 0;
#define HF_COUNT(code, exit, retry, text)                      \
    names.insert(facts(ErrorCode::code).name);                 \
    meanings.insert(facts(ErrorCode::code).meaning);           \
    EXPECT_NE(facts(ErrorCode::code).exit_status, 0) << #code; \
    ++codes;
    HF_ERRORS(HF_COUNT)
#undef HF_COUNT
    EXPECT_EQ(names.size(), static_cast<std::size_t>(codes));
    EXPECT_EQ(meanings.size(), static_cast<std::size_t>(codes));
}

TEST(ErrorTable, KeepsTheExitCodesThatScriptsRelyOn) {
    EXPECT_EQ(facts(ErrorCode::usage).exit_status, 2);
    EXPECT_EQ(facts(ErrorCode::config).exit_status, 2);
    EXPECT_EQ(facts(ErrorCode::incomplete).exit_status, 3);
    EXPECT_EQ(facts(ErrorCode::no_repository).exit_status, 10);
    EXPECT_EQ(facts(ErrorCode::locked).exit_status, 11);
    EXPECT_EQ(facts(ErrorCode::wrong_password).exit_status, 12);
    EXPECT_EQ(facts(ErrorCode::cancelled).exit_status, 130);
    EXPECT_EQ(facts(ErrorCode::corrupt).exit_status, 1);
}

TEST(ErrorTable, RetriesOnlyWhatMayPass) {
    EXPECT_TRUE(facts(ErrorCode::unreachable).retryable);
    EXPECT_TRUE(facts(ErrorCode::locked).retryable);
    EXPECT_TRUE(facts(ErrorCode::changed).retryable);
    for (const ErrorCode code :
         {ErrorCode::corrupt, ErrorCode::denied, ErrorCode::disk_full, ErrorCode::wrong_password, ErrorCode::usage})
        EXPECT_FALSE(facts(code).retryable);
}

TEST(Errno, BecomesTheCodeThatSaysWhatToDo) {
    const std::pair<int, ErrorCode> table[] = {{ENOSPC, ErrorCode::disk_full},
                                               {EDQUOT, ErrorCode::disk_full},
                                               {EACCES, ErrorCode::denied},
                                               {EPERM, ErrorCode::denied},
                                               {ENOENT, ErrorCode::not_found},
                                               {EEXIST, ErrorCode::exists},
                                               {EIO, ErrorCode::io},
                                               {EBADF, ErrorCode::io},
                                               {ETIMEDOUT, ErrorCode::unreachable},
                                               {ECONNREFUSED, ErrorCode::unreachable}};
    for (const auto& [number, code] : table) EXPECT_EQ(errno_error(number, "x").code, code) << number;
    const Error full = errno_error(ENOSPC, "cannot write /a/b");
    EXPECT_EQ(full.message.rfind("cannot write /a/b: ", 0), 0u);
    EXPECT_FALSE(full.hint.empty());    // NS-17
}

TEST(Error, GainsContextAndKeepsCodeAndHint) {
    const Error inner{ErrorCode::io, "input/output error", "look at the disk"};
    const Error outer = inner.within("reading pack ab12");
    EXPECT_EQ(outer.message, "reading pack ab12: input/output error");
    EXPECT_EQ(outer.code, ErrorCode::io);
    EXPECT_EQ(outer.hint, inner.hint);
    EXPECT_EQ(Error(inner).within("a").within("b").message, "b: a: input/output error");
}

Result<int> half(int n) {
    if (n % 2) return fail(ErrorCode::usage, "odd");
    return n / 2;
}
Result<int> quarter(int n) {
    HF_TRY(const int once, half(n));
    HF_TRY(const int twice, half(once));
    return twice;
}
Status even(int n) {
    HF_DO(half(n));
    return {};
}

TEST(Result, HandsErrorsOn) {
    EXPECT_EQ(*quarter(8), 2);
    EXPECT_EQ(quarter(6).error().message, "odd");
    EXPECT_TRUE(even(2));
    EXPECT_EQ(even(3).error().code, ErrorCode::usage);
}

TEST(AssertDeathTest, StopsTheProcessAndSaysWhere) {
    EXPECT_DEATH(HF_ASSERT(1 + 1 == 3), "bug: 1 \\+ 1 == 3 does not hold");
}

}    // namespace
}    // namespace holdfast
