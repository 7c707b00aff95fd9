#include "holdfast/storage/sigv4.hpp"

#include <gmock/gmock.h>

#include "holdfast/format/crypto.hpp"

namespace holdfast::storage {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;

const std::string k_empty = format::sha256({}).hex();

// The worked examples of "Signature Calculations for the Authorization Header", 24 May 2013, us-east-1.
std::string signature(const std::string& method, const std::string& path, const Query& query,
                      std::vector<HttpHeader> headers, const std::string& payload) {
    AwsCredentials credentials{.access_key = "AKIAIOSFODNN7EXAMPLE",
                               .secret_key = Secret("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")};
    const auto added = sign_v4({.method = method,
                                .host = "examplebucket.s3.amazonaws.com",
                                .path = path,
                                .query = query,
                                .headers = std::move(headers),
                                .payload_sha256 = payload},
                               credentials, "us-east-1", parse_rfc3339("2013-05-24T00:00:00Z").value());
    return added.back().value;
}

TEST(SigV4, SignsTheExamplesOfItsSpecification) {
    const std::string range = signature("GET", "/test.txt", {}, {{"Range", "bytes=0-9"}}, k_empty);
    EXPECT_EQ(range,
              "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
              "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,"
              "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
    EXPECT_THAT(signature("PUT", "/test%24file.text", {},
                          {{"Date", "Fri, 24 May 2013 00:00:00 GMT"}, {"x-amz-storage-class", "REDUCED_REDUNDANCY"}},
                          "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"),
                EndsWith("98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"));
    EXPECT_THAT(signature("GET", "/", {{"lifecycle", ""}}, {}, k_empty),
                EndsWith("fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"));
    EXPECT_THAT(signature("GET", "/", {{"prefix", "J"}, {"max-keys", "2"}}, {}, k_empty),
                EndsWith("34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"));
}

TEST(SigV4, CoversEveryPartOfTheRequest) {
    const auto base = signature("GET", "/k", {}, {{"If-None-Match", "*"}}, k_empty);
    EXPECT_NE(base, signature("PUT", "/k", {}, {{"If-None-Match", "*"}}, k_empty));
    EXPECT_NE(base, signature("GET", "/l", {}, {{"If-None-Match", "*"}}, k_empty));
    EXPECT_NE(base, signature("GET", "/k", {{"a", ""}}, {{"If-None-Match", "*"}}, k_empty));
    EXPECT_NE(base, signature("GET", "/k", {}, {{"If-None-Match", "x"}}, k_empty));
    EXPECT_NE(base, signature("GET", "/k", {}, {{"If-None-Match", "*"}}, std::string(64, '0')));
    EXPECT_EQ(base, signature("GET", "/k", {}, {{"if-none-match", "  * "}}, k_empty));
}

TEST(SigV4, CarriesTheTokenOfTemporaryCredentials) {
    AwsCredentials credentials{.access_key = "A", .secret_key = Secret("s"), .session_token = Secret("tok/en+=")};
    const auto added =
        sign_v4({.method = "GET", .host = "h", .path = "/", .payload_sha256 = k_empty}, credentials, "eu-west-1", {});
    EXPECT_EQ(added[2], (HttpHeader{"x-amz-security-token", "tok/en+="}));
    EXPECT_THAT(added.back().value, HasSubstr("x-amz-date;x-amz-security-token"));
    EXPECT_EQ(added[1].value, "19700101T000000Z");
}

TEST(CanonicalQuery, IsSortedEncodedAndNeverLeavesOutTheEqualsSign) {
    EXPECT_EQ(canonical_query({{"uploads", ""}, {"prefix", "data/a b"}, {"list-type", "2"}, {"Zed", "+"}}),
              "Zed=%2B&list-type=2&prefix=data%2Fa%20b&uploads=");
}

}    // namespace
}    // namespace holdfast::storage
