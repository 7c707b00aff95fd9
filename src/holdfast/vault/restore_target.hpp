#pragma once
// The folder that a restore writes into, and nothing outside of it: folders are numbered, opened part by part from the
// target with O_NOFOLLOW, and every name was checked when its tree was decoded.
//
//   threads  make_folder from one; the rest from any
//   errors   exists when something is in the way and may not be replaced; errno's own

#include <sys/stat.h>

#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "holdfast/format/tree.hpp"
#include "holdfast/os/fd.hpp"

namespace holdfast::vault {

class RestoreTarget {
public:
    using FolderNumber = std::uint32_t;

    /// Makes `path` if it is absent; exists unless it is empty or `overwrite`.
    static Result<std::unique_ptr<RestoreTarget>> open(const std::string& path, bool overwrite);

    /// 0 is the target itself. A new folder is 0700 until its metadata is set.
    Result<FolderNumber> make_folder(FolderNumber above, const std::string& name);
    Result<std::shared_ptr<os::Fd>> folder(FolderNumber number);
    /// A new, empty file; what is in the way goes when overwriting.
    Result<os::Fd> create_file(FolderNumber in, const std::string& name);
    Result<os::Fd> reopen_file(FolderNumber in, const std::string& name);
    /// Symlink, fifo or device; `node` says which.
    Status create_other(FolderNumber in, const format::Node& node);
    Status link(FolderNumber from, const std::string& from_name, FolderNumber to, const std::string& to_name);
    void remove_file(FolderNumber in, const std::string& name);
    /// For people: the path with the target in front.
    std::string path_of(FolderNumber in, const std::string& name) const;
    Status sync();

private:
    struct Folder {
        FolderNumber above;
        std::string name;
        std::shared_ptr<os::Fd> fd;    // null: closed for now
    };
    RestoreTarget(std::string path, os::Fd fd, bool overwrite);
    Result<std::shared_ptr<os::Fd>> folder_locked(FolderNumber number);
    /// Removes what is in the way of a new entry; exists when that is not allowed.
    Status make_way(int folder, FolderNumber in, const std::string& name);

    const std::string path_;
    const bool overwrite_;
    mutable std::mutex mutex_;
    std::vector<Folder> folders_;
    std::deque<FolderNumber> open_;    // oldest first, without the target
};

/// Owner, mode, xattrs and times, in the order in which the kernel does not undo one by the next. What is refused ends
/// up in `warnings` with `path`; setuid and setgid are set only if the owner could be.
void apply_metadata(int fd, const format::Node& node, const std::string& path,
                    std::vector<std::pair<std::string, Error>>& warnings);
/// The same for an entry that cannot be opened: a symlink, fifo or device in `folder`.
void apply_metadata_at(int folder, const format::Node& node, const std::string& path,
                       std::vector<std::pair<std::string, Error>>& warnings);

}    // namespace holdfast::vault
