#include "holdfast/storage/s3_client.hpp"

#include <fmt/core.h>

#include "holdfast/base/log.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/storage/digest.hpp"
#include "holdfast/storage/xml.hpp"

namespace holdfast::storage {
namespace {

constexpr std::string_view k_empty_sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

struct S3Words {
    std::string code, message, region;
};

S3Words words_of(const HttpResponse& response) {
    S3Words words;
    if (const auto root = parse_xml(as_text(response.body)); root && root->name == "Error") {
        words.code = root->text_of("Code");
        words.message = root->text_of("Message");
        words.region = root->text_of("Region");
    }
    if (const auto region = response.header("x-amz-bucket-region"); region && words.region.empty())
        words.region = *region;
    return words;
}

bool one_of(std::string_view code, std::initializer_list<std::string_view> codes) {
    return std::find(codes.begin(), codes.end(), code) != codes.end();
}

bool is_region_name(std::string_view text) {
    return !text.empty() && text.size() < 64 &&
           text.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == text.npos;
}

}    // namespace

S3Client::S3Client(S3Location location, AwsCredentials credentials, HttpOptions http, std::function<Timestamp()> now)
    : location_(std::move(location)),
      credentials_(std::move(credentials)),
      http_(std::move(http)),
      now_(std::move(now)),
      region_(location_.region.empty() ? "us-east-1" : location_.region) {
    if (!now_) now_ = [] { return os::SystemClock().now(); };
}

std::string S3Client::region() const {
    const std::scoped_lock lock(mutex_);
    return region_;
}

Result<HttpResponse> S3Client::send_once(const S3Request& request, const std::string& region) {
    SigV4Request to_sign{.method = request.method,
                         .host = location_.host(),
                         .path = location_.base_path() + percent_encoded(request.key, "/"),
                         .query = request.query,
                         .headers = request.headers,
                         .payload_sha256 = request.payload_sha256};
    // The bucket itself: "/bucket" and "/bucket/" are the same to all servers; the first is what others send.
    if (request.key.empty() && !location_.bucket_in_host) to_sign.path.pop_back();
    if (to_sign.payload_sha256.empty()) {
        to_sign.payload_sha256 = k_empty_sha256;
        if (request.body) {
            HF_TRY(const auto digest, sha256_of(*request.body, 0, request.body->size()));
            to_sign.payload_sha256 = to_hex(digest);
        }
    }
    HttpRequest http;
    http.method = request.method;
    http.url = fmt::format("{}://{}{}", location_.scheme, to_sign.host, to_sign.path);
    if (!request.query.empty()) http.url += "?" + canonical_query(request.query);
    http.headers = request.headers;
    for (HttpHeader& header : sign_v4(to_sign, credentials_, region, now_())) http.headers.push_back(std::move(header));
    http.body = request.body;
    http.what = request.what;
    http.sink = request.sink;
    http.body_max = request.body_max;
    return http_.send(http);
}

Result<HttpResponse> S3Client::send(const S3Request& request) {
    for (bool again = false;; again = true) {
        const std::string region = this->region();
        HF_TRY(HttpResponse response, send_once(request, region));
        if (response.ok()) return response;
        // An answer to HEAD has no words: the same question is asked once more, for them.
        if (request.method == "HEAD" && response.status != 404) {
            S3Request get = request;
            get.method = "GET";
            get.headers = {{"Range", "bytes=0-0"}};
            HF_TRY(HttpResponse with_words, send_once(get, region));
            if (!with_words.ok() && with_words.status != 416) response = std::move(with_words);
        }
        const S3Words words = words_of(response);
        const bool other_region =
            is_region_name(words.region) && words.region != region &&
            (one_of(words.code, {"AuthorizationHeaderMalformed", "PermanentRedirect", "TemporaryRedirect"}) ||
             response.status == 301 || response.status == 307);
        if (other_region && !again && location_.region.empty()) {
            log_debug("the bucket lies in another region", {{"region", words.region}});
            const std::scoped_lock lock(mutex_);
            region_ = words.region;
            continue;
        }
        Error error = error_of(response, request.what);
        if (other_region)
            error = {ErrorCode::usage,
                     fmt::format("{}: the bucket lies in the region {}, not in {}", request.what, words.region, region),
                     fmt::format("say -o s3.region={}", words.region)};
        return fail(std::move(error));
    }
}

Error S3Client::error_of(const XmlElement& words, const std::string& what) const {
    const std::string_view code = words.text_of("Code");
    Error error = http_error(
        one_of(code, {"AccessDenied", "InvalidAccessKeyId"})                                                      ? 403
        : one_of(code, {"InternalError", "SlowDown", "ServiceUnavailable", "OperationAborted", "RequestTimeout"}) ? 503
                                                                                                                  : 400,
        what, "");
    error.message = fmt::format("{}: {}: {}", what, code, words.text_of("Message"));
    return error;
}

Error S3Client::error_of(const HttpResponse& response, const std::string& what) const {
    const S3Words words = words_of(response);
    const std::string detail = words.code.empty() ? words.message : fmt::format("{}: {}", words.code, words.message);
    Error error = http_error(response.status, what, detail);
    if (one_of(words.code, {"RequestTimeTooSkewed", "RequestExpired"})) {
        error.code = ErrorCode::denied;
        error.hint = "the clocks of this machine and of the server differ by more than 15 minutes: set the right time";
        if (const auto date = response.header("Date"))
            error.hint += fmt::format(" (here it is {}, there {})", to_rfc3339(now_()), *date);
    } else if (one_of(words.code, {"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken",
                                   "InvalidSecurity"})) {
        error.code = ErrorCode::denied;
        error.hint = words.code == "ExpiredToken"
                         ? "the temporary credentials have run out: fetch new ones"
                         : "check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN";
    } else if (error.code == ErrorCode::denied) {
        error.hint = fmt::format(
            "the keys are accepted but may not do this in the bucket {}: look at its policy and at "
            "the user's rights",
            location_.bucket);
        if (words.code.empty() || words.code == "AccessDenied")
            error.hint = fmt::format(
                "may these keys use the bucket {}? look at AWS_ACCESS_KEY_ID, the bucket's policy and the user's "
                "rights",
                location_.bucket);
    } else if (one_of(words.code, {"RequestTimeout", "SlowDown", "InternalError", "ServiceUnavailable",
                                   "OperationAborted", "ConditionalRequestConflict"})) {
        error.code = ErrorCode::unreachable;
    } else if (one_of(words.code, {"BadDigest", "XAmzContentSHA256Mismatch", "IncompleteBody"})) {
        error.code = ErrorCode::unreachable;    // damaged on its way: another attempt can help
        error.hint = "what arrived was not what was sent: is the memory of this machine, is the network sound?";
    } else if (words.code == "NoSuchBucket") {
        error.code = ErrorCode::not_found;
        error.hint = fmt::format("is {} the bucket's name? `holdfast init` makes it", location_.bucket);
    } else if (response.status == 501) {
        error.code = ErrorCode::unsupported;
        error.hint = "this server does not know that feature of S3";
    } else if (response.status == 301 || response.status == 307) {
        error.code = ErrorCode::usage;
        error.hint = "the server sends us elsewhere: name the endpoint of the bucket's own region";
    }
    return error;
}

}    // namespace holdfast::storage
