#include "holdfast/db/clickhouse_request.hpp"

#include <fmt/core.h>
#include <strings.h>

#include <algorithm>
#include <cstdlib>
#include <mutex>

#include "holdfast/db/clickhouse_text.hpp"

namespace holdfast::db::clickhouse {

namespace {

constexpr std::size_t k_error_text_max = 64 << 10;

template <class Value>
void set(CURL* easy, CURLoption option, Value value) {
    // Fails only for options this libcurl does not know, or without memory.
    HF_ASSERT(curl_easy_setopt(easy, option, value) == CURLE_OK);
}

}    // namespace

Handles::Handles() {
    static std::once_flag once;
    std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
    easy = curl_easy_init();
    multi = curl_multi_init();
    HF_ASSERT(easy != nullptr && multi != nullptr);
}

Handles::~Handles() {
    curl_easy_cleanup(easy);
    curl_multi_cleanup(multi);
}

Request::Request(Handles& handles, RequestOptions options, std::function<Status(ByteView)> sink)
    : handles_(handles), options_(std::move(options)), sink_(std::move(sink)), active_(clock_.instant()) {
    CURL* easy = handles_.easy;
    curl_easy_reset(easy);
    set(easy, CURLOPT_URL, options_.url.c_str());
    set(easy, CURLOPT_NOSIGNAL, 1L);
    set(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    set(easy, CURLOPT_NOPROXY, "*");    // a database is not behind the web's proxy
    set(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    set(easy, CURLOPT_CONNECTTIMEOUT_MS,
        static_cast<long>(std::chrono::duration_cast<std::chrono::milliseconds>(options_.connect_max).count()));
    set(easy, CURLOPT_ERRORBUFFER, curl_text_);
    set(easy, CURLOPT_BUFFERSIZE, 256L << 10);
    set(easy, CURLOPT_UPLOAD_BUFFERSIZE, 256L << 10);

    headers_ = curl_slist_append(headers_, ("X-ClickHouse-User: " + *options_.user).c_str());
    if (!options_.password->empty())
        headers_ = curl_slist_append(headers_, ("X-ClickHouse-Key: " + *options_.password).c_str());
    headers_ = curl_slist_append(headers_, "Content-Type: application/octet-stream");
    headers_ = curl_slist_append(headers_, "Expect:");
    set(easy, CURLOPT_POST, 1L);
    if (options_.streams_body) {
        headers_ = curl_slist_append(headers_, "Transfer-Encoding: chunked");
        set(easy, CURLOPT_READFUNCTION, &Request::on_read);
        set(easy, CURLOPT_READDATA, this);
    } else {
        set(easy, CURLOPT_POSTFIELDS, options_.body.data());
        set(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(options_.body.size()));
        body_ended_ = true;
    }
    set(easy, CURLOPT_HTTPHEADER, headers_);
    set(easy, CURLOPT_WRITEFUNCTION, &Request::on_body);
    set(easy, CURLOPT_WRITEDATA, this);
    set(easy, CURLOPT_HEADERFUNCTION, &Request::on_header);
    set(easy, CURLOPT_HEADERDATA, this);
    HF_ASSERT(curl_multi_add_handle(handles_.multi, easy) == CURLM_OK);
}

Request::~Request() {
    // Removing a handle in mid-transfer closes its connection, which is what breaks an unfinished insert off.
    curl_multi_remove_handle(handles_.multi, handles_.easy);
    curl_easy_reset(handles_.easy);    // forgets the headers, with the password, before they go
    curl_slist_free_all(headers_);
}

std::size_t Request::on_body(char* data, std::size_t size, std::size_t count, void* self) {
    auto& request = *static_cast<Request*>(self);
    const std::size_t bytes = size * count;
    request.active_ = request.clock_.instant();
    long status = 0;
    curl_easy_getinfo(request.handles_.easy, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200) {
        const std::size_t room = k_error_text_max - std::min(k_error_text_max, request.error_text_.size());
        request.error_text_.append(data, std::min(bytes, room));
        return bytes;
    }
    if (Status taken = request.sink_(as_bytes({data, bytes})); !taken) {
        request.sink_error_ = taken.error();
        return CURL_WRITEFUNC_ERROR;
    }
    return bytes;
}

std::size_t Request::on_header(char* data, std::size_t size, std::size_t count, void* self) {
    auto& request = *static_cast<Request*>(self);
    request.active_ = request.clock_.instant();
    const std::string line(data, size * count);
    constexpr std::string_view k_name = "X-ClickHouse-Exception-Code:";
    if (line.size() > k_name.size() && strncasecmp(line.c_str(), k_name.data(), k_name.size()) == 0)
        request.exception_code_ = std::atoi(line.c_str() + k_name.size());
    return size * count;
}

std::size_t Request::on_read(char* to, std::size_t size, std::size_t count, void* self) {
    auto& request = *static_cast<Request*>(self);
    request.active_ = request.clock_.instant();
    if (request.pending_.empty()) {
        if (request.body_ended_) return 0;
        request.paused_ = true;
        return CURL_READFUNC_PAUSE;
    }
    const std::size_t bytes = std::min(size * count, request.pending_.size());
    std::memcpy(to, request.pending_.data(), bytes);
    request.pending_ = request.pending_.subspan(bytes);
    return bytes;
}

Status Request::drive(const std::function<bool()>& enough) {
    if (paused_) {
        paused_ = false;
        curl_easy_pause(handles_.easy, CURLPAUSE_CONT);
    }
    while (!done_) {
        int running = 0;
        curl_multi_perform(handles_.multi, &running);
        int left = 0;
        while (const CURLMsg* message = curl_multi_info_read(handles_.multi, &left)) {
            if (message->msg != CURLMSG_DONE) continue;
            done_ = true;
            result_ = message->data.result;
        }
        if (done_ || enough()) break;
        if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped while talking to " + options_.place);
        if (clock_.instant() - active_ > options_.idle_max)
            return fail(ErrorCode::unreachable,
                        fmt::format("{} has been silent for {:.0f} s", options_.place, seconds(options_.idle_max)),
                        "look at the server's log and at system.processes");
        curl_multi_poll(handles_.multi, nullptr, 0, 200, nullptr);
    }
    return {};
}

Status Request::push(ByteView piece) {
    HF_ASSERT(!body_ended_);
    pending_ = piece;
    Status driven = drive([this] { return pending_.empty(); });
    pending_ = {};    // borrowed: gone when this returns
    if (!driven) return driven;
    if (!done_) return {};
    HF_DO(outcome());
    return fail(ErrorCode::store, options_.place + " answered before it had all of the data");
}

Status Request::finish() {
    body_ended_ = true;
    HF_DO(drive([] { return false; }));
    return outcome();
}

Status Request::outcome() const {
    if (sink_error_) return fail(*sink_error_);
    long status = 0;
    curl_easy_getinfo(handles_.easy, CURLINFO_RESPONSE_CODE, &status);
    // A server that refuses early may close before it has read all of the body: its words say more than libcurl's.
    if (status >= 300 && (result_ == CURLE_OK || !error_text_.empty()))
        return fail(server_error(status, exception_code_, error_text_).within(options_.place));
    if (result_ == CURLE_OK && status == 200) return {};
    if (result_ == CURLE_OK) return fail(ErrorCode::store, fmt::format("{} answered HTTP {}", options_.place, status));
    const std::string why = curl_text_[0] != '\0' ? curl_text_ : curl_easy_strerror(result_);
    if (result_ == CURLE_URL_MALFORMAT || result_ == CURLE_UNSUPPORTED_PROTOCOL)
        return fail(ErrorCode::config, options_.place + " is not a URL that can be used: " + why,
                    "write it as http://host:8123");
    return fail(ErrorCode::unreachable, fmt::format("{} cannot be used: {}", options_.place, why),
                "is clickhouse-server running there, and is this its http_port?");
}

}    // namespace holdfast::db::clickhouse
