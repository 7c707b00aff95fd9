#include "holdfast/format/sha256.hpp"

#include <gtest/gtest.h>
#include <openssl/evp.h>

#include <random>

namespace holdfast::format {
namespace {

Bytes random_bytes(std::size_t size, std::uint32_t seed) {
    std::mt19937 random(seed);
    Bytes bytes;
    bytes.resize(size);
    for (std::byte& b : bytes) b = static_cast<std::byte>(random());
    return bytes;
}

Id openssl_sha256(ByteView bytes) {
    Id id;
    unsigned length = 0;
    EXPECT_EQ(EVP_Digest(bytes.data(), bytes.size(), reinterpret_cast<unsigned char*>(id.bytes.data()), &length,
                         EVP_sha256(), nullptr),
              1);
    EXPECT_EQ(length, id.bytes.size());
    return id;
}

TEST(Sha256, HashesTheKnownTextsInOnePieceAndInMany) {
    EXPECT_EQ(sha256({}).hex(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    EXPECT_EQ(sha256(as_bytes("abc")).hex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    EXPECT_EQ(sha256(as_bytes("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")).hex(),
              "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    for (const Sha256::Kind kind : {Sha256::Kind::fastest, Sha256::Kind::portable}) {
        Sha256 hash(kind);
        for (int round = 0; round < 2; ++round) {
            hash.update(as_bytes("a"));
            hash.update({});
            hash.update(as_bytes("bc"));
            EXPECT_EQ(hash.finish(), sha256(as_bytes("abc")));
        }
    }
}

TEST(Sha256, AgreesWithOpenSslForEveryLengthAroundABlock) {
    const Bytes bytes = random_bytes(300, 1);
    for (std::size_t size = 0; size <= bytes.size(); ++size) {
        const ByteView some = ByteView(bytes).first(size);
        ASSERT_EQ(sha256(some), openssl_sha256(some)) << size;
        const ByteView other = ByteView(bytes).last(bytes.size() - size);
        const auto two = sha256_of_two(some, other);
        ASSERT_EQ(two[0], openssl_sha256(some)) << size;
        ASSERT_EQ(two[1], openssl_sha256(other)) << size;
    }
}

TEST(Sha256, OfManyPiecesTogetherIsThatOfEachAlone) {
    std::mt19937 random(7);
    const Bytes bytes = random_bytes(3'000'000, 2);
    for (int round = 0; round < 60; ++round) {
        const std::size_t count = 1 + random() % 5;
        std::vector<Sha256> sums;
        for (std::size_t i = 0; i < count; ++i)
            sums.emplace_back(i % 4 == 3 ? Sha256::Kind::portable : Sha256::Kind::fastest);
        std::vector<Bytes> all(count);
        const int updates = 1 + static_cast<int>(random() % 4);
        for (int u = 0; u < updates; ++u) {
            std::vector<HashWork> work;
            for (std::size_t i = 0; i < count; ++i) {
                const std::size_t size = random() % 3 == 0 ? random() % 200 : random() % 200'000;
                const ByteView piece = ByteView(bytes).subspan(random() % (bytes.size() - size), size);
                append(all[i], piece);
                work.push_back({&sums[i], piece});
            }
            update_together(work);
        }
        for (std::size_t i = 0; i < count; ++i) ASSERT_EQ(sums[i].finish(), openssl_sha256(all[i])) << round;
    }
}

}    // namespace
}    // namespace holdfast::format
