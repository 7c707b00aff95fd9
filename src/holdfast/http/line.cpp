#include "holdfast/http/line.hpp"

#include <fmt/core.h>
#include <strings.h>

#include <charconv>

namespace holdfast::http {
namespace {

constexpr std::size_t k_head_max = 16 << 10, k_body_max = 8 << 20;

template <class T>
std::optional<T> number(std::string_view text) {
    T value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return value;
}

// The value of a header, without the spaces around it.
std::string_view header(std::string_view head, std::string_view name) {
    for (std::size_t at = head.find("\r\n"); at != std::string_view::npos; at = head.find("\r\n", at + 2)) {
        std::string_view line = head.substr(at + 2, head.find("\r\n", at + 2) - at - 2);
        if (line.size() <= name.size() || line[name.size()] != ':' ||
            strncasecmp(line.data(), name.data(), name.size()) != 0)
            continue;
        line.remove_prefix(name.size() + 1);
        while (line.starts_with(' ')) line.remove_prefix(1);
        return line;
    }
    return {};
}

}    // namespace

Result<Place> Place::parse(std::string_view address) {
    constexpr std::string_view k_unix = "unix:", k_http = "http://";
    Place place;
    if (address.starts_with(k_unix) && address.size() > k_unix.size()) {
        place.socket = address.substr(k_unix.size());
        return place;
    }
    if (address.starts_with(k_http)) {
        address.remove_prefix(k_http.size());
        if (address.ends_with('/')) address.remove_suffix(1);
        const std::size_t colon = address.rfind(':');
        if (colon != std::string_view::npos && colon > 0) {
            place.host = address.substr(0, colon);
            if (place.host.starts_with('[') && place.host.ends_with(']'))
                place.host = place.host.substr(1, place.host.size() - 2);
            place.port = number<std::uint16_t>(address.substr(colon + 1)).value_or(0);
        }
    }
    if (place.host.empty() || place.port == 0)
        return fail(ErrorCode::usage, "the address is not unix:/path/to/ACCOUNT.sock or http://host:port");
    return place;
}

Result<Answer> Line::exchange(std::string_view request, Duration timeout, bool& heard) {
    const auto deadline = std::chrono::steady_clock::now() + timeout;
    const auto left = [&] { return std::max<Duration>(deadline - std::chrono::steady_clock::now(), Duration(1)); };
    if (!socket_) {
        HF_TRY(socket_, place_.socket.empty() ? os::Socket::connect_tcp(place_.host, place_.port, left())
                                              : os::Socket::connect_unix(place_.socket, left()));
    }
    HF_DO(socket_->write(as_bytes(request), left()));
    std::string input;
    Bytes piece(16 << 10);
    const auto more = [&]() -> Status {
        HF_TRY(const std::size_t n, socket_->read(piece, left()));
        if (n == 0) return fail(ErrorCode::unreachable, "the engine closed the connection");
        heard = true;
        input += as_text(ByteView(piece).first(n));
        return {};
    };
    std::size_t end = 0;
    while ((end = input.find("\r\n\r\n")) == std::string::npos) {
        if (input.size() > k_head_max) return fail(ErrorCode::corrupt, "what answers there is no holdfast engine");
        HF_DO(more());
    }
    HF_TRY(const AnswerHead head, parse_answer_head(std::string_view(input).substr(0, end + 2)));
    input.erase(0, end + 4);
    while (input.size() < head.body_size) HF_DO(more());
    if (input.size() > head.body_size) return fail(ErrorCode::corrupt, "the engine said more than it announced");
    if (head.closes) socket_.reset();
    return Answer{head.status, std::move(input)};
}

Result<AnswerHead> parse_answer_head(std::string_view head) {
    const auto status = head.starts_with("HTTP/1.1 ") ? number<unsigned>(head.substr(9, 3)) : std::nullopt;
    const auto size = number<std::size_t>(header(head, "content-length"));
    if (!status || !size || *size > k_body_max)
        return fail(ErrorCode::corrupt, "what answers there is no holdfast engine");
    return AnswerHead{static_cast<int>(*status), *size, header(head, "connection") == "close"};
}

Result<Answer> Line::ask(std::string_view method, std::string_view path, std::string_view body, Duration timeout) {
    std::string request =
        fmt::format("{} {} HTTP/1.1\r\nHost: holdfast\r\nContent-Length: {}\r\n", method, path, body.size());
    if (!token_.empty()) request += fmt::format("Authorization: Bearer {}\r\n", token_);
    request += "\r\n";
    request += body;
    const bool is_used = socket_.has_value();
    bool heard = false;
    auto answer = exchange(request, timeout, heard);
    if (!answer) {
        socket_.reset();
        if (is_used && !heard) answer = exchange(request, timeout, heard);
    }
    if (!answer) socket_.reset();
    return answer;
}

}    // namespace holdfast::http
