#include "holdfast/http/exchange.hpp"

#include <fmt/core.h>

#include <algorithm>

namespace holdfast::http {
namespace {

std::string_view reason(int status) {
    switch (status) {
        case 200:
            return "OK";
        case 202:
            return "Accepted";
        case 206:
            return "Partial Content";
        case 400:
            return "Bad Request";
        case 401:
            return "Unauthorized";
        case 403:
            return "Forbidden";
        case 404:
            return "Not Found";
        case 405:
            return "Method Not Allowed";
        case 409:
            return "Conflict";
        case 411:
            return "Length Required";
        case 413:
            return "Content Too Large";
        case 416:
            return "Range Not Satisfiable";
        case 422:
            return "Unprocessable Content";
        case 501:
            return "Not Implemented";
        case 503:
            return "Service Unavailable";
        case 507:
            return "Insufficient Storage";
        default:
            return "Internal Server Error";
    }
}

}    // namespace

bool Exchange::has_unread_body() const {
    return !body_was_read && (head.has_transfer_coding || head.content_length.value_or(0) > 0);
}

void Exchange::begin(int code, std::uint64_t size, std::string_view type, std::string_view extra) {
    status = code;
    if (has_unread_body()) close = true;
    const std::string text =
        fmt::format("HTTP/1.1 {} {}\r\nServer: holdfast\r\nContent-Length: {}\r\n{}{}{}{}Connection: {}\r\n\r\n", code,
                    reason(code), size, type.empty() ? "" : "Content-Type: ", type, type.empty() ? "" : "\r\n", extra,
                    close ? "close" : "keep-alive");
    connection.start_transfer();
    if (!connection.write(as_bytes(text))) close = true;
}

void Exchange::send(ByteView bytes) {
    if (head.method == "HEAD") return;
    if (connection.write(bytes))
        sent += bytes.size();
    else
        close = true;
}

void Exchange::reply(int code, std::string_view text, std::string_view type, std::string_view extra) {
    begin(code, text.size(), text.empty() ? "" : type, extra);
    send(as_bytes(text));
}

void Exchange::refuse(int code, std::string_view why, std::string_view extra) {
    reply(code, std::string(why) + '\n', "text/plain; charset=utf-8", extra);
}

Status Exchange::invite_body() {
    if (head.header("expect")) HF_DO(connection.write(as_bytes("HTTP/1.1 100 Continue\r\n\r\n")));
    connection.start_transfer();
    return {};
}

Result<std::string> Exchange::read_body(std::size_t size_max) {
    if (!head.content_length) return fail(ErrorCode::usage, "a body says its length by Content-Length");
    if (*head.content_length > size_max)
        return fail(ErrorCode::incomplete, fmt::format("the body is larger than {}", human_size(size_max)));
    HF_DO(invite_body());
    std::string body;
    const auto size = static_cast<std::size_t>(*head.content_length);
    // Memory follows what has come, not what was promised.
    while (body.size() < size) {
        const std::size_t at = body.size();
        body.resize(std::min(size, at + (16 << 10)));
        HF_TRY(const std::size_t n, connection.read(std::as_writable_bytes(std::span(body).subspan(at))));
        body.resize(at + n);
        received += n;
    }
    body_was_read = true;
    return body;
}

}    // namespace holdfast::http
