#include "holdfast/os/folder_watch.hpp"

#include <fmt/core.h>
#include <linux/magic.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/vfs.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace holdfast::os {
namespace {

constexpr std::uint32_t k_events = IN_CLOSE_WRITE | IN_MODIFY | IN_ATTRIB | IN_CREATE | IN_DELETE | IN_MOVED_FROM |
                                   IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;

// Where somebody else's host may write without this kernel's knowledge.
bool is_shared(const std::string& folder) {
    struct statfs facts;
    if (::statfs(folder.c_str(), &facts) != 0) return false;
    constexpr std::array<std::uint32_t, 8> shared{NFS_SUPER_MAGIC,       SMB_SUPER_MAGIC, 0xff534d42 /* CIFS */,
                                                  0xfe534d42 /* SMB2 */, V9FS_MAGIC,      FUSE_SUPER_MAGIC,
                                                  CEPH_SUPER_MAGIC,      AFS_SUPER_MAGIC};
    return std::ranges::find(shared, static_cast<std::uint32_t>(facts.f_type)) != shared.end();
}

}    // namespace

Result<FolderWatch> FolderWatch::open() {
    Fd fd(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (!fd) return fail(errno_error(errno, "cannot watch files (inotify)"));
    return FolderWatch(std::move(fd));
}

Result<bool> FolderWatch::add(const std::string& folder) {
    for (const auto& [number, watched] : folders_)
        if (watched.folder == folder) return watched.told;
    const int number = ::inotify_add_watch(fd_.get(), folder.c_str(), k_events);
    if (number < 0) {
        // No watch is left (fs.inotify.max_user_watches), or this file system has none.
        if (errno == ENOSPC || errno == ENOMEM || errno == EOPNOTSUPP || errno == ENOSYS) return false;
        return fail(errno_error(errno, "cannot watch " + folder));
    }
    const bool told = !is_shared(folder);
    folders_[number] = {folder, told};    // a number that is known: the same folder by another name
    return told;
}

Result<std::vector<FolderChange>> FolderWatch::wait(Duration longest) {
    pollfd waiting{fd_.get(), POLLIN, 0};
    const auto whole = std::chrono::ceil<std::chrono::milliseconds>(std::max(longest, Duration::zero())).count();
    const int ready = ::poll(&waiting, 1, static_cast<int>(std::min<std::int64_t>(whole, 3'600'000)));
    if (ready < 0 && errno != EINTR) return fail(errno_error(errno, "cannot wait for changes of files"));
    std::vector<FolderChange> changes;
    if (ready <= 0) return changes;
    alignas(inotify_event) std::array<char, 16384> buffer;
    for (;;) {
        const ssize_t got = ::read(fd_.get(), buffer.data(), buffer.size());
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 && errno == EAGAIN) return changes;
        if (got <= 0) return fail(errno_error(errno, "cannot read changes of files"));
        for (std::size_t at = 0; at < static_cast<std::size_t>(got);) {
            inotify_event event;
            std::memcpy(&event, buffer.data() + at, sizeof event);
            const char* name = buffer.data() + at + sizeof event;
            at += sizeof event + event.len;
            if (event.mask & IN_Q_OVERFLOW) {
                changes.push_back({"", "", false, true});
                continue;
            }
            const auto watched = folders_.find(event.wd);
            if (watched == folders_.end()) continue;
            const std::string folder = watched->second.folder;
            if (event.mask & (IN_MOVE_SELF | IN_DELETE_SELF | IN_IGNORED)) {
                // The name may belong to another folder now: add() begins anew.
                if (event.mask & IN_MOVE_SELF) ::inotify_rm_watch(fd_.get(), event.wd);
                folders_.erase(watched);
                changes.push_back({folder, "", false, true});
                continue;
            }
            const bool finished = event.mask & (IN_CLOSE_WRITE | IN_MOVED_TO);
            changes.push_back({folder, event.len > 0 ? std::string(name) : "", finished, false});
        }
    }
}

}    // namespace holdfast::os
