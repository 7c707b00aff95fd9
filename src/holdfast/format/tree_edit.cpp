#include "holdfast/format/tree_edit.hpp"

#include <fmt/core.h>

namespace holdfast::format {
namespace {

// Finds its way through JSON that a real parser has accepted already: only strings and brackets matter.
class Walker {
public:
    explicit Walker(std::string_view json) : json_(json) {}

    std::size_t at() const { return at_; }
    bool ended() const { return at_ >= json_.size(); }
    char here() const { return json_[at_]; }
    void step() { ++at_; }
    void skip_space() {
        while (!ended() && (here() == ' ' || here() == '\n' || here() == '\t' || here() == '\r')) ++at_;
    }
    /// Over one value of any kind.
    void skip_value() {
        int depth = 0;
        do {
            if (here() == '"') {
                skip_string();
                continue;
            }
            if (here() == '{' || here() == '[') ++depth;
            if (here() == '}' || here() == ']') --depth;
            ++at_;
        } while (!ended() && (depth > 0 || (here() != ',' && here() != '}' && here() != ']')));
    }

private:
    void skip_string() {
        for (++at_; here() != '"'; ++at_)
            if (here() == '\\') ++at_;
        ++at_;
    }
    std::string_view json_;
    std::size_t at_ = 0;
};

struct Slices {
    std::string_view before, after;    // up to the '[' of the nodes, and from its ']'
    std::vector<std::string_view> nodes;
};

Result<Slices> slices_of(std::string_view json, std::string_view what) {
    Walker walker(json);
    Slices slices;
    walker.skip_space();
    walker.step();    // {
    for (;;) {
        walker.skip_space();
        if (walker.here() == '}') break;
        if (walker.here() == ',') {
            walker.step();
            continue;
        }
        const std::size_t key = walker.at();
        walker.step();
        while (walker.here() != ':') walker.step();    // a key with a colon in it is none of ours
        const bool is_nodes = json.substr(key, walker.at() - key).starts_with("\"nodes\"");
        walker.step();
        walker.skip_space();
        if (!is_nodes) {
            walker.skip_value();
            continue;
        }
        walker.step();    // [
        slices.before = json.substr(0, walker.at());
        for (walker.skip_space(); walker.here() != ']'; walker.skip_space()) {
            if (walker.here() == ',') {
                walker.step();
                continue;
            }
            const std::size_t from = walker.at();
            walker.skip_value();
            slices.nodes.push_back(json.substr(from, walker.at() - from));
        }
        slices.after = json.substr(walker.at());
        return slices;
    }
    return fail(ErrorCode::corrupt, fmt::format("{}: the field 'nodes' is missing", what));
}

// The node's text with another subtree in it. Inside a JSON string a quote is escaped, so what is looked for cannot
// occur in a name.
std::string with_subtree(std::string_view slice, const Node& node, const Id& subtree) {
    const std::string field = fmt::format("\"subtree\":\"{}\"", node.subtree.hex());
    const std::size_t at = slice.find(field);
    if (at != std::string_view::npos)
        return fmt::format("{}\"subtree\":\"{}\"{}", slice.substr(0, at), subtree.hex(),
                           slice.substr(at + field.size()));
    Node changed = node;    // written with spaces, by nobody that we know
    changed.subtree = subtree;
    std::string text;
    append_node(text, changed);
    return text;
}

}    // namespace

Result<std::string> edit_tree(std::string_view json, const TreeEdit& edit, std::string_view what) {
    HF_TRY(const Tree whole, decode_tree(json, what));
    HF_TRY(const Slices slices, slices_of(json, what));
    if (slices.nodes.size() != whole.nodes.size())
        return fail(ErrorCode::corrupt, fmt::format("{}: the field 'nodes' occurs twice", what));
    std::string text(slices.before);
    bool first = true;
    for (const std::string_view slice : slices.nodes) {
        // By itself, as a writer may not have sorted its nodes.
        HF_TRY(const Tree one, decode_tree(fmt::format("{{\"nodes\":[{}]}}", slice), what));
        const Node& node = one.nodes.front();
        if (edit.drop.contains(node.name)) continue;
        if (!std::exchange(first, false)) text += ',';
        const auto subtree = edit.subtrees.find(node.name);
        text += subtree == edit.subtrees.end() ? std::string(slice) : with_subtree(slice, node, subtree->second);
    }
    text += slices.after;
    return text;
}

}    // namespace holdfast::format
