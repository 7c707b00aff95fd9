// A Redis that only TLS reaches, with certificates of its own.

#include "holdfast/db/tls_stream.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include "holdfast/db/rdb.hpp"
#include "holdfast/db/redis_replica.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/process.hpp"
#include "holdfast/testing/redis_data.hpp"
#include "holdfast/testing/redis_server.hpp"

namespace holdfast::db {
namespace {

using ::testing::HasSubstr;
using testing::RedisServer;

class RedisOverTls : public ::testing::Test {
protected:
    void SetUp() override {
        ::signal(SIGPIPE, SIG_IGN);    // as the program does
        for (const char* name : {"server", "other", "client"}) make_certificate(name, "IP:127.0.0.1");
        make_certificate("elsewhere", "DNS:redis.example");
    }
    std::string at(const std::string& name) const { return folder_.path() + "/" + name; }
    void make_certificate(const std::string& name, const std::string& for_whom) const {
        os::Command command;
        command.arguments = {"openssl",
                             "req",
                             "-x509",
                             "-newkey",
                             "ec",
                             "-pkeyopt",
                             "ec_paramgen_curve:P-256",
                             "-nodes",
                             "-keyout",
                             at(name + ".key"),
                             "-out",
                             at(name + ".crt"),
                             "-days",
                             "2",
                             "-subj",
                             "/CN=" + name,
                             "-addext",
                             "subjectAltName=" + for_whom};
        const auto made = os::run(command);
        ASSERT_TRUE(made && made->status.ok()) << (made ? made->errors : made.error().message);
    }
    // Its plain port is for the test; TLS is beside it.
    void start(const std::string& certificate, const std::string& ask_clients) {
        const auto port = os::free_port();
        ASSERT_TRUE(port);
        auto server =
            RedisServer::start({"tls-port " + std::to_string(*port), "tls-cert-file " + at(certificate + ".crt"),
                                "tls-key-file " + at(certificate + ".key"), "tls-ca-cert-file " + at("client.crt"),
                                "tls-auth-clients " + ask_clients, "user tls on >pw ~* +@all"});
        ASSERT_TRUE(server) << server.error().message << server.error().hint;
        server_.emplace(*std::move(server));
        login_.port = *port;
        login_.user = "tls";
        login_.password = Secret("pw");
        login_.tls = TlsFiles{at("server.crt"), {}, {}};
    }
    Error error() {
        auto client = RedisClient::connect(login_);
        if (!client) return client.error();
        const auto reply = client->command({"PING"});
        return reply ? Error{} : reply.error();
    }

    os::TempFolder folder_ = *os::TempFolder::create("hf-tls-");
    std::optional<RedisServer> server_;
    RedisLogin login_;
};

TEST_F(RedisOverTls, TakesTheSameDataAsWithout) {
    start("server", "no");
    ASSERT_TRUE(server_->talk(testing::every_redis_type()));
    RedisLogin plain;
    plain.port = server_->port();
    std::vector<std::string> digests;
    for (const RedisLogin* login : {&plain, &login_}) {
        auto client = RedisClient::connect(*login);
        ASSERT_TRUE(client) << client.error().message;
        const std::string large(3 << 20, 'x');
        ASSERT_TRUE(client->command({"SET", "large", large}));
        EXPECT_EQ(client->command({"GET", "large"})->text(), large);
        auto replica = RedisReplica::attach(*std::move(client), "");
        ASSERT_TRUE(replica) << replica.error().message;
        const auto summary = read_rdb([&](ByteSpan to) { return replica->read(to); });
        ASSERT_TRUE(summary) << summary.error().message;
        digests.push_back(summary->digest());
    }
    EXPECT_EQ(digests[0], digests[1]);
}

TEST_F(RedisOverTls, TrustsOnlyWhomItIsToldTo) {
    start("server", "no");
    EXPECT_EQ(error().message, "");
    login_.tls->ca_file = at("other.crt");
    EXPECT_EQ(error().code, ErrorCode::denied);
    EXPECT_THAT(error().hint, HasSubstr("ca_file"));
    login_.tls->ca_file.clear();    // the system knows nobody of ours
    EXPECT_EQ(error().code, ErrorCode::denied);
    login_.tls->ca_file = at("server.key");
    EXPECT_EQ(error().code, ErrorCode::config);
    login_.tls->ca_file = at("server.crt");
    login_.port = server_->port();
    login_.timeout = std::chrono::seconds(1);    // it waits for the end of a line
    EXPECT_EQ(error().code, ErrorCode::unreachable);
    EXPECT_THAT(error().hint, HasSubstr("tls-port"));
}

TEST_F(RedisOverTls, RefusesTheCertificateOfAnotherHost) {
    start("elsewhere", "no");
    login_.tls->ca_file = at("elsewhere.crt");
    EXPECT_EQ(error().code, ErrorCode::denied);
    login_.host = "localhost";
    EXPECT_EQ(error().code, ErrorCode::denied);
    EXPECT_THAT(error().message, HasSubstr("hostname mismatch"));
}

TEST_F(RedisOverTls, ShowsItsOwnCertificate) {
    start("server", "yes");
    const Error without = error();    // its refusal, or a reset that has overtaken it
    EXPECT_TRUE(without.code == ErrorCode::denied || without.code == ErrorCode::unreachable) << without.message;
    EXPECT_THAT(without.hint, HasSubstr("tls_certificate"));
    login_.tls->certificate = at("client.crt");
    login_.tls->key = at("client.key");
    EXPECT_EQ(error().message, "");
    login_.tls->key = at("other.key");    // of another certificate
    EXPECT_EQ(error().code, ErrorCode::config);
    EXPECT_THAT(error().hint, HasSubstr("tls_key"));
}

TEST_F(RedisOverTls, SaysWhenTheServerDies) {
    start("server", "no");
    auto client = RedisClient::connect(login_);
    ASSERT_TRUE(client);
    server_->kill();
    const auto reply = client->command({"PING"});
    ASSERT_FALSE(reply);
    EXPECT_TRUE(reply.error().code == ErrorCode::unreachable || reply.error().code == ErrorCode::io)
        << reply.error().message;
}

}    // namespace
}    // namespace holdfast::db
