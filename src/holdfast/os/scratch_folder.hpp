#pragma once
// A private folder for what a run needs meanwhile, be it a decrypted dump: gone with its object, and after a kill -9 with the next one
// that the same user makes in the same place.
//
//   name      holdfast-<machine>-<process>-<purpose>-<random>; the number of the process is for people
//   alive     whoever made it holds a lock on the folder (flock), which the kernel takes away with the process: numbers of processes
//             are used again, and mean nothing in another container
//   removed   only what has this machine's name, belongs to this user, is a folder and not a link, and whose lock is free. What lies in
//             it goes without following links. Where folders cannot be locked (NFS) nothing is removed
//   threads   each object one; any number of processes may make folders in one place

#include <string>
#include <string_view>

#include "holdfast/base/result.hpp"
#include "holdfast/os/fd.hpp"

namespace holdfast::os {

class ScratchFolder {
public:
    /// `in` is made if it is not there. First removes what killed processes left there.
    static Result<ScratchFolder> create(std::string_view purpose, const std::string& in);
    ScratchFolder(ScratchFolder&& other) noexcept;
    ScratchFolder& operator=(ScratchFolder&& other) noexcept;
    ~ScratchFolder();
    const std::string& path() const { return path_; }

    /// What create() does first, alone.
    static void remove_dead(const std::string& in);

private:
    ScratchFolder(std::string path, Fd lock) : path_(std::move(path)), lock_(std::move(lock)) {}
    std::string path_;
    Fd lock_;
};

}    // namespace holdfast::os
