#pragma once
// AWS Signature Version 4: what proves to an S3 server that a request is ours and arrived as it was sent. Pure: the time
// comes in.
//
//   signed   method, path, query, the host, every header given, the SHA-256 of the body
//   threads  values only; safe anywhere
//   source   AWS, "Authenticating Requests (AWS Signature Version 4)": header form, one chunk, no double encoding of paths

#include <string>
#include <utility>
#include <vector>

#include "holdfast/base/clock.hpp"
#include "holdfast/base/secret.hpp"
#include "holdfast/storage/http_client.hpp"

namespace holdfast::storage {

struct AwsCredentials {
    std::string access_key{};
    Secret secret_key{};
    Secret session_token{};    // of temporary credentials; may be empty
};

using Query = std::vector<std::pair<std::string, std::string>>;
/// Sorted and encoded: "list-type=2&prefix=data%2F", "uploads=". What is signed and what is sent must be this.
std::string canonical_query(const Query& query);

struct SigV4Request {
    std::string method;
    std::string host;    // the Host header: "host" or "host:port"
    std::string path;    // encoded as it is sent: "/bucket/keys/ab12"
    Query query{};
    std::vector<HttpHeader> headers{};
    std::string payload_sha256;    // hex
};

/// The headers to add to `request.headers`: x-amz-content-sha256, x-amz-date, x-amz-security-token, Authorization.
std::vector<HttpHeader> sign_v4(const SigV4Request& request, const AwsCredentials& credentials, std::string_view region,
                                Timestamp now);

}    // namespace holdfast::storage
