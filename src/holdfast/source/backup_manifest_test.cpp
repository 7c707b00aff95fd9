#include "holdfast/source/backup_manifest.hpp"

#include <gmock/gmock.h>

#include "holdfast/format/sha256.hpp"

namespace holdfast::source {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// As PostgreSQL 15 writes it; the checksum is put in by us.
std::string manifest(
    const std::string& files,
    const std::string& wal = R"({ "Timeline": 1, "Start-LSN": "0/2000028", "End-LSN": "0/2000100" })") {
    const std::string head = "{ \"PostgreSQL-Backup-Manifest-Version\": 1,\n\"Files\": [\n" + files +
                             "\n],\n\"WAL-Ranges\": [\n" + wal + "\n],\n";
    return head + "\"Manifest-Checksum\": \"" + format::sha256(as_bytes(head)).hex() + "\"}\n";
}

const std::string k_label =
    R"({ "Path": "backup_label", "Size": 9, "Last-Modified": "2026-11-27 17:00:00 GMT", "Checksum-Algorithm": "CRC32C", "Checksum": "839206e3" })";
const std::string k_odd =
    R"({ "Encoded-Path": "6261736500ff", "Size": 0, "Last-Modified": "2026-11-27 17:00:00 GMT", "Checksum-Algorithm": "CRC32C", "Checksum": "00000000" })";

Error refused(const std::string& text) {
    const auto parsed = parse_backup_manifest(text);
    EXPECT_FALSE(parsed);
    return parsed ? Error{} : parsed.error();
}

TEST(BackupManifest, TellsFilesAndTheLogThatTheCopyNeeds) {
    const auto parsed = parse_backup_manifest(manifest(k_label));
    ASSERT_TRUE(parsed) << parsed.error().message;
    // "123456789" has the checksum e3069283, whose bytes lie in memory low one first.
    EXPECT_EQ(parsed->files.at("backup_label"), (BackupFile{9, 0xe3069283}));
    EXPECT_EQ(parsed->files.at("backup_label").crc, crc32c_of(as_bytes("123456789"), 0));
    ASSERT_EQ(parsed->wal.size(), 1u);
    EXPECT_EQ(parsed->wal[0].start, 0x2000028u);
    EXPECT_THAT(compare_backup(*parsed, parsed->files), IsEmpty());
}

TEST(BackupManifest, RefusesWhatIsNotWhole) {
    std::string text = manifest(k_label);
    for (std::size_t at = 0; at < text.size(); ++at) {
        std::string flipped = text;
        flipped[at] = static_cast<char>(flipped[at] ^ 1);
        // White space at the end is the only thing that may change.
        if (at + 1 < text.size()) {
            EXPECT_FALSE(parse_backup_manifest(flipped)) << "byte " << at;
            EXPECT_FALSE(parse_backup_manifest(text.substr(0, at))) << "cut at " << at;
        }
    }
    EXPECT_THAT(refused(manifest(k_label + "," + k_label)).message, HasSubstr("twice"));
    EXPECT_THAT(refused(manifest("")).message, HasSubstr("names no file"));
    EXPECT_THAT(refused(manifest(k_label, "")).message, HasSubstr("write-ahead log"));
    EXPECT_THAT(refused(manifest(k_odd)).message, HasSubstr("leads out"));
    std::string sha = k_label;
    sha.replace(sha.find("CRC32C"), 6, "SHA256");
    EXPECT_EQ(refused(manifest(sha)).code, ErrorCode::unsupported);
}

TEST(BackupManifest, NamesWhatDiffers) {
    const auto parsed = parse_backup_manifest(manifest(k_label));
    ASSERT_TRUE(parsed);
    BackupFiles found = parsed->files;
    found["pg_wal/000000010000000000000002"] = {16 << 20, 1};
    EXPECT_THAT(compare_backup(*parsed, found), IsEmpty());
    found["base/5/1"] = {};
    found["backup_label"].crc ^= 1;
    EXPECT_THAT(compare_backup(*parsed, found),
                ElementsAre("backup_label has another content", "base/5/1 is in no manifest"));
    found["backup_label"].size = 8;
    EXPECT_THAT(compare_backup(*parsed, found, 1), ElementsAre("backup_label has 8 bytes instead of 9", "and 1 more"));
    EXPECT_THAT(compare_backup(*parsed, {}), ElementsAre("backup_label is missing"));
}

TEST(BackupManifest, NamesTheSegmentsOfTheLog) {
    constexpr std::uint64_t k_16 = 16 << 20;
    EXPECT_THAT(wal_segments({{1, 0x2000028, 0x2000100}}, k_16), ElementsAre("000000010000000000000002"));
    EXPECT_THAT(wal_segments({{1, 0x2000028, 0x3000000}}, k_16), ElementsAre("000000010000000000000002"));
    EXPECT_THAT(wal_segments({{2, 0xFFFFFF000, 0x1000000010}}, k_16),
                ElementsAre("000000020000000F000000FF", "000000020000001000000000"));
    EXPECT_THAT(wal_segments({{1, 0x2000028, 0x3000010}, {2, 0x3000010, 0x3000100}}, k_16),
                ElementsAre("000000010000000000000002", "000000010000000000000003", "000000020000000000000003"));
    EXPECT_EQ(lsn_text(*parse_lsn("F/FF000000")), "F/FF000000");
    for (const char* bad : {"", "0", "/", "0/", "x/1", "0/1g", "123456789/0"}) EXPECT_FALSE(parse_lsn(bad)) << bad;
}

}    // namespace
}    // namespace holdfast::source
