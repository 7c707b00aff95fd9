#include "holdfast/vault/disk_node.hpp"

#include <fmt/core.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>

#include "holdfast/os/host.hpp"

namespace holdfast::vault {
namespace {

// The kernel's own limits: 64 KiB for the list and for each value.
constexpr std::size_t k_xattr_max = 64u << 10;

Result<std::string> read_link(int folder, const std::string& name) {
    std::string target(256, '\0');
    for (;;) {
        const ssize_t n = ::readlinkat(folder, name.c_str(), target.data(), target.size());
        if (n < 0) return fail(errno_error(errno, "cannot read the link " + name));
        if (static_cast<std::size_t>(n) < target.size()) {
            target.resize(static_cast<std::size_t>(n));
            return target;
        }
        target.resize(target.size() * 2);
    }
}

Status read_xattrs(int folder, const std::string& name, format::Node& node) {
    // The magic link leads to the folder itself, however deep it lies; the l-calls do not follow the last part.
    const std::string path = fmt::format("/proc/self/fd/{}/{}", folder, name);
    char names[k_xattr_max];
    const ssize_t length = ::llistxattr(path.c_str(), names, sizeof names);
    if (length < 0) {
        if (errno == ENOTSUP || errno == ENOSYS) return {};
        return fail(errno_error(errno, "cannot list the extended attributes of " + name));
    }
    for (ssize_t at = 0; at < length;) {
        const std::string attribute(names + at);
        at += static_cast<ssize_t>(attribute.size()) + 1;
        Bytes value(256);
        ssize_t n = ::lgetxattr(path.c_str(), attribute.c_str(), value.data(), value.size());
        if (n < 0 && errno == ERANGE) {
            value.resize(k_xattr_max);
            n = ::lgetxattr(path.c_str(), attribute.c_str(), value.data(), value.size());
        }
        if (n < 0) {
            if (errno == ENODATA) continue;    // gone since the list
            return fail(
                errno_error(errno, fmt::format("cannot read the extended attribute {} of {}", attribute, name)));
        }
        value.resize(static_cast<std::size_t>(n));
        node.extended_attributes.emplace_back(attribute, std::move(value));
    }
    return {};
}

}    // namespace

Timestamp timestamp_of(const timespec& t) { return {t.tv_sec * std::int64_t(1'000'000'000) + t.tv_nsec}; }

Result<format::Node> node_from_disk(int folder, const std::string& name, const struct stat& st, bool with_atime) {
    format::Node node;
    node.name = name;
    node.type = format::node_type(st.st_mode);
    node.mode = format::go_mode(st.st_mode);
    node.mtime = timestamp_of(st.st_mtim);
    node.ctime = timestamp_of(st.st_ctim);
    node.atime = with_atime ? timestamp_of(st.st_atim) : node.mtime;
    node.uid = st.st_uid;
    node.gid = st.st_gid;
    node.user = os::user_name_of(st.st_uid);
    node.group = os::group_name_of(st.st_gid);
    node.inode = st.st_ino;
    node.device_id = st.st_dev;
    switch (node.type) {
        case format::NodeType::file:
            node.size = static_cast<std::uint64_t>(st.st_size);
            node.links = st.st_nlink;
            break;
        case format::NodeType::symlink: {
            HF_TRY(node.link_target, read_link(folder, name));
            node.links = st.st_nlink;
            break;
        }
        case format::NodeType::dev:
        case format::NodeType::chardev:
            node.device = st.st_rdev;
            node.links = st.st_nlink;
            break;
        default:
            break;
    }
    HF_DO(read_xattrs(folder, name, node));
    return node;
}

bool is_unchanged(const format::Node& before, const struct stat& st) {
    return before.type == format::NodeType::file && S_ISREG(st.st_mode) &&
           before.size == static_cast<std::uint64_t>(st.st_size) && before.mtime == timestamp_of(st.st_mtim) &&
           before.ctime == timestamp_of(st.st_ctim) && before.inode == st.st_ino;
}

}    // namespace holdfast::vault
