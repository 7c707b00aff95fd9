#include "holdfast/storage/aws_credentials.hpp"

#include <gtest/gtest.h>

namespace holdfast::storage {
namespace {

constexpr std::string_view k_file = R"(# comment
[default]
aws_access_key_id = AKDEFAULT
aws_secret_access_key=se=cret/+
[ off-site ]
aws_access_key_id=AKOFF
aws_secret_access_key = other
aws_session_token = token
region = eu-west-1
[empty]
)";

TEST(AwsCredentials, ComeFromTheSectionThatIsNamed) {
    const auto first = parse_aws_credentials(k_file, "default");
    ASSERT_TRUE(first);
    EXPECT_EQ(first->access_key, "AKDEFAULT");
    EXPECT_EQ(first->secret_key.reveal(), "se=cret/+");
    EXPECT_TRUE(first->session_token.empty());
    const auto second = parse_aws_credentials(k_file, "off-site");
    ASSERT_TRUE(second);
    EXPECT_EQ(second->secret_key.reveal(), "other");
    EXPECT_EQ(second->session_token.reveal(), "token");
    for (const char* missing : {"empty", "none", ""})
        EXPECT_EQ(parse_aws_credentials(k_file, missing).error().code, ErrorCode::not_found);
    EXPECT_EQ(parse_aws_credentials("[default", "default").error().code, ErrorCode::config);
    EXPECT_EQ(parse_aws_credentials("", "default").error().code, ErrorCode::not_found);
}

}    // namespace
}    // namespace holdfast::storage
