#include "holdfast/storage/azure_signature.hpp"

#include <gtest/gtest.h>

namespace holdfast::storage {
namespace {

// The examples of "Authorize with Shared Key".
TEST(AzureSignature, IsMadeOfWhatItsSpecificationShows) {
    const AzureRequest metadata{
        .method = "GET",
        .path = "/mycontainer",
        .query = {{"restype", "container"}, {"comp", "metadata"}, {"timeout", "20"}},
        .headers = {{"x-ms-version", "2015-02-21"}, {"x-ms-date", "Fri, 26 Jun 2015 23:39:12 GMT"}}};
    EXPECT_EQ(azure_string_to_sign(metadata, "myaccount"),
              "GET\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:Fri, 26 Jun 2015 23:39:12 GMT\nx-ms-version:2015-02-21\n"
              "/myaccount/mycontainer\ncomp:metadata\nrestype:container\ntimeout:20");
    const AzureRequest put{.method = "PUT",
                           .path = "/c/b",
                           .headers = {{"Content-MD5", "md5"}, {"If-None-Match", "*"}, {"X-Ms-Blob-Type", "BlockBlob"}},
                           .content_length = 11};
    EXPECT_EQ(azure_string_to_sign(put, "a"), "PUT\n\n\n11\nmd5\n\n\n\n\n*\n\n\nx-ms-blob-type:BlockBlob\n/a/c/b");
}

TEST(AzureSignature, IsAnHmacUnderTheKey) {
    AzureCredentials credentials{.account = "a"};
    ASSERT_TRUE(from_base64("a2V5", credentials.key));
    const AzureRequest request{.method = "GET", .path = "/c"};
    const std::string first = azure_authorization(request, credentials);
    EXPECT_TRUE(first.starts_with("SharedKey a:"));
    EXPECT_EQ(first.size(), std::string("SharedKey a:").size() + 44);
    ASSERT_TRUE(from_base64("a2V6", credentials.key));
    EXPECT_NE(azure_authorization(request, credentials), first);
}

TEST(HttpDate, IsInEnglishAndInGmt) {
    EXPECT_EQ(http_date(parse_rfc3339("2015-06-26T23:39:12.9Z").value()), "Fri, 26 Jun 2015 23:39:12 GMT");
    EXPECT_EQ(http_date(parse_rfc3339("2024-02-29T00:00:00+01:00").value()), "Wed, 28 Feb 2024 23:00:00 GMT");
}

}    // namespace
}    // namespace holdfast::storage
