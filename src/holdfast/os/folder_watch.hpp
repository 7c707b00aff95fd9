#pragma once
// Hears of changes in folders, through inotify.
//
//   promise   a change after add() is told by a later wait(), by its name or as `lost`; what was there before is not
//   limits    changes that other hosts make (NFS, SMB, 9P, FUSE) are not seen, nor any when the system has no watch left:
//             add() says so, and the caller has to look from time to time
//   threads   one
//   source    inotify(7)

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "holdfast/base/clock.hpp"
#include "holdfast/base/result.hpp"
#include "holdfast/os/fd.hpp"

namespace holdfast::os {

struct FolderChange {
    std::string folder, name;
    bool finished = false;    // whoever wrote it has closed it, or renamed it to this name
    bool lost = false;    // more happened than could be told: look at everything
};

class FolderWatch {
public:
    static Result<FolderWatch> open();
    /// true: changes of names in this folder will be told. Costs nothing for a folder that is watched already. not_found
    /// when it is not there.
    Result<bool> add(const std::string& folder);
    /// Waits for the first change and returns all that are there; none when the time is over or a signal came.
    Result<std::vector<FolderChange>> wait(Duration longest);

private:
    explicit FolderWatch(Fd fd) : fd_(std::move(fd)) {}
    Fd fd_;
    struct Watched {
        std::string folder;
        bool told = true;
    };
    std::map<int, Watched> folders_;    // by inotify's number
};

}    // namespace holdfast::os
