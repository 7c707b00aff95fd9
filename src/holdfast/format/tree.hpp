#pragma once
// A directory: its nodes, sorted by raw name. The JSON's bytes decide the tree's ID, so they are exactly restic's.
//
//   errors   corrupt; names are quoted in two layers (section 11) and may hold any byte but '/' and NUL
//   source   docs/formats/vault.md sections 9, 10, 11; vectors in tests/golden/vault/encoding.json

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "holdfast/base/bytes.hpp"
#include "holdfast/base/clock.hpp"
#include "holdfast/base/id.hpp"
#include "holdfast/base/result.hpp"
#include "holdfast/format/text_pieces.hpp"

namespace holdfast::format {

enum class NodeType : std::uint8_t { file, dir, symlink, dev, chardev, fifo, socket, irregular };

struct Node {
    std::string name;    // raw bytes, not quoted
    NodeType type = NodeType::file;
    std::uint32_t mode = 0;    // as stored: Go's bits (go_mode below)
    Timestamp mtime, atime, ctime;
    std::uint32_t uid = 0, gid = 0;
    std::string user, group;
    std::uint64_t inode = 0, device_id = 0, size = 0, links = 0, device = 0;
    std::string link_target;    // raw bytes
    std::vector<std::pair<std::string, Bytes>> extended_attributes;    // in listxattr's order
    std::string generic_attributes;    // raw JSON object as found, kept when re-encoding; empty: absent
    std::vector<Id> content;    // files
    /// Instead of `content`, where scan_tree() was given shorter names for blobs.
    std::vector<std::uint32_t> numbers;
    Id subtree;    // dirs
    std::string error;
};

struct Tree {
    std::vector<Node> nodes;
    /// Binary search by raw name; nullptr if absent.
    const Node* find(std::string_view name) const;
};

/// Sorted by name already (asserted). Ends with a newline.
std::string encode(const Tree& tree);
/// Appends one node's JSON (for writers that build a tree without keeping it).
void append_node(std::string& to, const Node& node);
/// Short names of blobs, and back: a list of a huge file's blobs takes 4 bytes each then, and not 32.
using NumberOf = std::function<std::optional<std::uint32_t>(const Id&)>;
using IdOf = std::function<Id(std::uint32_t)>;
/// The tree of these nodes, sorted by name, in pieces of some 64 KiB. `id_of` where nodes have numbers.
void write_tree(std::span<const Node* const> nodes, const std::function<void(std::string_view piece)>& take,
                const IdOf& id_of = {});
/// About the length of the node's JSON; not less by much.
std::size_t json_length(const Node& node);
/// Sorts if the writer did not. Refuses empty names, ".", "..", names with '/' or NUL, files without content, dirs
/// without subtree, duplicate names.
Result<Tree> decode_tree(std::string_view json, std::string_view what);
/// As it comes. Nothing: it is of another form, legal or not; decode_tree() of the whole text says which. With `number_of`
/// files get numbers instead of content; nothing, too, if it does not know a blob.
std::optional<Tree> scan_tree(TextPieces& json, const NumberOf* number_of = nullptr);

/// st_mode to Go's os.FileMode bits, and the permission, setuid, setgid and sticky bits back.
std::uint32_t go_mode(std::uint32_t st_mode);
std::uint32_t permission_bits(std::uint32_t mode);
NodeType node_type(std::uint32_t st_mode);

/// Layer 1 of section 11: what stands inside the JSON string of "name".
std::string quote_name(std::string_view raw);
Result<std::string> unquote_name(std::string_view quoted);

}    // namespace holdfast::format
