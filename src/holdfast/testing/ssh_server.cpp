#include "holdfast/testing/ssh_server.hpp"

#include <fmt/core.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <thread>

#include "holdfast/os/host.hpp"
#include "holdfast/os/socket.hpp"

namespace holdfast::testing {
namespace {

using namespace std::chrono_literals;

// sshd greets before anything is asked.
bool greets(std::uint16_t port) {
    auto socket = os::Socket::connect_tcp("127.0.0.1", port, 1s);
    if (!socket) return false;
    std::array<std::byte, 4> hello{};
    const auto n = socket->read(hello, 5s);
    return n && as_text(ByteView(hello).first(*n)).starts_with("SSH");
}

// Every session is a process group of its own.
void kill_tree(pid_t pid) {
    const auto children = os::read_text(fmt::format("/proc/{0}/task/{0}/children", pid));
    ::kill(pid, SIGSTOP);    // no more children from now on
    if (children)
        for (std::size_t at = 0; at < children->size();) {
            const std::size_t end = children->find(' ', at);
            kill_tree(std::stoi(children->substr(at, end - at)));
            if (end == std::string::npos) break;
            at = end + 1;
        }
    ::kill(pid, SIGKILL);
}

Status make_key(const std::string& path) {
    os::Command command;
    command.arguments = {"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path};
    HF_TRY(const os::Finished made, os::run(command));
    if (!made.status.ok()) return fail(ErrorCode::store, "ssh-keygen: " + made.errors);
    return {};
}

}    // namespace

std::string SshServer::location_at(std::uint16_t port, const std::string& path) {
    return fmt::format("sftp://{}@127.0.0.1:{}/{}", os::user_name(), port, path);
}

Result<SshServer> SshServer::start() {
    HF_TRY(os::TempFolder folder, os::TempFolder::create("hf-sshd"));
    HF_TRY(const std::uint16_t port, os::free_port());
    SshServer server(std::move(folder), port);
    const std::string& path = server.folder_.path();
    for (const char* name : {"host", "id", "other"}) HF_DO(make_key(path + '/' + name));
    HF_TRY(const std::string authorized, os::read_text(path + "/id.pub"));
    HF_DO(os::write_file(path + "/authorized", as_bytes(authorized)));
    HF_DO(os::write_file(path + "/known", {}));
    HF_DO(server.trust_port(port));
    const std::string config = fmt::format(
        "Port {0}\nListenAddress 127.0.0.1\nHostKey {1}/host\nAuthorizedKeysFile {1}/authorized\nPidFile {1}/sshd.pid\n"
        "UsePAM no\nStrictModes no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
        "PermitRootLogin prohibit-password\nSubsystem sftp internal-sftp\nForceCommand internal-sftp\n"
        "MaxStartups 100\n",
        port, path);
    HF_DO(os::write_file(path + "/config", as_bytes(config)));
    HF_DO(server.restart());
    return server;
}

Status SshServer::trust_port(std::uint16_t port) const {
    HF_TRY(const std::string known, os::read_text(known_hosts()));
    HF_TRY(const std::string key, os::read_text(folder_.path() + "/host.pub"));
    const std::string without_comment = key.substr(0, key.rfind(' '));
    return os::write_file(known_hosts(), as_bytes(fmt::format("{}[127.0.0.1]:{} {}\n", known, port, without_comment)));
}

Status SshServer::restart() {
    // Where it puts itself before it gives up its rights; the package makes it at boot only.
    if (::geteuid() == 0) HF_DO(os::make_folders("/run/sshd", 0755));
    os::Command command;
    command.arguments = {"/usr/sbin/sshd", "-D", "-f", folder_.path() + "/config", "-E", folder_.path() + "/log"};
    command.output = os::Stream::null;
    HF_TRY(os::Process process, os::Process::start(command));
    process_ = std::move(process);
    const auto deadline = std::chrono::steady_clock::now() + 30s;
    while (!greets(port_)) {
        if (std::chrono::steady_clock::now() > deadline || !os::process_exists(process_->pid()))
            return fail(ErrorCode::store, fmt::format("sshd on port {} did not come up", port_),
                        os::read_text(folder_.path() + "/log").value_or(""));
        std::this_thread::sleep_for(20ms);
    }
    return {};
}

void SshServer::kill() {
    if (process_) kill_tree(process_->pid());
    process_.reset();
}

}    // namespace holdfast::testing
