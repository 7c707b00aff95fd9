#include "holdfast/vault/restore_target.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>

#include "holdfast/os/file.hpp"

namespace holdfast::vault {
namespace {

constexpr std::size_t k_folders_open_max = 256;

timespec timespec_of(Timestamp t) {
    constexpr std::int64_t second = 1'000'000'000;
    std::int64_t whole = t.nanoseconds / second, rest = t.nanoseconds % second;
    if (rest < 0) {
        --whole;
        rest += second;
    }
    return {static_cast<time_t>(whole), static_cast<long>(rest)};
}

}    // namespace

RestoreTarget::RestoreTarget(std::string path, os::Fd fd, bool overwrite)
    : path_(std::move(path)), overwrite_(overwrite) {
    folders_.push_back({0, "", std::make_shared<os::Fd>(std::move(fd))});
}

Result<std::unique_ptr<RestoreTarget>> RestoreTarget::open(const std::string& path, bool overwrite) {
    const std::string absolute = os::absolute_path(path);
    HF_DO(os::make_folders(absolute));
    HF_TRY(os::Fd fd, os::open_file(absolute, O_RDONLY | O_DIRECTORY));
    if (!overwrite) {
        HF_TRY(const auto names, os::list_folder(absolute));
        if (!names.empty())
            return fail(ErrorCode::exists, fmt::format("the target {} is not empty: it holds {}", path, names.front()),
                        "name another folder, or allow overwriting what is there");
    }
    return std::unique_ptr<RestoreTarget>(new RestoreTarget(absolute, std::move(fd), overwrite));
}

std::string RestoreTarget::path_of(FolderNumber in, const std::string& name) const {
    const std::scoped_lock lock(mutex_);
    std::string path = name;
    for (; in != 0; in = folders_[in].above) path = folders_[in].name + '/' + path;
    return path_ + '/' + path;
}

Result<std::shared_ptr<os::Fd>> RestoreTarget::folder(FolderNumber number) {
    const std::scoped_lock lock(mutex_);
    return folder_locked(number);
}

Result<std::shared_ptr<os::Fd>> RestoreTarget::folder_locked(FolderNumber number) {
    // Up to the nearest open one, then down again: trees may be deeper than the stack.
    std::vector<FolderNumber> closed;
    for (; !folders_[number].fd; number = folders_[number].above) closed.push_back(number);
    std::shared_ptr<os::Fd> fd = folders_[number].fd;
    for (; !closed.empty(); closed.pop_back()) {
        Folder& next = folders_[closed.back()];
        os::Fd opened(::openat(fd->get(), next.name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
        if (!opened) return fail(errno_error(errno, "cannot open the restored folder " + next.name));
        fd = next.fd = std::make_shared<os::Fd>(std::move(opened));
        open_.push_back(closed.back());
        if (open_.size() > k_folders_open_max) {
            folders_[open_.front()].fd.reset();    // who uses it now keeps it open
            open_.pop_front();
        }
    }
    return fd;
}

Status RestoreTarget::make_way(int folder, FolderNumber in, const std::string& name) {
    if (!overwrite_)
        return fail(ErrorCode::exists, fmt::format("{} appeared while restoring", path_of(in, name)),
                    "restore into an empty folder");
    if (::unlinkat(folder, name.c_str(), 0) == 0 || errno == ENOENT) return {};
    if (errno != EISDIR && errno != EPERM) return fail(errno_error(errno, "cannot replace " + path_of(in, name)));
    return os::remove_tree(fmt::format("/proc/self/fd/{}/{}", folder, name));
}

Result<RestoreTarget::FolderNumber> RestoreTarget::make_folder(FolderNumber above, const std::string& name) {
    HF_TRY(const auto in, folder(above));
    if (::mkdirat(in->get(), name.c_str(), 0700) != 0) {
        if (errno != EEXIST) return fail(errno_error(errno, "cannot make the folder " + path_of(above, name)));
        struct stat st;
        if (::fstatat(in->get(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISDIR(st.st_mode) || !overwrite_) {
            HF_DO(make_way(in->get(), above, name));
            if (::mkdirat(in->get(), name.c_str(), 0700) != 0)
                return fail(errno_error(errno, "cannot make the folder " + path_of(above, name)));
        }
    }
    const std::scoped_lock lock(mutex_);
    folders_.push_back({above, name, nullptr});
    return static_cast<FolderNumber>(folders_.size() - 1);
}

Result<os::Fd> RestoreTarget::create_file(FolderNumber in, const std::string& name) {
    HF_TRY(const auto at, folder(in));
    const auto create = [&] {
        return os::Fd(::openat(at->get(), name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    };
    os::Fd fd = create();
    if (!fd && errno == EEXIST) {
        HF_DO(make_way(at->get(), in, name));
        fd = create();
    }
    if (!fd) return fail(errno_error(errno, "cannot create " + path_of(in, name)));
    return fd;
}

Result<os::Fd> RestoreTarget::reopen_file(FolderNumber in, const std::string& name) {
    HF_TRY(const auto at, folder(in));
    os::Fd fd(::openat(at->get(), name.c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC));
    if (!fd) return fail(errno_error(errno, "cannot open again " + path_of(in, name)));
    return fd;
}

Status RestoreTarget::create_other(FolderNumber in, const format::Node& node) {
    HF_TRY(const auto at, folder(in));
    const auto create = [&]() -> int {
        switch (node.type) {
            case format::NodeType::symlink:
                return ::symlinkat(node.link_target.c_str(), at->get(), node.name.c_str());
            case format::NodeType::fifo:
                return ::mkfifoat(at->get(), node.name.c_str(), 0600);
            case format::NodeType::dev:
                return ::mknodat(at->get(), node.name.c_str(), S_IFBLK | 0600, node.device);
            case format::NodeType::chardev:
                return ::mknodat(at->get(), node.name.c_str(), S_IFCHR | 0600, node.device);
            default:
                errno = EOPNOTSUPP;
                return -1;
        }
    };
    int made = create();
    if (made != 0 && errno == EEXIST) {
        HF_DO(make_way(at->get(), in, node.name));
        made = create();
    }
    if (made != 0) return fail(errno_error(errno, "cannot make " + path_of(in, node.name)));
    return {};
}

Status RestoreTarget::link(FolderNumber from, const std::string& from_name, FolderNumber to,
                           const std::string& to_name) {
    HF_TRY(const auto old_folder, folder(from));
    HF_TRY(const auto new_folder, folder(to));
    const auto make = [&] {
        return ::linkat(old_folder->get(), from_name.c_str(), new_folder->get(), to_name.c_str(), 0);
    };
    int made = make();
    if (made != 0 && errno == EEXIST) {
        HF_DO(make_way(new_folder->get(), to, to_name));
        made = make();
    }
    if (made != 0)
        return fail(
            errno_error(errno, fmt::format("cannot link {} to {}", path_of(to, to_name), path_of(from, from_name))));
    return {};
}

void RestoreTarget::remove_file(FolderNumber in, const std::string& name) {
    if (const auto at = folder(in)) ::unlinkat((*at)->get(), name.c_str(), 0);
}

Status RestoreTarget::sync() {
    HF_TRY(const auto at, folder(0));
    if (::syncfs(at->get()) != 0) return fail(errno_error(errno, "cannot bring what was restored to the disk"));
    return {};
}

void apply_metadata(int fd, const format::Node& node, const std::string& path,
                    std::vector<std::pair<std::string, Error>>& warnings) {
    const auto warn = [&](const char* what) { warnings.emplace_back(path, errno_error(errno, what)); };
    mode_t mode = format::permission_bits(node.mode);
    if (::fchown(fd, node.uid, node.gid) != 0) {
        warn("the owner could not be set");
        mode &= 01777;
    }
    if (::fchmod(fd, mode) != 0) warn("the mode could not be set");
    for (const auto& [name, value] : node.extended_attributes)
        if (::fsetxattr(fd, name.c_str(), value.data(), value.size(), 0) != 0)
            warn(("the extended attribute " + name + " could not be set").c_str());
    const timespec times[2] = {timespec_of(node.atime), timespec_of(node.mtime)};
    if (::futimens(fd, times) != 0) warn("the times could not be set");
}

void apply_metadata_at(int folder, const format::Node& node, const std::string& path,
                       std::vector<std::pair<std::string, Error>>& warnings) {
    const auto warn = [&](const char* what) { warnings.emplace_back(path, errno_error(errno, what)); };
    const char* name = node.name.c_str();
    mode_t mode = format::permission_bits(node.mode);
    if (::fchownat(folder, name, node.uid, node.gid, AT_SYMLINK_NOFOLLOW) != 0) {
        warn("the owner could not be set");
        mode &= 01777;
    }
    if (node.type != format::NodeType::symlink && ::fchmodat(folder, name, mode, 0) != 0)
        warn("the mode could not be set");
    const std::string full = fmt::format("/proc/self/fd/{}/{}", folder, node.name);
    for (const auto& [attribute, value] : node.extended_attributes)
        if (::lsetxattr(full.c_str(), attribute.c_str(), value.data(), value.size(), 0) != 0)
            warn(("the extended attribute " + attribute + " could not be set").c_str());
    const timespec times[2] = {timespec_of(node.atime), timespec_of(node.mtime)};
    if (::utimensat(folder, name, times, AT_SYMLINK_NOFOLLOW) != 0) warn("the times could not be set");
}

}    // namespace holdfast::vault
