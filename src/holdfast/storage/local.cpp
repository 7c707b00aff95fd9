#include "holdfast/storage/local.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <mutex>
#include <set>

#include "holdfast/os/crash_point.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/storage/layout.hpp"

namespace holdfast::storage {
namespace {

// Writing starts this early, so that the fsync at the end has little left to wait for.
constexpr std::uint64_t k_writeback_step = 4u << 20;

std::string random_hex() {
    std::array<std::byte, 8> bytes;
    os::random_bytes(bytes);
    return to_hex(bytes);
}

bool is_missing(const Error& error) { return error.code == ErrorCode::not_found; }

class LocalBackend final : public Backend {
public:
    LocalBackend(std::string root, LocalOptions options)
        : location_(std::move(root)), root_(os::absolute_path(location_)), unnamed_(options.unnamed_files) {}

    Status create_layout() override;
    Result<std::unique_ptr<Upload>> start(FileKind kind) override;
    Status put(const FileName& name, ByteView bytes) override;
    Result<Bytes> read(const FileName& name) override;
    Status read_at(const FileName& name, std::uint64_t offset, ByteSpan to) override;
    Result<std::uint64_t> size(const FileName& name) override;
    Status list(FileKind kind, const std::function<void(const Id&, std::uint64_t)>& found) override;
    Status remove(const FileName& name) override;
    Status sync() override;
    bool lists_at_once() const override { return true; }
    std::string location() const override { return location_; }

private:
    friend class LocalUpload;

    std::string path_of(const FileName& name) const { return fmt::format("{}/{}", root_, relative_path(name)); }
    void remember(const std::string& folder) {
        const std::scoped_lock lock(mutex_);
        unsynced_.insert(folder);
    }
    // Missing data/xx folders are legal in the format.
    Status make_folder(const std::string& folder) {
        HF_DO(os::make_folders(folder));
        remember(os::parent_folder(folder));
        return {};
    }

    const std::string location_, root_;
    std::atomic<bool> unnamed_;
    std::mutex sync_mutex_, mutex_;
    std::set<std::string> unsynced_;    // folders with names in them that a power failure may lose
};

class LocalUpload final : public Upload {
public:
    LocalUpload(LocalBackend& backend, FileKind kind) : backend_(backend), kind_(kind) {}
    ~LocalUpload() override {
        if (!temporary_.empty()) ::unlink(temporary_.c_str());
    }

    Status open() {
        std::string folder = backend_.root_;
        if (kind_ != FileKind::config) folder.append("/").append(folder_of(kind_));
        if (kind_ == FileKind::pack) {
            // The name is a hash that is not known yet; any data folder lies on the same file system.
            std::array<std::byte, 1> any;
            os::random_bytes(any);
            folder.append("/").append(to_hex(any));
        }
        auto status = open_in(folder);
        if (!status && is_missing(status.error()) && os::exists(backend_.root_)) {
            HF_DO(backend_.make_folder(folder));
            status = open_in(folder);
        }
        os::crash_point("local.started", folder_of(kind_));
        return status;
    }

    Status write(ByteView bytes) override {
        if (auto status = os::write_all(fd_.get(), bytes); !status)
            return fail(
                std::move(status).error().within(fmt::format("writing to the repository {}", backend_.location_)));
        os::crash_point("local.written", folder_of(kind_));
        written_ += bytes.size();
        if (written_ - started_ >= k_writeback_step) {
            // Only a hint to the kernel: whether it worked shows in fsync.
            ::sync_file_range(fd_.get(), static_cast<off_t>(started_), static_cast<off_t>(written_ - started_),
                              SYNC_FILE_RANGE_WRITE);
            started_ = written_;
        }
        return {};
    }

    Status commit(const Id& id) override {
        const std::string path = backend_.path_of({kind_, id});
        // A lock, too: half of one would count as held by somebody.
        HF_DO(os::sync_fd(fd_.get(), path));
        os::crash_point("local.before_name", folder_of(kind_));
        auto status = give_name(path);
        if (!status && is_missing(status.error())) {
            HF_DO(backend_.make_folder(os::parent_folder(path)));
            status = give_name(path);
        }
        HF_DO(std::move(status));
        os::crash_point("local.named", folder_of(kind_));
        if (kind_ != FileKind::lock) backend_.remember(os::parent_folder(path));
        fd_.reset();
        return {};
    }

private:
    Status open_in(const std::string& folder) {
        if (backend_.unnamed_) {
            auto unnamed = os::open_file(folder, O_TMPFILE | O_WRONLY, 0400);
            if (unnamed) {
                fd_ = *std::move(unnamed);
                return {};
            }
            if (is_missing(unnamed.error()) || unnamed.error().code == ErrorCode::denied ||
                unnamed.error().code == ErrorCode::disk_full)
                return fail(std::move(unnamed).error());
            backend_.unnamed_ = false;    // EOPNOTSUPP, EISDIR, EINVAL: this file system has no unnamed files
        }
        std::string temporary = fmt::format("{}/{}-tmp-{}", folder, random_hex(), random_hex());
        HF_TRY(fd_, os::open_file(temporary, O_WRONLY | O_CREAT | O_EXCL, 0400));
        temporary_ = std::move(temporary);
        return {};
    }

    // Equal names mean equal content, so a file that is there already is as good as ours; only `config` may not be
    // replaced by another one.
    Status give_name(const std::string& path) {
        if (temporary_.empty()) {
            const std::string self = fmt::format("/proc/self/fd/{}", fd_.get());
            if (::linkat(AT_FDCWD, self.c_str(), AT_FDCWD, path.c_str(), AT_SYMLINK_FOLLOW) == 0) return {};
        } else {
            if (::link(temporary_.c_str(), path.c_str()) == 0 || (errno == EEXIST && kind_ != FileKind::config)) {
                ::unlink(temporary_.c_str());
                temporary_.clear();
                return {};
            }
            // File systems without hard links.
            if ((errno == EPERM || errno == EOPNOTSUPP) && !os::exists(path) &&
                ::rename(temporary_.c_str(), path.c_str()) == 0) {
                temporary_.clear();
                return {};
            }
        }
        if (errno == EEXIST && kind_ != FileKind::config) return {};
        return fail(errno_error(errno, "cannot give a file of the repository its name " + path));
    }

    LocalBackend& backend_;
    const FileKind kind_;
    os::Fd fd_;
    std::string temporary_;    // empty: unnamed
    std::uint64_t written_ = 0, started_ = 0;
};

Status LocalBackend::create_layout() {
    HF_DO(os::make_folders(root_));
    for (const char* folder : {"data", "index", "keys", "locks", "snapshots"})
        HF_DO(os::make_folders(root_ + '/' + folder));
    for (unsigned i = 0; i < 256; ++i) HF_DO(os::make_folders(fmt::format("{}/data/{:02x}", root_, i)));
    remember(os::parent_folder(root_));
    remember(root_);
    remember(root_ + "/data");
    return {};
}

Result<std::unique_ptr<Upload>> LocalBackend::start(FileKind kind) {
    auto upload = std::make_unique<LocalUpload>(*this, kind);
    HF_DO(upload->open());
    return upload;
}

Status LocalBackend::put(const FileName& name, ByteView bytes) {
    LocalUpload upload(*this, name.kind);
    HF_DO(upload.open());
    HF_DO(upload.write(bytes));
    return upload.commit(name.id);
}

Result<Bytes> LocalBackend::read(const FileName& name) {
    return os::read_file(path_of(name), read_size_max(name.kind));
}

Status LocalBackend::read_at(const FileName& name, std::uint64_t offset, ByteSpan to) {
    const std::string path = path_of(name);
    HF_TRY(const os::Fd fd, os::open_file(path, O_RDONLY));
    auto n = os::pread_full(fd.get(), to, offset);
    if (!n) return fail(std::move(n).error().within(path));
    if (*n < to.size())
        return fail(ErrorCode::corrupt, fmt::format("{} ends early: {} bytes were wanted from offset {}, {} are there",
                                                    path, to.size(), offset, *n));
    return {};
}

Result<std::uint64_t> LocalBackend::size(const FileName& name) {
    HF_TRY(const struct stat st, os::status_of(path_of(name)));
    return static_cast<std::uint64_t>(st.st_size);
}

Status LocalBackend::list(FileKind kind, const std::function<void(const Id&, std::uint64_t)>& found) {
    const auto list_one = [&](const std::string& folder, const auto& each) -> Status {
        DIR* dir = ::opendir(folder.c_str());
        if (!dir) {
            if (errno == ENOENT || errno == ENOTDIR) return {};
            return fail(errno_error(errno, "cannot list " + folder));
        }
        int error = 0;
        for (;;) {
            errno = 0;
            const dirent* entry = ::readdir(dir);
            if (!entry) {
                error = errno;
                break;
            }
            each(::dirfd(dir), std::string_view(entry->d_name));
        }
        ::closedir(dir);
        if (error != 0) return fail(errno_error(error, "cannot list " + folder));
        return {};
    };
    const auto report = [&](int folder, std::string_view name) {
        struct stat st;
        if (const auto id = Id::parse(name); id && ::fstatat(folder, name.data(), &st, 0) == 0)
            found(*id, static_cast<std::uint64_t>(st.st_size));
    };
    const std::string folder = fmt::format("{}/{}", root_, folder_of(kind));
    if (kind == FileKind::config) return {};
    if (kind != FileKind::pack) return list_one(folder, report);
    std::set<std::string> below;
    HF_DO(list_one(folder, [&](int, std::string_view name) {
        std::array<std::byte, 1> digits;
        if (from_hex(name, digits)) below.emplace(name);
    }));
    for (const std::string& name : below) HF_DO(list_one(folder + '/' + name, report));
    return {};
}

Status LocalBackend::remove(const FileName& name) {
    const std::string path = path_of(name);
    os::crash_point("local.before_remove", folder_of(name.kind));
    if (::unlink(path.c_str()) != 0) return fail(errno_error(errno, "cannot remove " + path));
    os::crash_point("local.removed", folder_of(name.kind));
    if (name.kind != FileKind::lock) remember(os::parent_folder(path));
    return {};
}

Status LocalBackend::sync() {
    // Whoever finds nothing left to do must still wait for the one that took it: its folders may hold our names.
    const std::scoped_lock one_at_a_time(sync_mutex_);
    std::set<std::string> folders;
    {
        const std::scoped_lock lock(mutex_);
        folders.swap(unsynced_);
    }
    for (const std::string& folder : folders) {
        if (auto status = os::sync_folder(folder); !status) {
            const std::scoped_lock lock(mutex_);
            unsynced_.merge(folders);
            return status;
        }
        os::crash_point("local.folder_synced");
    }
    return {};
}

}    // namespace

std::unique_ptr<Backend> local_backend(const std::string& root, LocalOptions options) {
    return std::make_unique<LocalBackend>(root, options);
}

}    // namespace holdfast::storage
