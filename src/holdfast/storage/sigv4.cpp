#include "holdfast/storage/sigv4.hpp"

#include <fmt/core.h>
#include <openssl/crypto.h>

#include <algorithm>

#include "holdfast/format/crypto.hpp"
#include "holdfast/storage/digest.hpp"
#include "holdfast/storage/url.hpp"

namespace holdfast::storage {
namespace {

// "20130524T000000Z"
std::string basic_time(Timestamp now) {
    std::string text = to_rfc3339({now.nanoseconds / 1'000'000'000 * 1'000'000'000});
    std::erase_if(text, [](char c) { return c == '-' || c == ':'; });
    return text;
}

std::string lower(std::string text) {
    for (char& c : text)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return text;
}

// Ends trimmed and inner blanks made single, as the server does before it signs.
std::string trimmed(std::string_view value) {
    std::string out;
    for (const char c : value) {
        if ((c == ' ' || c == '\t') && (out.empty() || out.back() == ' ')) continue;
        out += c == '\t' ? ' ' : c;
    }
    while (!out.empty() && out.back() == ' ') out.pop_back();
    return out;
}

}    // namespace

std::string canonical_query(const Query& query) {
    std::vector<std::pair<std::string, std::string>> encoded;
    for (const auto& [name, value] : query) encoded.emplace_back(percent_encoded(name), percent_encoded(value));
    std::sort(encoded.begin(), encoded.end());
    std::string out;
    for (const auto& [name, value] : encoded) out += fmt::format("{}{}={}", out.empty() ? "" : "&", name, value);
    return out;
}

std::vector<HttpHeader> sign_v4(const SigV4Request& request, const AwsCredentials& credentials, std::string_view region,
                                Timestamp now) {
    const std::string time = basic_time(now);
    const std::string_view day = std::string_view(time).substr(0, 8);
    std::vector<HttpHeader> added = {{"x-amz-content-sha256", request.payload_sha256}, {"x-amz-date", time}};
    if (!credentials.session_token.empty())
        added.push_back({"x-amz-security-token", credentials.session_token.reveal()});

    std::vector<std::pair<std::string, std::string>> headers = {{"host", request.host}};
    for (const auto* list : {&request.headers, &std::as_const(added)})
        for (const HttpHeader& header : *list) headers.emplace_back(lower(header.name), trimmed(header.value));
    std::sort(headers.begin(), headers.end());
    std::string lines, names;
    for (const auto& [name, value] : headers) {
        lines += fmt::format("{}:{}\n", name, value);
        names += (names.empty() ? "" : ";") + name;
    }
    const std::string canonical = fmt::format("{}\n{}\n{}\n{}\n{}\n{}", request.method, request.path,
                                              canonical_query(request.query), lines, names, request.payload_sha256);
    const std::string scope = fmt::format("{}/{}/s3/aws4_request", day, region);
    const std::string to_sign =
        fmt::format("AWS4-HMAC-SHA256\n{}\n{}\n{}", time, scope, format::sha256(as_bytes(canonical)).hex());

    std::string first = "AWS4" + credentials.secret_key.reveal();
    auto key = hmac_sha256(as_bytes(first), as_bytes(day));
    OPENSSL_cleanse(first.data(), first.size());
    for (const std::string_view part : {region, std::string_view("s3"), std::string_view("aws4_request")})
        key = hmac_sha256(key, as_bytes(part));
    const std::string signature = to_hex(hmac_sha256(key, as_bytes(to_sign)));
    OPENSSL_cleanse(key.data(), key.size());
    added.push_back({"Authorization", fmt::format("AWS4-HMAC-SHA256 Credential={}/{},SignedHeaders={},Signature={}",
                                                  credentials.access_key, scope, names, signature)});
    return added;
}

}    // namespace holdfast::storage
