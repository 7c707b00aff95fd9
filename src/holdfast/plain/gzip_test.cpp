#include "holdfast/plain/gzip.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "holdfast/os/file.hpp"
#include "holdfast/os/process.hpp"
#include "holdfast/plain/tar_check.hpp"

namespace holdfast::plain {
namespace {

Bytes packed(std::string_view text) {
    Bytes out;
    Gzip gzip([&](ByteView bytes) -> Status { return append(out, bytes), Status(); });
    EXPECT_TRUE(gzip.write(as_bytes(text)));
    EXPECT_TRUE(gzip.finish());
    return out;
}

ByteSource source_of(ByteView& in, std::size_t step = 1 << 20) {
    return [&in, step](ByteSpan to) -> Result<std::size_t> {
        const std::size_t n = std::min({to.size(), in.size(), step});
        std::memcpy(to.data(), in.data(), n);
        in = in.subspan(n);
        return n;
    };
}

Result<std::string> unpacked(ByteView in, std::size_t step = 1 << 20) {
    Gunzip gunzip(source_of(in, step));
    std::string all;
    std::array<std::byte, 1000> some;
    for (;;) {
        HF_TRY(const std::size_t n, gunzip.read(some));
        if (n == 0) return all;
        all += as_text(ByteView(some).first(n));
    }
}

std::string long_text() {
    std::string text;
    for (int i = 0; i < 200'000; ++i) text += std::to_string(i * 7919 % 10'007) + (i % 10 ? "," : "\n");
    return text;
}

TEST(Gzip, ComesBackAndGunzipReadsIt) {    // NS-02
    const auto scratch = os::TempFolder::create("hf-plain").value();
    for (const std::string& text : {std::string(), std::string("a"), long_text()}) {
        const Bytes gz = packed(text);
        EXPECT_EQ(unpacked(gz).value(), text);
        EXPECT_EQ(unpacked(gz, 1).value(), text);
        ASSERT_TRUE(os::write_file(scratch.path() + "/f.gz", gz));
        os::Command gunzip;
        gunzip.arguments = {"gunzip", "-c", scratch.path() + "/f.gz"};
        EXPECT_EQ(os::run(gunzip).value().output, text);
    }
}

TEST(Gzip, ReadsWhatGzipWritesAlsoSeveralMembers) {
    os::Command gzip;
    gzip.arguments = {"sh", "-c", "(printf one | gzip -9; printf two | gzip -1)"};
    EXPECT_EQ(unpacked(as_bytes(os::run(gzip).value().output)).value(), "onetwo");
}

TEST(Gzip, EachDamageIsSeen) {    // NS-16
    const Bytes gz = packed("trades, positions, orders: " + long_text().substr(0, 3000));
    for (std::size_t n = 0; n < gz.size(); ++n)
        EXPECT_EQ(unpacked(ByteView(gz).first(n)).error().code, ErrorCode::corrupt) << n;
    for (std::size_t i = 0; i < gz.size(); ++i) {
        // Time, extra flags and system in the header are nobody's checksum.
        if (i >= 4 && i < 10) continue;
        Bytes bad = gz;
        bad[i] ^= std::byte{0x04};
        EXPECT_FALSE(unpacked(bad).has_value()) << i;
    }
    Bytes longer = gz;
    append(longer, as_bytes("x"));
    EXPECT_THAT(unpacked(longer).error().message, ::testing::HasSubstr("behind the end"));
}

TEST(TarCheck, SaysWhatIsInItAndSeesEachCut) {    // NS-16
    const auto scratch = os::TempFolder::create("hf-plain").value();
    ASSERT_TRUE(os::make_folders(scratch.path() + "/a/" + std::string(120, 'd')));
    ASSERT_TRUE(os::write_file(scratch.path() + "/a/one", as_bytes(std::string(700, 'x'))));
    ASSERT_TRUE(os::write_file(scratch.path() + "/a/" + std::string(120, 'd') + "/two", as_bytes("y")));
    os::Command tar;
    tar.arguments = {"tar", "-C", scratch.path(), "-c", "a"};
    const std::string archive = os::run(tar).value().output;
    ByteView in = as_bytes(archive);
    const auto facts = check_tar(source_of(in)).value();
    EXPECT_EQ(facts.files, 2u);
    EXPECT_EQ(facts.bytes, 701u);
    EXPECT_EQ(facts.entries, 4u);
    // The last blocks are padding behind the end mark.
    for (std::size_t n = 0; n < archive.size() - 10'240; n += 97) {
        ByteView part = as_bytes(archive).first(n);
        EXPECT_FALSE(check_tar(source_of(part)).has_value()) << n;
    }
    std::string bad = archive;
    bad[0] ^= 1;
    ByteView flipped = as_bytes(bad);
    EXPECT_THAT(check_tar(source_of(flipped)).error().message, ::testing::HasSubstr("damaged at byte 0"));
}

}    // namespace
}    // namespace holdfast::plain
