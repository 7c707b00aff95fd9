#pragma once
// HTTP/1.1 for the storages behind URLs (S3, Azure, REST): requests with bodies of known length, over a few connections
// that are kept open and used again.
//
//   order     send() waits for one of `connections`; bodies are streamed both ways, nothing is held whole unless asked
//   errors    unreachable (no answer, cut off, silent: retryable), denied (TLS: the certificate is not trusted), cancelled
//             (os::stop_requested, within about a second), usage (not a URL), corrupt (an answer longer than allowed);
//             any HTTP status is an answer and no error. Neither URLs nor headers are in messages: they may hold secrets
//   redirects never followed: credentials go to the host that was named
//   proxies   as the environment says (https_proxy, http_proxy, no_proxy); this machine is never asked through one
//   pace      bodies go and come piece by piece as it lets them; it is waited for while a piece of them is in hand
//   threads   send() from any
//   source    libcurl 7.88: easy handles, one a connection

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "holdfast/base/bytes.hpp"
#include "holdfast/base/clock.hpp"
#include "holdfast/base/result.hpp"
#include "holdfast/base/secret.hpp"
#include "holdfast/storage/pace.hpp"

namespace holdfast::storage {

struct HttpHeader {
    std::string name, value;
    bool operator==(const HttpHeader&) const = default;
};

/// What a request sends. May be read again from the start: a connection that was closed meanwhile is made anew.
class HttpBody {
public:
    virtual ~HttpBody() = default;
    virtual std::uint64_t size() const = 0;
    /// Exactly to.size() bytes from `offset`; never past the end.
    virtual Status read(std::uint64_t offset, ByteSpan to) = 0;
};

/// Bytes in memory; borrowed.
class MemoryBody final : public HttpBody {
public:
    explicit MemoryBody(ByteView bytes) : bytes_(bytes) {}
    std::uint64_t size() const override { return bytes_.size(); }
    Status read(std::uint64_t offset, ByteSpan to) override {
        std::memcpy(to.data(), bytes_.data() + offset, to.size());
        return {};
    }

private:
    ByteView bytes_;
};

struct HttpRequest {
    std::string method = "GET";
    std::string url{};    // absolute and encoded; without user and password
    std::vector<HttpHeader> headers{};    // Host and Content-Length are added
    HttpBody* body = nullptr;    // for PUT and POST: null sends an empty one; other methods: null sends none
    std::string what{};    // for messages: "s3:host/bucket: reading snapshots/ab12"
    std::function<Status(ByteView)> sink{};    // takes the body of a 2xx answer instead of HttpResponse::body
    std::uint64_t body_max = std::uint64_t(64) << 20;    // of what is collected in HttpResponse::body
};

struct HttpResponse {
    int status = 0;
    std::vector<HttpHeader> headers;
    Bytes body;

    bool ok() const { return status >= 200 && status < 300; }
    /// By any case of the name; nullopt when it is absent.
    std::optional<std::string_view> header(std::string_view name) const;
};

struct HttpOptions {
    unsigned connections = 5;
    Duration connect_max = std::chrono::seconds(15);
    Duration silence_max = std::chrono::seconds(120);    // whole seconds, at least one
    Duration first_silence_max = std::chrono::seconds(30);    // the same until the server has answered once
    std::string ca_file{};    // PEM; instead of the system's certificates
    std::string client_certificate{};    // PEM with its key; empty: none
    std::string user{};    // HTTP Basic when not empty
    Secret password{};
    Paces pace{};    // of bodies, both ways
};

class HttpClient {
public:
    explicit HttpClient(HttpOptions options);
    ~HttpClient();
    HttpClient(const HttpClient&) = delete;

    Result<HttpResponse> send(const HttpRequest& request);

private:
    struct State;
    std::unique_ptr<State> state_;
};

/// What an answer that is not a success means where a protocol says nothing more exact: 401 and 403 denied, 404 not_found,
/// 409 and 412 exists, 416 corrupt, 507 disk_full, 408, 429 and 5xx unreachable (so that it is tried again), else store.
/// `detail` (the server's own words) is cut and made printable.
Error http_error(int status, std::string_view what, std::string_view detail = {});

}    // namespace holdfast::storage
