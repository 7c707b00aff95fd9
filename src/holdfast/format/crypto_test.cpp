#include "holdfast/format/crypto.hpp"

#include <gtest/gtest.h>

#include "holdfast/base/json.hpp"
#include "holdfast/format/envelope_pieces.hpp"
#include "holdfast/format/golden_test.hpp"

namespace holdfast::format {
namespace {

template <std::size_t N>
std::array<std::byte, N> from_hex_array(const std::string& hex) {
    std::array<std::byte, N> out;
    EXPECT_TRUE(from_hex(hex, out)) << hex;
    return out;
}

Bytes unhex(const std::string& hex) {
    Bytes out;
    out.resize(hex.size() / 2);
    EXPECT_TRUE(from_hex(hex, out)) << hex;
    return out;
}

class Envelope : public testing::Test {
protected:
    json::Value vectors = golden_json("envelope.json");

    Key key(std::string_view r = "mac_r") const {
        Key k;
        k.encrypt = from_hex_array<32>(vectors["aes256_key"].text());
        k.mac_k = from_hex_array<16>(vectors["mac_k"].text());
        k.mac_r = from_hex_array<16>(vectors[r].text());
        return k;
    }
};

TEST_F(Envelope, SealsTheVectorsByteForByteWithOneCipherAndAppends) {
    Cipher cipher(key());
    Bytes sealed;
    std::string expected;
    ASSERT_EQ(vectors["vectors"].items().size(), 5u);
    for (const json::Value& v : vectors["vectors"].items()) {
        cipher.seal(unhex(v["plaintext"].text()), from_hex_array<16>(v["nonce"].text()), sealed);
        expected += v["envelope"].text();
    }
    EXPECT_EQ(to_hex(sealed), expected);
}

TEST_F(Envelope, OpensTheVectorsUnderClampedAndRawR) {
    for (const std::string_view r : {"mac_r", "mac_r_clamped"}) {
        Cipher cipher(key(r));
        Bytes plain = to_bytes("what was there before");
        for (const json::Value& v : vectors["vectors"].items()) {
            Bytes envelope = unhex(v["envelope"].text());
            ASSERT_TRUE(cipher.open(envelope, plain));
            EXPECT_EQ(to_hex(plain), v["plaintext"].text());
            const auto inside = cipher.open_in_place(envelope);
            ASSERT_TRUE(inside);
            EXPECT_EQ(to_hex(*inside), v["plaintext"].text());
        }
    }
}

TEST_F(Envelope, RefusesEveryFlippedBitAndDecryptsNothing) {
    Cipher cipher(key());
    const Bytes envelope = unhex(vectors["vectors"].items()[3]["envelope"].text());
    for (std::size_t bit = 0; bit < envelope.size() * 8; ++bit) {
        Bytes damaged = envelope;
        damaged[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
        const Bytes before = damaged;
        Bytes plain = to_bytes("kept");
        const Status opened = cipher.open(damaged, plain);
        ASSERT_FALSE(opened) << bit;
        EXPECT_EQ(opened.error().code, ErrorCode::corrupt);
        EXPECT_EQ(as_text(plain), "kept");
        ASSERT_FALSE(cipher.open_in_place(damaged));
        EXPECT_EQ(damaged, before);
    }
}

TEST_F(Envelope, RefusesAnEnvelopeUnder32BytesAndANonceOfZeros) {
    Cipher cipher(key());
    Bytes plain;
    for (std::size_t size = 0; size < 32; ++size) {
        Bytes envelope;
        envelope.assign(size, std::byte{1});
        EXPECT_EQ(cipher.open(envelope, plain).error().code, ErrorCode::corrupt);
    }
    Bytes zero;
    zero.assign(40, std::byte{0});
    const Status opened = cipher.open(zero, plain);
    ASSERT_FALSE(opened);
    EXPECT_NE(opened.error().message.find("nonce"), std::string::npos);
}

TEST_F(Envelope, RefusesAnotherKey) {
    Key other = key();
    other.mac_k[0] ^= std::byte{1};
    Cipher cipher(other);
    Bytes plain;
    EXPECT_FALSE(cipher.open(unhex(vectors["vectors"].items()[2]["envelope"].text()), plain));
}

TEST_F(Envelope, SealsBehindWhatIsAlreadyThere) {
    Cipher cipher(key());
    Bytes to = to_bytes("pack so far");
    cipher.seal(as_bytes("blob"), from_hex_array<16>(std::string(32, '7')), to);
    ASSERT_EQ(to.size(), 11 + 4 + k_envelope_overhead);
    EXPECT_EQ(as_text(ByteView(to).first(11)), "pack so far");
    Bytes plain;
    ASSERT_TRUE(cipher.open(ByteView(to).subspan(11), plain));
    EXPECT_EQ(as_text(plain), "blob");
}

TEST_F(Envelope, ComesInPiecesAsItComesWhole) {
    Cipher cipher(key());
    for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{65'535}, std::size_t{65'536},
                                   std::size_t{65'537}, std::size_t{200'000}}) {
        std::string text;
        for (std::size_t i = 0; i < size; ++i) text += static_cast<char>(i * 7919 >> 5);
        Bytes envelope;
        cipher.seal(as_bytes(text), from_hex_array<16>(std::string(32, '7')), envelope);
        const auto read_at = [&](std::uint64_t offset, ByteSpan to) -> Status {
            if (offset + to.size() > envelope.size()) return fail(ErrorCode::io, "there is no more");
            std::copy_n(envelope.begin() + static_cast<std::ptrdiff_t>(offset), to.size(), to.begin());
            return {};
        };
        const auto content = [](EnvelopePieces& pieces) {
            std::string all;
            for (ByteView piece = pieces.next(); !piece.empty(); piece = pieces.next()) all += as_text(piece);
            return all;
        };
        Bytes sealed;
        PieceSealer sealer(key(), from_hex_array<16>(std::string(32, '7')), sealed);
        for (std::size_t at = 0; at < size; at += 70'001) sealer.add(as_bytes(text.substr(at, 70'001)), sealed);
        sealer.end(sealed);
        EXPECT_EQ(sealed, envelope);
        EnvelopePieces pieces(key(), envelope.size(), read_at);
        Id sum;
        ASSERT_TRUE(pieces.verify(&sum));
        EXPECT_EQ(sum, sha256(envelope));
        EXPECT_EQ(content(pieces), text);
        EXPECT_TRUE(pieces.end());

        // Whoever leaves early, and whatever changes meanwhile.
        EnvelopePieces left(key(), envelope.size(), read_at);
        ASSERT_TRUE(left.verify());
        EXPECT_TRUE(left.end());
        for (const std::size_t at : {std::size_t{0}, std::size_t{15}, envelope.size() / 2, envelope.size() - 1}) {
            EnvelopePieces changed(key(), envelope.size(), read_at);
            ASSERT_TRUE(changed.verify());
            envelope[at] ^= std::byte{4};
            static_cast<void>(content(changed));
            const Status end = changed.end();
            ASSERT_FALSE(end) << size << " " << at;
            EXPECT_EQ(end.error().code, ErrorCode::corrupt);
            EnvelopePieces damaged(key(), envelope.size(), read_at);
            EXPECT_EQ(damaged.verify().error().code, ErrorCode::corrupt);
            envelope[at] ^= std::byte{4};
        }
        EnvelopePieces longer(key(), envelope.size() + 1, read_at);
        EXPECT_EQ(longer.verify().error().code, ErrorCode::io);
    }
    EnvelopePieces short_one(key(), 31, [](std::uint64_t, ByteSpan) -> Status { return {}; });
    EXPECT_EQ(short_one.verify().error().code, ErrorCode::corrupt);
}

TEST_F(Envelope, UnwrapsTheMasterKeyWithThePassword) {
    // MT-06: AES-256 with a key derived from a password.
    const json::Value& wrap = vectors["key_wrap"];
    const KdfCost cost{wrap["N"].natural(), 8, 2};
    const auto user = derive_key(Secret(wrap["password"].text()), unhex(wrap["salt"].text()), cost);
    ASSERT_TRUE(user);
    Bytes derived(user->encrypt.begin(), user->encrypt.end());
    append(derived, user->mac_k);
    append(derived, user->mac_r);
    EXPECT_EQ(to_hex(derived), wrap["scrypt_64"].text());

    Bytes data, plain;
    ASSERT_TRUE(from_base64(wrap["data_base64"].text(), data));
    Cipher cipher(*user);
    ASSERT_TRUE(cipher.open(data, plain));
    EXPECT_EQ(as_text(plain), wrap["master_json"].text());
}

TEST(DeriveKey, RefusesCostsThatAreNoPowerOfTwoOrTakeTooMuch) {
    const Secret password("test");
    const Bytes salt = to_bytes(std::string(64, 's'));
    for (const KdfCost cost : {KdfCost{0, 8, 1}, KdfCost{1, 8, 1}, KdfCost{1000, 8, 1}, KdfCost{1024, 0, 1},
                               KdfCost{1024, 8, 0}, KdfCost{1 << 20, 8, 1}, KdfCost{std::uint64_t{1} << 63, 8, 1},
                               KdfCost{1024, UINT32_MAX, 1}, KdfCost{1024, 8, UINT32_MAX}, KdfCost{1024, 8, 100'000}}) {
        const auto key = derive_key(password, salt, cost);
        ASSERT_FALSE(key) << cost.n << ' ' << cost.r << ' ' << cost.p;
        EXPECT_EQ(key.error().code, ErrorCode::unsupported);
        EXPECT_EQ(key.error().message.find("test"), std::string::npos);
    }
}

TEST(DeriveKey, TakesAnEmptyPasswordAndTheDefaultCost) {
    EXPECT_TRUE(derive_key(Secret(), to_bytes(std::string(64, 's')), KdfCost{1024, 8, 1}));
    EXPECT_TRUE(derive_key(Secret("x"), to_bytes(std::string(64, 's')), KdfCost{32768, 8, 1}));
}

}    // namespace
}    // namespace holdfast::format
