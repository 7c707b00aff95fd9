#include "holdfast/db/rdb.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "holdfast/db/rdb_crc64.hpp"

namespace holdfast::db {
namespace {

using ::testing::HasSubstr;

std::string text_of(std::string_view s) { return static_cast<char>(s.size()) + std::string(s); }    // up to 63 bytes
std::string le32(std::uint32_t n) { return {reinterpret_cast<const char*>(&n), 4}; }
std::string le16(std::uint16_t n) { return {reinterpret_cast<const char*>(&n), 2}; }
std::string real(double d) { return {reinterpret_cast<const char*>(&d), 8}; }

// Head, the given parts, end and checksum.
std::string rdb(std::string_view parts, std::string_view version = "0010") {
    std::string text = "REDIS" + std::string(version) + std::string(parts) + '\xff';
    const std::uint64_t crc = crc64_jones(0, as_bytes(text));
    return text.append(reinterpret_cast<const char*>(&crc), sizeof crc);
}

std::string listpack(std::string_view entries, std::uint16_t count) {
    return le32(static_cast<std::uint32_t>(entries.size() + 7)) + le16(count) + std::string(entries) + '\xff';
}
std::string ziplist(std::string_view entries, std::uint16_t count) {
    return le32(static_cast<std::uint32_t>(entries.size() + 11)) + le32(0) + le16(count) + std::string(entries) +
           '\xff';
}
std::string key(char type, std::string_view name, std::string_view value) {
    return type + text_of(name) + std::string(value);
}

Result<RdbSummary> read(std::string_view text, std::size_t step = 1 << 20, const RdbOptions& options = {}) {
    return read_rdb(
        [&](ByteSpan to) -> Result<std::size_t> {
            const std::size_t n = std::min({step, text.size(), to.size()});
            std::memcpy(to.data(), text.data(), n);
            text.remove_prefix(n);
            return n;
        },
        options);
}

std::string digest_of(std::string_view text) {
    const auto summary = read(text);
    EXPECT_TRUE(summary) << summary.error().message;
    return summary ? summary->digest() : "";
}

using namespace std::string_literals;

TEST(Crc64Jones, HasItsCheckValue) {
    EXPECT_EQ(crc64_jones(0, as_bytes("123456789")), 0xe9c6d914c4b8d9caull);
    EXPECT_EQ(crc64_jones(crc64_jones(0, as_bytes("12345")), as_bytes("6789")), 0xe9c6d914c4b8d9caull);
}

TEST(Rdb, CountsKeysByDatabaseTypeAndExpiry) {
    const std::string text =
        rdb("\xfa"s + text_of("redis-ver") + text_of("7.0.15") + "\xf5" + text_of("#!lua name=a") +
            "\xfe\x00\xfb\x02\x01"s + key(0, "a", text_of("1")) + "\xfc"s + real(0.5) + key(0, "b", text_of("2")) +
            "\xfe\x05"s + "\xfd"s + le32(1700000000) + "\xf8\x05"s + "\xf9\x07"s + key(1, "l", "\x01"s + text_of("x")));
    std::vector<std::string> names;
    const auto summary = read(text, 1, {[&](const RdbKey& k) { names.emplace_back(k.name); }});
    ASSERT_TRUE(summary) << summary.error().message;
    EXPECT_EQ(summary->version, 10u);
    EXPECT_EQ(summary->server_version, "7.0.15");
    EXPECT_EQ(summary->databases, (std::map<std::uint64_t, RdbSummary::Database>{{0, {2, 1}}, {5, {1, 1}}}));
    EXPECT_EQ(summary->types, (std::map<std::string, std::uint64_t>{{"list", 1}, {"string", 2}}));
    EXPECT_EQ(summary->functions, 1u);
    EXPECT_EQ(summary->bytes, text.size());
    EXPECT_TRUE(summary->has_checksum);
    EXPECT_EQ(names, (std::vector<std::string>{"a", "b", "l"}));
}

TEST(Rdb, GivesOneDigestWhateverTheEncoding) {
    // "ab", 5, 1000, -7: as plain list, ziplist in a quicklist, and listpack in a quicklist2.
    const std::string lp = listpack("\x82"s + "ab\x03" + "\x05\x01"s + "\xc3\xe8\x02"s + "\xdf\xf9\x02"s, 4);
    const std::string zl = ziplist("\x00\x02"s + "ab" + "\x04\xf6"s + "\x02\xc0"s + le16(1000) + "\x04\xfe\xf9"s, 4);
    const std::string plain = "\x04"s + text_of("ab") + "\xc0\x05"s + "\xc1"s + le16(1000) + text_of("-7");
    const std::string list = digest_of(rdb(key(1, "k", plain)));
    EXPECT_EQ(digest_of(rdb(key(10, "k", text_of(zl)))), list);
    EXPECT_EQ(digest_of(rdb(key(14, "k", "\x01"s + text_of(zl)))), list);
    EXPECT_EQ(digest_of(rdb(key(18, "k", "\x01\x02"s + text_of(lp)))), list);
    EXPECT_EQ(digest_of(rdb(key(18, "k",
                                "\x03\x01"s + text_of("ab") + "\x01\xc0\x05"s + "\x02"s +
                                    text_of(listpack("\xc3\xe8\x02"s + "\xdf\xf9\x02"s, 2))))),
              list);

    // The same elements as a set, in two orders, are another thing.
    const std::string set = digest_of(rdb(key(2, "k", plain)));
    EXPECT_NE(set, list);
    EXPECT_EQ(digest_of(rdb(key(20, "k", text_of(lp)))), set);
    EXPECT_EQ(digest_of(rdb(key(2, "k", "\x04"s + text_of("-7") + text_of("1000") + text_of("ab") + text_of("5")))),
              set);

    const std::string ints = digest_of(rdb(key(2, "k", "\x02"s + text_of("300") + text_of("-2"))));
    EXPECT_EQ(digest_of(rdb(key(11, "k", text_of(le32(2) + le32(2) + le16(0xfffe) + le16(300))))), ints);

    // Hash {ab: 5, 1000: -7}: zipmap, listpack, ziplist, table in the other order.
    const std::string hash =
        digest_of(rdb(key(4, "k", "\x02"s + text_of("1000") + text_of("-7") + text_of("ab") + text_of("5"))));
    EXPECT_EQ(digest_of(rdb(key(16, "k", text_of(lp)))), hash);
    EXPECT_EQ(digest_of(rdb(key(13, "k", text_of(zl)))), hash);
    EXPECT_EQ(
        digest_of(rdb(key(
            9, "k", text_of("\x02\x02"s + "ab" + "\x01\x00"s + "5" + "\x04"s + "1000" + "\x02\x03"s + "-7xxx\xff")))),
        hash);

    // Sorted set {ab: 5, 1000: -7}: packed, with binary scores and with scores as text.
    const std::string zset = digest_of(rdb(key(17, "k", text_of(lp))));
    EXPECT_EQ(digest_of(rdb(key(12, "k", text_of(zl)))), zset);
    EXPECT_EQ(digest_of(rdb(key(5, "k", "\x02"s + text_of("1000") + real(-7) + text_of("ab") + real(5)))), zset);
    EXPECT_EQ(digest_of(rdb(key(3, "k", "\x02"s + text_of("1000") + text_of("-7") + text_of("ab") + text_of("5.0")))),
              zset);
    EXPECT_EQ(digest_of(rdb(key(5, "z", "\x01"s + text_of("m") + real(-0.0)))),
              digest_of(rdb(key(5, "z", "\x01"s + text_of("m") + real(0)))));
    EXPECT_EQ(digest_of(rdb(key(3, "z", "\x01"s + text_of("m") + "\xfe"))),
              digest_of(rdb(key(5, "z", "\x01"s + text_of("m") + real(INFINITY)))));

    // A string as it is, as an integer and compressed: "aaaaaaaaaaaaaaaaaaaa" is a literal run and a copy of it.
    EXPECT_EQ(digest_of(rdb(key(0, "k", "\xc2"s + le32(70000)))), digest_of(rdb(key(0, "k", text_of("70000")))));
    EXPECT_EQ(digest_of(rdb(key(0, "k", "\xc3\x05\x14"s + "\x00"s + "a" + "\xe0\x0a\x00"s))),
              digest_of(rdb(key(0, "k", text_of(std::string(20, 'a'))))));
    // Lengths of 14, 32 and 64 bits.
    EXPECT_EQ(digest_of(rdb("\x00"s + text_of("k") + "\x40\x01"s + "x")), digest_of(rdb(key(0, "k", text_of("x")))));
    EXPECT_EQ(digest_of(rdb("\x00"s + text_of("k") + "\x80\0\0\0\x01"s + "x")),
              digest_of(rdb(key(0, "k", text_of("x")))));
    EXPECT_EQ(digest_of(rdb("\x00"s + text_of("k") + "\x81\0\0\0\0\0\0\0\x01"s + "x")),
              digest_of(rdb(key(0, "k", text_of("x")))));
}

TEST(Rdb, GivesAnotherDigestForAnyOtherContent) {
    const std::string base = digest_of(rdb(key(0, "k", text_of("v"))));
    EXPECT_EQ(digest_of(rdb(key(0, "k", text_of("v")), "0009")), base) << "the version is no content";
    EXPECT_NE(digest_of(rdb(key(0, "k", text_of("w")))), base);
    EXPECT_NE(digest_of(rdb(key(0, "l", text_of("v")))), base);
    EXPECT_NE(digest_of(rdb("\xfe\x01"s + key(0, "k", text_of("v")))), base);
    EXPECT_NE(digest_of(rdb("\xfc"s + real(0.5) + key(0, "k", text_of("v")))), base);
    EXPECT_NE(digest_of(rdb("\xf5"s + text_of("f") + key(0, "k", text_of("v")))), base);
    EXPECT_NE(digest_of(rdb("")), base);
    const std::string ab = key(0, "a", text_of("1")) + key(0, "b", text_of("2"));
    EXPECT_EQ(digest_of(rdb(key(0, "b", text_of("2")) + key(0, "a", text_of("1")))), digest_of(rdb(ab)));
    EXPECT_NE(digest_of(rdb(key(0, "a", text_of("2")) + key(0, "b", text_of("1")))), digest_of(rdb(ab)));
    // Where one element ends and the next begins counts.
    EXPECT_NE(digest_of(rdb(key(1, "l", "\x02"s + text_of("ab") + text_of("c")))),
              digest_of(rdb(key(1, "l", "\x02"s + text_of("a") + text_of("bc")))));
}

TEST(Rdb, SkipsModulesByTheirOwnFraming) {
    const std::string module = "\x81"s + "ABCDEFGH" + "\x01\x05"s + "\x02\x06"s + "\x03"s + le32(1) + "\x04"s +
                               real(2) + "\x05"s + text_of("hi") + "\x00"s;
    const auto summary =
        read(rdb("\xf7\x81"s + "ABCDEFGH" + "\x02\x01"s + "\x05"s + text_of("aux") + "\x00"s + key(7, "m", module)));
    ASSERT_TRUE(summary) << summary.error().message;
    EXPECT_EQ(summary->types.at("module"), 1u);
}

TEST(Rdb, TakesAChecksumThatIsSwitchedOff) {
    std::string text = rdb(key(0, "k", text_of("v")));
    text.replace(text.size() - 8, 8, 8, '\0');
    const auto summary = read(text);
    ASSERT_TRUE(summary) << summary.error().message;
    EXPECT_FALSE(summary->has_checksum);
}

TEST(Rdb, RefusesAnyFlippedByteAndAnyTruncation) {
    const std::string text = rdb(key(0, "key", text_of("value")) + key(1, "l", "\x02"s + text_of("a") + text_of("b")));
    for (std::size_t at = 0; at < text.size(); ++at) {
        std::string flipped = text;
        flipped[at] = static_cast<char>(flipped[at] ^ 0x10);
        EXPECT_FALSE(read(flipped)) << "byte " << at;
        const auto cut = read(text.substr(0, at));
        ASSERT_FALSE(cut) << "cut at " << at;
        EXPECT_EQ(cut.error().code, ErrorCode::corrupt);
    }
}

TEST(Rdb, RefusesWhatFollowsItsEnd) {
    const auto summary = read(rdb(key(0, "k", text_of("v"))) + "x");
    ASSERT_FALSE(summary);
    EXPECT_THAT(summary.error().message, HasSubstr("follows its end"));
}

TEST(Rdb, RefusesWhatItDoesNotKnow) {
    EXPECT_EQ(read(rdb("", "0099")).error().code, ErrorCode::unsupported);
    EXPECT_EQ(read(rdb(key(99, "k", "v"))).error().code, ErrorCode::unsupported);
    EXPECT_EQ(read("PGDMP and more").error().code, ErrorCode::corrupt);
    EXPECT_EQ(read("REDISabcd").error().code, ErrorCode::corrupt);
    EXPECT_EQ(read("").error().code, ErrorCode::corrupt);
}

TEST(Rdb, RefusesLengthsThatCannotBeWithoutAllocatingThem) {
    const std::string huge = "\x81\x7f\xff\xff\xff\xff\xff\xff\xff"s, large = "\x80\xff\xff\xff\xf0"s;
    for (const std::string& body :
         {"\x00"s + huge + "k", key(0, "k", huge), key(0, "k", large), key(1, "k", huge), key(4, "k", huge),
          key(16, "k", large), key(0, "k", "\xc3\x05"s + huge + "abcde"), key(0, "k", "\xc3"s + large + "\x05"s),
          key(15, "k", huge), key(18, "k", "\x01\x02"s + large), key(0, "k", "\xc9"s), key(1, "k", "\xc0\x01"s)}) {
        const auto summary = read(rdb(body));
        ASSERT_FALSE(summary);
        EXPECT_EQ(summary.error().code, ErrorCode::corrupt) << summary.error().message;
    }
}

TEST(Rdb, RefusesBrokenPackedEncodings) {
    const std::string good = listpack("\x82"s + "ab\x03" + "\x05\x01"s, 2);
    ASSERT_TRUE(read(rdb(key(16, "k", text_of(good)))));
    // Any byte of its frame, wrong: total, count, and the end.
    for (const std::size_t at : {0u, 4u, 6u, unsigned(good.size() - 1)}) {
        std::string bad = good;
        bad[at] = static_cast<char>(bad[at] ^ 0x41);
        EXPECT_FALSE(read(rdb(key(16, "k", text_of(bad))))) << at;
    }
    EXPECT_FALSE(read(rdb(key(16, "k", text_of(listpack("\x05\x01"s, 1)))))) << "a field without a value";
    EXPECT_FALSE(read(rdb(key(17, "k", text_of(listpack("\x81"s + "a\x02" + "\x81"s + "b\x02", 2)))))) << "no number";
    EXPECT_FALSE(read(rdb(key(11, "k", text_of(le32(3) + le32(1) + "abc"))))) << "width";
    EXPECT_FALSE(read(rdb(key(11, "k", text_of(le32(2) + le32(2) + "ab"))))) << "count";
    EXPECT_FALSE(read(rdb(key(13, "k", text_of(ziplist("\x00\x3f"s + "ab", 1)))))) << "runs over its end";
    EXPECT_FALSE(read(rdb(key(9, "k", text_of("\x01\x02"s + "ab\xff"))))) << "a key without a value";
    EXPECT_FALSE(read(rdb(key(18, "k", "\x01\x03"s + text_of(good))))) << "node kind";
    EXPECT_FALSE(read(rdb(key(0, "k", "\xc3\x03\x14"s + "\x20\x05"s + "a")))) << "a copy from before the start";
}

TEST(Rdb, HandsOnTheErrorOfItsSource) {
    const auto summary = read_rdb([](ByteSpan) -> Result<std::size_t> { return fail(ErrorCode::cancelled, "stop"); });
    ASSERT_FALSE(summary);
    EXPECT_EQ(summary.error().code, ErrorCode::cancelled);
}

}    // namespace
}    // namespace holdfast::db
