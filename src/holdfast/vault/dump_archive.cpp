#include "holdfast/vault/dump_archive.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <memory>

#include "holdfast/vault/restore.hpp"
#include "holdfast/vault/tree_depth.hpp"

namespace holdfast::vault {
namespace {

using format::Node;
using format::NodeType;

mode_t file_type(NodeType type) {
    switch (type) {
        case NodeType::dir:
            return AE_IFDIR;
        case NodeType::symlink:
            return AE_IFLNK;
        case NodeType::dev:
            return AE_IFBLK;
        case NodeType::chardev:
            return AE_IFCHR;
        case NodeType::fifo:
            return AE_IFIFO;
        default:
            return AE_IFREG;
    }
}

class ArchiveWriter {
public:
    ArchiveWriter(const Repository& repository, const std::function<Status(ByteView)>& sink)
        : repository_(repository), sink_(sink), archive_(::archive_write_new(), ::archive_write_free) {}

    // An archive that was not closed must not end as a whole one does.
    ~ArchiveWriter() {
        if (!closed_) ::archive_write_fail(archive_.get());
    }

    Status open(ArchiveKind kind) {
        struct archive* a = archive_.get();
        // Names that are not UTF-8 go out as bytes, and their entries say so.
        HF_DO(good(kind == ArchiveKind::tar ? ::archive_write_set_format_pax(a) : ::archive_write_set_format_zip(a)));
        HF_DO(good(::archive_write_set_bytes_per_block(a, 1 << 16)));
        HF_DO(good(::archive_write_set_bytes_in_last_block(a, 1)));
        return good(::archive_write_open(a, this, nullptr, write_callback, nullptr));
    }

    Status walk(const Node& folder, const std::string& path) {
        const TreeLevel level(depth_);
        HF_DO(level.check());
        HF_TRY(const format::Tree tree, repository_.read_tree(folder.subtree));
        for (const Node& node : tree.nodes) {
            if (node.type == NodeType::socket || node.type == NodeType::irregular) continue;
            const std::string node_path = path.empty() ? node.name : path + '/' + node.name;
            HF_DO(entry(node, node_path));
            if (node.type == NodeType::dir) HF_DO(walk(node, node_path));
        }
        return {};
    }

    Status close() {
        closed_ = true;
        return good(::archive_write_close(archive_.get()));
    }

private:
    static la_ssize_t write_callback(struct archive* a, void* self, const void* bytes, std::size_t size) {
        auto& writer = *static_cast<ArchiveWriter*>(self);
        writer.sunk_ = writer.sink_({static_cast<const std::byte*>(bytes), size});
        if (writer.sunk_) return static_cast<la_ssize_t>(size);
        ::archive_set_error(a, EIO, "the output cannot be written");
        return -1;
    }

    // The sink's own error says more than the library's.
    Status good(int result) {
        if (!sunk_) return fail(Error(sunk_.error()));
        if (result == ARCHIVE_OK || result == ARCHIVE_WARN) return {};
        const char* text = ::archive_error_string(archive_.get());
        return fail(ErrorCode::io, fmt::format("writing the archive: {}", text ? text : "unknown error"));
    }

    Status entry(const Node& node, const std::string& path) {
        const std::unique_ptr<struct archive_entry, decltype(&::archive_entry_free)> e(::archive_entry_new(),
                                                                                       ::archive_entry_free);
        ::archive_entry_set_pathname(e.get(), (node.type == NodeType::dir ? path + '/' : path).c_str());
        ::archive_entry_set_mode(e.get(), file_type(node.type) | format::permission_bits(node.mode));
        ::archive_entry_set_uid(e.get(), node.uid);
        ::archive_entry_set_gid(e.get(), node.gid);
        if (!node.user.empty()) ::archive_entry_set_uname(e.get(), node.user.c_str());
        if (!node.group.empty()) ::archive_entry_set_gname(e.get(), node.group.c_str());
        constexpr std::int64_t k_second = 1'000'000'000;
        const std::int64_t nanoseconds = ((node.mtime.nanoseconds % k_second) + k_second) % k_second;
        ::archive_entry_set_mtime(e.get(), (node.mtime.nanoseconds - nanoseconds) / k_second,
                                  static_cast<long>(nanoseconds));
        if (node.type == NodeType::symlink) ::archive_entry_set_symlink(e.get(), node.link_target.c_str());
        if (node.type == NodeType::dev || node.type == NodeType::chardev)
            ::archive_entry_set_rdev(e.get(), node.device);
        ::archive_entry_set_size(e.get(), node.type == NodeType::file ? static_cast<la_int64_t>(node.size) : 0);
        for (const auto& [name, value] : node.extended_attributes)
            ::archive_entry_xattr_add_entry(e.get(), name.c_str(), value.data(), value.size());
        HF_DO(good(::archive_write_header(archive_.get(), e.get())));
        if (node.type != NodeType::file) return {};
        std::uint64_t written = 0;
        HF_DO(read_content(repository_, node, [&](ByteView bytes) -> Status {
            written += bytes.size();
            if (::archive_write_data(archive_.get(), bytes.data(), bytes.size()) < 0) return good(ARCHIVE_FATAL);
            return {};
        }));
        // The header has promised the size: less would shift all that follows.
        if (written != node.size)
            return fail(ErrorCode::corrupt,
                        fmt::format("{}: its blobs have {} bytes, but its size is {}", path, written, node.size));
        return good(::archive_write_finish_entry(archive_.get()));
    }

    const Repository& repository_;
    const std::function<Status(ByteView)>& sink_;
    Status sunk_;
    bool closed_ = false;
    unsigned depth_ = 0;
    std::unique_ptr<struct archive, decltype(&::archive_write_free)> archive_;
};

}    // namespace

Status dump_archive(const Repository& repository, const Node& folder, std::string path, ArchiveKind kind,
                    const std::function<Status(ByteView)>& sink) {
    while (path.starts_with('/')) path.erase(0, 1);
    while (path.ends_with('/')) path.pop_back();
    ArchiveWriter writer(repository, sink);
    HF_DO(writer.open(kind));
    HF_DO(writer.walk(folder, path));
    return writer.close();
}

}    // namespace holdfast::vault
