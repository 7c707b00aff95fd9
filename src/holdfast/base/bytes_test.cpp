#include "holdfast/base/bytes.hpp"

#include <gtest/gtest.h>

#include "holdfast/base/id.hpp"

namespace holdfast {
namespace {

Bytes all_bytes() {
    Bytes bytes;
    for (int i = 0; i < 256; ++i) bytes.push_back(static_cast<std::byte>(i));
    return bytes;
}

TEST(Hex, GivesEveryByteBack) {
    const std::string hex = to_hex(all_bytes());
    EXPECT_EQ(hex.substr(0, 8), "00010203");
    EXPECT_EQ(hex.substr(508), "feff");
    Bytes back;
    back.resize(256);
    ASSERT_TRUE(from_hex(hex, back));
    EXPECT_EQ(back, all_bytes());
    EXPECT_EQ(to_hex({}), "");
}

TEST(Hex, RefusesOtherLengthsUpperCaseAndOtherCharacters) {
    std::byte two[2];
    EXPECT_TRUE(from_hex("00ff", two));
    for (const std::string_view text : {"", "00f", "00ff0", "00FF", "00fg", "0x00", " 0ff", "00f "})
        EXPECT_FALSE(from_hex(text, two)) << text;
}

TEST(Base64, GivesTheVectorsOfRfc4648BothWays) {
    const std::pair<std::string_view, std::string_view> vectors[] = {{"", ""},
                                                                     {"f", "Zg=="},
                                                                     {"fo", "Zm8="},
                                                                     {"foo", "Zm9v"},
                                                                     {"foob", "Zm9vYg=="},
                                                                     {"fooba", "Zm9vYmE="},
                                                                     {"foobar", "Zm9vYmFy"}};
    for (const auto& [plain, text] : vectors) {
        EXPECT_EQ(to_base64(as_bytes(plain)), text);
        Bytes back = to_bytes("before");
        ASSERT_TRUE(from_base64(text, back)) << text;
        EXPECT_EQ(as_text(back), plain);
    }
    Bytes back;
    ASSERT_TRUE(from_base64(to_base64(all_bytes()), back));
    EXPECT_EQ(back, all_bytes());
}

TEST(Base64, RefusesWrongPaddingAlphabetAndLeftOverBits) {
    Bytes to;
    for (const std::string_view text : {"Z", "Zg", "Zg=", "Zg===", "====", "Z===", "=Zg=", "Zg==Zg==", "Zm8=Zm8=",
                                        "Zg= =", "Zm9v\n", "Zm-_", "Zh==", "Zm9=", "Zm=8"})
        EXPECT_FALSE(from_base64(text, to)) << text;
}

TEST(LittleEndian, IsWrittenAndReadAtAnyAlignment) {
    Bytes to = to_bytes("x");
    append_le<std::uint32_t>(to, 0x01020304);
    append_le<std::uint64_t>(to, UINT64_MAX - 1);
    EXPECT_EQ(to_hex(to), "7804030201feffffffffffffff");
    EXPECT_EQ(load_le<std::uint32_t>(to.data() + 1), 0x01020304u);
    EXPECT_EQ(load_le<std::uint64_t>(to.data() + 5), UINT64_MAX - 1);
}

TEST(Id, ParsesOnly64LowerCaseHexDigits) {
    const std::string hex = std::string(62, '0') + "af";
    const auto id = Id::parse(hex);
    ASSERT_TRUE(id);
    EXPECT_EQ(id->hex(), hex);
    EXPECT_EQ(id->brief(), "00000000");
    EXPECT_LT(Id{}, *id);
    EXPECT_FALSE(Id::parse(hex.substr(1)));
    EXPECT_FALSE(Id::parse(hex + "0"));
    EXPECT_FALSE(Id::parse(std::string(64, 'A')));
}

TEST(HumanSize, HasThreeDigitsAndBinaryUnits) {
    EXPECT_EQ(human_size(0), "0 B");
    EXPECT_EQ(human_size(1023), "1023 B");
    EXPECT_EQ(human_size(1536), "1.50 KiB");
    EXPECT_EQ(human_size(10 << 20), "10.0 MiB");
    EXPECT_EQ(human_size(500ull << 30), "500 GiB");
    EXPECT_EQ(human_size(UINT64_MAX), "16384 PiB");
}

}    // namespace
}    // namespace holdfast
