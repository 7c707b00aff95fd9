#include "holdfast/os/keyring.hpp"

#include <fmt/core.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "holdfast/os/process.hpp"

namespace holdfast::os {
namespace {

class KeyringTest : public ::testing::Test {
protected:
    void TearDown() override { static_cast<void>(remove_from_keyring(name_).has_value()); }
    const std::string name_ = fmt::format("holdfast-test:{}", ::getpid());
};

TEST_F(KeyringTest, GivesBackWhatWasStored) {    // DD-06
    ASSERT_TRUE(store_in_keyring(name_, Secret("correct horse")));
    const auto read = read_from_keyring(name_);
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_EQ(read->reveal(), "correct horse");
    ASSERT_TRUE(store_in_keyring(name_, Secret("battery staple")));
    EXPECT_EQ(read_from_keyring(name_)->reveal(), "battery staple");
}

TEST_F(KeyringTest, IsReadByAProcessWithAnotherSessionRing) {
    ASSERT_TRUE(store_in_keyring(name_, Secret("correct horse")));
    // As a service manager starts its services: a fresh session ring without a link to the user's.
    Command command;
    command.arguments = {"keyctl", "session", "-", "sh", "-c", "keyctl print $(keyctl search @u user \"$0\")", name_};
    const auto ran = run(std::move(command));
    ASSERT_TRUE(ran) << ran.error().message;
    EXPECT_EQ(ran->output, "correct horse\n") << ran->errors;
}

TEST_F(KeyringTest, FindsWhatKeyctlPutThere) {
    Command command;
    command.arguments = {"keyctl", "padd", "user", name_, "@u"};
    command.input = Stream::pipe;
    ASSERT_TRUE(run(std::move(command), "from a shell"));
    const auto read = read_from_keyring(name_);
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_EQ(read->reveal(), "from a shell");
}

TEST_F(KeyringTest, SaysWhatToDoWhenThereIsNone) {
    const auto read = read_from_keyring(name_);
    ASSERT_FALSE(read);
    EXPECT_EQ(read.error().code, ErrorCode::not_found);
    EXPECT_NE(read.error().message.find(name_), std::string::npos);
    EXPECT_NE(read.error().hint.find("store-in-keyring"), std::string::npos);
    EXPECT_EQ(remove_from_keyring(name_).error().code, ErrorCode::not_found);
}

TEST_F(KeyringTest, RefusesEmptyNamesAndSecrets) {
    EXPECT_EQ(store_in_keyring("", Secret("x")).error().code, ErrorCode::usage);
    EXPECT_EQ(store_in_keyring(name_, Secret()).error().code, ErrorCode::usage);
    EXPECT_EQ(read_from_keyring(std::string("a\0b", 3)).error().code, ErrorCode::usage);
}

TEST_F(KeyringTest, ARemovedKeyIsGone) {
    ASSERT_TRUE(store_in_keyring(name_, Secret("x"), std::chrono::hours(1)));
    ASSERT_TRUE(remove_from_keyring(name_));
    EXPECT_EQ(read_from_keyring(name_).error().code, ErrorCode::not_found);
}

}    // namespace
}    // namespace holdfast::os
