#define FUSE_USE_VERSION 314

#include "holdfast/mount/fuse_mount.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <fuse3/fuse_lowlevel.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <thread>

#include "holdfast/base/log.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"

namespace holdfast::mount {
namespace {

// Nothing in a snapshot ever changes; which snapshots there are does.
constexpr double k_forever = 86'400, k_shortly = 1;
constexpr int k_poll_ms = 250;    // a signal is seen this late at most by threads that did not get it
constexpr unsigned k_readahead = 1u << 20;

SnapshotFiles& files_of(fuse_req_t request) { return *static_cast<SnapshotFiles*>(fuse_req_userdata(request)); }

int number_of(const Error& error, const char* what) {
    if (error.code == ErrorCode::not_found) return ENOENT;
    log_warning("a request to the mounted repository failed", {{"what", what}, {"error", error.message}});
    return EIO;
}
void reply_error(fuse_req_t request, const Error& error, const char* what) {
    fuse_reply_err(request, number_of(error, what));
}

// What an open folder or file is to the kernel: a pointer to one of these.
using OpenFolder = std::shared_ptr<const SnapshotFiles::Listing>;
using OpenFile = std::shared_ptr<SnapshotFiles::OpenFile>;
template <class Handle>
Handle& handle_of(const fuse_file_info* info) {
    return *reinterpret_cast<Handle*>(info->fh);
}

fuse_entry_param entry_of(const SnapshotFiles::Attributes& found) {
    fuse_entry_param entry{};
    entry.ino = found.number;
    entry.attr = found.st;
    entry.attr_timeout = entry.entry_timeout = found.fixed ? k_forever : k_shortly;
    return entry;
}

void on_init(void*, fuse_conn_info* connection) { connection->max_readahead = k_readahead; }

void on_lookup(fuse_req_t request, fuse_ino_t folder, const char* name) {
    const auto found = files_of(request).lookup(folder, name);
    if (!found) return reply_error(request, found.error(), "lookup");
    const fuse_entry_param entry = entry_of(*found);
    // Interrupted: the kernel did not take it, so it will not give it back either.
    if (fuse_reply_entry(request, &entry) == -ENOENT) files_of(request).forget(found->number, 1);
}

void on_forget(fuse_req_t request, fuse_ino_t number, std::uint64_t times) {
    files_of(request).forget(number, times);
    fuse_reply_none(request);
}

void on_forget_many(fuse_req_t request, std::size_t count, fuse_forget_data* forgets) {
    for (std::size_t i = 0; i < count; ++i) files_of(request).forget(forgets[i].ino, forgets[i].nlookup);
    fuse_reply_none(request);
}

void on_getattr(fuse_req_t request, fuse_ino_t number, fuse_file_info*) {
    const auto found = files_of(request).attributes(number);
    if (!found) return reply_error(request, found.error(), "getattr");
    fuse_reply_attr(request, &found->st, k_forever);
}

void on_readlink(fuse_req_t request, fuse_ino_t number) {
    const auto target = files_of(request).link_target(number);
    if (!target) return reply_error(request, target.error(), "readlink");
    fuse_reply_readlink(request, target->c_str());
}

void on_opendir(fuse_req_t request, fuse_ino_t number, fuse_file_info* info) {
    auto listing = files_of(request).list(number);
    if (!listing) return reply_error(request, listing.error(), "opendir");
    auto handle = std::make_unique<OpenFolder>(*std::move(listing));
    info->fh = reinterpret_cast<std::uint64_t>(handle.get());
    const bool fixed = files_of(request).is_fixed(number);
    info->cache_readdir = fixed;
    info->keep_cache = fixed;
    if (fuse_reply_open(request, info) == 0) static_cast<void>(handle.release());
}

void on_readdir(fuse_req_t request, fuse_ino_t, std::size_t size, off_t offset, fuse_file_info* info) {
    const auto& listing = *handle_of<OpenFolder>(info);
    Bytes buffer(size);
    std::size_t used = 0;
    for (auto i = static_cast<std::size_t>(offset); i < listing.size(); ++i) {
        struct stat st{};
        st.st_ino = listing[i].number;
        st.st_mode = listing[i].type;
        const std::size_t n = fuse_add_direntry(request, reinterpret_cast<char*>(buffer.data()) + used, size - used,
                                                listing[i].name.c_str(), &st, static_cast<off_t>(i + 1));
        if (n > size - used) break;
        used += n;
    }
    fuse_reply_buf(request, reinterpret_cast<const char*>(buffer.data()), used);
}

void on_releasedir(fuse_req_t request, fuse_ino_t, fuse_file_info* info) {
    delete &handle_of<OpenFolder>(info);
    fuse_reply_err(request, 0);
}

void on_open(fuse_req_t request, fuse_ino_t number, fuse_file_info* info) {
    if ((info->flags & O_ACCMODE) != O_RDONLY) {
        fuse_reply_err(request, EROFS);
        return;
    }
    auto file = files_of(request).open(number);
    if (!file) return reply_error(request, file.error(), "open");
    auto handle = std::make_unique<OpenFile>(*std::move(file));
    info->fh = reinterpret_cast<std::uint64_t>(handle.get());
    info->keep_cache = 1;
    if (fuse_reply_open(request, info) == 0) static_cast<void>(handle.release());
}

void on_read(fuse_req_t request, fuse_ino_t, std::size_t size, off_t offset, fuse_file_info* info) {
    const auto bytes = files_of(request).read(*handle_of<OpenFile>(info), static_cast<std::uint64_t>(offset), size);
    if (!bytes) return reply_error(request, bytes.error(), "read");
    fuse_reply_buf(request, reinterpret_cast<const char*>(bytes->data()), bytes->size());
}

void on_release(fuse_req_t request, fuse_ino_t, fuse_file_info* info) {
    delete &handle_of<OpenFile>(info);
    fuse_reply_err(request, 0);
}

// With size 0 the kernel asks how much room is needed.
void reply_sized(fuse_req_t request, std::string_view value, std::size_t size) {
    if (size == 0)
        fuse_reply_xattr(request, value.size());
    else if (size < value.size())
        fuse_reply_err(request, ERANGE);
    else
        fuse_reply_buf(request, value.data(), value.size());
}

void on_getxattr(fuse_req_t request, fuse_ino_t number, const char* name, std::size_t size) {
    const auto all = files_of(request).extended_attributes(number);
    if (!all) return reply_error(request, all.error(), "getxattr");
    for (const auto& [key, value] : *all)
        if (key == name) return reply_sized(request, as_text(value), size);
    fuse_reply_err(request, ENODATA);
}

void on_listxattr(fuse_req_t request, fuse_ino_t number, std::size_t size) {
    const auto all = files_of(request).extended_attributes(number);
    if (!all) return reply_error(request, all.error(), "listxattr");
    std::string names;
    for (const auto& [key, value] : *all) names.append(key).push_back('\0');
    reply_sized(request, names, size);
}

void on_statfs(fuse_req_t request, fuse_ino_t) {
    struct statvfs st{};
    st.f_bsize = st.f_frsize = 4096;
    st.f_namemax = 255;
    st.f_flag = ST_RDONLY;
    fuse_reply_statfs(request, &st);
}

fuse_lowlevel_ops operations() {
    fuse_lowlevel_ops ops{};
    ops.init = on_init;
    ops.lookup = on_lookup;
    ops.forget = on_forget;
    ops.forget_multi = on_forget_many;
    ops.getattr = on_getattr;
    ops.readlink = on_readlink;
    ops.opendir = on_opendir;
    ops.readdir = on_readdir;
    ops.releasedir = on_releasedir;
    ops.open = on_open;
    ops.read = on_read;
    ops.release = on_release;
    ops.getxattr = on_getxattr;
    ops.listxattr = on_listxattr;
    ops.statfs = on_statfs;
    return ops;
}

Status check_place(const std::string& mountpoint) {
    auto st = os::status_of(mountpoint);
    if (!st) {
        st.error().hint = "make the folder first: mkdir -p " + mountpoint;
        return fail(std::move(st).error());
    }
    if (!S_ISDIR(st->st_mode)) return fail(ErrorCode::usage, mountpoint + " is no folder", "name a folder");
    const os::Fd device(::open("/dev/fuse", O_RDWR | O_CLOEXEC));
    if (device) return {};
    Error error = errno_error(errno, "cannot open /dev/fuse");
    error.hint = error.code == ErrorCode::not_found ? "load it: modprobe fuse; a container needs --device /dev/fuse"
                                                    : "run as root, or get the right to use /dev/fuse";
    return fail(std::move(error));
}

void log_from_library(fuse_log_level level, const char* format, va_list arguments) {
    char line[512];
    std::vsnprintf(line, sizeof line, format, arguments);
    std::string_view text = line;
    while (text.ends_with('\n')) text.remove_suffix(1);
    log(level <= FUSE_LOG_ERR ? LogLevel::error : LogLevel::info, "fuse", {{"says", std::string(text)}});
}

void serve_loop(fuse_session* session) {
    fuse_buf buffer{};
    while (!fuse_session_exited(session)) {
        pollfd waiting{fuse_session_fd(session), POLLIN, 0};
        const int ready = ::poll(&waiting, 1, k_poll_ms);
        if (os::stop_requested()) break;
        if (ready <= 0) continue;
        const int got = fuse_session_receive_buf(session, &buffer);
        if (got == -EINTR || got == -EAGAIN) continue;    // another thread was faster
        if (got <= 0) break;    // unmounted
        fuse_session_process_buf(session, &buffer);
    }
    fuse_session_exit(session);
    std::free(buffer.mem);
}

}    // namespace

Status serve(SnapshotFiles& files, const MountOptions& options) {
    const std::string mountpoint = os::absolute_path(options.mountpoint);
    HF_DO(check_place(mountpoint));
    fuse_set_log_func(log_from_library);

    std::string settings = "ro,fsname=holdfast,subtype=holdfast";
    if (options.allow_other) settings += ",allow_other";
    if (options.check_permissions) settings += ",default_permissions";
    std::string program = "holdfast", dash_o = "-o";
    char* words[] = {program.data(), dash_o.data(), settings.data(), nullptr};
    fuse_args arguments = FUSE_ARGS_INIT(3, words);
    const fuse_lowlevel_ops ops = operations();
    const std::unique_ptr<fuse_session, void (*)(fuse_session*)> session(
        fuse_session_new(&arguments, &ops, sizeof ops, &files), fuse_session_destroy);
    fuse_opt_free_args(&arguments);
    if (!session) return fail(ErrorCode::internal, "libfuse refuses its options");
    if (fuse_session_mount(session.get(), mountpoint.c_str()) != 0)
        return fail(ErrorCode::denied, fmt::format("cannot mount at {}", mountpoint),
                    "mounting takes root, or fusermount3 (package fuse3); --allow-other takes user_allow_other in "
                    "/etc/fuse.conf");
    // Threads that a request woke in vain must go back to waiting, and see a stop.
    const int fd = fuse_session_fd(session.get());
    ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
    if (options.mounted) options.mounted();
    std::vector<std::thread> threads;
    for (unsigned i = 1; i < options.threads; ++i) threads.emplace_back(serve_loop, session.get());
    serve_loop(session.get());
    for (std::thread& thread : threads) thread.join();
    fuse_session_unmount(session.get());    // nothing to do when somebody else did
    return {};
}

}    // namespace holdfast::mount
