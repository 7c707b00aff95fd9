#pragma once
// PostgreSQL's backup_manifest: which files a base backup has, how long they are, and their checksums.
//
//   shape     JSON: PostgreSQL-Backup-Manifest-Version 1 or 2; Files with Path or Encoded-Path (hex), Size,
//             Checksum-Algorithm, Checksum; WAL-Ranges; on its last line Manifest-Checksum, the SHA-256 of all before it
//   checksum  CRC32C, which is what we ask the server for: its four bytes as they lie in memory, low byte first, in hex. The
//             vault has a SHA-256 of every block besides
//   errors    corrupt; unsupported: a later version, or another algorithm
//   source    PostgreSQL 15, chapter "Backup Manifest Format"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "holdfast/base/bytes.hpp"
#include "holdfast/base/result.hpp"

namespace holdfast::source {

struct BackupFile {
    std::uint64_t size = 0;
    std::uint32_t crc = 0;    // CRC32C
    bool operator==(const BackupFile&) const = default;
};
/// By path, relative to the data folder; what lies in a tablespace is "pg_tblspc/<oid>/…".
using BackupFiles = std::map<std::string, BackupFile, std::less<>>;

/// The write-ahead log that the copy needs to be consistent.
struct WalRange {
    std::uint32_t timeline = 0;
    std::uint64_t start = 0, end = 0;    // LSN
};

struct BackupManifest {
    BackupFiles files;
    std::vector<WalRange> wal;
};

constexpr std::size_t k_backup_manifest_max = std::size_t(256) << 20;    // about 1.5 million files

Result<BackupManifest> parse_backup_manifest(std::string_view text);

/// Continues a CRC32C over more bytes; 0 begins one.
std::uint32_t crc32c_of(ByteView bytes, std::uint32_t crc);

/// "0/15C9E30"
Result<std::uint64_t> parse_lsn(std::string_view text);
std::string lsn_text(std::uint64_t lsn);

/// What differs between the manifest and the files that are there, as sentences, at most `told_max`; empty: equal. What is
/// not in the manifest by design is not told: pg_wal and the manifest itself.
std::vector<std::string> compare_backup(const BackupManifest& manifest, const BackupFiles& found,
                                        std::size_t told_max = 5);

/// The names of the segments in pg_wal that hold these ranges, in order.
std::vector<std::string> wal_segments(const std::vector<WalRange>& ranges, std::uint64_t segment_size);

}    // namespace holdfast::source
