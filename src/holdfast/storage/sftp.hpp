#pragma once
// A repository on another host, reached over SSH: `sftp:user@host:/path`, `sftp://user@host:port//path`.
//
//   shape       restic's layout below the path; folders 0700, files 0400
//   durability  a file is written under a name that readers skip, synced, then renamed: it has its name only whole. sync()
//               brings the names to the disk where the server can (OpenSSH)
//   leftovers   "<id>-tmp-<random>" of an upload that was cut off: removed by the next call that gets through; one per
//               connection at most stays when this process is killed, until remove_leftovers()
//   lines       up to `sftp.connections` (5), made when they are needed; one that was idle is tried before it is used; a
//               dead one is dropped, and the next call makes another
//   options     sftp.identity, sftp.known-hosts, sftp.command (instead of our own SSH client), sftp.connections,
//               sftp.timeout (seconds of silence, 60)
//   errors      as Backend and storage/ssh_channel.hpp
//   source      docs/operations/off-site-ssh.md

#include "holdfast/storage/backend.hpp"

namespace holdfast::storage {

/// `rest` is what follows "sftp:". Nothing is connected yet.
Result<std::unique_ptr<Backend>> open_sftp(const std::string& rest, const BackendOptions& options);

}    // namespace holdfast::storage
