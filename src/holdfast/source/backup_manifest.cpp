#include "holdfast/source/backup_manifest.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "holdfast/base/json.hpp"
#include "holdfast/format/sha256.hpp"
#include "holdfast/ledger/record.hpp"
#include "holdfast/source/tar_reader.hpp"

namespace holdfast::source {
namespace {

std::unexpected<Error> corrupt(std::string_view why) {
    return fail(ErrorCode::corrupt, fmt::format("backup_manifest: {}", why));
}

std::optional<Bytes> from_hex(std::string_view hex) {
    if (hex.size() % 2 != 0) return std::nullopt;
    Bytes bytes(hex.size() / 2);
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        std::uint8_t value = 0;
        const char* at = hex.data() + 2 * i;
        if (const auto [end, bad] = std::from_chars(at, at + 2, value, 16); bad != std::errc() || end != at + 2)
            return std::nullopt;
        bytes[i] = std::byte(value);
    }
    return bytes;
}

// The last line is {"Manifest-Checksum": "…"}}, and the sum is over all bytes before it.
Status check_sum(std::string_view text, const std::string& told) {
    const std::size_t line = text.rfind("\"Manifest-Checksum\"");
    if (line == text.npos || line == 0 || text[line - 1] != '\n') return corrupt("it has no checksum of its own");
    if (format::sha256(as_bytes(text.substr(0, line))).hex() == told) return {};
    return corrupt("its own checksum is wrong");
}

Result<std::pair<std::string, BackupFile>> parse_file(const json::Value& entry) {
    std::string path = entry["Path"].text();
    if (path.empty()) {
        const auto raw = from_hex(entry["Encoded-Path"].text());
        if (!raw) return corrupt("a path is not encoded in hex");
        path = as_text(*raw);
    }
    if (!is_inner_path(path)) return corrupt("a path leads out of the data folder");
    if (entry["Size"].is_null()) return corrupt(fmt::format("{} has no size", json::as_utf8(path)));
    if (const auto algorithm = entry["Checksum-Algorithm"].text(); algorithm != "CRC32C")
        return fail(ErrorCode::unsupported, fmt::format("backup_manifest: checksums of the kind \"{}\", and not CRC32C",
                                                        json::as_utf8(algorithm)));
    const auto sum = from_hex(entry["Checksum"].text());
    if (!sum || sum->size() != 4) return corrupt(fmt::format("{} has no checksum", json::as_utf8(path)));
    return std::pair(std::move(path), BackupFile{entry["Size"].natural(), load_le<std::uint32_t>(sum->data())});
}

}    // namespace

std::uint32_t crc32c_of(ByteView bytes, std::uint32_t crc) { return ledger::crc32c(bytes, crc); }

Result<std::uint64_t> parse_lsn(std::string_view text) {
    const std::size_t slash = text.find('/');
    std::uint32_t high = 0, low = 0;
    const auto parse = [](std::string_view digits, std::uint32_t& to) {
        const auto [end, bad] = std::from_chars(digits.data(), digits.data() + digits.size(), to, 16);
        return bad == std::errc() && end == digits.data() + digits.size();
    };
    if (slash == text.npos || !parse(text.substr(0, slash), high) || !parse(text.substr(slash + 1), low))
        return fail(ErrorCode::corrupt, fmt::format("\"{}\" is no place in a write-ahead log", json::as_utf8(text)));
    return std::uint64_t(high) << 32 | low;
}

std::string lsn_text(std::uint64_t lsn) { return fmt::format("{:X}/{:X}", lsn >> 32, lsn & 0xffffffff); }

Result<BackupManifest> parse_backup_manifest(std::string_view text) {
    HF_TRY(const json::Value document, json::parse(text, "backup_manifest"));
    const auto version = document["PostgreSQL-Backup-Manifest-Version"].natural();
    if (version != 1 && version != 2)
        return fail(ErrorCode::unsupported, fmt::format("backup_manifest is of version {}", version),
                    "a later holdfast may know it");
    HF_DO(check_sum(text, document["Manifest-Checksum"].text()));
    BackupManifest manifest;
    for (const json::Value& entry : document["Files"].items()) {
        HF_TRY(auto file, parse_file(entry));
        if (!manifest.files.insert(std::move(file)).second) return corrupt("it names a file twice");
    }
    if (manifest.files.empty()) return corrupt("it names no file");
    for (const json::Value& entry : document["WAL-Ranges"].items()) {
        WalRange range;
        const std::uint64_t timeline = entry["Timeline"].natural();
        HF_TRY(range.start, parse_lsn(entry["Start-LSN"].text()));
        HF_TRY(range.end, parse_lsn(entry["End-LSN"].text()));
        constexpr std::uint64_t k_range_max = std::uint64_t(1) << 44;
        if (timeline == 0 || timeline > UINT32_MAX || range.end < range.start || range.end - range.start > k_range_max)
            return corrupt("a range of the write-ahead log is none");
        range.timeline = static_cast<std::uint32_t>(timeline);
        manifest.wal.push_back(range);
    }
    if (manifest.wal.empty()) return corrupt("it does not say which write-ahead log it needs");
    return manifest;
}

std::vector<std::string> compare_backup(const BackupManifest& manifest, const BackupFiles& found,
                                        std::size_t told_max) {
    std::vector<std::string> differences;
    std::size_t more = 0;
    const auto tell = [&](std::string sentence) {
        if (differences.size() < told_max)
            differences.push_back(std::move(sentence));
        else
            ++more;
    };
    for (const auto& [path, file] : manifest.files) {
        const auto there = found.find(path);
        if (there == found.end())
            tell(fmt::format("{} is missing", path));
        else if (there->second.size != file.size)
            tell(fmt::format("{} has {} bytes instead of {}", path, there->second.size, file.size));
        else if (there->second.crc != file.crc)
            tell(fmt::format("{} has another content", path));
    }
    for (const auto& [path, file] : found)
        if (!manifest.files.contains(path) && !path.starts_with("pg_wal/") && path != "backup_manifest")
            tell(fmt::format("{} is in no manifest", path));
    if (more > 0) differences.push_back(fmt::format("and {} more", more));
    return differences;
}

std::vector<std::string> wal_segments(const std::vector<WalRange>& ranges, std::uint64_t segment_size) {
    std::vector<std::string> names;
    if (segment_size == 0) return names;
    const std::uint64_t per_high = (std::uint64_t(1) << 32) / segment_size;
    for (const WalRange& range : ranges) {
        // An end on a boundary is the first byte of a segment that is not needed.
        const std::uint64_t last =
            range.end > range.start ? (range.end - 1) / segment_size : range.start / segment_size;
        for (std::uint64_t number = range.start / segment_size; number <= last; ++number) {
            std::string name = fmt::format("{:08X}{:08X}{:08X}", range.timeline, number / per_high, number % per_high);
            if (names.empty() || names.back() != name) names.push_back(std::move(name));
        }
    }
    return names;
}

}    // namespace holdfast::source
