// A whole repository that restic 0.14 wrote, read with nothing but this module, from the password to the files' bytes.

#include <gtest/gtest.h>

#include <functional>
#include <map>

#include "holdfast/format/compress.hpp"
#include "holdfast/format/crypto.hpp"
#include "holdfast/format/documents.hpp"
#include "holdfast/format/golden_test.hpp"
#include "holdfast/format/tree.hpp"

namespace holdfast::format {
namespace {

/// Reads the files of a tar archive: ustar headers of 512 bytes, and GNU's records for names over 100 bytes.
std::map<std::string, std::string> read_tar(const std::string& tar) {
    std::map<std::string, std::string> files;
    std::string long_name;
    for (std::size_t at = 0; at + 512 <= tar.size() && tar[at] != '\0';) {
        const std::string_view header = std::string_view(tar).substr(at, 512);
        const auto text = [&](std::size_t from, std::size_t size) {
            return std::string(header.substr(from, size)).substr(0, header.substr(from, size).find('\0'));
        };
        const std::size_t size = std::stoul(text(124, 12), nullptr, 8);
        const std::string content = tar.substr(at + 512, size);
        const std::string prefix = text(345, 155);
        std::string name = long_name.empty() ? (prefix.empty() ? "" : prefix + "/") + text(0, 100) : long_name;
        long_name.clear();
        if (header[156] == 'L')
            long_name = content.substr(0, content.find('\0'));
        else if (header[156] == '0' || header[156] == '\0')
            files[name] = content;
        at += 512 + (size + 511) / 512 * 512;
    }
    return files;
}

class TinyRepository : public testing::Test {
protected:
    void SetUp() override {
        files = read_tar(golden_file("restic-v2-tiny.tar"));
        ASSERT_EQ(files.size(), 10u);
        const json::Value& key_files = expected["key_file"];
        const std::string id = key_files.members().at(0).first;
        const auto file = decode_key_file(stored("keys/" + id), id);
        ASSERT_TRUE(file);
        EXPECT_EQ(sha256(as_bytes(stored("keys/" + id))).hex(), id);
        const auto user = derive_key(Secret(expected["password"].text()), file->salt, file->cost);
        ASSERT_TRUE(user);
        Bytes json;
        ASSERT_TRUE(Cipher(*user).open(file->data, json));
        auto key = decode_master_key(as_text(json));
        ASSERT_TRUE(key);
        EXPECT_EQ(encode(*key), json::dump(expected["master_key"]));
        cipher = std::make_unique<Cipher>(*key);
    }

    const std::string& stored(const std::string& path) { return files.at("restic-v2-tiny/" + path); }

    Bytes open(std::string_view envelope) {
        Bytes plain;
        const Status done = cipher->open(as_bytes(envelope), plain);
        EXPECT_TRUE(done);
        return plain;
    }

    std::string unpacked(const std::string& path) {
        EXPECT_EQ(sha256(as_bytes(stored(path))).hex(), path.substr(path.rfind('/') + 1));
        const auto json = decode_unpacked(open(stored(path)), decompressor);
        EXPECT_TRUE(json);
        return json ? std::string(as_text(*json)) : "";
    }

    /// All blobs of all packs that the index names, checked on the way.
    void load() {
        for (const auto& [id, text] : expected["index"].members()) {
            const std::string json = unpacked("index/" + id);
            EXPECT_EQ(json, text.text());
            const auto index = decode_index(json, id);
            ASSERT_TRUE(index);
            for (const IndexPack& pack : *index) load(pack);
        }
    }

    void load(const IndexPack& pack) {
        const std::string id = pack.id.hex();
        const std::string& raw = stored("data/" + id.substr(0, 2) + '/' + id);
        EXPECT_EQ(sha256(as_bytes(raw)), pack.id);
        EXPECT_EQ(pack_size(pack.blobs), raw.size());
        const std::size_t length = load_le<std::uint32_t>(as_bytes(raw).data() + raw.size() - k_pack_trailer);
        const auto header = decode_pack_header(open(raw.substr(raw.size() - k_pack_trailer - length, length)));
        ASSERT_TRUE(header);
        EXPECT_TRUE(std::is_permutation(header->begin(), header->end(), pack.blobs.begin(), pack.blobs.end()));
        for (const PackedBlob& blob : *header) {
            const Bytes plain = open(raw.substr(blob.offset, blob.length));
            Bytes content;
            ASSERT_TRUE(decompressor.decompress(plain, blob.plain_length(), content));
            EXPECT_EQ(sha256(content), blob.id);
            blobs[blob.id] = std::string(as_text(content));
        }
    }

    const json::Value expected = golden_json("restic-v2-tiny.json");
    std::map<std::string, std::string> files;
    std::unique_ptr<Cipher> cipher;
    Decompressor decompressor;
    std::map<Id, std::string> blobs;
};

TEST_F(TinyRepository, OpensWithThePasswordOnly) {
    const Bytes config = open(stored("config"));
    EXPECT_EQ(as_text(config), expected["config_plaintext"].text());
    EXPECT_TRUE(decode_config(as_text(config)));

    const auto file = decode_key_file(stored("keys/" + expected["key_file"].members().at(0).first), "key");
    const auto wrong = derive_key(Secret("tesT"), file->salt, file->cost);
    ASSERT_TRUE(wrong);
    Bytes json;
    EXPECT_EQ(Cipher(*wrong).open(file->data, json).error().code, ErrorCode::corrupt);
}

TEST_F(TinyRepository, GivesEveryBlobOfEveryPack) {
    load();
    std::size_t expected_blobs = 0;
    for (const json::Value& pack : expected["packs"].items()) {
        for (const json::Value& blob : pack["blobs"].items())
            EXPECT_TRUE(blobs.contains(*Id::parse(blob["id"].text())));
        expected_blobs += pack["blobs"].items().size();
    }
    EXPECT_EQ(blobs.size(), expected_blobs);
}

TEST_F(TinyRepository, RestoresEveryEntryOfBothSnapshots) {
    load();
    for (const json::Value& v : expected["snapshots"].items()) {
        const std::string json = unpacked("snapshots/" + v["id"].text());
        EXPECT_EQ(json, v["json"].text());
        const auto snapshot = decode_snapshot(json, v["id"].text());
        ASSERT_TRUE(snapshot);

        std::map<std::string, Node> found;
        const std::function<void(const Id&, const std::string&)> walk = [&](const Id& id, const std::string& path) {
            const auto tree = decode_tree(blobs.at(id), id.hex());
            ASSERT_TRUE(tree);
            EXPECT_EQ(encode(*tree), blobs.at(id));
            EXPECT_EQ(blobs.at(id), v["trees"][id.hex()].text());
            for (const Node& node : tree->nodes) {
                found[path + '/' + quote_name(node.name)] = node;
                if (node.type == NodeType::dir) walk(node.subtree, path + '/' + quote_name(node.name));
            }
        };
        walk(snapshot->tree, "");

        EXPECT_EQ(found.size(), v["entries"].items().size());
        for (const json::Value& entry : v["entries"].items()) {
            SCOPED_TRACE(entry["path_quoted"].text());
            ASSERT_TRUE(found.contains(entry["path_quoted"].text()));
            const Node& node = found.at(entry["path_quoted"].text());
            if (node.type == NodeType::file) {
                EXPECT_EQ(holdfast::to_hex(as_bytes(node.name)), entry["name_raw_hex"].text());
                EXPECT_EQ(node.size, entry["size"].natural());
                std::string content;
                for (const Id& id : node.content) content += blobs.at(id);
                EXPECT_EQ(content.size(), node.size);
                EXPECT_EQ(sha256(as_bytes(content)).hex(), entry["sha256"].text());
            }
            EXPECT_EQ(node.link_target, entry["linktarget"].text());
            if (node.type == NodeType::dir) {
                EXPECT_EQ(node.subtree.hex(), entry["subtree"].text());
            }
        }
    }
}

TEST_F(TinyRepository, CutsItsLargestFileWhereResticCutIt) {
    load();
    const auto config = decode_config(expected["config_plaintext"].text());
    ASSERT_TRUE(config);
    for (const json::Value& v : expected["snapshots"].items())
        for (const json::Value& entry : v["entries"].items()) {
            std::string content;
            for (const json::Value& id : entry["content"].items()) content += blobs.at(*Id::parse(id.text()));
            ByteView rest = as_bytes(content);
            const Chunker chunker(config->polynomial);
            for (const json::Value& id : entry["content"].items()) {
                const std::size_t length = chunker.cut(rest).value_or(rest.size());
                EXPECT_EQ(sha256(rest.first(length)).hex(), id.text());
                rest = rest.subspan(length);
            }
        }
}

}    // namespace
}    // namespace holdfast::format
