#pragma once
// One kept-alive HTTP connection from a producer, or a command, to an engine.
//
//   again     a connection that the engine closed while it was idle is noticed only by using it: the request is then sent once
//             more on a new one. All that is asked here may be asked twice
//   errors    unreachable, denied (a socket of somebody else), corrupt (no HTTP)
//   threads   one at a time

#include <optional>
#include <string>
#include <string_view>

#include "holdfast/os/socket.hpp"

namespace holdfast::http {

struct Place {
    std::string socket;    // or
    std::string host;
    std::uint16_t port = 0;
    /// "unix:PATH" or "http://HOST:PORT"; usage else.
    static Result<Place> parse(std::string_view address);
};

struct Answer {
    int status = 0;
    std::string body;
};

/// What an engine's answer begins with; `head` is its status line and headers, each with its line end. corrupt: no engine's.
struct AnswerHead {
    int status = 0;
    std::size_t body_size = 0;    // at most 8 MiB
    bool closes = false;
};
Result<AnswerHead> parse_answer_head(std::string_view head);

class Line {
public:
    Line(Place place, std::string token) : place_(std::move(place)), token_(std::move(token)) {}
    Result<Answer> ask(std::string_view method, std::string_view path, std::string_view body, Duration timeout);

private:
    Result<Answer> exchange(std::string_view request, Duration timeout, bool& heard);

    const Place place_;
    const std::string token_;
    std::optional<os::Socket> socket_;
};

}    // namespace holdfast::http
