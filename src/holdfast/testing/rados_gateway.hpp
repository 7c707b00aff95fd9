#pragma once
// A real S3 server: Ceph's radosgw over one monitor and one OSD that keeps everything in memory, in a temporary folder on
// free ports of 127.0.0.1. It takes about 10 s to start: one for a test program, a bucket for each test.
//
//   users    access key "AKTEST" with the secret "sk/test+1"; its buckets also answer as <bucket>.s3.localhost
//   errors   store, with the ends of the logs, when it does not answer within three minutes

#include "holdfast/storage/sigv4.hpp"
#include "holdfast/testing/server_set.hpp"

namespace holdfast::testing {

class RadosGateway {
public:
    static Result<RadosGateway> start();
    std::uint16_t port() const { return port_; }
    std::string url() const;    // "http://127.0.0.1:port"
    static storage::AwsCredentials credentials();
    /// kill -9 of the gateway alone; restart() brings it back with all that it had acknowledged.
    void kill() { servers_.kill("rgw"); }
    Status restart();
    std::string log_tail() const { return servers_.log_tail(); }

private:
    RadosGateway(ServerSet servers, std::uint16_t port) : servers_(std::move(servers)), port_(port) {}
    ServerSet servers_;
    std::uint16_t port_;
};

}    // namespace holdfast::testing
