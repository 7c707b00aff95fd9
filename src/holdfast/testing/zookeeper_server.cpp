#include "holdfast/testing/zookeeper_server.hpp"

#include <fmt/core.h>
#include <signal.h>

#include "holdfast/base/clock.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/os/socket.hpp"

namespace holdfast::testing {

namespace {

constexpr const char* k_jar = "/usr/share/java/zookeeper.jar";

// "ruok" says yes before sessions are served.
bool answers(std::uint16_t port) {
    const Duration patience = std::chrono::seconds(2);
    auto socket = os::Socket::connect_tcp("127.0.0.1", port, patience);
    if (!socket || !socket->write(as_bytes("srvr"), patience)) return false;
    std::string answer;
    for (Bytes piece(4096);;) {
        const auto got = socket->read(piece, patience);
        if (!got || *got == 0) return answer.find("Mode: ") != std::string::npos;
        answer += as_text(ByteView(piece).first(*got));
    }
}

}    // namespace

ZooKeeperServer::ZooKeeperServer(os::TempFolder folder, os::Process process, std::uint16_t port)
    : folder_(std::move(folder)), process_(std::move(process)), port_(port) {}

Result<ZooKeeperServer> ZooKeeperServer::start() {
    const std::string java = os::find_program("java", {"/usr/bin"});
    if (java.empty() || !os::exists(k_jar))
        return fail(ErrorCode::not_found, "ZooKeeper is not installed", "apt-get install zookeeper");
    HF_TRY(auto folder, os::TempFolder::create("hf-zookeeper-"));
    HF_TRY(const auto port, os::free_port());
    const std::string& path = folder.path();
    HF_DO(os::make_folders(path + "/data"));
    HF_DO(os::write_file(path + "/zoo.cfg", as_bytes(fmt::format(R"(tickTime=500
dataDir={}/data
clientPort={}
clientPortAddress=127.0.0.1
admin.enableServer=false
4lw.commands.whitelist=srvr
)",
                                                                 path, port))));
    os::Command command;
    command.arguments = {
        java, "-Xmx128m", "-cp", k_jar, "org.apache.zookeeper.server.quorum.QuorumPeerMain", path + "/zoo.cfg"};
    command.folder = path;
    command.output_file = path + "/output.log";
    command.errors = os::Stream::null;
    HF_TRY(auto process, os::Process::start(command));
    ZooKeeperServer server(std::move(folder), std::move(process), port);
    os::SystemClock clock;
    const Instant until = clock.instant() + std::chrono::seconds(30);
    while (!answers(port)) {
        if (clock.instant() > until)
            return fail(ErrorCode::store, "ZooKeeper does not answer\n" +
                                              os::read_text(server.folder_.path() + "/output.log").value_or(""));
        clock.sleep(std::chrono::milliseconds(50));
    }
    return server;
}

void ZooKeeperServer::kill() {
    if (!process_) return;
    process_->kill(SIGKILL);
    (void)process_->wait();
    process_.reset();
}

}    // namespace holdfast::testing
