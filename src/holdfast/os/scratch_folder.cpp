#include "holdfast/os/scratch_folder.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "holdfast/base/log.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"

namespace holdfast::os {
namespace {

std::string prefix() { return "holdfast-" + machine_tag() + "-"; }

enum class Lock { ours, theirs, impossible };

Lock try_to_lock(int folder) {
    int locked = 0;
    do locked = ::flock(folder, LOCK_EX | LOCK_NB);
    while (locked != 0 && errno == EINTR);
    return locked == 0 ? Lock::ours : errno == EWOULDBLOCK ? Lock::theirs : Lock::impossible;
}

// The folder that is open, and no other, has this name.
bool is_at(int folder, const std::string& path) {
    struct stat open{}, named{};
    return ::fstat(folder, &open) == 0 && ::lstat(path.c_str(), &named) == 0 && open.st_dev == named.st_dev &&
           open.st_ino == named.st_ino;
}

Result<Fd> open_folder(const std::string& path) { return open_file(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW); }

}    // namespace

void ScratchFolder::remove_dead(const std::string& in) {
    const auto names = list_folder(in);
    if (!names) return;
    const std::string ours = prefix();
    for (const std::string& name : *names) {
        if (!name.starts_with(ours)) continue;
        const std::string path = fmt::format("{}/{}", in, name);
        const auto folder = open_folder(path);
        struct stat status{};
        if (!folder || ::fstat(folder->get(), &status) != 0 || status.st_uid != ::geteuid()) continue;
        if (try_to_lock(folder->get()) != Lock::ours || !is_at(folder->get(), path)) continue;
        log_info("removing what a killed run left", {{"folder", path}});
        if (const Status gone = remove_tree(path); !gone)
            log_warning("what a killed run left cannot be removed", {{"folder", path}, {"why", gone.error().message}});
    }
}

Result<ScratchFolder> ScratchFolder::create(std::string_view purpose, const std::string& in) {
    HF_DO(make_folders(in));
    remove_dead(in);
    for (;;) {
        std::string path = fmt::format("{}/{}{}-{}-XXXXXX", in, prefix(), ::getpid(), purpose);
        if (!::mkdtemp(path.data())) return fail(errno_error(errno, "cannot make a temporary folder in " + in));
        auto folder = open_folder(path);
        const Lock lock = folder ? try_to_lock(folder->get()) : Lock::theirs;
        if (lock == Lock::impossible || (lock == Lock::ours && is_at(folder->get(), path)))
            return ScratchFolder(std::move(path), *std::move(folder));
        // Before the lock was ours, it looked like a dead one's: who sweeps here has it, or had it.
        if (!folder && folder.error().code != ErrorCode::not_found) return fail(std::move(folder).error());
    }
}

ScratchFolder::ScratchFolder(ScratchFolder&& other) noexcept
    : path_(std::exchange(other.path_, {})), lock_(std::move(other.lock_)) {}

ScratchFolder& ScratchFolder::operator=(ScratchFolder&& other) noexcept {
    std::swap(path_, other.path_);
    std::swap(lock_, other.lock_);
    return *this;
}

ScratchFolder::~ScratchFolder() {
    // Nothing can be done about a failure here; the next one in this place tries again. Locked until it is gone.
    if (!path_.empty()) static_cast<void>(remove_tree(path_).has_value());
}

}    // namespace holdfast::os
