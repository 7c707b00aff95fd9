// `holdfast serve` as clients meet it, well-meaning ones and others. NS-06, NS-19.

#include <gmock/gmock.h>
#include <sys/mount.h>

#include <latch>
#include <thread>

#include "holdfast/format/crypto.hpp"
#include "holdfast/os/socket.hpp"
#include "holdfast/storage/http_client.hpp"
#include "holdfast/testing/fault_proxy.hpp"
#include "rest_server.hpp"

namespace holdfast::testing {
namespace {

using namespace std::chrono_literals;
using storage::FileKind;
using storage::FileName;
using ::testing::HasSubstr;
using ::testing::Not;

FileName pack_named(std::string_view content) { return {FileKind::pack, format::sha256(as_bytes(content))}; }

void plain(serve::ServeOptions& options) {
    options.tls_certificate.clear();
    options.tls_key.clear();
    options.htpasswd_file.clear();
    options.no_auth = true;
    options.handler.private_repositories = false;
}

struct Request {
    std::string method, path;
    std::vector<storage::HttpHeader> headers;
    std::string body;
    std::string user = "bob", password = "p/w";
};

storage::HttpResponse ask(RestServer& server, const Request& wanted) {
    storage::HttpOptions options;
    options.ca_file = server.ca_file();
    options.user = wanted.user;
    options.password = Secret(wanted.password);
    storage::HttpClient client(std::move(options));
    storage::HttpRequest request;
    request.method = wanted.method;
    request.url = server.server().url() + wanted.path;
    request.headers = wanted.headers;
    request.what = "a test";
    storage::MemoryBody body(as_bytes(wanted.body));
    if (wanted.method == "POST") request.body = &body;
    auto response = client.send(request);
    EXPECT_TRUE(response) << (response ? "" : error_text(response.error()));
    return response ? *std::move(response) : storage::HttpResponse{};
}

// Sends bytes as they are to a plain server and reads until it closes.
class RawClient {
public:
    explicit RawClient(RestServer& server)
        : socket_(os::Socket::connect_tcp("127.0.0.1", server.server().port(), 10s).value()) {}
    void send(std::string_view bytes) { EXPECT_TRUE(socket_.write(as_bytes(bytes), 10s)); }
    std::string receive() {    // once
        Bytes piece(4096);
        const auto n = socket_.read(piece, 30s);
        return n ? std::string(as_text(ByteView(piece).first(*n))) : "";
    }
    std::string rest() {
        std::string all;
        for (std::string more = receive(); !more.empty(); more = receive()) all += more;
        return all;
    }

private:
    os::Socket socket_;
};

std::string upload_head(std::string_view content, std::size_t length) {
    return fmt::format("POST /repo/data/{} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n",
                       format::sha256(as_bytes(content)).hex(), length);
}

TEST(Serve, AsksWhoYouAreAndKeepsUsersApart) {
    RestServer server;
    HF_OK(server.backend()->create_layout());
    EXPECT_EQ(ask(server, {"HEAD", "bob/repo/config", {}, {}}).status, 404);
    for (const Request& stranger :
         {Request{"HEAD", "bob/repo/config", {}, {}, "", ""}, Request{"HEAD", "bob/repo/config", {}, {}, "bob", "P/w"},
          Request{"HEAD", "bob/repo/config", {}, {}, "eve", "p/w"}, Request{"GET", "../../etc/passwd", {}, {}, "", ""},
          Request{"GET", "metrics", {}, {}, "", ""}}) {
        const auto answer = ask(server, stranger);
        EXPECT_EQ(answer.status, 401) << stranger.path;
        EXPECT_THAT(std::string(answer.header("www-authenticate").value_or("")), HasSubstr("Basic"));
    }
    EXPECT_EQ(ask(server, {"GET", "bob/repo/keys/", {}, {}, "ann", "x"}).status, 403);
    EXPECT_EQ(ask(server, {"POST", "bob/other/?create=true", {}, {}, "ann", "x"}).status, 403);
    EXPECT_EQ(ask(server, {"POST", "?create=true", {}, {}, "ann", "x"}).status, 403);
    EXPECT_EQ(ask(server, {"POST", "ann/?create=true", {}, {}, "ann", "x"}).status, 200);
}

TEST(Serve, TellsClientsWithoutTheCertificateNothing) {
    RestServer server;
    auto options = server.client_options();
    options.ca_file.clear();
    const auto answer = storage::open_backend(server.location(), options).value()->size({FileKind::config, {}});
    EXPECT_EQ(answer.error().code, ErrorCode::denied);
    EXPECT_THAT(answer.error().hint, HasSubstr("--cacert"));
    EXPECT_THAT(answer.error().message + answer.error().hint, Not(HasSubstr("p/w")));
    EXPECT_THAT(server.backend()->location(), HasSubstr("bob:***@"));
}

TEST(Serve, RefusesContentThatIsNotItsName) {
    RestServer server;
    HF_OK(server.backend()->create_layout());
    const auto answer =
        ask(server, {"POST", "bob/repo/data/" + format::sha256(as_bytes("x")).hex(), {}, "another content"});
    EXPECT_EQ(answer.status, 400);
    int found = 0;
    HF_OK(server.backend()->list(FileKind::pack, [&](const Id&, std::uint64_t) { ++found; }));
    EXPECT_EQ(found, 0);
    HF_OK(server.backend()->put(pack_named("x"), as_bytes("x")));
    EXPECT_EQ(ask(server, {"POST", "bob/repo/data/" + pack_named("x").id.hex(), {}, "x"}).status, 403);
}

TEST(Serve, ReadsRangesAndBothVersionsOfLists) {
    RestServer server;
    const auto b = server.backend();
    HF_OK(b->create_layout());
    HF_OK(b->put(pack_named("0123456789"), as_bytes("0123456789")));
    const std::string name = pack_named("0123456789").id.hex(), path = "bob/repo/data/" + name;
    const auto part = ask(server, {"GET", path, {{"Range", "bytes=2-4"}}, {}});
    EXPECT_EQ(part.status, 206);
    EXPECT_EQ(as_text(part.body), "234");
    EXPECT_EQ(part.header("content-range"), "bytes 2-4/10");
    EXPECT_EQ(ask(server, {"GET", path, {{"Range", "bytes=10-"}}, {}}).status, 416);
    EXPECT_EQ(ask(server, {"GET", path, {}, {}}).status, 200);
    const auto v1 = ask(server, {"GET", "bob/repo/data/", {}, {}});
    EXPECT_EQ(as_text(v1.body), "[\"" + name + "\"]");
    EXPECT_EQ(v1.header("content-type"), "application/vnd.x.restic.rest.v1");
    const auto v2 = ask(server, {"GET", "bob/repo/data/", {{"Accept", "application/vnd.x.restic.rest.v2"}}, {}});
    EXPECT_EQ(as_text(v2.body), "[{\"name\":\"" + name + "\",\"size\":10}]");
    EXPECT_EQ(v2.header("content-type"), "application/vnd.x.restic.rest.v2");
}

TEST(Serve, LeadsNowhereOutOfItsFolder) {
    RestServer server(plain);
    for (const char* path : {"/../../etc/passwd", "/%2e%2e/config", "/a/../../config", "/.htpasswd",
                             "/a%2f..%2f..%2fx/config", "/data/../../x"}) {
        RawClient client(server);
        client.send(fmt::format("GET {} HTTP/1.1\r\nConnection: close\r\n\r\n", path));
        EXPECT_THAT(client.rest(), ::testing::AnyOf(HasSubstr("HTTP/1.1 400"), HasSubstr("HTTP/1.1 404"))) << path;
    }
}

TEST(Serve, SaysWhatIsWrongWithAnUploadBeforeItIsSent) {
    RestServer server(plain);
    RawClient no_length(server);
    no_length.send("POST /repo/config HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    EXPECT_THAT(no_length.rest(), HasSubstr("HTTP/1.1 411"));
    RawClient large(server);
    large.send(upload_head("x", 5ull << 30));
    EXPECT_THAT(large.receive(), HasSubstr("HTTP/1.1 413"));
    RawClient odd(server);
    odd.send("BREW /repo/config HTTP/1.1\r\nConnection: close\r\n\r\n");
    EXPECT_THAT(odd.rest(), HasSubstr("HTTP/1.1 405"));
    RawClient whole(server);
    whole.send("DELETE /repo/ HTTP/1.1\r\nConnection: close\r\n\r\n");
    EXPECT_THAT(whole.rest(), HasSubstr("HTTP/1.1 501"));
    RawClient long_head(server);
    long_head.send("GET / HTTP/1.1\r\nA: " + std::string(40'000, 'a'));
    EXPECT_THAT(long_head.receive(), HasSubstr("HTTP/1.1 431"));
}

TEST(Serve, KeepsWhatIsThereInAppendOnlyMode) {
    RestServer server([](serve::ServeOptions& options) { options.handler.append_only = true; });
    const auto b = server.backend();
    HF_OK(b->create_layout());
    for (const FileKind kind : {FileKind::pack, FileKind::index, FileKind::snapshot, FileKind::key}) {
        const FileName name{kind, format::sha256(as_bytes("x"))};
        HF_OK(b->put(name, as_bytes("x")));
        EXPECT_EQ(b->remove(name).error().code, ErrorCode::denied);
        HF_OK(b->read(name));
    }
    HF_OK(b->put({FileKind::config, {}}, as_bytes("config")));
    EXPECT_EQ(b->remove({FileKind::config, {}}).error().code, ErrorCode::denied);
    EXPECT_EQ(b->put({FileKind::config, {}}, as_bytes("another")).error().code, ErrorCode::exists);
    const FileName lock{FileKind::lock, format::sha256(as_bytes("x"))};
    HF_OK(b->put(lock, as_bytes("x")));
    HF_OK(b->remove(lock));
}

TEST(Serve, NeverTakesMoreThanItsQuotaHoweverManyComeAtOnce) {
    constexpr std::uint64_t k_max = 1 << 20;
    RestServer server([](serve::ServeOptions& options) { options.size_max = k_max; });
    const auto b = server.backend();
    HF_OK(b->create_layout());
    std::latch go(12);
    std::atomic<int> stored = 0, refused = 0;
    std::vector<std::thread> threads;
    for (int i = 0; i < 12; ++i)
        threads.emplace_back([&, i] {
            const std::string content = noise(200'000, static_cast<std::uint64_t>(i));
            go.arrive_and_wait();
            const auto status = b->put(pack_named(content), as_bytes(content));
            if (status)
                ++stored;
            else if (status.error().code == ErrorCode::disk_full)
                ++refused;
            else
                ADD_FAILURE() << error_text(status.error());
        });
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(stored, 5);
    EXPECT_EQ(refused, 7);
    const std::string more = noise(100'000, 99);
    EXPECT_EQ(b->put(pack_named(more), as_bytes(more)).error().code, ErrorCode::disk_full);
    server.stop();
    server.start();    // on another port, with what lies on the disk
    const auto again = server.backend();
    EXPECT_EQ(again->put(pack_named(more), as_bytes(more)).error().code, ErrorCode::disk_full);
    for (int i = 0; i < 12; ++i)
        static_cast<void>(again->remove(pack_named(noise(200'000, static_cast<std::uint64_t>(i)))).has_value());
    HF_OK(again->put(pack_named(more), as_bytes(more)));
}

TEST(Serve, GivesBackTheQuotaOfAnUploadThatWasCutOff) {
    RestServer server([](serve::ServeOptions& options) {
        plain(options);
        options.size_max = 1000;
    });
    const auto b = server.backend("repo");
    HF_OK(b->create_layout());
    const std::string content(900, 'x');
    for (int i = 0; i < 3; ++i) {
        RawClient client(server);
        client.send(upload_head(content, content.size()) + content.substr(0, 500));
    }
    // Whatever order the server notices in: the space comes back, and nothing half has a name.
    for (int i = 0; i < 500 && !b->put(pack_named(content), as_bytes(content)); ++i) std::this_thread::sleep_for(10ms);
    EXPECT_EQ(as_text(b->read(pack_named(content)).value()), content);
    int found = 0;
    HF_OK(b->list(FileKind::pack, [&](const Id&, std::uint64_t) { ++found; }));
    EXPECT_EQ(found, 1);
}

TEST(Serve, Says507WhenItsDiskIsFull) {
    const auto disk = os::TempFolder::create("hf-disk").value();
    ASSERT_EQ(::mount("tmpfs", disk.path().c_str(), "tmpfs", 0, "size=1m"), 0) << "this test needs root";
    {
        RestServer server([&](serve::ServeOptions& options) { options.folder = disk.path() + "/repositories"; });
        const auto b = server.backend();
        HF_OK(b->create_layout());
        const std::string content = noise(4 << 20);
        const auto status = b->put(pack_named(content), as_bytes(content));
        EXPECT_EQ(status.error().code, ErrorCode::disk_full) << error_text(status.error());
        EXPECT_THAT(status.error().message, HasSubstr("507"));
        HF_OK(b->put(pack_named("small"), as_bytes("small")));    // nothing of the large one was left
    }
    ::umount2(disk.path().c_str(), MNT_DETACH);
}

TEST(Serve, LetsSlowClientsWaitAndServesTheOthers) {
    RestServer server([](serve::ServeOptions& options) {
        plain(options);
        options.patience.head = 300ms;
        options.patience.grace = 300ms;
    });
    HF_OK(server.backend("repo")->create_layout());
    std::vector<RawClient> slow;
    for (int i = 0; i < 60; ++i) {
        slow.emplace_back(server);
        slow.back().send(i % 2 ? "GET /repo/conf" : upload_head("x", 1'000'000));
    }
    HF_OK(server.backend("repo")->put(pack_named("fast"), as_bytes("fast")));
    for (RawClient& client : slow) client.rest();    // returns when the server has cut it off
    HF_OK(server.backend("repo")->read(pack_named("fast")));
}

TEST(Serve, FinishesWhatIsOnItsWayWhenItStops) {
    RestServer server(plain);
    const auto folder = server.folder();
    HF_OK(server.backend("repo")->create_layout());
    const std::string content = noise(300'000);
    RawClient idle(server), busy(server);
    idle.send("GET /repo/keys/ HTTP/1.1\r\n\r\n");
    std::string answer;
    while (!answer.ends_with("[]")) answer += idle.receive();
    busy.send(upload_head(content, content.size()) + "");
    busy.send(content.substr(0, 100'000));
    std::thread stopping([&] { server.server().stop(); });
    EXPECT_EQ(idle.rest(), "");    // closed: the server is stopping
    busy.send(content.substr(100'000));
    EXPECT_THAT(busy.rest(), HasSubstr("HTTP/1.1 200"));
    stopping.join();
    EXPECT_TRUE(os::exists(folder + "/repo/" + storage::relative_path(pack_named(content))));
}

TEST(Serve, CountsAsRestServerDoes) {
    RestServer server;
    const auto b = server.backend();
    HF_OK(b->create_layout());
    HF_OK(b->put(pack_named("12345"), as_bytes("12345")));
    HF_OK(b->read(pack_named("12345")));
    HF_OK(b->remove(pack_named("12345")));
    const auto metrics = ask(server, {"GET", "metrics", {}, {}});
    EXPECT_EQ(metrics.status, 200);
    const std::string text(as_text(metrics.body));
    const std::string labels = "{repo=\"bob/repo\",type=\"data\",user=\"bob\"}";
    for (const char* verb : {"write", "read", "delete"}) {
        EXPECT_THAT(text, HasSubstr(fmt::format("rest_server_blob_{}_total{} 1\n", verb, labels)));
        EXPECT_THAT(text, HasSubstr(fmt::format("rest_server_blob_{}_bytes_total{} 5\n", verb, labels)));
    }
    EXPECT_THAT(text, HasSubstr("holdfast_serve_requests_total{method=\"DELETE\",code=\"200\"} 1\n"));
}

TEST(Serve, RefusesToStartWithoutSayingWhoMayUseIt) {
    const auto folder = os::TempFolder::create("hf-serve").value();
    serve::ServeOptions options;
    options.folder = folder.path();
    options.listen = "127.0.0.1:0";
    EXPECT_EQ(serve::Server::start(options, system_clock()).error().code, ErrorCode::usage);
    options.htpasswd_file = folder.path() + "/users";
    ASSERT_TRUE(os::write_file(options.htpasswd_file, as_bytes("bob:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\n")));
    EXPECT_EQ(serve::Server::start(options, system_clock()).error().code, ErrorCode::config);
    options.no_auth = true;
    EXPECT_EQ(serve::Server::start(options, system_clock()).error().code, ErrorCode::usage);
    options.htpasswd_file.clear();
    options.handler.private_repositories = true;
    EXPECT_EQ(serve::Server::start(options, system_clock()).error().code, ErrorCode::usage);
}

}    // namespace
}    // namespace holdfast::testing
