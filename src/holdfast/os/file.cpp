#include "holdfast/os/file.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>

#include "holdfast/os/crash_point.hpp"
#include "holdfast/os/host.hpp"

namespace holdfast::os {
namespace {

// Calls again after EINTR.
template <class Call>
auto retry(Call call) {
    decltype(call()) result;
    do result = call();
    while (result < 0 && errno == EINTR);
    return result;
}

std::string random_suffix() {
    std::array<std::byte, 8> bytes;
    random_bytes(bytes);
    return to_hex(bytes);
}

// rename(2) that replaces nothing. A file system that cannot say so gets a second name for the file instead.
int rename_to_free_name(const char* from, const char* to) {
    const int renamed = ::renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE);
    if (renamed == 0 || (errno != EINVAL && errno != ENOSYS)) return renamed;
    if (::link(from, to) != 0) return -1;
    return ::unlink(from);
}

Status remove_below(int folder, const std::string& name, const std::string& path) {
    if (retry([&] { return ::unlinkat(folder, name.c_str(), 0); }) == 0 || errno == ENOENT) return {};
    if (errno != EISDIR && errno != EPERM) return fail(errno_error(errno, "cannot remove " + path));
    Fd fd(::openat(folder, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!fd) return fail(errno_error(errno, "cannot open " + path));
    DIR* dir = ::fdopendir(fd.release());
    if (!dir) return fail(errno_error(errno, "cannot list " + path));
    std::vector<std::string> names;
    while (const dirent* entry = ::readdir(dir)) {
        const std::string_view entry_name = entry->d_name;
        if (entry_name != "." && entry_name != "..") names.emplace_back(entry_name);
    }
    Status status;
    for (const std::string& entry_name : names) {
        status = remove_below(::dirfd(dir), entry_name, path + '/' + entry_name);
        if (!status) break;
    }
    ::closedir(dir);
    HF_DO(std::move(status));
    if (::unlinkat(folder, name.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT)
        return fail(errno_error(errno, "cannot remove " + path));
    return {};
}

}    // namespace

Result<Fd> open_file(const std::string& path, int flags, mode_t mode) {
    const int fd = retry([&] { return ::open(path.c_str(), flags | O_CLOEXEC, mode); });
    if (fd < 0) return fail(errno_error(errno, "cannot open " + path));
    return Fd(fd);
}

Result<std::size_t> read_some(int fd, ByteSpan to) {
    const ssize_t n = retry([&] { return ::read(fd, to.data(), to.size()); });
    if (n < 0) return fail(errno_error(errno, "cannot read"));
    return static_cast<std::size_t>(n);
}

Result<std::size_t> read_full(int fd, ByteSpan to) {
    std::size_t done = 0;
    while (done < to.size()) {
        HF_TRY(const std::size_t n, read_some(fd, to.subspan(done)));
        if (n == 0) break;
        done += n;
    }
    return done;
}

Result<std::size_t> pread_full(int fd, ByteSpan to, std::uint64_t offset) {
    std::size_t done = 0;
    while (done < to.size()) {
        const ssize_t n =
            retry([&] { return ::pread(fd, to.data() + done, to.size() - done, static_cast<off_t>(offset + done)); });
        if (n < 0) return fail(errno_error(errno, "cannot read"));
        if (n == 0) break;
        done += static_cast<std::size_t>(n);
    }
    return done;
}

Status write_all(int fd, ByteView from) {
    while (!from.empty()) {
        const ssize_t n = retry([&] { return ::write(fd, from.data(), from.size()); });
        if (n < 0) return fail(errno_error(errno, "cannot write"));
        from = from.subspan(static_cast<std::size_t>(n));
    }
    return {};
}

Status pwrite_all(int fd, ByteView from, std::uint64_t offset) {
    while (!from.empty()) {
        const ssize_t n = retry([&] { return ::pwrite(fd, from.data(), from.size(), static_cast<off_t>(offset)); });
        if (n < 0) return fail(errno_error(errno, "cannot write"));
        from = from.subspan(static_cast<std::size_t>(n));
        offset += static_cast<std::uint64_t>(n);
    }
    return {};
}

Result<Bytes> read_file(const std::string& path, std::uint64_t size_max) {
    HF_TRY(const Fd fd, open_file(path, O_RDONLY));
    struct stat st;
    if (::fstat(fd.get(), &st) != 0) return fail(errno_error(errno, "cannot look at " + path));
    if (S_ISDIR(st.st_mode)) return fail(errno_error(EISDIR, "cannot read " + path));
    const auto too_large = [&] {
        return fail(ErrorCode::corrupt, fmt::format("{} is larger than {}", path, human_size(size_max)));
    };
    // Before anything is read: a file with holes has any size for nothing.
    if (static_cast<std::uint64_t>(st.st_size) > size_max) return too_large();
    Bytes content;
    std::size_t size = 0;
    // Reads past st_size, too: it is 0 for files in /proc, and a file may grow.
    for (;;) {
        const std::size_t more =
            size == 0 ? static_cast<std::size_t>(st.st_size) + 1 : std::max(size, std::size_t(4096));
        content.resize(std::min<std::uint64_t>(size + more, size_max + 1));
        auto n = read_full(fd.get(), ByteSpan(content).subspan(size));
        if (!n) return fail(std::move(n).error().within(path));
        size += *n;
        if (size > size_max) return too_large();
        if (size < content.size()) break;
    }
    content.resize(size);
    return content;
}

Result<std::string> read_text(const std::string& path, std::uint64_t size_max) {
    HF_TRY(const Bytes content, read_file(path, size_max));
    return std::string(as_text(content));
}

Status sync_fd(int fd, std::string_view what) {
    if (retry([&] { return ::fsync(fd); }) != 0)
        return fail(errno_error(errno, fmt::format("cannot bring {} to the disk", what)));
    return {};
}

Status sync_folder(const std::string& path) {
    HF_TRY(const Fd fd, open_file(path, O_RDONLY | O_DIRECTORY));
    return sync_fd(fd.get(), path);
}

AtomicFile::AtomicFile(Fd fd, std::string temporary, std::string path)
    : fd_(std::move(fd)), temporary_(std::move(temporary)), path_(std::move(path)) {}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : fd_(std::move(other.fd_)), temporary_(std::move(other.temporary_)), path_(std::move(other.path_)) {
    other.temporary_.clear();
}

AtomicFile::~AtomicFile() {
    if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

Result<AtomicFile> AtomicFile::create(const std::string& path, mode_t mode) {
    std::string temporary = path + "-tmp-" + random_suffix();
    HF_TRY(Fd fd, open_file(temporary, O_WRONLY | O_CREAT | O_EXCL, mode));
    crash_point("file.created");
    return AtomicFile(std::move(fd), std::move(temporary), path);
}

Status AtomicFile::commit() { return publish(true); }
Status AtomicFile::commit_new() { return publish(false); }

Status AtomicFile::publish(bool over_others) {
    crash_point("file.before_fsync");
    HF_DO(sync_fd(fd_.get(), path_));
    crash_point("file.before_rename");
    const int failed = over_others ? ::rename(temporary_.c_str(), path_.c_str())
                                   : rename_to_free_name(temporary_.c_str(), path_.c_str());
    if (failed != 0) return fail(errno_error(errno, fmt::format("cannot rename {} to {}", temporary_, path_)));
    temporary_.clear();
    crash_point("file.renamed");
    HF_DO(sync_folder(parent_folder(path_)));
    crash_point("file.folder_synced");
    return {};
}

Status write_file(const std::string& path, ByteView bytes, mode_t mode) {
    HF_TRY(AtomicFile file, AtomicFile::create(path, mode));
    if (auto status = file.write(bytes); !status) return fail(std::move(status).error().within(path));
    return file.commit();
}

Status write_new_file(const std::string& path, ByteView bytes, mode_t mode) {
    HF_TRY(AtomicFile file, AtomicFile::create(path, mode));
    if (auto status = file.write(bytes); !status) return fail(std::move(status).error().within(path));
    auto published = file.commit_new();
    if (!published && published.error().code == ErrorCode::exists)
        return fail(ErrorCode::exists, fmt::format("{} is there already", path),
                    "nothing was changed; choose another name");
    return published;
}

Status make_folders(const std::string& path, mode_t mode) {
    if (::mkdir(path.c_str(), mode) == 0) return {};
    if (errno == EEXIST) {
        HF_TRY(const struct stat st, status_of(path));
        if (S_ISDIR(st.st_mode)) return {};
        return fail(errno_error(ENOTDIR, "cannot make folder " + path));
    }
    if (errno != ENOENT || parent_folder(path) == path) return fail(errno_error(errno, "cannot make folder " + path));
    HF_DO(make_folders(parent_folder(path), mode));
    if (::mkdir(path.c_str(), mode) != 0 && errno != EEXIST)
        return fail(errno_error(errno, "cannot make folder " + path));
    return {};
}

Status remove_tree(const std::string& path) { return remove_below(AT_FDCWD, path, path); }

Result<std::vector<std::string>> list_folder(const std::string& path) {
    DIR* dir = ::opendir(path.c_str());
    if (!dir) return fail(errno_error(errno, "cannot list " + path));
    std::vector<std::string> names;
    errno = 0;
    while (const dirent* entry = ::readdir(dir)) {
        const std::string_view name = entry->d_name;
        if (name != "." && name != "..") names.emplace_back(name);
    }
    const int error = errno;
    ::closedir(dir);
    if (error != 0) return fail(errno_error(error, "cannot list " + path));
    std::sort(names.begin(), names.end());
    return names;
}

Result<Fd> unnamed_file(const std::string& folder) {
    if (auto unnamed = open_file(folder, O_TMPFILE | O_RDWR, 0600)) return unnamed;
    // This file system has no unnamed files, or the folder is no good: the name goes at once.
    std::string name = folder + "/holdfast-XXXXXX";
    Fd fd(::mkostemp(name.data(), O_CLOEXEC));
    if (!fd) return fail(errno_error(errno, "cannot make a file in " + folder));
    ::unlink(name.c_str());
    return fd;
}

bool exists(const std::string& path) {
    struct stat st;
    return ::lstat(path.c_str(), &st) == 0;
}

Result<struct stat> status_of(const std::string& path, bool follow) {
    struct stat st;
    if ((follow ? ::stat(path.c_str(), &st) : ::lstat(path.c_str(), &st)) != 0)
        return fail(errno_error(errno, "cannot look at " + path));
    return st;
}

Result<std::uint64_t> free_space(const std::string& path) {
    std::string place = absolute_path(path);
    while (!exists(place) && place != "/") place = parent_folder(place);
    struct statvfs st;
    if (::statvfs(place.c_str(), &st) != 0) return fail(errno_error(errno, "cannot look at the disk of " + path));
    return static_cast<std::uint64_t>(st.f_bavail) * st.f_frsize;
}

std::string absolute_path(std::string_view path) {
    std::string full(path);
    if (full.empty() || full[0] != '/') {
        char folder[4096];
        if (::getcwd(folder, sizeof folder)) full = std::string(folder) + '/' + full;
    }
    std::vector<std::string_view> parts;
    for (std::size_t at = 0; at < full.size();) {
        const std::size_t end = std::min(full.find('/', at), full.size());
        const std::string_view part = std::string_view(full).substr(at, end - at);
        if (part == "..") {
            if (!parts.empty()) parts.pop_back();
        } else if (!part.empty() && part != ".") {
            parts.push_back(part);
        }
        at = end + 1;
    }
    std::string clean;
    for (const std::string_view part : parts) clean.append("/").append(part);
    return clean.empty() ? "/" : clean;
}

std::string parent_folder(std::string_view path) {
    while (path.size() > 1 && path.back() == '/') path.remove_suffix(1);
    const std::size_t slash = path.rfind('/');
    if (slash == std::string_view::npos) return ".";
    return slash == 0 ? "/" : std::string(path.substr(0, slash));
}

std::string file_name(std::string_view path) {
    while (path.size() > 1 && path.back() == '/') path.remove_suffix(1);
    const std::size_t slash = path.rfind('/');
    return std::string(slash == std::string_view::npos ? path : path.substr(slash + 1));
}

Result<TempFolder> TempFolder::create(std::string_view prefix, const std::string& in) {
    const std::string base = !in.empty() ? in : environment("TMPDIR").value_or("/tmp");
    std::string pattern = fmt::format("{}/{}-XXXXXX", base, prefix);
    if (!::mkdtemp(pattern.data())) return fail(errno_error(errno, "cannot make a temporary folder in " + base));
    return TempFolder(pattern);
}

TempFolder::TempFolder(TempFolder&& other) noexcept : path_(std::exchange(other.path_, {})) {}

TempFolder& TempFolder::operator=(TempFolder&& other) noexcept {
    std::swap(path_, other.path_);
    return *this;
}

TempFolder::~TempFolder() {
    // Nothing can be done about a failure here; the folder is private and in the place for such things.
    if (!path_.empty()) static_cast<void>(remove_tree(path_).has_value());
}

std::vector<std::string> names_of_gone_processes(const std::string& folder, std::string_view prefix) {
    std::vector<std::string> gone;
    const auto names = list_folder(folder);
    if (!names) return gone;
    for (const std::string& name : *names) {
        if (!name.starts_with(prefix)) continue;
        pid_t pid = 0;
        const char* const end_of_name = name.data() + name.size();
        const auto [end, error] = std::from_chars(name.data() + prefix.size(), end_of_name, pid);
        if (error != std::errc() || end == end_of_name || (*end != '-' && *end != '_') || pid <= 0) continue;
        if (!process_exists(pid)) gone.push_back(name);
    }
    return gone;
}

}    // namespace holdfast::os
