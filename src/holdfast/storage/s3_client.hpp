#pragma once
// Requests to one bucket of an S3 server: signed, sent, and their failures understood.
//
//   region   when it was not said, the first answer that names another one is believed, and the request repeated
//   errors   not_found (no such key or bucket), denied (keys, rights, or a clock that is wrong: said which), exists (a
//            precondition failed), unsupported (501), unreachable for all that may pass: 5xx, SlowDown, RequestTimeout, a
//            body that arrived damaged; the server's own words are in the message, keys and signatures never
//   threads  any

#include <atomic>
#include <mutex>

#include "holdfast/storage/s3_location.hpp"
#include "holdfast/storage/sigv4.hpp"
#include "holdfast/storage/xml.hpp"

namespace holdfast::storage {

struct S3Request {
    std::string method = "GET";
    std::string key{};    // with the prefix, not encoded; empty: the bucket itself
    Query query{};
    std::vector<HttpHeader> headers{};
    HttpBody* body = nullptr;
    std::string payload_sha256{};    // hex; empty: computed
    std::string what{};
    std::function<Status(ByteView)> sink{};
    std::uint64_t body_max = std::uint64_t(16) << 20;
};

class S3Client {
public:
    /// `now`: for tests; empty: the machine's clock.
    S3Client(S3Location location, AwsCredentials credentials, HttpOptions http, std::function<Timestamp()> now = {});

    /// Only 2xx answers come back; all else is an Error.
    Result<HttpResponse> send(const S3Request& request);

    /// What an <Error> element in an answer to a request for several keys means for one of them.
    Error error_of(const XmlElement& words, const std::string& what) const;

    const S3Location& location() const { return location_; }
    std::string region() const;

private:
    Result<HttpResponse> send_once(const S3Request& request, const std::string& region);
    Error error_of(const HttpResponse& response, const std::string& what) const;

    const S3Location location_;
    const AwsCredentials credentials_;
    HttpClient http_;
    std::function<Timestamp()> now_;
    mutable std::mutex mutex_;
    std::string region_;
};

}    // namespace holdfast::storage
