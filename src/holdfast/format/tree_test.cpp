#include "holdfast/format/tree.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

#include "holdfast/format/crypto.hpp"
#include "holdfast/format/documents.hpp"
#include "holdfast/format/golden_test.hpp"

namespace holdfast::format {
namespace {

std::string unhex(const std::string& hex) {
    Bytes out;
    out.resize(hex.size() / 2);
    EXPECT_TRUE(from_hex(hex, out));
    return std::string(as_text(out));
}

std::string file_json(std::string_view name, std::string_view more = R"("content":[])") {
    return R"({"name":")" + std::string(name) +
           R"(","type":"file","mode":420,"mtime":"2024-01-02T03:04:06Z","atime":"2024-01-02T03:04:06Z",)"
           R"("ctime":"2024-01-02T03:04:06Z","uid":0,"gid":0,)" +
           std::string(more) + '}';
}
std::string tree_json(std::string_view nodes) { return R"({"nodes":[)" + std::string(nodes) + "]}\n"; }

TEST(Tree, GivesResticsTreesBackByteForByte) {
    int trees = 0;
    const json::Value tiny = golden_json("restic-v2-tiny.json");
    for (const json::Value& snapshot : tiny["snapshots"].items()) {
        for (const auto& [id, text] : snapshot["trees"].members()) {
            const auto tree = decode_tree(text.text(), id);
            ASSERT_TRUE(tree) << tree.error().message;
            EXPECT_EQ(encode(*tree), text.text());
            // With a space in front it is read the general way.
            const auto general = decode_tree(" " + text.text(), id);
            ASSERT_TRUE(general) << general.error().message;
            EXPECT_EQ(encode(*general), text.text());
            EXPECT_EQ(sha256(as_bytes(encode(*tree))).hex(), id);
            ++trees;
        }
    }
    EXPECT_EQ(trees, 5);
}

TEST(Tree, OfAnEmptyDirectoryHasResticsId) {
    EXPECT_EQ(encode(Tree{}), "{\"nodes\":[]}\n");
    EXPECT_EQ(sha256(as_bytes(encode(Tree{}))).hex(),
              "ac08ce34ba4f8123618661bef2425f7028ffb9ac740578a3ee88684d2523fee8");
}

TEST(Tree, KeepsEveryFieldOfEveryTypeOfNode) {
    const std::string id(64, 'a');
    const std::string common =
        R"("mtime":"2024-01-02T03:04:06.5Z","atime":"1969-12-31T23:59:59Z","ctime":"2024-01-02T03:04:06.123456789Z",)";
    const std::string json = tree_json(
        R"({"name":"blk","type":"dev","mode":67109248,)" + common +
        R"("uid":4294967295,"gid":5,"links":1,"device":18446744073709551615,"content":null},)"
        R"({"name":"chr","type":"chardev","mode":69206416,)" +
        common +
        R"("uid":0,"gid":0,"links":1,"content":null},)"
        R"({"name":"d","type":"dir","mode":2147484141,)" +
        common +
        R"("uid":0,"gid":0,"inode":18446744073709551615,"device_id":9007199254740993,"content":null,"subtree":")" + id +
        R"("},)"
        R"({"name":"f","type":"file","mode":420,)" +
        common +
        R"("uid":1,"gid":2,"user":"a\u003cb","group":"g","inode":7,"device_id":8,"size":9,"links":2,)"
        R"("extended_attributes":[{"name":"user.b","value":"AQID"},{"name":"user.a","value":""}],)"
        R"("generic_attributes":{"windows.creation_time":"\u003cAAA=","windows.x":[1,-2,true,null,{"a":"b"}]},)"
        R"("content":[")" +
        id + "\",\"" + id +
        R"("],"error":"it \u0026 that"},)"
        R"({"name":"l","type":"symlink",)" +
        common +
        R"("uid":0,"gid":0,"links":1,"linktarget":"a\ufffd\bb\f\u003e","linktarget_raw":"Yf8IYgw+","content":null},)"
        R"({"name":"p","type":"fifo","mode":33554852,)" +
        common +
        R"("uid":0,"gid":0,"content":null},)"
        R"({"name":"s","type":"socket","mode":16777636,)" +
        common + R"("uid":0,"gid":0,"content":null})");
    const auto tree = decode_tree(json, "t");
    ASSERT_TRUE(tree) << tree.error().message;
    EXPECT_EQ(encode(*tree), json);
    ASSERT_EQ(tree->nodes.size(), 7u);
    EXPECT_EQ(tree->nodes[0].device, UINT64_MAX);
    EXPECT_EQ(tree->nodes[2].device_id, 9007199254740993u);
    EXPECT_EQ(tree->nodes[3].user, "a<b");
    EXPECT_EQ(as_text(tree->nodes[3].extended_attributes[0].second), "\x01\x02\x03");
    EXPECT_EQ(tree->nodes[4].link_target, "a\xff\bb\f>");
    EXPECT_EQ(tree->nodes[0].atime.nanoseconds, -1'000'000'000);
}

TEST(Tree, NumbersStandForItsBlobsAndGiveTheSameTree) {
    std::vector<Id> known(3000);
    for (std::size_t i = 0; i < known.size(); ++i) store_le<std::uint64_t>(known[i].bytes.data(), i * 2654435761u);
    Tree tree;
    for (const char* name : {"a", "b", "c"}) tree.nodes.emplace_back().name = name;
    tree.nodes[0].content = known;
    tree.nodes[2].content = {known[7], known[7], known[0]};
    const std::string json = encode(tree);
    struct Whole final : TextPieces {
        explicit Whole(std::string_view t) : text(t) {}
        std::string_view more(std::string_view rest) override { return rest.empty() ? std::exchange(text, {}) : rest; }
        std::size_t left() const override { return text.size(); }
        std::string_view text;
    };
    const NumberOf number_of = [&](const Id& id) -> std::optional<std::uint32_t> {
        const auto at = std::find(known.begin(), known.end(), id);
        if (at == known.end()) return std::nullopt;
        return static_cast<std::uint32_t>(at - known.begin());
    };
    Whole pieces(json);
    const auto numbered = scan_tree(pieces, &number_of);
    ASSERT_TRUE(numbered);
    EXPECT_TRUE(numbered->nodes[0].content.empty());
    EXPECT_EQ(numbered->nodes[0].numbers.size(), known.size());
    EXPECT_TRUE(numbered->nodes[1].numbers.empty());
    EXPECT_EQ(numbered->nodes[2].numbers, (std::vector<std::uint32_t>{7, 7, 0}));
    std::vector<const Node*> nodes;
    for (const Node& node : numbered->nodes) nodes.push_back(&node);
    std::string again;
    write_tree(nodes, [&](std::string_view piece) { again += piece; }, [&](std::uint32_t n) { return known[n]; });
    EXPECT_EQ(again, json);
    known.pop_back();
    Whole unknown(json);
    EXPECT_FALSE(scan_tree(unknown, &number_of));
}

TEST(Tree, FindsByRawName) {
    const auto tree = decode_tree(tree_json(file_json("a") + ',' + file_json("b\\\\xff") + ',' + file_json("c")), "t");
    ASSERT_TRUE(tree) << tree.error().message;
    ASSERT_NE(tree->find("b\xff"), nullptr);
    EXPECT_EQ(tree->find("b\xff")->name, "b\xff");
    EXPECT_EQ(tree->find("b"), nullptr);
    EXPECT_EQ(tree->find("d"), nullptr);
    EXPECT_EQ(Tree{}.find("a"), nullptr);
}

TEST(Tree, IsSortedByUnsignedBytesEvenIfTheWriterDidNot) {
    const auto tree = decode_tree(tree_json(file_json("\\\\xff") + ',' + file_json("z") + ',' + file_json("Z")), "t");
    ASSERT_TRUE(tree);
    EXPECT_EQ(tree->nodes[0].name, "Z");
    EXPECT_EQ(tree->nodes[1].name, "z");
    EXPECT_EQ(tree->nodes[2].name, "\xff");
}

TEST(Tree, AcceptsTheFormsOfOtherWriters) {
    // rustic: other order, no HTML escapes, offsets, unknown fields, times left out; old restic: null attribute values.
    const auto tree = decode_tree(
        R"({"future":1,"nodes":[{"type":"symlink","linktarget":"<x>","device":0,"name":"it\\'s","uid":1,"gid":1,"x":{"y":[]},)"
        R"("mtime":"2024-01-02T05:04:06+02:00"},{"name":"f","type":"file","content":[],)"
        R"("extended_attributes":[{"name":"user.a","value":null}],"generic_attributes":null,"user":null}]})",
        "t");
    ASSERT_TRUE(tree) << tree.error().message;
    EXPECT_EQ(tree->nodes[1].name, "it's");
    EXPECT_EQ(tree->nodes[1].link_target, "<x>");
    EXPECT_EQ(to_rfc3339(tree->nodes[1].mtime), "2024-01-02T03:04:06Z");
    EXPECT_TRUE(tree->nodes[0].extended_attributes[0].second.empty());
}

TEST(Tree, RefusesNamesThatLeadElsewhereAndNamesTwice) {
    for (const std::string_view name : {"", ".", "..", "a/b", "/", "a\\\\x00b", "..\\\\x2fetc", "\\\\u002e."}) {
        const auto tree = decode_tree(tree_json(file_json(name)), "tree 1234");
        ASSERT_FALSE(tree) << name;
        EXPECT_EQ(tree.error().code, ErrorCode::corrupt);
        EXPECT_NE(tree.error().message.find("tree 1234"), std::string::npos);
    }
    EXPECT_FALSE(decode_tree(tree_json(file_json("a") + ',' + file_json("b") + ',' + file_json("a")), "t"));
    EXPECT_FALSE(decode_tree(tree_json(file_json("a") + ',' + file_json("\\\\x61")), "t"));
}

TEST(Tree, RefusesWhatWouldLoseData) {
    for (const std::string& json : {tree_json(file_json("a", R"("content":null)")),
                                    tree_json(file_json("a", R"("size":1)")),
                                    tree_json(file_json("a", R"("content":["12"])")),
                                    tree_json(file_json("a", R"("content":[null])")),
                                    tree_json(R"({"name":"d","type":"dir","content":null})"),
                                    tree_json(R"({"name":"d","type":"dir","content":null,"subtree":null})"),
                                    tree_json(R"({"name":"d","type":"door","content":null})"),
                                    tree_json(R"({"name":"d","content":[]})"),
                                    tree_json(R"({"type":"file","content":[]})"),
                                    tree_json(R"({"name":7,"type":"file","content":[]})"),
                                    tree_json(file_json("a", R"("content":[],"inode":1.5)")),
                                    tree_json(file_json("a", R"("content":[],"inode":-1)")),
                                    tree_json(file_json("a", R"("content":[],"mode":4294967296)")),
                                    tree_json(file_json("a", R"("content":[],"linktarget_raw":"?")")),
                                    tree_json("1"),
                                    std::string(R"({"nodes":null})"),
                                    std::string("{}"),
                                    std::string("[]"),
                                    std::string(),
                                    std::string("null"),
                                    std::string(R"({"nodes":[]} x)")})
        EXPECT_FALSE(decode_tree(json, "t")) << json;
}

TEST(Tree, EndsNestingBeforeTheStackEnds) {
    const std::string deep = tree_json(file_json(
        "a", R"("content":[],"generic_attributes":{"a":)" + std::string(5000, '[') + std::string(5000, ']') + '}'));
    EXPECT_FALSE(decode_tree(deep, "t"));
}

TEST(TreeDeathTest, StopsOnUnsortedNodesWhenWriting) {
    Tree tree;
    tree.nodes.resize(2);
    tree.nodes[0].name = "b";
    tree.nodes[1].name = "a";
    EXPECT_DEATH(encode(tree), "bug");
}

TEST(NameQuoting, GivesTheVectorsBothWays) {
    const json::Value vectors = golden_json("encoding.json");
    for (const json::Value& v : vectors["names"].items()) {
        const std::string raw = unhex(v["raw"].text());
        EXPECT_EQ(quote_name(raw), v["quoted"].text());
        std::string token;
        append_go_string(token, quote_name(raw));
        EXPECT_EQ(token, v["json"].text());
        const auto back = unquote_name(v["quoted"].text());
        ASSERT_TRUE(back);
        EXPECT_EQ(*back, raw);
    }
    EXPECT_GE(vectors["names"].items().size(), 26u);
}

TEST(NameQuoting, KnowsUnicode15) {
    EXPECT_EQ(quote_name("\xf0\x9f\xab\xa8"), "\xf0\x9f\xab\xa8");    // U+1FAE8, new in 15.0
    EXPECT_EQ(quote_name("\xf0\x9f\xab\xa9"), "\\U0001fae9");    // U+1FAE9, new in 16.0
    EXPECT_EQ(quote_name("\xc2\xa0\xef\xbb\xbf\xc2\xad"), "\\u00a0\\ufeff\\u00ad");
    EXPECT_EQ(quote_name("\xed\xa0\x80\xc0\x80\xf4\x90\x80\x80"), "\\xed\\xa0\\x80\\xc0\\x80\\xf4\\x90\\x80\\x80");
    EXPECT_EQ(quote_name(std::string("\0\x7f", 2)), "\\x00\\x7f");
}

TEST(NameQuoting, GivesEveryByteAndEveryPairBack) {
    for (int a = 0; a < 256; ++a)
        for (int b = 0; b < 256; ++b) {
            const std::string raw{static_cast<char>(a), static_cast<char>(b)};
            const auto back = unquote_name(quote_name(raw));
            ASSERT_TRUE(back);
            ASSERT_EQ(*back, raw);
        }
}

TEST(NameQuoting, AcceptsRusticsAndOctalForms) {
    EXPECT_EQ(*unquote_name(R"(\'\`\"\101\377\U0001F600)"), "'`\"A\xff\xf0\x9f\x98\x80");
}

TEST(NameQuoting, RefusesBrokenEscapes) {
    for (const std::string_view text :
         {R"(\)", R"(\q)", R"(\x)", R"(\x1)", R"(\xg0)", R"(\u123)", R"(\U0011ffff)", R"(\ud800)", R"(\U0000dfff)",
          R"(\400)", R"(\18)", R"(\8)", R"(a\)", R"(\U1234567)"}) {
        const auto raw = unquote_name(text);
        ASSERT_FALSE(raw) << text;
        EXPECT_EQ(raw.error().code, ErrorCode::corrupt);
    }
}

TEST(Mode, BecomesGosBitsAndBack) {
    const json::Value vectors = golden_json("encoding.json");
    for (const json::Value& v : vectors["modes"].items()) {
        const auto st_mode = static_cast<std::uint32_t>(std::stoul(v["st_mode"].text(), nullptr, 8));
        EXPECT_EQ(go_mode(st_mode), v["mode"].natural()) << v["st_mode"].text();
        EXPECT_EQ(permission_bits(go_mode(st_mode)), st_mode & 07777) << v["st_mode"].text();
    }
    EXPECT_EQ(vectors["modes"].items().size(), 12u);
    EXPECT_EQ(node_type(0100644), NodeType::file);
    EXPECT_EQ(node_type(0040755), NodeType::dir);
    EXPECT_EQ(node_type(0120777), NodeType::symlink);
    EXPECT_EQ(node_type(0060600), NodeType::dev);
    EXPECT_EQ(node_type(0020600), NodeType::chardev);
    EXPECT_EQ(node_type(0010600), NodeType::fifo);
    EXPECT_EQ(node_type(0140600), NodeType::socket);
    EXPECT_EQ(node_type(0), NodeType::irregular);
}

}    // namespace
}    // namespace holdfast::format
