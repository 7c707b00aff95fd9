#include "holdfast/http/server.hpp"

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <sys/stat.h>

#include "holdfast/os/file.hpp"
#include "holdfast/os/socket.hpp"

namespace holdfast::http {
namespace {

using namespace std::chrono_literals;

// Says over which of its two ways a request came.
bool tell(Connection& connection, std::string_view, bool, unsigned) {
    const std::string_view text = connection.is_local() ? "local" : "tcp";
    return connection.write(as_bytes(fmt::format("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{}", text.size(), text)))
        .has_value();
}

std::string ask(Result<os::Socket> socket) {
    if (!socket || !socket->write(as_bytes("GET / HTTP/1.1\r\n\r\n"), 30s)) return "unreachable";
    Bytes piece(4096);
    std::string all;
    while (!all.ends_with("local") && !all.ends_with("tcp")) {
        const auto n = socket->read(piece, 30s);
        if (!n || *n == 0) return "closed";
        all += as_text(ByteView(piece).first(*n));
    }
    return all.substr(all.find("\r\n\r\n") + 4);
}

TEST(HttpServer, ListensOnAUnixSocketForItsOwnUserBesideTcp) {
    const auto folder = os::TempFolder::create("hf-http").value();
    const std::string path = folder.path() + "/a.sock";
    auto server = Server::start({.listen = "127.0.0.1:0", .unix_socket = path}, tell).value();
    struct stat st;
    ASSERT_EQ(::stat(path.c_str(), &st), 0);
    EXPECT_EQ(st.st_mode & 0777, 0600u);
    EXPECT_EQ(ask(os::Socket::connect_unix(path, 30s)), "local");
    EXPECT_EQ(ask(os::Socket::connect_tcp("127.0.0.1", server->port(), 30s)), "tcp");
    const auto second = Server::start({.unix_socket = path}, tell);
    EXPECT_EQ(second.error().code, ErrorCode::exists);
    EXPECT_EQ(ask(os::Socket::connect_unix(path, 30s)), "local");
    server->stop();
    EXPECT_FALSE(os::exists(path));
}

TEST(HttpServer, ReplacesASocketThatADeadProcessLeftAndNothingElse) {
    const auto folder = os::TempFolder::create("hf-http").value();
    const std::string path = folder.path() + "/a.sock";
    {
        // Bound and closed without unlink: what kill -9 leaves.
        auto server = Server::start({.unix_socket = path}, tell).value();
        ASSERT_EQ(::link(path.c_str(), (path + ".kept").c_str()), 0);
    }
    ASSERT_EQ(::rename((path + ".kept").c_str(), path.c_str()), 0);
    EXPECT_EQ(ask(os::Socket::connect_unix(path, 30s)), "unreachable");
    {
        const auto server = Server::start({.unix_socket = path}, tell);
        ASSERT_TRUE(server) << server.error().message;
        EXPECT_EQ(ask(os::Socket::connect_unix(path, 30s)), "local");
    }
    ASSERT_TRUE(os::write_file(path, as_bytes("precious")));
    EXPECT_EQ(Server::start({.unix_socket = path}, tell).error().code, ErrorCode::exists);
    EXPECT_TRUE(os::exists(path));
    EXPECT_EQ(Server::start({.unix_socket = folder.path() + "/" + std::string(120, 'x')}, tell).error().code,
              ErrorCode::usage);
}

}    // namespace
}    // namespace holdfast::http
