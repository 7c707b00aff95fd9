#pragma once
// The folder that a restore writes into, and nothing outside of it: folders are numbered, opened part by part from the
// target with O_NOFOLLOW, and every name was checked when its tree was decoded.
//
//   threads  make_folder and look_folder from one; the rest from any
//   errors   exists when something is in the way and may not be replaced; errno's own

#include <sys/stat.h>

#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "holdfast/format/tree.hpp"
#include "holdfast/os/fd.hpp"

namespace holdfast::vault {

class RestoreTarget {
public:
    using FolderNumber = std::uint32_t;

    /// What may go to make room for a new entry: nothing, all but folders that hold something, all.
    enum class MakeWay { refuse, replace, replace_trees };

    /// Makes `path` if it is absent; exists when it must be empty and is not.
    static Result<std::unique_ptr<RestoreTarget>> open(const std::string& path, MakeWay way, bool must_be_empty);
    /// For a dry run: changes nothing, and a target that is not there is as good as an empty one.
    static Result<std::unique_ptr<RestoreTarget>> look_at(const std::string& path, MakeWay way, bool must_be_empty);

    /// 0 is the target itself. A new folder is 0700 until its metadata is set.
    struct MadeFolder {
        FolderNumber number = 0;
        bool was_there = false;
    };
    Result<MadeFolder> make_folder(FolderNumber above, const std::string& name);
    /// Numbers a folder that may not be there.
    FolderNumber look_folder(FolderNumber above, const std::string& name);
    Result<std::shared_ptr<os::Fd>> folder(FolderNumber number);
    /// What lies there, links not followed; nothing if it, or its folder, is absent.
    Result<std::optional<struct stat>> look(FolderNumber in, const std::string& name);
    /// The target of a symlink.
    Result<std::string> read_link(FolderNumber in, const std::string& name);
    Result<std::vector<std::string>> names_in(FolderNumber number);

    /// A new, empty file; what is in the way goes if it may.
    Result<os::Fd> create_file(FolderNumber in, const std::string& name);
    Result<os::Fd> reopen_file(FolderNumber in, const std::string& name);
    Result<os::Fd> open_to_read(FolderNumber in, const std::string& name);
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
    RestoreTarget(std::string path, os::Fd fd, MakeWay way);
    Result<std::shared_ptr<os::Fd>> folder_locked(FolderNumber number);
    /// Removes what is in the way of a new entry; exists when that is not allowed.
    Status make_way(int folder, FolderNumber in, const std::string& name);

    const std::string path_;
    const MakeWay way_;
    mutable std::mutex mutex_;
    std::vector<Folder> folders_;
    std::deque<FolderNumber> open_;    // oldest first, without the target
};

/// Takes away extended attributes (access control lists among them) that the node does not have, from a file or folder
/// that was there before. What the system guards is left alone.
void remove_other_attributes(int fd, const format::Node& node);
/// Owner, mode, xattrs and times, in the order in which the kernel does not undo one by the next. What is refused ends
/// up in `warnings` with `path`; setuid and setgid are set only if the owner could be.
void apply_metadata(int fd, const format::Node& node, const std::string& path,
                    std::vector<std::pair<std::string, Error>>& warnings);
/// The same for an entry that cannot be opened: a symlink, fifo or device in `folder`.
void apply_metadata_at(int folder, const format::Node& node, const std::string& path,
                       std::vector<std::pair<std::string, Error>>& warnings);

}    // namespace holdfast::vault
