#include "holdfast/os/socket.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

namespace holdfast::os {
namespace {

using namespace std::chrono_literals;

struct Listener {
    Fd fd{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    std::uint16_t port = free_port().value();
    Listener() {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(port);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        EXPECT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
        EXPECT_EQ(::listen(fd.get(), 4), 0);
    }
};

TEST(Socket, SaysWhereNobodyListens) {
    const std::uint16_t port = free_port().value();
    const auto socket = Socket::connect_tcp("127.0.0.1", port, 1s);
    ASSERT_FALSE(socket);
    EXPECT_EQ(socket.error().code, ErrorCode::unreachable);
    EXPECT_THAT(socket.error().message, testing::HasSubstr(std::to_string(port)));
    EXPECT_FALSE(socket.error().hint.empty());
}

TEST(Socket, GivesUpOnASilentPeer) {
    const Listener listener;
    Socket socket = Socket::connect_tcp("127.0.0.1", listener.port, 1s).value();
    Bytes buffer(10);
    EXPECT_EQ(socket.read(buffer, 20ms).error().code, ErrorCode::unreachable);
}

TEST(Socket, TellsTheEndOfTheStream) {
    const Listener listener;
    Socket socket = Socket::connect_tcp("127.0.0.1", listener.port, 1s).value();
    ASSERT_TRUE(socket.write(as_bytes("hello"), 1s));
    {
        const Fd peer(::accept(listener.fd.get(), nullptr, nullptr));
        char text[5];
        EXPECT_EQ(::recv(peer.get(), text, 5, MSG_WAITALL), 5);
    }
    Bytes buffer(10);
    EXPECT_EQ(socket.read(buffer, 1s).value(), 0u);
}

TEST(Socket, RefusesAPathThatIsTooLong) { EXPECT_FALSE(Socket::connect_unix(std::string(200, 'x'), 1s)); }

}    // namespace
}    // namespace holdfast::os
