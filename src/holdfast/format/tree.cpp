#include "holdfast/format/tree.hpp"

#include <fmt/core.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <optional>

#include "holdfast/format/documents.hpp"
#include "holdfast/format/go_json.hpp"

namespace holdfast::format {
namespace {

constexpr std::array<std::string_view, 8> k_types = {"file",    "dir",  "symlink", "dev",
                                                     "chardev", "fifo", "socket",  "irregular"};

// Go's os.FileMode bits.
constexpr std::uint32_t k_go_dir = 1u << 31, k_go_symlink = 1u << 27, k_go_device = 1u << 26, k_go_fifo = 1u << 25,
                        k_go_socket = 1u << 24, k_go_setuid = 1u << 23, k_go_setgid = 1u << 22, k_go_chardev = 1u << 21,
                        k_go_sticky = 1u << 20, k_go_irregular = 1u << 19;

bool is_utf8(std::string_view text) { return simdjson::validate_utf8(text.data(), text.size()); }

}    // namespace

const Node* Tree::find(std::string_view name) const {
    const auto at = std::lower_bound(nodes.begin(), nodes.end(), name,
                                     [](const Node& node, std::string_view wanted) { return node.name < wanted; });
    return at != nodes.end() && at->name == name ? &*at : nullptr;
}

namespace {

using TakePiece = std::function<void(std::string_view)>;
constexpr std::size_t k_piece = 64u << 10, k_id_length = 2 * sizeof(Id::bytes) + 3;

// Whoever appends looks at the last character: it stays.
void hand_on(std::string& text, const TakePiece& take) {
    if (text.size() < k_piece) return;
    take(std::string_view(text).substr(0, text.size() - 1));
    text.erase(0, text.size() - 1);
}

void append_node(std::string& to, const Node& node, const TakePiece* take, const IdOf& id_of) {
    const auto number = [&](std::string_view key, std::uint64_t value) {
        if (value == 0) return;
        append_key(to, key);
        append_number(to, value);
    };
    const auto text = [&](std::string_view key, std::string_view value) {
        if (value.empty()) return;
        append_key(to, key);
        append_go_string(to, value);
    };
    const auto time = [&](std::string_view key, Timestamp value) {
        append_key(to, key);
        append_time(to, value);
    };
    to += '{';
    append_key(to, "name");
    append_go_string(to, quote_name(node.name));
    append_key(to, "type");
    append_go_string(to, k_types[static_cast<std::size_t>(node.type)]);
    number("mode", node.mode);
    time("mtime", node.mtime);
    time("atime", node.atime);
    time("ctime", node.ctime);
    append_key(to, "uid");
    append_number(to, node.uid);
    append_key(to, "gid");
    append_number(to, node.gid);
    text("user", node.user);
    text("group", node.group);
    number("inode", node.inode);
    number("device_id", node.device_id);
    number("size", node.size);
    number("links", node.links);
    text("linktarget", node.link_target);
    if (!is_utf8(node.link_target)) {
        append_key(to, "linktarget_raw");
        append_base64(to, as_bytes(node.link_target));
    }
    if (!node.extended_attributes.empty()) {
        append_key(to, "extended_attributes");
        to += '[';
        for (const auto& attribute : node.extended_attributes) {
            if (&attribute != &node.extended_attributes.front()) to += ',';
            to += '{';
            append_key(to, "name");
            append_go_string(to, attribute.first);
            append_key(to, "value");
            append_base64(to, attribute.second);
            to += '}';
        }
        to += ']';
    }
    if (!node.generic_attributes.empty()) {
        append_key(to, "generic_attributes");
        to += node.generic_attributes;
    }
    number("device", node.device);
    append_key(to, "content");
    if (node.type == NodeType::file) {
        to += '[';
        // A huge file's list is megabytes: grown step by step it would lie in memory one and a half times.
        constexpr std::size_t k_long = 1000, k_rest = 1024;
        if (!take && node.content.size() > k_long) to.reserve(to.size() + node.content.size() * k_id_length + k_rest);
        const auto append = [&](const Id& id) {
            if (to.back() != '[') to += ',';
            append_id(to, id);
            if (take) hand_on(to, *take);
        };
        for (const Id& id : node.content) append(id);
        for (const std::uint32_t blob : node.numbers) append(id_of(blob));
        to += ']';
    } else {
        to += "null";
    }
    if (node.type == NodeType::dir) {
        append_key(to, "subtree");
        append_id(to, node.subtree);
    }
    text("error", node.error);
    to += '}';
}

}    // namespace

void append_node(std::string& to, const Node& node) { append_node(to, node, nullptr, {}); }

void write_tree(std::span<const Node* const> nodes, const TakePiece& take, const IdOf& id_of) {
    std::string text = R"({"nodes":[)";
    for (std::size_t i = 0; i < nodes.size(); ++i) {
        if (i > 0) text += ',';
        append_node(text, *nodes[i], &take, id_of);
        hand_on(text, take);
    }
    text += "]}\n";
    take(text);
}

std::size_t json_length(const Node& node) {
    std::size_t length = 400 + node.name.size() + node.link_target.size() + node.user.size() + node.group.size() +
                         node.generic_attributes.size() + node.error.size() +
                         (node.content.size() + node.numbers.size()) * k_id_length;
    for (const auto& [name, value] : node.extended_attributes) length += 40 + name.size() + value.size() * 4 / 3;
    return length;
}

std::string encode(const Tree& tree) {
    std::string json = R"({"nodes":[)";
    const Node* before = nullptr;
    for (const Node& node : tree.nodes) {
        HF_ASSERT(before == nullptr || before->name < node.name);
        if (before) json += ',';
        append_node(json, node);
        before = &node;
    }
    json += "]}\n";
    return json;
}

std::uint32_t go_mode(std::uint32_t st_mode) {
    std::uint32_t mode = st_mode & 0777;
    switch (st_mode & S_IFMT) {
        case S_IFREG:
            break;
        case S_IFDIR:
            mode |= k_go_dir;
            break;
        case S_IFLNK:
            mode |= k_go_symlink;
            break;
        case S_IFBLK:
            mode |= k_go_device;
            break;
        case S_IFCHR:
            mode |= k_go_device | k_go_chardev;
            break;
        case S_IFIFO:
            mode |= k_go_fifo;
            break;
        case S_IFSOCK:
            mode |= k_go_socket;
            break;
        default:
            mode |= k_go_irregular;
    }
    if (st_mode & S_ISUID) mode |= k_go_setuid;
    if (st_mode & S_ISGID) mode |= k_go_setgid;
    if (st_mode & S_ISVTX) mode |= k_go_sticky;
    return mode;
}

std::uint32_t permission_bits(std::uint32_t mode) {
    std::uint32_t bits = mode & 0777;
    if (mode & k_go_setuid) bits |= S_ISUID;
    if (mode & k_go_setgid) bits |= S_ISGID;
    if (mode & k_go_sticky) bits |= S_ISVTX;
    return bits;
}

NodeType node_type(std::uint32_t st_mode) {
    switch (st_mode & S_IFMT) {
        case S_IFREG:
            return NodeType::file;
        case S_IFDIR:
            return NodeType::dir;
        case S_IFLNK:
            return NodeType::symlink;
        case S_IFBLK:
            return NodeType::dev;
        case S_IFCHR:
            return NodeType::chardev;
        case S_IFIFO:
            return NodeType::fifo;
        case S_IFSOCK:
            return NodeType::socket;
        default:
            return NodeType::irregular;
    }
}

}    // namespace holdfast::format
