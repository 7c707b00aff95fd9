#include "holdfast/http/head.hpp"

#include <strings.h>

#include <algorithm>
#include <charconv>

#include "holdfast/base/bytes.hpp"

namespace holdfast::http {
namespace {

constexpr std::size_t k_headers_max = 100;

bool is_token_char(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}
bool is_token(std::string_view text) { return !text.empty() && std::all_of(text.begin(), text.end(), is_token_char); }
bool has_control(std::string_view text) {
    return std::any_of(text.begin(), text.end(),
                       [](char c) { return (static_cast<unsigned char>(c) < ' ' && c != '\t') || c == '\x7f'; });
}
std::unexpected<Error> bad(const char* what) { return fail(ErrorCode::usage, what); }

Status read_header(RequestHead& head, std::string_view line) {
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos || !is_token(line.substr(0, colon))) return bad("a header is malformed");
    std::string name(line.substr(0, colon));
    for (char& c : name)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    std::string_view value = line.substr(colon + 1);
    while (!value.empty() && (value.front() == ' ' || value.front() == '\t')) value.remove_prefix(1);
    while (!value.empty() && (value.back() == ' ' || value.back() == '\t')) value.remove_suffix(1);
    if (has_control(value)) return bad("a header holds a control character");
    if (name == "content-length") {
        std::uint64_t length = 0;
        const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), length);
        if (value.empty() || error != std::errc() || end != value.data() + value.size() || head.content_length)
            return bad("the Content-Length is malformed");
        head.content_length = length;
    } else if (name == "transfer-encoding") {
        head.has_transfer_coding = true;
    }
    head.headers.emplace_back(std::move(name), std::string(value));
    return {};
}

}    // namespace

std::optional<std::string_view> RequestHead::header(std::string_view name) const {
    for (const auto& [key, value] : headers)
        if (key == name) return value;
    return std::nullopt;
}

bool RequestHead::wants_close() const {
    const std::string_view connection = header("connection").value_or("");
    const auto is = [&](const char* word) {
        return connection.size() == std::string_view(word).size() &&
               strncasecmp(connection.data(), word, connection.size()) == 0;
    };
    return is("close") || (is_http_1_0 && !is("keep-alive"));
}

Result<RequestHead> parse_request_head(std::string_view text) {
    RequestHead head;
    bool first = true, ended = false;
    while (!text.empty()) {
        const std::size_t end = text.find("\r\n");
        if (end == std::string_view::npos) return bad("a line does not end with CR LF");
        const std::string_view line = text.substr(0, end);
        text.remove_prefix(end + 2);
        if (line.empty()) {
            ended = true;
            break;
        }
        if (!first) {
            if (head.headers.size() >= k_headers_max) return bad("there are too many headers");
            HF_DO(read_header(head, line));
            continue;
        }
        first = false;
        const std::size_t method_end = line.find(' '), target_end = line.rfind(' ');
        if (method_end == std::string_view::npos || target_end == method_end)
            return bad("the request line is malformed");
        head.method = line.substr(0, method_end);
        std::string_view target = line.substr(method_end + 1, target_end - method_end - 1);
        const std::string_view version = line.substr(target_end + 1);
        if (version != "HTTP/1.1" && version != "HTTP/1.0") return bad("only HTTP/1.1 is spoken here");
        head.is_http_1_0 = version == "HTTP/1.0";
        if (!is_token(head.method) || !target.starts_with('/') || has_control(target) ||
            target.find(' ') != std::string_view::npos)
            return bad("the request line is malformed");
        if (const std::size_t question = target.find('?'); question != std::string_view::npos) {
            head.query = target.substr(question + 1);
            target = target.substr(0, question);
        }
        head.path = target;
    }
    if (first || !ended || !text.empty()) return bad("the request does not end with an empty line");
    if (head.content_length && head.has_transfer_coding) return bad("the request has two lengths");
    return head;
}

std::optional<std::pair<std::string, std::string>> parse_basic_authorization(std::string_view value) {
    if (value.size() < 6 || strncasecmp(value.data(), "basic ", 6) != 0) return std::nullopt;
    Bytes decoded;
    if (!from_base64(value.substr(6), decoded)) return std::nullopt;
    const std::string_view text = as_text(decoded);
    const std::size_t colon = text.find(':');
    if (colon == std::string_view::npos) return std::nullopt;
    return std::pair(std::string(text.substr(0, colon)), std::string(text.substr(colon + 1)));
}

}    // namespace holdfast::http
