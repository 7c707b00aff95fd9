#include "holdfast/db/secrets.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <vector>

#include "holdfast/base/log.hpp"
#include "holdfast/os/file.hpp"

namespace holdfast::db {
namespace {

struct SecretFile : testing::Test {
    os::TempFolder folder = *os::TempFolder::create("secrets");
    std::string path = folder.path() + "/password";
    std::vector<std::string> lines;
    void SetUp() override {
        LogOptions options;
        options.sink = [this](std::string_view line) { lines.emplace_back(line); };
        set_log(std::move(options));
    }
    void TearDown() override { set_log({}); }
};

TEST_F(SecretFile, GivesTheFirstLineWithoutItsEnd) {
    for (const char* content : {"p w'\"%", "p w'\"%\n", "p w'\"%\r\n", "p w'\"%\nsecond\n"}) {
        ASSERT_TRUE(os::write_file(path, as_bytes(content)));
        const auto secret = read_secret(path, "");
        ASSERT_TRUE(secret) << secret.error().message;
        EXPECT_EQ(secret->reveal(), "p w'\"%");
    }
    EXPECT_TRUE(lines.empty());
}

TEST_F(SecretFile, WarnsWhenOthersMayReadIt) {
    ASSERT_TRUE(os::write_file(path, as_bytes("hunter2\n"), 0644));
    ASSERT_TRUE(read_secret(path, ""));
    ASSERT_EQ(lines.size(), 1u);
    EXPECT_NE(lines[0].find(path), std::string::npos);
    EXPECT_EQ(lines[0].find("hunter2"), std::string::npos);
}

TEST_F(SecretFile, MissingOrEmptyIsAnErrorThatNamesIt) {
    const auto missing = read_secret(path, "");
    ASSERT_FALSE(missing);
    EXPECT_EQ(missing.error().code, ErrorCode::not_found);
    EXPECT_NE(missing.error().message.find(path), std::string::npos);
    ASSERT_TRUE(os::write_file(path, as_bytes("\nsecond\n")));
    const auto empty = read_secret(path, "");
    ASSERT_FALSE(empty);
    EXPECT_EQ(empty.error().code, ErrorCode::config);
}

TEST(SecretCommand, GivesTheFirstLineOfItsOutput) {
    const auto secret = read_secret("", "printf 'a b\\nc\\n'");
    ASSERT_TRUE(secret) << secret.error().message;
    EXPECT_EQ(secret->reveal(), "a b");
}

TEST(SecretCommand, FailureTellsNoMoreThanItsFirstWord) {
    const auto failed = read_secret("", "false --token hunter2");
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().code, ErrorCode::config);
    EXPECT_NE(failed.error().message.find("false"), std::string::npos);
    EXPECT_EQ(failed.error().message.find("hunter2"), std::string::npos);
    EXPECT_FALSE(read_secret("", "true"));
}

TEST(Secret, OfNoSourceIsEmpty) {
    const auto secret = read_secret("", "");
    ASSERT_TRUE(secret);
    EXPECT_TRUE(secret->empty());
}

}    // namespace
}    // namespace holdfast::db
