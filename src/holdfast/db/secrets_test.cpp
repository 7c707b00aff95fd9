#include "holdfast/db/secrets.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <vector>

#include "holdfast/base/log.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/keyring.hpp"

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
        const auto secret = read_secret({.file = path});
        ASSERT_TRUE(secret) << secret.error().message;
        EXPECT_EQ(secret->reveal(), "p w'\"%");
    }
    EXPECT_TRUE(lines.empty());
}

TEST_F(SecretFile, WarnsWhenOthersMayReadIt) {
    ASSERT_TRUE(os::write_file(path, as_bytes("hunter2\n"), 0644));
    ASSERT_TRUE(read_secret({.file = path}));
    ASSERT_EQ(lines.size(), 1u);
    EXPECT_NE(lines[0].find(path), std::string::npos);
    EXPECT_EQ(lines[0].find("hunter2"), std::string::npos);
}

TEST_F(SecretFile, MissingOrEmptyIsAnErrorThatNamesIt) {
    const auto missing = read_secret({.file = path});
    ASSERT_FALSE(missing);
    EXPECT_EQ(missing.error().code, ErrorCode::not_found);
    EXPECT_NE(missing.error().message.find(path), std::string::npos);
    ASSERT_TRUE(os::write_file(path, as_bytes("\nsecond\n")));
    const auto empty = read_secret({.file = path});
    ASSERT_FALSE(empty);
    EXPECT_EQ(empty.error().code, ErrorCode::config);
}

TEST(SecretCommand, GivesTheFirstLineOfItsOutput) {
    const auto secret = read_secret({.command = "printf 'a b\\nc\\n'"});
    ASSERT_TRUE(secret) << secret.error().message;
    EXPECT_EQ(secret->reveal(), "a b");
}

TEST(SecretCommand, FailureTellsNoMoreThanItsFirstWord) {
    const auto failed = read_secret({.command = "false --token hunter2"});
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().code, ErrorCode::config);
    EXPECT_NE(failed.error().message.find("false"), std::string::npos);
    EXPECT_EQ(failed.error().message.find("hunter2"), std::string::npos);
    EXPECT_FALSE(read_secret({.command = "true"}));
}

TEST(Secret, OfNoSourceIsEmpty) {
    const auto secret = read_secret({});
    ASSERT_TRUE(secret);
    EXPECT_TRUE(secret->empty());
}

class SecretCredential : public SecretFile {
protected:
    void SetUp() override {
        SecretFile::SetUp();
        ::setenv("CREDENTIALS_DIRECTORY", folder.path().c_str(), 1);
    }
    void TearDown() override {
        ::unsetenv("CREDENTIALS_DIRECTORY");
        SecretFile::TearDown();
    }
};

TEST_F(SecretCredential, IsReadFromTheServiceManagersFolder) {    // DD-06
    ASSERT_TRUE(os::write_file(folder.path() + "/vault-password", as_bytes("hunter2\n"), 0400));
    const auto secret = read_secret({.credential = "vault-password"});
    ASSERT_TRUE(secret) << secret.error().message;
    EXPECT_EQ(secret->reveal(), "hunter2");
}

TEST_F(SecretCredential, OneThatWasNotGivenIsNamedWithTheLineForTheUnit) {
    const auto secret = read_secret({.credential = "vault-password"});
    ASSERT_FALSE(secret);
    EXPECT_EQ(secret.error().code, ErrorCode::not_found);
    EXPECT_NE(secret.error().hint.find("LoadCredential=vault-password:"), std::string::npos);
}

TEST_F(SecretCredential, NeverLeavesTheFolder) {
    EXPECT_EQ(read_secret({.credential = "../etc/passwd"}).error().code, ErrorCode::config);
    EXPECT_EQ(read_secret({.credential = ".."}).error().code, ErrorCode::config);
}

TEST_F(SecretCredential, WithoutAServiceManagerSaysSo) {
    ::unsetenv("CREDENTIALS_DIRECTORY");
    const auto secret = read_secret({.credential = "vault-password"});
    ASSERT_FALSE(secret);
    EXPECT_EQ(secret.error().code, ErrorCode::config);
    EXPECT_NE(secret.error().message.find("CREDENTIALS_DIRECTORY"), std::string::npos);
}

TEST(SecretKeyring, GivesTheFirstLineOfTheKey) {    // DD-06
    const std::string name = "holdfast-secrets-test:" + std::to_string(::getpid());
    ASSERT_TRUE(os::store_in_keyring(name, Secret("hunter2\nsecond"), std::chrono::minutes(10)));
    const auto secret = read_secret({.keyring = name});
    ASSERT_TRUE(os::remove_from_keyring(name));
    ASSERT_TRUE(secret) << secret.error().message;
    EXPECT_EQ(secret->reveal(), "hunter2");
    EXPECT_EQ(read_secret({.keyring = name}).error().code, ErrorCode::not_found);
}

}    // namespace
}    // namespace holdfast::db
