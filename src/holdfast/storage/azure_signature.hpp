#pragma once
// Azure's SharedKey: what proves to a Blob server that a request is ours. Pure: the time comes in.
//
//   signed   method, standard headers, x-ms-* headers, account, path, query
//   source   Microsoft, "Authorize with Shared Key", Blob service, versions from 2015-02-21 on

#include <string>

#include "holdfast/base/clock.hpp"
#include "holdfast/base/secret.hpp"
#include "holdfast/storage/sigv4.hpp"

namespace holdfast::storage {

struct AzureCredentials {
    std::string account{};
    Bytes key{};    // decoded; empty: use the SAS
    Secret sas{};    // "sv=…&sig=…", without the question mark

    AzureCredentials clone() const { return {account, key, sas.clone()}; }
};

struct AzureRequest {
    std::string method;
    std::string path;    // of the URL, encoded: "/container/blob", with the account before it where hosts are addresses
    Query query{};    // decoded
    std::vector<HttpHeader> headers{};    // all x-ms-*; Content-MD5, Content-Type, If-None-Match, Range
    std::uint64_t content_length = 0;
};

std::string azure_string_to_sign(const AzureRequest& request, const std::string& account);
/// The Authorization header's value.
std::string azure_authorization(const AzureRequest& request, const AzureCredentials& credentials);
/// "Fri, 26 Jun 2015 23:39:12 GMT".
std::string http_date(Timestamp time);

}    // namespace holdfast::storage
