#include "holdfast/format/tree_edit.hpp"

#include <gtest/gtest.h>

#include "holdfast/format/crypto.hpp"

namespace holdfast::format {
namespace {

const Id k_old = sha256(as_bytes("old")), k_new = sha256(as_bytes("new"));

Tree sample() {
    Tree tree;
    for (const char* name : {"a,b", "dir", "odd\"}]{[", "z"}) {
        Node node;
        node.name = name;
        node.user = "\"}],\\";
        if (node.name == "dir") {
            node.type = NodeType::dir;
            node.subtree = k_old;
        }
        tree.nodes.push_back(std::move(node));
    }
    return tree;
}

TEST(TreeEdit, WithoutAChangeTheBytesAreTheSame) {
    EXPECT_EQ(edit_tree(encode(sample()), {}, "t").value(), encode(sample()));
    EXPECT_EQ(edit_tree(encode(Tree{}), {}, "t").value(), encode(Tree{}));
}

TEST(TreeEdit, DroppingAndPointingElsewhereGivesWhatEncodingWouldGive) {
    for (const char* gone : {"a,b", "dir", "odd\"}]{[", "z"}) {
        Tree expected = sample();
        std::erase_if(expected.nodes, [&](const Node& node) { return node.name == gone; });
        TreeEdit edit;
        edit.drop.insert(gone);
        EXPECT_EQ(edit_tree(encode(sample()), edit, "t").value(), encode(expected)) << gone;
    }
    Tree expected = sample();
    expected.nodes[1].subtree = k_new;
    TreeEdit edit;
    edit.subtrees["dir"] = k_new;
    EXPECT_EQ(edit_tree(encode(sample()), edit, "t").value(), encode(expected));
    edit.drop = {"a,b", "odd\"}]{[", "z"};
    expected.nodes = {expected.nodes[1]};
    EXPECT_EQ(edit_tree(encode(sample()), edit, "t").value(), encode(expected));
    edit.drop.insert("dir");
    EXPECT_EQ(edit_tree(encode(sample()), edit, "t").value(), encode(Tree{}));
}

TEST(TreeEdit, FieldsOfOthersSurvive) {
    const std::string json =
        R"({"flavour":{"nodes":[1]},"nodes":[{"name":"b","type":"dir","subtree":")" + k_old.hex() +
        R"(","new_field":{"x":[1,2]}},{"name":"a","type":"file","content":[],"later":"]}"}],"end":1})"
        "\n";
    TreeEdit edit;
    edit.subtrees["b"] = k_new;
    std::string expected = json;
    expected.replace(expected.find(k_old.hex()), 64, k_new.hex());
    EXPECT_EQ(edit_tree(json, edit, "t").value(), expected);
    edit.drop.insert("a");
    const auto dropped = edit_tree(json, edit, "t");
    ASSERT_TRUE(dropped);
    EXPECT_EQ(dropped->find("later"), std::string::npos);
    EXPECT_NE(dropped->find("new_field"), std::string::npos);
    EXPECT_TRUE(decode_tree(*dropped, "t"));
}

TEST(TreeEdit, DamageIsSaid) {
    for (const char* json : {"", "{}", "{\"nodes\":[", "[]", "{\"nodes\":[{}]}"})
        EXPECT_FALSE(edit_tree(json, {}, "t")) << json;
}

}    // namespace
}    // namespace holdfast::format
