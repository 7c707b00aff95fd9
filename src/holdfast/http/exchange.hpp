#pragma once
// One request and what became of it: what handlers answer with.
//
//   promise   whether the connection may go on is decided here: not after an answer that could not be sent whole, nor before a
//             body that nobody read
//   threads   one

#include <string>
#include <string_view>

#include "holdfast/http/connection.hpp"
#include "holdfast/http/head.hpp"

namespace holdfast::http {

struct Exchange {
    Connection& connection;
    RequestHead head;
    int status = 0;
    std::uint64_t sent = 0, received = 0;
    bool body_was_read = false;
    bool close = false;    // after the answer

    bool has_unread_body() const;
    /// The answer's head; `size` bytes follow unless the method is HEAD. `extra`: header lines, each with its CR LF.
    void begin(int code, std::uint64_t size, std::string_view type = {}, std::string_view extra = {});
    void send(ByteView bytes);
    void reply(int code, std::string_view text = {}, std::string_view type = "text/plain; charset=utf-8",
               std::string_view extra = {});
    /// What a person would want to know, as one line.
    void refuse(int code, std::string_view why, std::string_view extra = {});
    /// The whole body, for small ones. usage: no length; incomplete: larger than `size_max`, nothing was read; else the client.
    Result<std::string> read_body(std::size_t size_max);
    /// Tells a client that asked first (Expect) to go on.
    Status invite_body();
};

}    // namespace holdfast::http
