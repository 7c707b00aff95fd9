#include "holdfast/base/secret.hpp"

#include <gtest/gtest.h>

#include <type_traits>

namespace holdfast {
namespace {

static_assert(!std::is_copy_constructible_v<Secret> && !std::is_copy_assignable_v<Secret>);
static_assert(!std::is_convertible_v<Secret, std::string> && !std::is_convertible_v<std::string, Secret>);

TEST(Secret, MovesAndLeavesNothingBehind) {
    for (const std::string& text : {std::string("short"), std::string(1000, 'x')}) {
        Secret a(text);
        Secret b(std::move(a));
        EXPECT_TRUE(a.empty());
        EXPECT_EQ(b.reveal(), text);
        Secret c("other");
        c = std::move(b);
        EXPECT_TRUE(b.empty());
        EXPECT_EQ(c.reveal(), text);
        Secret& same = c;
        c = std::move(same);
        EXPECT_EQ(c.reveal(), text);
    }
}

TEST(Secret, IsCopiedOnlyByName) {
    const Secret a("password");
    const Secret b = a.clone();
    EXPECT_EQ(b.reveal(), "password");
    EXPECT_TRUE(Secret().empty());
}

}    // namespace
}    // namespace holdfast
