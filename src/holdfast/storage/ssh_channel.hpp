#pragma once
// The two ways to a server's SFTP subsystem: our own SSH client (libssh), or a program that the user named ("ssh -s ...").
//
//   security  the server's key must stand in the known-hosts file: an unknown or changed key is refused (denied), with the
//             command that looks at it. Keys only, no passwords; no ssh_config is read
//   keys      the file that was named, else the agent's and ~/.ssh/id_{ed25519,ecdsa,rsa}
//   errors    unreachable (no answer within `silence_max`, closed; retryable), denied (host key, login), usage (files that
//             cannot be read), cancelled (within a second of a signal)
//   threads   one at a time; several channels may be used side by side
//   source    libssh 0.10.6; a watchdog cuts the socket, as most of its calls wait without end

#include <memory>
#include <string>

#include "holdfast/base/bytes.hpp"
#include "holdfast/base/clock.hpp"
#include "holdfast/base/result.hpp"
#include "holdfast/storage/pace.hpp"
#include "holdfast/storage/sftp_location.hpp"

namespace holdfast::storage {

class SshChannel {
public:
    virtual ~SshChannel() = default;
    virtual Status write(ByteView bytes) = 0;
    /// At least one byte; unreachable at the end of the stream.
    virtual Result<std::size_t> read(ByteSpan to) = 0;
};

struct SshOptions {
    std::string identity;    // private key file; empty: agent, then the usual files
    std::string known_hosts;    // empty: ~/.ssh/known_hosts, then /etc/ssh/ssh_known_hosts
    Duration connect_max = std::chrono::seconds(15);
    Duration silence_max = std::chrono::seconds(60);
};

Result<std::unique_ptr<SshChannel>> open_ssh_channel(const SftpLocation& location, const SshOptions& options);

/// The same channel at a pace; the channel itself when there is none.
std::unique_ptr<SshChannel> paced_channel(std::unique_ptr<SshChannel> channel, Paces pace);

/// The standard input and output of a program, run by /bin/sh.
Result<std::unique_ptr<SshChannel>> open_command_channel(const std::string& command, Duration silence_max);

}    // namespace holdfast::storage
