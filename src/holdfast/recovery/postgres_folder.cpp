#include "holdfast/recovery/postgres_folder.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <filesystem>
#include <sstream>
#include <utility>

#include "holdfast/os/file.hpp"
#include "holdfast/os/file_lock.hpp"
#include "holdfast/os/host.hpp"

namespace holdfast::recovery {
namespace {

constexpr std::string_view k_staged = ".holdfast-restore", k_mark = ".holdfast-restore.unfinished";
constexpr std::string_view k_tablespace_name = "restored-";    // what we remove must look like ours

Status rename_path(const std::string& from, const std::string& to, unsigned flags) {
    if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), flags) == 0) return {};
    return fail(errno_error(errno, fmt::format("cannot rename {} to {}", from, to)));
}

std::string aside_for(const std::string& target, Timestamp now) {
    const std::string base = fmt::format("{}.replaced-{}", target, time_mark(now));
    std::string name = base;
    for (int n = 2; os::status_of(name, false); ++n) name = fmt::format("{}-{}", base, n);
    return name;
}

bool is_empty_folder(const std::string& path) {
    const auto names = os::list_folder(path);
    return names && names->empty();
}

// A restore that was killed may have left its own server at work there; its processes end when they notice that, and
// write until then.
Status remove_staged(const std::string& staged) {
    const auto pid = running_postgres(staged);
    std::error_code none;
    if (pid && std::filesystem::read_symlink(fmt::format("/proc/{}/cwd", *pid), none) == staged) ::kill(*pid, SIGKILL);
    constexpr int k_tries = 200;
    for (int i = 1;; ++i) {
        auto removed = os::remove_tree(staged);
        if (removed || i == k_tries || os::stop_requested()) return removed;
        os::SystemClock().sleep(std::chrono::milliseconds(50));
    }
}

bool is_ours(const std::string& tablespace) {
    return tablespace.starts_with('/') && os::file_name(tablespace).starts_with(k_tablespace_name);
}

}    // namespace

std::optional<pid_t> running_postgres(const std::string& data_folder) {
    const auto text = os::read_text(data_folder + "/postmaster.pid", 4096);
    if (!text) return std::nullopt;
    pid_t pid = 0;
    std::from_chars(text->data(), text->data() + text->size(), pid);
    if (pid <= 0 || !os::process_exists(pid)) return std::nullopt;
    // The number may have gone to another program since the server was killed.
    const auto name = os::read_text(fmt::format("/proc/{}/comm", pid), 4096);
    if (name && !name->starts_with("postgres") && !name->starts_with("postmaster")) return std::nullopt;
    return pid;
}

Status give_tree(const std::string& path, const ClusterOwner& owner) {
    HF_TRY(const struct stat status, os::status_of(path, false));
    if ((status.st_uid != owner.user || status.st_gid != owner.group) &&
        ::lchown(path.c_str(), owner.user, owner.group) != 0)
        return fail(errno_error(errno, fmt::format("cannot give {} to its owner", path)));
    if (!S_ISDIR(status.st_mode)) return {};
    HF_TRY(const auto names, os::list_folder(path));
    for (const std::string& name : names) HF_DO(give_tree(path + "/" + name, owner));
    return {};
}

std::string time_mark(Timestamp now) {
    std::string mark = to_rfc3339(now).substr(0, 19);
    std::erase(mark, '-');
    std::erase(mark, ':');
    return mark;
}

NewCluster::NewCluster(std::string target, os::Fd mark)
    : target_(std::move(target)),
      staged_(target_ + std::string(k_staged)),
      mark_path_(target_ + std::string(k_mark)),
      mark_(std::move(mark)) {}

NewCluster::NewCluster(NewCluster&& other) noexcept
    : target_(std::move(other.target_)),
      staged_(std::move(other.staged_)),
      mark_path_(std::move(other.mark_path_)),
      mark_(std::move(other.mark_)),
      tablespaces_(std::move(other.tablespaces_)),
      to_sync_(std::move(other.to_sync_)),
      placed_(std::exchange(other.placed_, true)) {}

NewCluster::~NewCluster() {
    if (placed_) return;
    // The mark goes last, and only when nothing half is left.
    bool gone = os::remove_tree(staged_).has_value();
    for (const std::string& tablespace : tablespaces_) gone = os::remove_tree(tablespace).has_value() && gone;
    if (gone) ::unlink(mark_path_.c_str());
}

Result<NewCluster> NewCluster::begin(const std::string& target) {
    const std::string staged = target + std::string(k_staged), mark = target + std::string(k_mark);
    HF_DO(os::make_folders(os::parent_folder(target), 0755));
    HF_TRY(const os::Fd folder, os::open_file(os::parent_folder(target), O_RDONLY | O_DIRECTORY));
    const bool left = os::exists(mark);
    HF_TRY(os::Fd file, os::open_file(mark, O_RDWR | O_CREAT | O_NOFOLLOW));
    HF_DO(os::lock_alone(file.get(), "another restore is at work on " + target, "wait for it"));
    if (left) {
        HF_TRY(const std::string names, os::read_text(mark));
        std::istringstream lines(names);
        for (std::string line; std::getline(lines, line);)
            if (is_ours(line)) HF_DO(os::remove_tree(line));
        HF_DO(remove_staged(staged));
        if (::ftruncate(file.get(), 0) != 0) return fail(errno_error(errno, "cannot write " + mark));
    } else if (os::status_of(staged, false)) {
        // Killed between the switch and giving the old one its name: a whole cluster, and not ours to remove.
        HF_DO(rename_path(staged, aside_for(target, Timestamp{os::SystemClock().now()}), RENAME_NOREPLACE));
    }
    HF_DO(os::sync_fd(file.get(), mark));
    HF_DO(os::sync_fd(folder.get(), os::parent_folder(target)));
    return NewCluster(target, std::move(file));
}

Status NewCluster::will_make(const std::string& tablespace_folder) {
    HF_ASSERT(is_ours(tablespace_folder));
    if (os::status_of(tablespace_folder, false))
        return fail(ErrorCode::exists, tablespace_folder + " is there already", "move it away, and restore again");
    HF_TRY(os::Fd above, os::open_file(os::parent_folder(tablespace_folder), O_RDONLY | O_DIRECTORY));
    to_sync_.push_back(std::move(above));
    HF_DO(os::write_all(mark_.get(), as_bytes(tablespace_folder + "\n")));
    HF_DO(os::sync_fd(mark_.get(), mark_path_));
    tablespaces_.push_back(tablespace_folder);
    return {};
}

Result<std::optional<std::string>> NewCluster::take_place(Timestamp now, const WillReplace& will_replace) {
    const std::string parent = os::parent_folder(target_);
    // All at once: a cluster has a thousand files and more. What could not be written since the descriptors were opened is
    // told here.
    const auto sync = [](const os::Fd& fd) -> Status {
        if (::syncfs(fd.get()) == 0) return {};
        return fail(errno_error(errno, "the restored cluster cannot be made durable"));
    };
    HF_DO(sync(mark_));
    for (const os::Fd& fd : to_sync_) HF_DO(sync(fd));
    const bool free = !os::status_of(target_, false) || is_empty_folder(target_);
    const std::string aside = free ? std::string() : aside_for(target_, now);
    if (will_replace) HF_DO(will_replace({"cluster", target_, aside, free ? std::string() : file_identity(target_)}));
    if (::unlink(mark_path_.c_str()) != 0) return fail(errno_error(errno, "cannot remove " + mark_path_));
    HF_DO(os::sync_folder(parent));
    placed_ = true;    // from here on nothing of it is removed
    if (free) {
        HF_DO(rename_path(staged_, target_, 0));
        HF_DO(os::sync_folder(parent));
        return std::optional<std::string>();
    }
    if (const auto exchanged = rename_path(staged_, target_, RENAME_EXCHANGE); exchanged) {
        HF_DO(rename_path(staged_, aside, RENAME_NOREPLACE));
    } else {    // a file system that cannot: for an instant there is no data folder
        HF_DO(rename_path(target_, aside, 0));
        if (auto renamed = rename_path(staged_, target_, 0); !renamed) {
            static_cast<void>(rename_path(aside, target_, 0));
            return fail(std::move(renamed).error());
        }
    }
    HF_DO(os::sync_folder(parent));
    return std::optional(aside);
}

}    // namespace holdfast::recovery
