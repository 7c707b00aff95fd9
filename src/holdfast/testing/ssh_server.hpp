#pragma once
// A private OpenSSH server for tests: 127.0.0.1 and a free port, keys of its own, SFTP only. Gone with this object.
//
//   login    as whoever runs the test, with the key in identity(); nobody else, no passwords
//   errors   not_found without sshd or ssh-keygen; store, with the end of its log, when it does not answer within 30 s

#include <cstdint>
#include <optional>
#include <string>

#include "holdfast/os/file.hpp"
#include "holdfast/os/process.hpp"

namespace holdfast::testing {

class SshServer {
public:
    static Result<SshServer> start();

    std::uint16_t port() const { return port_; }
    std::string identity() const { return folder_.path() + "/id"; }
    std::string other_identity() const { return folder_.path() + "/other"; }    // a key that it does not know
    std::string known_hosts() const { return folder_.path() + "/known"; }
    const std::string& folder() const { return folder_.path(); }
    /// "sftp://user@127.0.0.1:port//path"
    std::string location(const std::string& path) const { return location_at(port_, path); }
    /// The same through a port that leads to it (a proxy). The known hosts do not name that port: see trust_port().
    static std::string location_at(std::uint16_t port, const std::string& path);
    /// Adds the host key for another port to known_hosts().
    Status trust_port(std::uint16_t port) const;
    /// Stops the server and every session (SIGKILL); restart() brings it back on the same port with the same keys.
    void kill();
    Status restart();

private:
    SshServer(os::TempFolder folder, std::uint16_t port) : folder_(std::move(folder)), port_(port) {}
    os::TempFolder folder_;
    std::uint16_t port_;
    std::optional<os::Process> process_;
};

}    // namespace holdfast::testing
