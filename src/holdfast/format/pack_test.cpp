#include "holdfast/format/pack.hpp"

#include <gtest/gtest.h>

#include "holdfast/format/crypto.hpp"
#include "holdfast/format/golden_test.hpp"

namespace holdfast::format {
namespace {

Bytes unhex(const std::string& hex) {
    Bytes out;
    out.resize(hex.size() / 2);
    EXPECT_TRUE(from_hex(hex, out));
    return out;
}

Bytes entry(unsigned type, std::uint32_t length, std::uint32_t uncompressed = 0) {
    Bytes out;
    out.push_back(static_cast<std::byte>(type));
    append_le(out, length);
    if (type & 2) append_le(out, uncompressed);
    append(out, sha256(as_bytes("blob")).bytes);
    return out;
}

TEST(PackHeader, GivesResticsEntriesAndBytesBack) {
    const json::Value tiny = golden_json("restic-v2-tiny.json");
    ASSERT_EQ(tiny["packs"].items().size(), 4u);
    for (const json::Value& pack : tiny["packs"].items()) {
        const Bytes plain = unhex(pack["header_plaintext"].text());
        const auto blobs = decode_pack_header(plain);
        ASSERT_TRUE(blobs);
        const json::Array& expected = pack["blobs"].items();
        ASSERT_EQ(blobs->size(), expected.size());
        for (std::size_t i = 0; i < expected.size(); ++i) {
            const PackedBlob& blob = (*blobs)[i];
            EXPECT_EQ(blob.id.hex(), expected[i]["id"].text());
            EXPECT_EQ(blob.offset, expected[i]["offset"].natural());
            EXPECT_EQ(blob.length, expected[i]["length"].natural());
            EXPECT_EQ(blob.uncompressed_length, expected[i]["uncompressed_length"].natural());
            EXPECT_EQ(static_cast<unsigned>(blob.type), expected[i]["type_byte"].natural() & 1);
        }
        EXPECT_EQ(encode_pack_header(*blobs), plain);
        EXPECT_EQ(pack_size(*blobs), pack["size"].natural());
    }
}

TEST(PackHeader, WritesPlainBlobsWithoutAnUncompressedLength) {
    PackedBlob plain{sha256(as_bytes("a")), BlobType::tree, 0, 40, 0};
    PackedBlob packed{sha256(as_bytes("b")), BlobType::data, 40, 50, 99};
    const Bytes header = encode_pack_header({plain, packed});
    EXPECT_EQ(header.size(), 37u + 41u);
    EXPECT_EQ(header[0], std::byte{1});
    EXPECT_EQ(header[37], std::byte{2});
    EXPECT_EQ(plain.plain_length(), 8u);
    EXPECT_EQ(packed.plain_length(), 99u);
    EXPECT_EQ(*decode_pack_header(header), (std::vector{plain, packed}));
    EXPECT_EQ(pack_size({plain, packed}), 40u + 50 + 37 + 41 + 32 + 4);
}

TEST(PackHeader, RefusesALengthUnderTheEnvelope) {
    for (const std::uint32_t length : {0u, 1u, 31u}) {
        const auto blobs = decode_pack_header(entry(0, length));
        ASSERT_FALSE(blobs);
        EXPECT_EQ(blobs.error().code, ErrorCode::corrupt);
    }
    EXPECT_TRUE(decode_pack_header(entry(0, 32)));
}

TEST(PackHeader, RefusesUnknownTypes) {
    for (unsigned type = 4; type < 256; ++type) EXPECT_FALSE(decode_pack_header(entry(type, 100, 100))) << type;
}

TEST(PackHeader, RefusesARaggedOrEmptyTable) {
    Bytes table = entry(2, 100, 300);
    append(table, entry(1, 100));
    for (std::size_t size = 0; size < table.size(); ++size)
        EXPECT_EQ(decode_pack_header(ByteView(table).first(size)).has_value(), size == 41) << size;
    EXPECT_EQ(decode_pack_header(table)->size(), 2u);
}

TEST(PackHeader, RefusesBlobsThatAddUpToMoreThan4GiB) {
    Bytes table;
    for (int i = 0; i < 31; ++i) append(table, entry(0, k_data_blob_max));
    EXPECT_TRUE(decode_pack_header(table));
    append(table, entry(0, k_data_blob_max));
    EXPECT_FALSE(decode_pack_header(table));
}

TEST(PackHeader, RefusesABlobLongerThanAnyHonestOne) {
    EXPECT_TRUE(decode_pack_header(entry(3, 100, k_tree_blob_max)));
    EXPECT_FALSE(decode_pack_header(entry(3, 100, k_tree_blob_max + 1)));
    EXPECT_TRUE(decode_pack_header(entry(2, 100, k_data_blob_max)));
    EXPECT_FALSE(decode_pack_header(entry(2, 100, k_data_blob_max + 1)));
    EXPECT_FALSE(decode_pack_header(entry(0, UINT32_MAX)));
}

TEST(PackHeader, RefusesACompressedBlobWithoutLength) { EXPECT_FALSE(decode_pack_header(entry(3, 100, 0))); }

TEST(PackHeaderDeathTest, StopsOnOffsetsThatAreNotTheRunningSum) {
    EXPECT_DEATH(encode_pack_header({PackedBlob{Id{}, BlobType::data, 1, 40, 0}}), "bug");
}

}    // namespace
}    // namespace holdfast::format
