#pragma once
// One HTTP exchange with ClickHouse on a libcurl handle, driven step by step so that data can be pushed into it and a
// stop request is seen. Private to db/clickhouse.cpp.

#include <curl/curl.h>

#include <functional>
#include <optional>
#include <string>

#include "holdfast/base/bytes.hpp"
#include "holdfast/base/clock.hpp"
#include "holdfast/base/result.hpp"
#include "holdfast/os/host.hpp"

namespace holdfast::db::clickhouse {

/// The handles of one connection; kept between requests, so that the connection is, too.
struct Handles {
    Handles();
    ~Handles();
    Handles(const Handles&) = delete;
    Handles& operator=(const Handles&) = delete;
    CURL* easy = nullptr;
    CURLM* multi = nullptr;
};

struct RequestOptions {
    std::string url;    // with the query string
    std::string place;    // for messages: the URL without the query string
    const std::string* user = nullptr;
    const std::string* password = nullptr;
    std::string body;    // empty with `streams_body`
    bool streams_body = false;
    Duration connect_max{}, idle_max{};
};

class Request {
public:
    /// `sink` gets the body of a 200 answer.
    Request(Handles& handles, RequestOptions options, std::function<Status(ByteView)> sink);
    ~Request();
    Request(const Request&) = delete;
    Request& operator=(const Request&) = delete;

    /// Hands over a piece of the body; returns when all of it is on its way. An answer that comes early (an error, as a
    /// rule) is returned here.
    Status push(ByteView piece);
    /// Ends the body and drives the exchange to its end.
    Status finish();

private:
    /// Works until `enough` says so or the exchange has ended.
    Status drive(const std::function<bool()>& enough);
    Status outcome() const;

    static std::size_t on_body(char* data, std::size_t size, std::size_t count, void* self);
    static std::size_t on_header(char* data, std::size_t size, std::size_t count, void* self);
    static std::size_t on_read(char* to, std::size_t size, std::size_t count, void* self);

    Handles& handles_;
    RequestOptions options_;
    std::function<Status(ByteView)> sink_;
    curl_slist* headers_ = nullptr;
    os::SystemClock clock_;
    Instant active_;    // when something last moved
    ByteView pending_;    // of the body, not yet taken by libcurl
    bool body_ended_ = false, paused_ = false, done_ = false;
    CURLcode result_ = CURLE_OK;
    int exception_code_ = 0;
    std::string error_text_;    // body of an answer that is not 200
    std::optional<Error> sink_error_;
    char curl_text_[CURL_ERROR_SIZE] = {};
};

}    // namespace holdfast::db::clickhouse
