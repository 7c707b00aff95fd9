#include "holdfast/keep/in_place.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <memory>

#include "holdfast/format/sha256.hpp"
#include "holdfast/keep/versions.hpp"
#include "holdfast/os/crash_point.hpp"
#include "holdfast/os/file.hpp"

namespace holdfast::keep {
namespace {

// The file that `path` leads to. One that is not there is its own.
std::string real_path(const std::string& path) {
    const std::unique_ptr<char, decltype(&std::free)> real(::realpath(path.c_str(), nullptr), &std::free);
    return real ? std::string(real.get()) : path;
}

// Its name is always the same, so that a later run finds what a kill left.
std::string beside(const std::string& real) {
    const std::string parent = os::parent_folder(real);
    return fmt::format("{}/.{}.holdfast-restore", parent == "/" ? "" : parent, os::file_name(real));
}

// Best effort as to the owner: only root can give files away.
Status like(int fd, const struct stat& before, const std::string& path) {
    if (::fchown(fd, before.st_uid, before.st_gid) != 0 && errno != EPERM)
        return fail(errno_error(errno, "cannot set the owner of " + path));
    if (::fchmod(fd, before.st_mode & 07777) != 0) return fail(errno_error(errno, "cannot set the mode of " + path));
    return {};
}

Result<Id> content_of(const std::string& file) {
    HF_TRY(const std::string content, os::read_text(file, k_document_size_max));
    return format::sha256(as_bytes(content));
}

}    // namespace

Status put(const std::string& path, std::string_view content) {
    const std::string real = real_path(path);
    HF_TRY(os::AtomicFile file, os::AtomicFile::create(real));
    if (const auto before = os::status_of(real)) HF_DO(like(file.fd(), *before, real));
    if (auto written = file.write(as_bytes(content)); !written) return fail(std::move(written).error().within(path));
    return file.commit();
}

Status put_over(const std::string& path, std::string_view content, const Id& present) {
    const std::string real = real_path(path), made = beside(real);
    HF_TRY(const auto before, os::status_of(real));
    {
        HF_TRY(const os::Fd fd, os::open_file(made, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
        auto written = [&]() -> Status {
            HF_DO(os::write_all(fd.get(), as_bytes(content)));
            HF_DO(like(fd.get(), before, real));
            return os::sync_fd(fd.get(), made);
        }();
        if (!written) {
            ::unlink(made.c_str());
            return fail(std::move(written).error().within(path));
        }
    }
    os::crash_point("keep.made");
    const auto exchange = [&] { return ::renameat2(AT_FDCWD, made.c_str(), AT_FDCWD, real.c_str(), RENAME_EXCHANGE); };
    if (exchange() != 0) {
        const int error = errno;
        ::unlink(made.c_str());
        return fail(errno_error(error, fmt::format("cannot put {} in place", real)));
    }
    os::crash_point("keep.exchanged");
    // What was there a moment ago, and now lies beside it, must be what was judged. A writer that has the old file open still
    // writes into it: his close comes after the exchange, and he finds the restored version there.
    const auto was = content_of(made);
    if (!was || *was != present) {
        const int back = exchange();
        if (back == 0) ::unlink(made.c_str());
        return fail(ErrorCode::changed, fmt::format("{} was changed while a version was about to take its place", path),
                    back == 0 ? "the new content is looked at next" : fmt::format("what was there is in {}", made));
    }
    HF_DO(os::sync_folder(os::parent_folder(real)));
    if (::unlink(made.c_str()) != 0) return fail(errno_error(errno, "cannot remove " + made));
    return {};
}

Result<std::string> left_over(const std::string& path) {
    auto content = os::read_text(beside(real_path(path)), k_document_size_max);
    if (!content && content.error().code == ErrorCode::not_found) return std::string();
    return content;
}

void remove_left_over(const std::string& path) { ::unlink(beside(real_path(path)).c_str()); }

}    // namespace holdfast::keep
