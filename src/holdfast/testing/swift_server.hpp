#pragma once
// A second S3 server, stricter than the first: OpenStack Swift with its s3api, in a temporary folder on free ports of
// 127.0.0.1. It checks the region of a signature and says 501 to what it lacks (If-None-Match, server-side encryption).
//
//   users    access key "test:tester" with the secret "testing"; region us-east-1
//   errors   store, with the ends of the logs, when it does not take a container within three minutes

#include "holdfast/storage/sigv4.hpp"
#include "holdfast/testing/server_set.hpp"

namespace holdfast::testing {

class SwiftServer {
public:
    static Result<SwiftServer> start();
    std::uint16_t port() const { return port_; }
    std::string url() const;
    static storage::AwsCredentials credentials();

private:
    SwiftServer(ServerSet servers, std::uint16_t port) : servers_(std::move(servers)), port_(port) {}
    ServerSet servers_;
    std::uint16_t port_;
};

}    // namespace holdfast::testing
