#include "holdfast/storage/http_client.hpp"

#include <gmock/gmock.h>

#include <latch>
#include <thread>

#include "holdfast/os/host.hpp"
#include "holdfast/os/socket.hpp"
#include "holdfast/storage/spool.hpp"
#include "holdfast/testing/scripted_http.hpp"

namespace holdfast::storage {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using testing::ScriptedHttp;
using Then = ScriptedHttp::Then;

HttpRequest get(const ScriptedHttp& server, const std::string& path = "/") {
    return {.url = server.url() + path, .what = "reading a thing"};
}

TEST(HttpClient, SendsWhatItIsGivenAndReturnsWhatComes) {
    std::string seen;
    ScriptedHttp server([&](const std::string& request) {
        seen = request;
        return ScriptedHttp::Reply{ScriptedHttp::answer(201, "made", "X-One:  two \r\n")};
    });
    HttpClient client({});
    MemoryBody body(as_bytes("the body"));
    HttpRequest request = get(server, "/a%2Fb?x=1");
    request.method = "PUT";
    request.headers = {{"X-Mine", "yes"}, {"Range", "bytes=1-2"}};
    request.body = &body;
    const auto answer = client.send(request);
    ASSERT_TRUE(answer) << answer.error().message;
    EXPECT_EQ(answer->status, 201);
    EXPECT_EQ(as_text(answer->body), "made");
    EXPECT_EQ(answer->header("x-one"), "two");
    EXPECT_FALSE(answer->header("x-none"));
    EXPECT_THAT(seen, HasSubstr("PUT /a%2Fb?x=1 HTTP/1.1\r\n"));
    EXPECT_THAT(seen, HasSubstr("X-Mine: yes\r\n"));
    EXPECT_THAT(seen, HasSubstr("Range: bytes=1-2\r\n"));
    EXPECT_THAT(seen, HasSubstr("Content-Length: 8\r\n"));
    EXPECT_THAT(seen, HasSubstr("\r\n\r\nthe body"));
    EXPECT_THAT(seen, Not(HasSubstr("Expect")));
}

TEST(HttpClient, SpeaksEveryMethodWithTheBodyThatItNeeds) {
    std::string seen;
    ScriptedHttp server([&](const std::string& request) {
        seen = request;
        if (request.starts_with("HEAD")) return ScriptedHttp::Reply{"HTTP/1.1 200 OK\r\nContent-Length: 77\r\n\r\n"};
        return ScriptedHttp::Reply{ScriptedHttp::answer(200)};
    });
    HttpClient client({});
    for (const char* method : {"HEAD", "GET", "DELETE", "POST", "PUT"}) {
        HttpRequest request = get(server);
        request.method = method;
        const auto answer = client.send(request);
        ASSERT_TRUE(answer) << method << answer.error().message;
        EXPECT_TRUE(answer->ok());
        EXPECT_THAT(seen, HasSubstr(std::string(method) + " / HTTP/1.1"));
        const bool has_body = seen.find("Content-Length: 0") != std::string::npos;
        EXPECT_EQ(has_body, request.method[0] == 'P') << seen;
        if (request.method == "HEAD") {
            EXPECT_EQ(answer->header("Content-Length"), "77");
        }
    }
    EXPECT_EQ(server.connections(), 1u);    // kept open and used again
}

TEST(HttpClient, OpensNoMoreConnectionsThanItMay) {
    ScriptedHttp server([&](const std::string&) { return ScriptedHttp::Reply{ScriptedHttp::answer(200, "x")}; });
    HttpClient client({.connections = 2});
    std::vector<std::thread> threads;
    for (int t = 0; t < 8; ++t)
        threads.emplace_back([&] {
            for (int i = 0; i < 20; ++i) EXPECT_TRUE(client.send(get(server)));
        });
    for (std::thread& thread : threads) thread.join();
    EXPECT_LE(server.connections(), 2u);
}

TEST(HttpClient, SendsTheBodyAgainWhenAnIdleConnectionWasClosed) {
    int requests = 0;
    std::string body_seen;
    ScriptedHttp server([&](const std::string& request) {
        body_seen = request.substr(request.find("\r\n\r\n") + 4);
        return ScriptedHttp::Reply{ScriptedHttp::answer(200), ++requests == 1 ? Then::close : Then::keep};
    });
    HttpClient client({});
    auto spool = Spool::create();
    ASSERT_TRUE(spool);
    const std::string content(300'000, 'q');
    ASSERT_TRUE(spool->write(as_bytes(content)));
    HttpRequest request = get(server);
    request.method = "PUT";
    request.body = &*spool;
    for (int i = 0; i < 3; ++i) {
        const auto answer = client.send(request);
        ASSERT_TRUE(answer) << answer.error().message;
        EXPECT_EQ(body_seen, content);
    }
    EXPECT_EQ(server.connections(), 2u);
}

TEST(HttpClient, NeverFollowsARedirect) {
    int requests = 0;
    ScriptedHttp server([&](const std::string&) {
        ++requests;
        return ScriptedHttp::Reply{ScriptedHttp::answer(301, "", "Location: http://elsewhere.invalid/\r\n")};
    });
    HttpClient client({});
    const auto answer = client.send(get(server));
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, 301);
    EXPECT_EQ(requests, 1);
}

TEST(HttpClient, TellsWhatIsUnreachable) {
    HttpClient client({.connect_max = std::chrono::seconds(5)});
    const auto port = os::free_port();
    ASSERT_TRUE(port);
    const auto refused =
        client.send({.url = "http://127.0.0.1:" + std::to_string(*port) + "/?sig=secret", .what = "listing keys"});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::unreachable);
    EXPECT_TRUE(refused.error().retryable());
    EXPECT_THAT(refused.error().message, HasSubstr("listing keys"));
    EXPECT_THAT(refused.error().message, Not(HasSubstr("secret")));

    for (const std::string& cut : {std::string(), std::string("HTTP/1.1 200 OK\r\nContent-Le"),
                                   std::string("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")})
        for (const Then then : {Then::close, Then::reset}) {
            ScriptedHttp server([&](const std::string&) { return ScriptedHttp::Reply{cut, then}; });
            const auto answer = client.send(get(server));
            ASSERT_FALSE(answer) << cut;
            EXPECT_EQ(answer.error().code, ErrorCode::unreachable) << answer.error().message;
        }
}

TEST(HttpClient, GivesUpOnAServerThatIsSilent) {
    HttpClient client({.silence_max = std::chrono::seconds(1)});
    const auto expect_silence = [&](const char* part) {
        ScriptedHttp server([&](const std::string&) { return ScriptedHttp::Reply{part, Then::hang}; });
        const auto answer = client.send(get(server));
        ASSERT_FALSE(answer);
        EXPECT_EQ(answer.error().code, ErrorCode::unreachable);
    };
    std::thread before([&] { expect_silence(""); });
    expect_silence("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
    before.join();
}

TEST(HttpClient, StopsWhenItIsToldTo) {
    std::latch asked(1);
    ScriptedHttp server([&](const std::string&) {
        asked.count_down();
        return ScriptedHttp::Reply{"", Then::hang};
    });
    HttpClient client({});
    std::thread stopper([&] {
        asked.wait();
        os::g_stop_requested = true;
    });
    const auto answer = client.send(get(server));
    stopper.join();
    const auto later = client.send(get(server));
    os::g_stop_requested = false;
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, ErrorCode::cancelled);
    EXPECT_EQ(later.error().code, ErrorCode::cancelled);
}

TEST(HttpClient, BoundsWhatAHostileServerMaySend) {
    ScriptedHttp server([&](const std::string& request) {
        if (request.starts_with("GET /headers")) {
            std::string headers;
            for (int i = 0; i < 4000; ++i) headers += "X-" + std::to_string(i) + ": " + std::string(100, 'h') + "\r\n";
            return ScriptedHttp::Reply{ScriptedHttp::answer(200, "", headers)};
        }
        const int status = request.starts_with("GET /error") ? 500 : 200;
        return ScriptedHttp::Reply{ScriptedHttp::answer(status, std::string(200'000, 'b'))};
    });
    HttpClient client({});
    HttpRequest request = get(server);
    request.body_max = 1000;
    EXPECT_EQ(client.send(request).error().code, ErrorCode::corrupt);
    EXPECT_EQ(client.send(get(server, "/headers")).error().code, ErrorCode::corrupt);
    const auto error = client.send(get(server, "/error"));
    ASSERT_TRUE(error);
    EXPECT_LE(error->body.size(), 65'536u);
}

TEST(HttpClient, HandsTheBodyOfASuccessOnlyToTheSink) {
    ScriptedHttp server([&](const std::string& request) {
        return ScriptedHttp::Reply{ScriptedHttp::answer(request.starts_with("GET /no") ? 404 : 206, "bytes")};
    });
    HttpClient client({});
    std::string taken;
    HttpRequest request = get(server, "/yes");
    request.sink = [&](ByteView bytes) -> Status {
        taken += as_text(bytes);
        return {};
    };
    ASSERT_TRUE(client.send(request));
    EXPECT_EQ(taken, "bytes");
    request.url = server.url() + "/no";
    const auto missing = client.send(request);
    ASSERT_TRUE(missing);
    EXPECT_EQ(as_text(missing->body), "bytes");
    EXPECT_EQ(taken, "bytes");
    request.url = server.url() + "/yes";
    request.sink = [&](ByteView) -> Status { return fail(ErrorCode::disk_full, "no room"); };
    EXPECT_EQ(client.send(request).error().code, ErrorCode::disk_full);
    EXPECT_TRUE(client.send(get(server)));    // the connection in mid-body was not used again
}

TEST(HttpClient, LogsInByBasicAuthenticationAtOnce) {
    std::string seen;
    ScriptedHttp server([&](const std::string& request) {
        seen = request;
        return ScriptedHttp::Reply{ScriptedHttp::answer(200)};
    });
    HttpClient client({.user = "test:er", .password = Secret("p")});
    ASSERT_TRUE(client.send(get(server)));
    EXPECT_THAT(seen, HasSubstr("Authorization: Basic " + to_base64(as_bytes("test:er:p"))));
}

TEST(HttpClient, RefusesHeadersThatWouldBecomeTwo) {
    HttpClient client({});
    HttpRequest request{.url = "http://127.0.0.1:1/", .headers = {{"X-A", "b\r\nX-C: d"}}, .what = "x"};
    EXPECT_EQ(client.send(request).error().code, ErrorCode::usage);
    EXPECT_EQ(client.send({.url = "http://:::/", .what = "x"}).error().code, ErrorCode::usage);
    EXPECT_EQ(client.send({.url = "ftp://127.0.0.1/", .what = "x"}).error().code, ErrorCode::usage);
}

TEST(HttpError, SaysWhetherATryMayHelp) {
    EXPECT_EQ(http_error(403, "x").code, ErrorCode::denied);
    EXPECT_EQ(http_error(404, "x").code, ErrorCode::not_found);
    EXPECT_EQ(http_error(412, "x").code, ErrorCode::exists);
    EXPECT_EQ(http_error(507, "x").code, ErrorCode::disk_full);
    EXPECT_EQ(http_error(400, "x").code, ErrorCode::store);
    for (const int status : {408, 429, 500, 502, 503, 504}) EXPECT_TRUE(http_error(status, "x").retryable()) << status;
    EXPECT_THAT(http_error(500, "putting a", "slow\x1b[31m\ndown").message,
                "putting a: the server answered HTTP 500: slow [31m down");
}

}    // namespace
}    // namespace holdfast::storage
