#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <optional>

#include "holdfast/format/documents.hpp"
#include "holdfast/format/go_json.hpp"
#include "holdfast/format/json_scan.hpp"
#include "holdfast/format/tree.hpp"

// The reading half of tree.hpp.

namespace holdfast::format {
namespace {

std::optional<NodeType> parse_type(std::string_view name) {
    constexpr std::array<std::pair<std::string_view, NodeType>, 8> types = {{
        {"file", NodeType::file},
        {"dir", NodeType::dir},
        {"symlink", NodeType::symlink},
        {"dev", NodeType::dev},
        {"chardev", NodeType::chardev},
        {"fifo", NodeType::fifo},
        {"socket", NodeType::socket},
        {"irregular", NodeType::irregular},
    }};
    for (const auto& [text, type] : types)
        if (text == name) return type;
    return std::nullopt;
}

// JSON as Go writes it again. generic_attributes are kept this way: what they mean is Windows' business.
void append_go_json(std::string& to, simdjson::dom::element value) {
    using simdjson::dom::element_type;
    if (value.type() == element_type::OBJECT) {
        to += '{';
        for (const auto [key, member] : simdjson::dom::object(value)) {
            if (to.back() != '{') to += ',';
            append_go_string(to, key);
            to += ':';
            append_go_json(to, member);
        }
        to += '}';
    } else if (value.type() == element_type::ARRAY) {
        to += '[';
        for (const simdjson::dom::element item : simdjson::dom::array(value)) {
            if (to.back() != '[') to += ',';
            append_go_json(to, item);
        }
        to += ']';
    } else if (value.type() == element_type::STRING) {
        append_go_string(to, std::string_view(value));
    } else {
        to += simdjson::to_string(value);
    }
}

Status read_attributes(simdjson::dom::element from, const Place& place,
                       std::vector<std::pair<std::string, Bytes>>& attributes) {
    if (from.is_null()) return {};
    simdjson::dom::array array;
    if (from.get(array)) return wrong_field(place, "is not a list");
    attributes.clear();
    for (const simdjson::dom::element item : array) {
        simdjson::dom::object object;
        if (item.get(object)) return wrong_field(place, "holds something else than objects");
        auto& [name, bytes] = attributes.emplace_back();
        for (const auto [key, value] : object) {
            if (key == "name") HF_DO(read(value, place, name));
            if (key == "value") HF_DO(read(value, place, bytes));    // null in old repositories: empty
        }
        if (name.empty()) return wrong_field(place, "holds an attribute without name");
    }
    return {};
}

Status read_field(simdjson::dom::element value, const Place& place, Node& node) {
    const std::string_view key = place.key;
    if (key == "mode") return read(value, place, node.mode);
    if (key == "mtime") return read(value, place, node.mtime);
    if (key == "atime") return read(value, place, node.atime);
    if (key == "ctime") return read(value, place, node.ctime);
    if (key == "uid") return read(value, place, node.uid);
    if (key == "gid") return read(value, place, node.gid);
    if (key == "user") return read(value, place, node.user);
    if (key == "group") return read(value, place, node.group);
    if (key == "inode") return read(value, place, node.inode);
    if (key == "device_id") return read(value, place, node.device_id);
    if (key == "size") return read(value, place, node.size);
    if (key == "links") return read(value, place, node.links);
    if (key == "device") return read(value, place, node.device);
    if (key == "content") return read(value, place, node.content);
    if (key == "subtree") return read(value, place, node.subtree);
    if (key == "error") return read(value, place, node.error);
    if (key == "extended_attributes") return read_attributes(value, place, node.extended_attributes);
    if (key == "generic_attributes" && !value.is_null()) {
        if (!value.is_object()) return wrong_field(place, "is not an object");
        node.generic_attributes.clear();
        append_go_json(node.generic_attributes, value);
    }
    return {};
}

Status check_name(std::string_view name, std::string_view what) {
    const bool bad = name.empty() || name == "." || name == ".." || name.find('/') != std::string_view::npos ||
                     name.find('\0') != std::string_view::npos;
    if (!bad) return {};
    return fail(ErrorCode::corrupt,
                fmt::format("{}: '{}' cannot be the name of a file", what, quote_name(name.substr(0, 80))));
}

struct Present {
    bool type = false, content = false, subtree = false;
};

Status check(const Node& node, const Present& has, std::string_view what) {
    HF_DO(check_name(node.name, what));
    const auto lacks = [&](std::string_view field) {
        return fail(ErrorCode::corrupt,
                    fmt::format("{}: '{}' has no {}", what, quote_name(node.name.substr(0, 80)), field));
    };
    if (!has.type) return lacks("type");
    if (node.type == NodeType::file && !has.content) return lacks("content");
    if (node.type == NodeType::dir && !has.subtree) return lacks("subtree");
    return {};
}

Result<Node> read_node(simdjson::dom::element from, std::string_view what) {
    simdjson::dom::object object;
    if (from.get(object)) return wrong_field({what, "nodes"}, "holds something else than objects");
    Node node;
    Present has;
    std::string target;
    Bytes raw_target;
    for (const auto [key, value] : object) {
        const Place place{what, key};
        if (key == "name") {
            std::string_view quoted;
            if (value.get(quoted)) return wrong_field(place, "is not a string");
            auto name = unquote_name(quoted);
            if (!name) return fail(std::move(name).error().within(what));
            node.name = *std::move(name);
        } else if (key == "type") {
            std::string_view name;
            std::optional<NodeType> type;
            if (!value.get(name)) type = parse_type(name);
            if (!type) return wrong_field(place, "is no known type of file");
            node.type = *type;
            has.type = true;
        } else if (key == "linktarget") {
            HF_DO(read(value, place, target));
        } else if (key == "linktarget_raw") {
            HF_DO(read(value, place, raw_target));
        } else {
            HF_DO(read_field(value, place, node));
            if (key == "content") has.content = !value.is_null();
            if (key == "subtree") has.subtree = !value.is_null();
        }
    }
    node.link_target = raw_target.empty() ? std::move(target) : std::string(as_text(raw_target));
    HF_DO(check(node, has, what));
    return node;
}

bool is_utf8(std::string_view text) { return simdjson::validate_utf8(text.data(), text.size()); }

bool scan_text(JsonScan& scan, std::string& to) {
    std::string_view text;
    if (!scan.string(text) || !is_utf8(text)) return false;
    to = text;
    return true;
}

bool scan_time(JsonScan& scan, Timestamp& to) {
    std::string_view text;
    if (!scan.string(text)) return false;
    const auto time = parse_rfc3339(text);
    if (time) to = *time;
    return time.has_value();
}

bool scan_attribute(JsonScan& scan, std::pair<std::string, Bytes>& attribute) {
    const bool read = scan.object([&](std::string_view key) {
        if (key == "name") return scan_text(scan, attribute.first);
        std::string_view value;
        return key == "value" && scan.string(value) && from_base64(value, attribute.second);
    });
    return read && !attribute.first.empty();
}

// A file's blobs.
template <class Item, class Read>
bool scan_list(JsonScan& scan, std::vector<Item>& list, Read read_item) {
    constexpr std::size_t k_item = sizeof(R"("",)") - 1 + 2 * sizeof(Id::bytes);
    list.clear();
    list.reserve(scan.distance_to(']') / k_item + 1);
    const bool read = scan.array([&] { return read_item(list.emplace_back()); });
    // Room for all that was still to come, where its end was not in sight: pages that nobody touched, unless many do so.
    if (list.capacity() / 2 > list.size()) list.shrink_to_fit();
    return read;
}

bool scan_field(JsonScan& scan, std::string_view key, Node& node, Present& has, const NumberOf* number_of) {
    std::string_view text;
    if (key == "name") {
        if (!scan.string(text) || !is_utf8(text)) return false;
        auto name = unquote_name(text);
        if (!name) return false;
        node.name = *std::move(name);
        return true;
    }
    if (key == "type") {
        if (!scan.string(text)) return false;
        const auto type = parse_type(text);
        node.type = type.value_or(NodeType::file);
        return has.type = type.has_value();
    }
    if (key == "mode") return scan.number(node.mode);
    if (key == "mtime") return scan_time(scan, node.mtime);
    if (key == "atime") return scan_time(scan, node.atime);
    if (key == "ctime") return scan_time(scan, node.ctime);
    if (key == "uid") return scan.number(node.uid);
    if (key == "gid") return scan.number(node.gid);
    if (key == "user") return scan_text(scan, node.user);
    if (key == "group") return scan_text(scan, node.group);
    if (key == "inode") return scan.number(node.inode);
    if (key == "device_id") return scan.number(node.device_id);
    if (key == "size") return scan.number(node.size);
    if (key == "links") return scan.number(node.links);
    if (key == "device") return scan.number(node.device);
    if (key == "linktarget") return scan_text(scan, node.link_target);
    if (key == "error") return scan_text(scan, node.error);
    if (key == "subtree") return has.subtree = scan.id(node.subtree);
    if (key == "content") {
        if (scan.take("null")) return !has.content;
        if (number_of)
            return has.content = scan_list(scan, node.numbers, [&](std::uint32_t& to) {
                       Id id;
                       const auto number = scan.id(id) ? (*number_of)(id) : std::nullopt;
                       to = number.value_or(0);
                       return number.has_value();
                   });
        return has.content = scan_list(scan, node.content, [&](Id& id) { return scan.id(id); });
    }
    if (key == "extended_attributes") {
        node.extended_attributes.clear();
        return scan.array([&] { return scan_attribute(scan, node.extended_attributes.emplace_back()); });
    }
    return false;
}

std::optional<std::vector<Node>> scan_nodes(JsonScan scan, const NumberOf* number_of = nullptr) {
    std::vector<Node> nodes;
    const auto node = [&] {
        Node& one = nodes.emplace_back();
        Present has;
        return scan.object([&](std::string_view key) { return scan_field(scan, key, one, has, number_of); }) &&
               check(one, has, "");
    };
    if (scan.take("{\"nodes\":") && scan.array(node) && scan.take("}") && scan.done()) return nodes;
    return std::nullopt;
}

Result<std::vector<Node>> parse_tree(std::string_view json, std::string_view what) {
    HF_TRY(const simdjson::dom::object root, parse_object(json, what));
    std::vector<Node> nodes;
    bool has_nodes = false;
    for (const auto [key, value] : root) {
        if (key != "nodes") continue;
        simdjson::dom::array array;
        if (value.get(array)) return wrong_field({what, key}, "is not a list");
        has_nodes = true;
        nodes.clear();
        nodes.reserve(array.size());
        for (const simdjson::dom::element item : array) {
            HF_TRY(Node node, read_node(item, what));
            nodes.push_back(std::move(node));
        }
    }
    if (!has_nodes) return fail(ErrorCode::corrupt, fmt::format("{}: the field 'nodes' is missing", what));
    return nodes;
}

// Sorted, and no name twice.
Result<Tree> tree_of(std::vector<Node> nodes, std::string_view what) {
    Tree tree{std::move(nodes)};
    const auto by_name = [](const Node& a, const Node& b) { return a.name < b.name; };
    if (!std::is_sorted(tree.nodes.begin(), tree.nodes.end(), by_name))
        std::sort(tree.nodes.begin(), tree.nodes.end(), by_name);
    const auto twice = std::adjacent_find(tree.nodes.begin(), tree.nodes.end(),
                                          [](const Node& a, const Node& b) { return a.name == b.name; });
    if (twice != tree.nodes.end())
        return fail(ErrorCode::corrupt,
                    fmt::format("{}: the name '{}' occurs twice", what, quote_name(twice->name.substr(0, 80))));
    return tree;
}

}    // namespace

Result<Tree> decode_tree(std::string_view json, std::string_view what) {
    if (auto nodes = scan_nodes(JsonScan(json))) return tree_of(*std::move(nodes), what);
    HF_TRY(auto nodes, parse_tree(json, what));
    return tree_of(std::move(nodes), what);
}

std::optional<Tree> scan_tree(TextPieces& json, const NumberOf* number_of) {
    auto nodes = scan_nodes(JsonScan(json), number_of);
    if (!nodes) return std::nullopt;
    auto tree = tree_of(*std::move(nodes), "");
    if (!tree) return std::nullopt;
    return *std::move(tree);
}

}    // namespace holdfast::format
