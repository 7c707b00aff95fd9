#pragma once
// One of the two ClickHouse generations that the suites run against, behind one face.

#include <memory>
#include <ostream>
#include <string>
#include <variant>

#include "holdfast/testing/chdb_server.hpp"
#include "holdfast/testing/clickhouse_server.hpp"

namespace holdfast::testing {

enum class ClickHouseGeneration { v18, v26 };
inline void PrintTo(ClickHouseGeneration g, std::ostream* to) {
    *to << (g == ClickHouseGeneration::v18 ? "v18" : "v26");
}

class ClickHouseEngine {
public:
    /// `front` is the path of hf-chdb-front; only v26 needs it.
    static Result<ClickHouseEngine> start(ClickHouseGeneration generation, const std::string& front) {
        if (generation == ClickHouseGeneration::v18) {
            HF_TRY(auto server, ClickHouseServer::start());
            return ClickHouseEngine(std::move(server));
        }
        HF_TRY(auto server, ChdbServer::start(front));
        return ClickHouseEngine(std::move(server));
    }

    std::string url() const {
        return std::visit([](auto& server) { return server.url(); }, server_);
    }
    std::string backups() const {    // of v26: where BACKUP may write
        return std::get<ChdbServer>(server_).backups();
    }
    pid_t pid() const {
        return std::visit([](auto& server) { return server.pid(); }, server_);
    }
    void kill() {
        std::visit([](auto& server) { server.kill(); }, server_);
    }
    Status restart() {
        return std::visit([](auto& server) { return server.restart(); }, server_);
    }
    Status wipe() {
        return std::visit([](auto& server) { return server.wipe(); }, server_);
    }

private:
    template <class Server>
    explicit ClickHouseEngine(Server server) : server_(std::move(server)) {}
    std::variant<ClickHouseServer, ChdbServer> server_;
};

}    // namespace holdfast::testing
