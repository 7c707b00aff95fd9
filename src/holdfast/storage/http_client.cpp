#include "holdfast/storage/http_client.hpp"

#include <curl/curl.h>
#include <fmt/core.h>
#include <strings.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>

#include "holdfast/os/host.hpp"

namespace holdfast::storage {
namespace {

// An answer that is no success is read for its words only.
constexpr std::size_t k_error_body_max = 64 << 10;
constexpr std::size_t k_headers_max = 256 << 10;

template <class Value>
void set(CURL* easy, CURLoption option, Value value) {
    // Fails only for options this libcurl does not know, or without memory.
    HF_ASSERT(curl_easy_setopt(easy, option, value) == CURLE_OK);
}

long milliseconds(Duration d) {
    return static_cast<long>(std::chrono::duration_cast<std::chrono::milliseconds>(d).count());
}

// What the callbacks of one transfer share.
struct Transfer {
    CURL* easy;
    const HttpRequest& request;
    const Paces& pace;
    HttpResponse response;
    std::uint64_t sent = 0;
    std::size_t header_bytes = 0;
    bool head_ended = false;    // libcurl takes a head that was cut off for a whole one
    std::optional<Error> error;    // ours: libcurl then only says that a callback stopped it

    std::size_t stop(Error why, std::size_t how) {
        error = std::move(why);
        return how;
    }
};

int http_status(CURL* easy) {
    long status = 0;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    return static_cast<int>(status);
}

std::size_t on_read(char* to, std::size_t size, std::size_t count, void* self) {
    auto& transfer = *static_cast<Transfer*>(self);
    if (!transfer.request.body) return 0;
    HttpBody& body = *transfer.request.body;
    auto n = static_cast<std::size_t>(std::min<std::uint64_t>(size * count, body.size() - transfer.sent));
    if (n == 0) return 0;
    if (Pace* pace = transfer.pace.up.get()) {
        n = std::min(n, Pace::k_piece);
        if (auto paid = pace->pay(n); !paid) return transfer.stop(std::move(paid).error(), CURL_READFUNC_ABORT);
    }
    if (auto read = body.read(transfer.sent, {reinterpret_cast<std::byte*>(to), n}); !read)
        return transfer.stop(std::move(read).error(), CURL_READFUNC_ABORT);
    transfer.sent += n;
    return n;
}

int on_seek(void* self, curl_off_t offset, int origin) {
    if (origin != SEEK_SET || offset < 0) return CURL_SEEKFUNC_CANTSEEK;
    static_cast<Transfer*>(self)->sent = static_cast<std::uint64_t>(offset);
    return CURL_SEEKFUNC_OK;
}

std::size_t on_header(char* data, std::size_t size, std::size_t count, void* self) {
    auto& transfer = *static_cast<Transfer*>(self);
    std::string_view line(data, size * count);
    if ((transfer.header_bytes += line.size()) > k_headers_max)
        return transfer.stop({ErrorCode::corrupt, transfer.request.what + ": the answer's headers are too long", ""},
                             0);
    while (!line.empty() && (line.back() == '\r' || line.back() == '\n')) line.remove_suffix(1);
    if (line.empty()) {
        transfer.head_ended = true;
    } else if (line.starts_with("HTTP/")) {
        transfer.head_ended = false;
        transfer.response.headers.clear();    // of an interim answer
    } else if (const std::size_t colon = line.find(':'); colon != std::string_view::npos) {
        std::string_view value = line.substr(colon + 1);
        while (!value.empty() && (value.front() == ' ' || value.front() == '\t')) value.remove_prefix(1);
        while (!value.empty() && (value.back() == ' ' || value.back() == '\t')) value.remove_suffix(1);
        transfer.response.headers.push_back({std::string(line.substr(0, colon)), std::string(value)});
    }
    return size * count;
}

std::size_t on_body(char* data, std::size_t size, std::size_t count, void* self) {
    auto& transfer = *static_cast<Transfer*>(self);
    const ByteView bytes = as_bytes({data, size * count});
    if (Pace* pace = transfer.pace.down.get())
        if (auto paid = pace->pay(bytes.size()); !paid)
            return transfer.stop(std::move(paid).error(), CURL_WRITEFUNC_ERROR);
    const int status = http_status(transfer.easy);
    if (status < 200 || status >= 300) {
        const std::size_t room = k_error_body_max - std::min(k_error_body_max, transfer.response.body.size());
        append(transfer.response.body, bytes.first(std::min(room, bytes.size())));
        return bytes.size();
    }
    if (transfer.request.sink) {
        if (auto taken = transfer.request.sink(bytes); !taken)
            return transfer.stop(std::move(taken).error(), CURL_WRITEFUNC_ERROR);
        return bytes.size();
    }
    if (transfer.response.body.size() + bytes.size() > transfer.request.body_max)
        return transfer.stop({ErrorCode::corrupt,
                              fmt::format("{}: the answer is longer than {}", transfer.request.what,
                                          human_size(transfer.request.body_max)),
                              ""},
                             CURL_WRITEFUNC_ERROR);
    append(transfer.response.body, bytes);
    return bytes.size();
}

int on_progress(void* self, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
    if (!os::stop_requested()) return 0;
    auto& transfer = *static_cast<Transfer*>(self);
    transfer.error = Error{ErrorCode::cancelled, transfer.request.what + ": stopped", ""};
    return 1;
}

Error failure(CURLcode code, const std::string& what, const char* text) {
    const std::string why = *text ? text : curl_easy_strerror(code);
    switch (code) {
        case CURLE_PEER_FAILED_VERIFICATION:
        case CURLE_SSL_ISSUER_ERROR:
            return {ErrorCode::denied, fmt::format("{}: the server's certificate is not trusted: {}", what, why),
                    "name the file with its certificate authority by --cacert; is it the right host?"};
        case CURLE_SSL_CACERT_BADFILE:
        case CURLE_SSL_CERTPROBLEM:
            return {ErrorCode::denied, fmt::format("{}: a certificate cannot be used: {}", what, why),
                    "--cacert and --tls-client-cert name PEM files"};
        case CURLE_URL_MALFORMAT:
        case CURLE_UNSUPPORTED_PROTOCOL:
            return {ErrorCode::usage, fmt::format("{}: this is not a URL that can be used: {}", what, why),
                    "write it as https://host:port/path"};
        case CURLE_OUT_OF_MEMORY:
            return {ErrorCode::internal, what + ": out of memory", ""};
        default:
            return {ErrorCode::unreachable, fmt::format("{}: {}", what, why),
                    "is the server running, and does the network lead there?"};
    }
}

struct HeaderList {
    curl_slist* list = nullptr;
    ~HeaderList() { curl_slist_free_all(list); }
    void add(const std::string& line) {
        curl_slist* longer = curl_slist_append(list, line.c_str());
        HF_ASSERT(longer != nullptr);
        list = longer;
    }
};

}    // namespace

struct HttpClient::State {
    HttpOptions options;
    std::string no_proxy;
    std::mutex mutex;
    std::condition_variable freed;
    unsigned made = 0;
    std::atomic<bool> answered = false;
    std::vector<CURL*> idle;    // the one that was used last comes first: its connection is the warmest

    CURL* take() {
        std::unique_lock lock(mutex);
        freed.wait(lock, [&] { return !idle.empty() || made < options.connections; });
        if (idle.empty()) {
            ++made;
            CURL* easy = curl_easy_init();
            HF_ASSERT(easy != nullptr);
            return easy;
        }
        CURL* easy = idle.back();
        idle.pop_back();
        return easy;
    }
    void give_back(CURL* easy) {
        curl_easy_reset(easy);    // forgets headers and passwords, keeps the connection
        {
            const std::scoped_lock lock(mutex);
            idle.push_back(easy);
        }
        freed.notify_one();
    }
};

HttpClient::HttpClient(HttpOptions options) : state_(std::make_unique<State>()) {
    static std::once_flag once;
    std::call_once(once, [] { HF_ASSERT(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK); });
    options.connections = std::max(1u, options.connections);
    state_->options = std::move(options);
    state_->no_proxy = "localhost,127.0.0.1,::1";
    for (const char* name : {"no_proxy", "NO_PROXY"})
        if (const auto more = os::environment(name)) state_->no_proxy += "," + *more;
}

HttpClient::~HttpClient() {
    for (CURL* easy : state_->idle) curl_easy_cleanup(easy);
}

Result<HttpResponse> HttpClient::send(const HttpRequest& request) {
    if (os::stop_requested()) return fail(ErrorCode::cancelled, request.what + ": stopped");
    for (const HttpHeader& header : request.headers)
        if (header.value.find_first_of("\r\n") != std::string::npos)
            return fail(ErrorCode::usage,
                        fmt::format("{}: the header {} would hold a line end", request.what, header.name));
    const HttpOptions& options = state_->options;
    struct Lease {
        State& state;
        CURL* easy;
        ~Lease() { state.give_back(easy); }
    } lease{*state_, state_->take()};
    CURL* easy = lease.easy;
    Transfer transfer{.easy = easy, .request = request, .pace = options.pace, .response = {}, .error = {}};
    char curl_text[CURL_ERROR_SIZE] = "";
    HeaderList headers;

    set(easy, CURLOPT_URL, request.url.c_str());
    set(easy, CURLOPT_PATH_AS_IS, 1L);
    set(easy, CURLOPT_NOSIGNAL, 1L);
    set(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    set(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
    set(easy, CURLOPT_FOLLOWLOCATION, 0L);
    set(easy, CURLOPT_NOPROXY, state_->no_proxy.c_str());
    set(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    set(easy, CURLOPT_TCP_NODELAY, 1L);
    set(easy, CURLOPT_CONNECTTIMEOUT_MS, milliseconds(options.connect_max));
    set(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
    const Duration silence =
        state_->answered ? options.silence_max : std::min(options.silence_max, options.first_silence_max);
    set(easy, CURLOPT_LOW_SPEED_TIME, std::max(1L, milliseconds(silence) / 1000));
    set(easy, CURLOPT_ERRORBUFFER, curl_text);
    // A wish: libcurl refuses it after a request that failed before it began.
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, options.pace.down ? long{Pace::k_piece} : 256L << 10);
    curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, 256L << 10);
    set(easy, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
    if (!options.ca_file.empty()) {
        set(easy, CURLOPT_CAINFO, options.ca_file.c_str());
        set(easy, CURLOPT_CAPATH, static_cast<const char*>(nullptr));
    }
    if (!options.client_certificate.empty()) set(easy, CURLOPT_SSLCERT, options.client_certificate.c_str());
    if (!options.user.empty()) {
        set(easy, CURLOPT_HTTPAUTH, static_cast<long>(CURLAUTH_BASIC));
        set(easy, CURLOPT_USERNAME, options.user.c_str());
        set(easy, CURLOPT_PASSWORD, options.password.reveal().c_str());
    }
    if (request.method == "HEAD") {
        set(easy, CURLOPT_NOBODY, 1L);
    } else if (request.body || request.method == "PUT" || request.method == "POST") {
        set(easy, CURLOPT_UPLOAD, 1L);
        set(easy, CURLOPT_CUSTOMREQUEST, request.method.c_str());
        set(easy, CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(request.body ? request.body->size() : 0));
        set(easy, CURLOPT_READFUNCTION, &on_read);
        set(easy, CURLOPT_READDATA, &transfer);
        set(easy, CURLOPT_SEEKFUNCTION, &on_seek);
        set(easy, CURLOPT_SEEKDATA, &transfer);
        // A round trip for each upload, and a second's wait where a server does not know it.
        headers.add("Expect:");
    } else {
        set(easy, CURLOPT_CUSTOMREQUEST, request.method.c_str());
    }
    for (const HttpHeader& header : request.headers)
        headers.add(header.value.empty() ? header.name + ";" : header.name + ": " + header.value);
    set(easy, CURLOPT_HTTPHEADER, headers.list);
    set(easy, CURLOPT_WRITEFUNCTION, &on_body);
    set(easy, CURLOPT_WRITEDATA, &transfer);
    set(easy, CURLOPT_HEADERFUNCTION, &on_header);
    set(easy, CURLOPT_HEADERDATA, &transfer);
    set(easy, CURLOPT_NOPROGRESS, 0L);
    set(easy, CURLOPT_XFERINFOFUNCTION, &on_progress);
    set(easy, CURLOPT_XFERINFODATA, &transfer);

    const CURLcode code = curl_easy_perform(easy);
    if (transfer.error) return fail(*std::move(transfer.error));
    transfer.response.status = http_status(easy);
    // A server that refuses early may close before it has read all of the body: its answer says more than libcurl.
    const bool refused = transfer.response.status >= 400 && (code == CURLE_SEND_ERROR || code == CURLE_RECV_ERROR);
    if (code != CURLE_OK && !refused) return fail(failure(code, request.what, curl_text));
    if (!transfer.head_ended)
        return fail(failure(CURLE_PARTIAL_FILE, request.what, "the connection was closed in the middle of the answer"));
    state_->answered = true;
    return std::move(transfer.response);
}

std::optional<std::string_view> HttpResponse::header(std::string_view name) const {
    for (const HttpHeader& header : headers)
        if (header.name.size() == name.size() && strncasecmp(header.name.data(), name.data(), name.size()) == 0)
            return header.value;
    return std::nullopt;
}

Error http_error(int status, std::string_view what, std::string_view detail) {
    std::string words;
    for (const char c : detail.substr(0, 300)) words += static_cast<unsigned char>(c) < ' ' || c == '\x7f' ? ' ' : c;
    Error error;
    error.message = fmt::format("{}: the server answered HTTP {}{}{}", what, status, words.empty() ? "" : ": ", words);
    if (status == 401 || status == 403) {
        error.code = ErrorCode::denied;
        error.hint = "check the credentials and what they may do there";
    } else if (status == 404) {
        error.code = ErrorCode::not_found;
    } else if (status == 409 || status == 412) {
        error.code = ErrorCode::exists;
    } else if (status == 416) {
        error.code = ErrorCode::corrupt;
    } else if (status == 507) {
        error.code = ErrorCode::disk_full;
        error.hint = "free some space there; nothing incomplete was kept";
    } else if (status == 408 || status == 429 || status >= 500) {
        error.code = ErrorCode::unreachable;
        error.hint = "it may pass: try again later, or look at the server's log";
    } else {
        error.code = ErrorCode::store;
    }
    return error;
}

}    // namespace holdfast::storage
