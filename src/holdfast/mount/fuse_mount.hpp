#pragma once
// SnapshotFiles under a mount point, through the kernel's FUSE (libfuse 3, low level).
//
//   ends      on SIGINT or SIGTERM (os::stop_requested), or when somebody unmounts it
//   errors    not_found, denied (no /dev/fuse, no right to mount), usage (the mount point is no folder)
//   threads   serve() runs a few of its own and returns when all are done
//   rights    the kernel checks modes and owners (default_permissions) unless told not to

#include <functional>
#include <string>

#include "holdfast/mount/snapshot_files.hpp"

namespace holdfast::mount {

struct MountOptions {
    std::string mountpoint;
    bool allow_other = false;    // other users than who mounts may look
    bool check_permissions = true;
    unsigned threads = 4;
    std::function<void()> mounted;    // called once it is there
};

/// Mounts, serves until the end, unmounts.
Status serve(SnapshotFiles& files, const MountOptions& options);

}    // namespace holdfast::mount
