#pragma once
// A real ZooKeeper (Debian's, one node) of the test's own, for replicated tables of ClickHouse: temporary folder, free port of
// 127.0.0.1. Killed in the destructor.
//
//   errors   not_found without java or zookeeper.jar; store, with its log, when it does not answer within 30 s

#include <optional>
#include <string>

#include "holdfast/os/file.hpp"
#include "holdfast/os/process.hpp"

namespace holdfast::testing {

class ZooKeeperServer {
public:
    static Result<ZooKeeperServer> start();

    std::uint16_t port() const { return port_; }
    /// kill -9, and gone when it returns.
    void kill();

private:
    ZooKeeperServer(os::TempFolder folder, os::Process process, std::uint16_t port);

    os::TempFolder folder_;
    std::optional<os::Process> process_;
    std::uint16_t port_;
};

}    // namespace holdfast::testing
