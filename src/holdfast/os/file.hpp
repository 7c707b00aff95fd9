#pragma once
// Files: whole reads and writes, and the one safe way to publish a file: write beside it, fsync, rename, fsync the
// folder. New files are 0600 and new folders 0700 unless said. All calls restart after EINTR.

#include <sys/stat.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "holdfast/base/bytes.hpp"
#include "holdfast/base/result.hpp"
#include "holdfast/os/fd.hpp"

namespace holdfast::os {

/// open(2) with O_CLOEXEC.
Result<Fd> open_file(const std::string& path, int flags, mode_t mode = 0600);

/// Reads until `to` is full or the file ends; returns how many bytes.
Result<std::size_t> read_full(int fd, ByteSpan to);
Result<std::size_t> pread_full(int fd, ByteSpan to, std::uint64_t offset);
/// What read(2) gives next, 0 at the end.
Result<std::size_t> read_some(int fd, ByteSpan to);
Status write_all(int fd, ByteView from);
Status pwrite_all(int fd, ByteView from, std::uint64_t offset);

/// Refuses files over `size_max` (corrupt), so that a wrong path cannot exhaust memory.
Result<Bytes> read_file(const std::string& path, std::uint64_t size_max = std::uint64_t(1) << 30);
Result<std::string> read_text(const std::string& path, std::uint64_t size_max = std::uint64_t(1) << 26);

Status sync_fd(int fd, std::string_view what);
Status sync_folder(const std::string& path);

/// A file that appears under its name only whole and durable. Leaving without commit() removes it.
class AtomicFile {
public:
    /// The temporary file lies in the same folder: "<path>-tmp-<random>".
    static Result<AtomicFile> create(const std::string& path, mode_t mode = 0600);
    AtomicFile(AtomicFile&& other) noexcept;
    AtomicFile& operator=(AtomicFile&&) = delete;
    ~AtomicFile();

    Status write(ByteView bytes) { return write_all(fd_.get(), bytes); }
    int fd() const { return fd_.get(); }
    /// fsync, rename over `path`, fsync the folder.
    Status commit();
    /// The same, but a name that is taken is refused (exists), whatever stands there.
    Status commit_new();

private:
    Status publish(bool over_others);
    AtomicFile(Fd fd, std::string temporary, std::string path);
    Fd fd_;
    std::string temporary_, path_;
};

/// AtomicFile in one call.
Status write_file(const std::string& path, ByteView bytes, mode_t mode = 0600);
/// Never replaces anything: exists when the name is taken, be it since a moment ago.
Status write_new_file(const std::string& path, ByteView bytes, mode_t mode = 0600);

/// mkdir -p; existing folders are left as they are.
Status make_folders(const std::string& path, mode_t mode = 0700);
/// rm -rf; does not follow links; a path that is not there is success.
Status remove_tree(const std::string& path);
/// Names without "." and "..", sorted by bytes.
Result<std::vector<std::string>> list_folder(const std::string& path);
/// A file without a name in `folder`, 0600, to be written and read: gone with its descriptor, also when the process is killed.
Result<Fd> unnamed_file(const std::string& folder);
bool exists(const std::string& path);
Result<struct stat> status_of(const std::string& path, bool follow = true);
/// Free bytes for this user on the file system that holds `path` (its nearest existing parent).
Result<std::uint64_t> free_space(const std::string& path);
/// Absolute, without "." and "..", links not resolved.
std::string absolute_path(std::string_view path);
std::string parent_folder(std::string_view path);
std::string file_name(std::string_view path);

/// A private folder (0700) under $TMPDIR or /tmp, removed with all its content at the end; it stays when the process is killed. For
/// tests and demonstrations: what a run of the program needs is in a ScratchFolder.
class TempFolder {
public:
    /// `in`: the folder to make it in; empty: $TMPDIR, else /tmp.
    static Result<TempFolder> create(std::string_view prefix, const std::string& in = {});
    TempFolder(TempFolder&& other) noexcept;
    TempFolder& operator=(TempFolder&& other) noexcept;
    ~TempFolder();
    const std::string& path() const { return path_; }

private:
    explicit TempFolder(std::string path) : path_(std::move(path)) {}
    std::string path_;
};

/// Names in `folder` that are `prefix`, the number of a process, then '-' or '_', where no process of that number exists here any more:
/// for folders that a server makes for us, so that we cannot hold a lock on them. Our own are ScratchFolders (os/scratch_folder.hpp).
/// Numbers of another container or machine mean nothing here: where the folder may be shared, the prefix says whose they are.
std::vector<std::string> names_of_gone_processes(const std::string& folder, std::string_view prefix);

}    // namespace holdfast::os
