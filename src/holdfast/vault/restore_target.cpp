#include "holdfast/vault/restore_target.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>

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

RestoreTarget::RestoreTarget(std::string path, os::Fd fd, MakeWay way) : path_(std::move(path)), way_(way) {
    folders_.push_back({0, "", fd ? std::make_shared<os::Fd>(std::move(fd)) : nullptr});
}

Result<std::unique_ptr<RestoreTarget>> RestoreTarget::open(const std::string& path, MakeWay way, bool must_be_empty) {
    HF_DO(os::make_folders(os::absolute_path(path)));
    return look_at(path, way, must_be_empty);
}

Result<std::unique_ptr<RestoreTarget>> RestoreTarget::look_at(const std::string& path, MakeWay way,
                                                              bool must_be_empty) {
    const std::string absolute = os::absolute_path(path);
    auto fd = os::open_file(absolute, O_RDONLY | O_DIRECTORY);
    if (!fd && fd.error().code != ErrorCode::not_found) return fail(std::move(fd).error());
    if (fd && must_be_empty) {
        HF_TRY(const auto names, os::list_folder(absolute));
        if (!names.empty())
            return fail(ErrorCode::exists, fmt::format("the target {} is not empty: it holds {}", path, names.front()),
                        "name another folder, or allow overwriting what is there");
    }
    return std::unique_ptr<RestoreTarget>(new RestoreTarget(absolute, fd ? *std::move(fd) : os::Fd(), way));
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
    for (; !folders_[number].fd; number = folders_[number].above) {
        if (number == 0) return fail(ErrorCode::not_found, path_ + " is not there");    // a dry run
        closed.push_back(number);
    }
    std::shared_ptr<os::Fd> fd = folders_[number].fd;
    for (; !closed.empty(); closed.pop_back()) {
        Folder& next = folders_[closed.back()];
        os::Fd opened(::openat(fd->get(), next.name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
        if (!opened) {
            if (errno == ENOTDIR || errno == ELOOP)
                return fail(ErrorCode::not_found, fmt::format("{} is no folder in {}", next.name, path_));
            return fail(errno_error(errno, fmt::format("cannot open the folder {} in {}", next.name, path_)));
        }
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
    if (way_ == MakeWay::refuse)
        return fail(ErrorCode::exists, fmt::format("{} is there already", path_of(in, name)),
                    "restore into an empty folder, or allow overwriting");
    struct stat st;
    if (::fstatat(folder, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno == ENOENT) return {};
        return fail(errno_error(errno, "cannot look at " + path_of(in, name)));
    }
    if (::unlinkat(folder, name.c_str(), S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0) == 0 || errno == ENOENT) return {};
    if (!S_ISDIR(st.st_mode) || (errno != ENOTEMPTY && errno != EEXIST))
        return fail(errno_error(errno, "cannot replace " + path_of(in, name)));
    if (way_ != MakeWay::replace_trees)
        return fail(ErrorCode::exists, fmt::format("{} is a folder that holds something", path_of(in, name)),
                    "move it away, or allow deleting what the snapshot does not have");
    return os::remove_tree(fmt::format("/proc/self/fd/{}/{}", folder, name));
}

Result<RestoreTarget::MadeFolder> RestoreTarget::make_folder(FolderNumber above, const std::string& name) {
    HF_TRY(const auto in, folder(above));
    bool was_there = false;
    if (::mkdirat(in->get(), name.c_str(), 0700) != 0) {
        if (errno != EEXIST) return fail(errno_error(errno, "cannot make the folder " + path_of(above, name)));
        struct stat st;
        was_there = ::fstatat(in->get(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
        if (!was_there) {
            HF_DO(make_way(in->get(), above, name));
            if (::mkdirat(in->get(), name.c_str(), 0700) != 0)
                return fail(errno_error(errno, "cannot make the folder " + path_of(above, name)));
        }
    }
    return MadeFolder{look_folder(above, name), was_there};
}

RestoreTarget::FolderNumber RestoreTarget::look_folder(FolderNumber above, const std::string& name) {
    const std::scoped_lock lock(mutex_);
    folders_.push_back({above, name, nullptr});
    return static_cast<FolderNumber>(folders_.size() - 1);
}

Result<std::optional<struct stat>> RestoreTarget::look(FolderNumber in, const std::string& name) {
    auto at = folder(in);
    if (!at) {
        if (at.error().code == ErrorCode::not_found) return std::nullopt;
        return fail(std::move(at).error());
    }
    struct stat st;
    if (::fstatat((*at)->get(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0) return st;
    if (errno == ENOENT) return std::nullopt;
    return fail(errno_error(errno, "cannot look at " + path_of(in, name)));
}

Result<std::string> RestoreTarget::read_link(FolderNumber in, const std::string& name) {
    HF_TRY(const auto at, folder(in));
    std::string text(PATH_MAX + 1, '\0');
    const ssize_t n = ::readlinkat(at->get(), name.c_str(), text.data(), text.size());
    if (n < 0) return fail(errno_error(errno, "cannot read the link " + path_of(in, name)));
    text.resize(static_cast<std::size_t>(n));
    return text;
}

Result<std::vector<std::string>> RestoreTarget::names_in(FolderNumber number) {
    auto at = folder(number);
    if (!at) {
        if (at.error().code == ErrorCode::not_found) return std::vector<std::string>();
        return fail(std::move(at).error());
    }
    return os::list_folder(fmt::format("/proc/self/fd/{}", (*at)->get()));
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

Result<os::Fd> RestoreTarget::open_to_read(FolderNumber in, const std::string& name) {
    HF_TRY(const auto at, folder(in));
    // O_NONBLOCK: a pipe that took the file's place must not hang us.
    os::Fd fd(::openat(at->get(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (!fd) return fail(errno_error(errno, "cannot read " + path_of(in, name)));
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

void remove_other_attributes(int fd, const format::Node& node) {
    std::string names(64 << 10, '\0');
    const ssize_t n = ::flistxattr(fd, names.data(), names.size());
    for (ssize_t at = 0; at < n;) {
        const std::string name(names.c_str() + at);
        at += static_cast<ssize_t>(name.size()) + 1;
        // Labels that the system keeps by itself.
        if (name == "security.selinux" || name == "security.ima" || name == "security.evm") continue;
        if (std::ranges::none_of(node.extended_attributes, [&](const auto& one) { return one.first == name; }))
            static_cast<void>(::fremovexattr(fd, name.c_str()));
    }
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
