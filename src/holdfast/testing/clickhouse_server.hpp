#pragma once
// A real clickhouse-server (Debian's 18.16) of the test's own: its folder is temporary, its ports are free ones of
// 127.0.0.1, its caches small. Killed in the destructor.
//
//   users    `default` without a password; `guarded` with the password `guarded-key`; `reader` (readonly=2)
//   errors   store, with the end of the server's log, when it does not answer within 30 s

#include <optional>
#include <string>

#include "holdfast/os/file.hpp"
#include "holdfast/os/process.hpp"

namespace holdfast::testing {

/// Of replicated tables: their ZooKeeper, and what the macro {replica} says.
struct ClickHouseReplica {
    std::uint16_t zookeeper_port = 0;
    std::string name;    // empty: it knows no ZooKeeper
};

class ClickHouseServer {
public:
    /// `in`: the folder for its data; empty: $TMPDIR, else /tmp.
    static Result<ClickHouseServer> start(const std::string& in = {}, const ClickHouseReplica& replica = {});

    std::string url() const;
    const std::string& data_folder() const { return data_; }
    pid_t pid() const { return process_->pid(); }

    /// kill -9, and gone when it returns.
    void kill();
    /// Starts it again on what lies in the data folder.
    Status restart();
    /// kill(), then the whole data folder away: a lost disk.
    Status wipe();

private:
    ClickHouseServer(os::TempFolder folder, std::uint16_t port);
    std::string log_tail() const;

    os::TempFolder folder_;
    std::string data_;
    std::uint16_t port_;
    std::optional<os::Process> process_;
};

}    // namespace holdfast::testing
