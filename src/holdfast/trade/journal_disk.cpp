#include "holdfast/trade/journal_disk.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "holdfast/os/file.hpp"

namespace holdfast::trade {
namespace {

struct flock whole_file() {
    struct flock lock{};
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    return lock;
}

class FolderFile final : public JournalFile {
public:
    FolderFile(os::Fd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

    Result<std::size_t> read(ByteSpan to, std::uint64_t offset) const override {
        auto n = os::pread_full(fd_.get(), to, offset);
        if (!n) return fail(std::move(n).error().within(path_));
        return n;
    }
    Status write(ByteView bytes, std::uint64_t offset) override {
        if (auto written = os::pwrite_all(fd_.get(), bytes, offset); !written)
            return fail(std::move(written).error().within(path_));
        return {};
    }
    Status sync() override {
        // Again after EINTR only: any other failure may have dropped the pages.
        int failed;
        do failed = ::fdatasync(fd_.get());
        while (failed != 0 && errno == EINTR);
        // Not disk_full, even for ENOSPC: what was written is gone for good.
        if (failed != 0) return fail(ErrorCode::io, errno_error(errno, "cannot sync " + path_).message);
        return {};
    }
    Status reserve(std::uint64_t size) override {
        int number;
        do number = ::posix_fallocate(fd_.get(), 0, static_cast<off_t>(size));
        while (number == EINTR);
        if (number != 0) return fail(errno_error(number, "cannot reserve " + human_size(size) + " for " + path_));
        return {};
    }
    Status truncate(std::uint64_t size) override {
        if (::ftruncate(fd_.get(), static_cast<off_t>(size)) != 0)
            return fail(errno_error(errno, "cannot cut " + path_));
        return {};
    }
    Result<std::uint64_t> size() const override {
        struct stat st;
        if (::fstat(fd_.get(), &st) != 0) return fail(errno_error(errno, "cannot look at " + path_));
        return static_cast<std::uint64_t>(st.st_size);
    }

private:
    os::Fd fd_;
    std::string path_;
};

}    // namespace

Result<std::unique_ptr<JournalFolder>> JournalFolder::lock(const std::string& path) {
    HF_DO(os::make_folders(path));
    HF_TRY(os::Fd lock, os::open_file(path + "/lock", O_RDWR | O_CREAT));
    // Of the open file and not of the process, as flock() is; but this kind can be asked about without being taken.
    struct flock whole = whole_file();
    if (::fcntl(lock.get(), F_OFD_SETLK, &whole) != 0) {
        if (errno != EAGAIN && errno != EACCES) return fail(errno_error(errno, "cannot lock " + path));
        return fail(ErrorCode::locked, "another process writes the journal in " + path,
                    "one engine trades an account: stop the other one, or give this one a folder of its own");
    }
    return std::unique_ptr<JournalFolder>(new JournalFolder(path, std::move(lock)));
}

Result<std::unique_ptr<JournalFolder>> JournalFolder::look(const std::string& path) {
    if (auto listed = os::list_folder(path); !listed) return fail(std::move(listed).error().within("the journal"));
    return std::unique_ptr<JournalFolder>(new JournalFolder(path, {}));
}

Result<bool> JournalFolder::in_use() const {
    const auto file = os::open_file(path_ + "/lock", O_RDONLY);
    if (!file && file.error().code == ErrorCode::not_found) return false;
    if (!file) return fail(file.error());
    struct flock whole = whole_file();
    if (::fcntl(file->get(), F_OFD_GETLK, &whole) != 0)
        return fail(errno_error(errno, "cannot look at " + path_ + "/lock"));
    return whole.l_type != F_UNLCK;
}

Result<std::vector<std::string>> JournalFolder::list() const { return os::list_folder(path_); }

Result<std::unique_ptr<JournalFile>> JournalFolder::open(const std::string& name, bool writable) const {
    const std::string path = path_ + '/' + name;
    HF_TRY(os::Fd fd, os::open_file(path, writable ? O_RDWR : O_RDONLY));
    return std::make_unique<FolderFile>(std::move(fd), path);
}

Result<std::unique_ptr<JournalFile>> JournalFolder::create(const std::string& name) {
    const std::string path = path_ + '/' + name;
    HF_TRY(os::Fd fd, os::open_file(path, O_RDWR | O_CREAT | O_TRUNC));
    return std::make_unique<FolderFile>(std::move(fd), path);
}

Status JournalFolder::rename(const std::string& from, const std::string& to) {
    if (::rename((path_ + '/' + from).c_str(), (path_ + '/' + to).c_str()) != 0)
        return fail(errno_error(errno, "cannot rename " + path_ + '/' + from));
    return {};
}

Status JournalFolder::remove(const std::string& name) {
    if (::unlink((path_ + '/' + name).c_str()) != 0 && errno != ENOENT)
        return fail(errno_error(errno, "cannot remove " + path_ + '/' + name));
    return {};
}

Status JournalFolder::sync_names() { return os::sync_folder(path_); }

}    // namespace holdfast::trade
