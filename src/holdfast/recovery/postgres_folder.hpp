#pragma once
// A cluster's data folder on this machine: what is there, what was written beside it, and the switch.
//
//   names     <folder>.holdfast-restore is the new one while it is made; <folder>.holdfast-restore.unfinished says so, and
//             which tablespace folders belong to it; <folder>.replaced-<time> is the old one
//   switch    both folders change places in one step of the kernel, after the mark is gone: a folder without a mark is whole
//             and is never removed by us
//   threads   one; a second restore into the same folder is refused (locked)

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "holdfast/base/clock.hpp"
#include "holdfast/base/result.hpp"
#include "holdfast/os/fd.hpp"
#include "holdfast/recovery/replacement.hpp"

namespace holdfast::recovery {

struct ClusterOwner {
    uid_t user = 0;
    gid_t group = 0;
    std::string name;    // for os::Command::user; empty: ourselves
};

/// A process that has a cluster's postmaster.pid and is alive; nullopt: no server runs there, as far as this machine knows.
std::optional<pid_t> running_postgres(const std::string& data_folder);

/// Gives a tree to its owner, links and all; nothing is done where it is theirs already.
Status give_tree(const std::string& path, const ClusterOwner& owner);

/// "20261127T184222Z" made fit for a name.
std::string time_mark(Timestamp now);

class NewCluster {
public:
    /// Clears what a killed restore left, and marks the beginning of another. Errors: locked, denied, disk_full.
    static Result<NewCluster> begin(const std::string& target);
    NewCluster(NewCluster&& other) noexcept;
    NewCluster& operator=(NewCluster&&) = delete;
    /// Removes what was made, unless it has taken its place.
    ~NewCluster();

    const std::string& staged() const { return staged_; }
    /// Remembers a tablespace folder, which must not be there, before it is made.
    Status will_make(const std::string& tablespace_folder);
    /// Whole: is made durable, and takes the target's place. Where the old one is now, if there was one that was not empty.
    /// `will_replace` may be empty.
    Result<std::optional<std::string>> take_place(Timestamp now, const WillReplace& will_replace = {});

private:
    NewCluster(std::string target, os::Fd mark);
    std::string target_, staged_, mark_path_;
    os::Fd mark_;    // locked
    std::vector<std::string> tablespaces_;
    std::vector<os::Fd> to_sync_;    // the file systems of the tablespaces, since before they were written
    bool placed_ = false;
};

}    // namespace holdfast::recovery
