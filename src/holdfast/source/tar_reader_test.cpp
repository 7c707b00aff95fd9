#include "holdfast/source/tar_reader.hpp"

#include <fmt/core.h>
#include <gmock/gmock.h>

#include <cstring>

namespace holdfast::source {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// A block of 512 bytes with a right checksum, as a writer other than ours would make it.
std::string header(const std::string& name, std::size_t size, char kind = '0', const std::string& link = {}) {
    std::string block(512, '\0');
    block.replace(0, name.size(), name);
    block.replace(100, 7, "0000600");
    block.replace(108, 7, "0000145");
    block.replace(116, 7, "0000146");
    block.replace(124, 11, fmt::format("{:011o}", size));
    block.replace(136, 11, fmt::format("{:011o}", 1700000000));
    block[156] = kind;
    block.replace(157, link.size(), link);
    block.replace(257, 8,
                  std::string("ustar\0"
                              "00",
                              8));
    block.replace(148, 8, "        ");
    unsigned sum = 0;
    for (const char c : block) sum += static_cast<unsigned char>(c);
    block.replace(148, 8, fmt::format("{:06o}\0 ", sum).append(8, '\0').substr(0, 8));
    return block;
}

std::string padded(std::string content) {
    content.resize((content.size() + 511) / 512 * 512);
    return content;
}

const std::string k_end(1024, '\0');

class Collector final : public TarSink {
public:
    Status begin(const TarEntry& entry) override {
        entries.push_back(entry);
        contents.emplace_back();
        return {};
    }
    Status data(ByteView bytes) override {
        contents.back() += as_text(bytes);
        return {};
    }
    Status end() override {
        ++ended;
        return {};
    }
    std::vector<TarEntry> entries;
    std::vector<std::string> contents;
    int ended = 0;
};

Status read(const std::string& archive, Collector& to, std::size_t step = 100000) {
    TarReader reader("base.tar");
    for (std::size_t at = 0; at < archive.size(); at += step)
        HF_DO(reader.feed(as_bytes(archive.substr(at, step)), to));
    return reader.finish();
}

std::string refused(const std::string& archive) {
    Collector collector;
    const auto done = read(archive, collector);
    EXPECT_FALSE(done);
    if (done) return "";
    EXPECT_EQ(done.error().code, ErrorCode::corrupt);
    return done.error().message;
}

TEST(TarReader, GivesFilesFoldersAndLinksInWhateverPiecesTheyCome) {
    const std::string large = std::string(1300, 'x') + "end";
    const std::string archive = header("base/", 0, '5') + header("base/1", large.size()) + padded(large) +
                                header("empty", 0) + header("pg_tblspc/16384", 0, '2', "/srv/fast") + k_end;
    for (const std::size_t step : {1u, 3u, 511u, 512u, 513u, 100000u}) {
        Collector found;
        const auto done = read(archive, found, step);
        ASSERT_TRUE(done) << done.error().message;
        ASSERT_EQ(found.entries.size(), 4u);
        EXPECT_EQ(found.entries[0].kind, TarEntry::Kind::folder);
        EXPECT_EQ(found.entries[0].name, "base");
        EXPECT_EQ(found.entries[1].mode, 0600u);
        EXPECT_EQ(found.entries[1].uid, 0145u);
        EXPECT_EQ(found.entries[1].gid, 0146u);
        EXPECT_EQ(found.entries[1].mtime.nanoseconds, 1'700'000'000'000'000'000);
        EXPECT_EQ(found.entries[3].link_target, "/srv/fast");
        EXPECT_THAT(found.contents, ElementsAre("", large, "", ""));
        EXPECT_EQ(found.ended, 2);
    }
}

TEST(TarReader, ReadsSizesBeyondEightGigabytes) {
    std::string block = header("big", 0);
    const char size[12] = {'\x80', 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 5};
    std::memcpy(block.data() + 124, size, sizeof size);
    block.replace(148, 8, "        ");
    unsigned sum = 0;
    for (const char c : block) sum += static_cast<unsigned char>(c);
    block.replace(148, 7, fmt::format("{:06o}", sum) + '\0');
    Collector found;
    TarReader reader("base.tar");
    ASSERT_TRUE(reader.feed(as_bytes(block), found));
    EXPECT_EQ(found.entries.at(0).size, (std::uint64_t(3) << 32) + 5);
    EXPECT_FALSE(reader.finish());
}

TEST(TarReader, RefusesWhatIsDamagedOrEndsEarly) {
    const std::string good = header("a", 3) + padded("abc") + k_end;
    Collector collector;
    ASSERT_TRUE(read(good, collector));
    for (const std::size_t cut : {0u, 100u, 512u, 514u, 1024u, 1536u, 2047u})
        EXPECT_THAT(refused(good.substr(0, cut)), HasSubstr("ends early"));
    for (const std::size_t at : {0u, 101u, 130u, 150u, 156u, 300u}) {
        std::string flipped = good;
        flipped[at] = static_cast<char>(flipped[at] ^ 1);
        EXPECT_THAT(refused(flipped), HasSubstr("base.tar at byte 0: the checksum of a header"));
    }
    EXPECT_THAT(refused(good + header("b", 0)), HasSubstr("follows the archive's end"));
    EXPECT_THAT(refused(good + std::string(512, '\0')), HasSubstr("more follows"));
    EXPECT_THAT(refused(header("dev", 0, '3') + k_end), HasSubstr("neither file, folder nor link"));
    EXPECT_THAT(refused(header("l", 0, '2') + k_end), HasSubstr("leads nowhere"));
}

// A hostile server must not write where it likes.
TEST(TarReader, RefusesNamesThatLeadOut) {
    for (const char* name : {"/etc/passwd", "../x", "a/../../x", "a//b", "", ".", "a/./b"})
        EXPECT_THAT(refused(header(name, 0) + k_end), HasSubstr("leads out")) << name;
    EXPECT_TRUE(is_inner_path("base/5/16384.1"));
    EXPECT_FALSE(is_inner_path(std::string_view("a\0b", 3)));
}

}    // namespace
}    // namespace holdfast::source
