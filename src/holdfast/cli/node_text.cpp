#include "holdfast/cli/node_text.hpp"

#include <fmt/core.h>

#include "holdfast/cli/output.hpp"

namespace holdfast::cli {

std::string_view type_name(format::NodeType type) {
    switch (type) {
        case format::NodeType::file:
            return "file";
        case format::NodeType::dir:
            return "dir";
        case format::NodeType::symlink:
            return "symlink";
        case format::NodeType::dev:
            return "dev";
        case format::NodeType::chardev:
            return "chardev";
        case format::NodeType::fifo:
            return "fifo";
        case format::NodeType::socket:
            return "socket";
        case format::NodeType::irregular:
            break;
    }
    return "irregular";
}

// "drwxr-xr-x"
std::string mode_text(const format::Node& node) {
    static constexpr std::string_view k_letters = "-dlbcps?";
    const std::uint32_t bits = format::permission_bits(node.mode);
    std::string text(1, k_letters[static_cast<std::size_t>(node.type)]);
    for (int shift = 6; shift >= 0; shift -= 3)
        for (int bit = 2; bit >= 0; --bit) text += (bits >> (shift + bit)) & 1 ? "xwr"[bit] : '-';
    if (bits & 04000) text[3] = text[3] == 'x' ? 's' : 'S';
    if (bits & 02000) text[6] = text[6] == 'x' ? 's' : 'S';
    if (bits & 01000) text[9] = text[9] == 'x' ? 't' : 'T';
    return text;
}

std::string long_line(const format::Node& node, const std::string& path, bool human_readable) {
    const std::string owner = node.user.empty() ? fmt::format("{}", node.uid) : printable(node.user);
    const std::string group = node.group.empty() ? fmt::format("{}", node.gid) : printable(node.group);
    return fmt::format("{} {:8} {:8} {:>12} {} {}{}", mode_text(node), owner, group,
                       human_readable ? human_size(node.size) : fmt::format("{}", node.size), local_time(node.mtime),
                       printable(path),
                       node.type == format::NodeType::symlink ? " -> " + printable(node.link_target) : "");
}

json::Value node_json(const format::Node& node, const std::string& path) {
    json::Value entry = json::Value::object({{"path", path},
                                             {"type", type_name(node.type)},
                                             {"mode", fmt::format("{:04o}", format::permission_bits(node.mode))},
                                             {"uid", node.uid},
                                             {"gid", node.gid},
                                             {"user", node.user},
                                             {"group", node.group},
                                             {"size", node.size},
                                             {"mtime", to_rfc3339(node.mtime)}});
    if (node.type == format::NodeType::symlink) entry.set("target", node.link_target);
    return entry;
}

}    // namespace holdfast::cli
