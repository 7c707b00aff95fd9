#include "holdfast/db/duckdb_file.hpp"

#include <fmt/core.h>

#include <algorithm>

namespace holdfast::db {
namespace {

constexpr std::size_t k_header_size = 4096;
constexpr std::uint64_t k_storage_version_min = 64;
constexpr std::uint32_t k_block_size_min = 16384, k_block_size_max = 262144;

// The last one to seven bytes of an input, as Murmur mixes its tail.
std::uint64_t tail_checksum(ByteView tail) {
    constexpr std::uint64_t m = 0xc6a4a7935bd1e995, seed = 0xe17a1465;
    std::uint64_t word = 0;
    std::memcpy(&word, tail.data(), tail.size());
    std::uint64_t h = (seed ^ (tail.size() * m)) ^ word;
    h *= m;
    h ^= h >> 47;
    h *= m;
    return h ^ (h >> 47);
}

bool checksum_holds(ByteView header) {
    return load_le<std::uint64_t>(header.data()) == duckdb_checksum(header.subspan(8));
}

std::string text_until_nul(ByteView bytes) {
    const std::string_view text = as_text(bytes);
    return std::string(text.substr(0, text.find('\0')));
}

}    // namespace

std::uint64_t duckdb_checksum(ByteView bytes) {
    std::uint64_t sum = 5381;
    std::size_t at = 0;
    for (; at + 8 <= bytes.size(); at += 8) sum ^= load_le<std::uint64_t>(bytes.data() + at) * 0xbf58476d1ce4e5b9;
    if (at < bytes.size()) sum ^= tail_checksum(bytes.subspan(at));
    return sum;
}

bool looks_like_duckdb(ByteView start) { return start.size() >= 12 && as_text(start.subspan(8, 4)) == "DUCK"; }

Result<DuckDbHeaders> parse_duckdb_headers(ByteView bytes, std::string_view path) {
    if (!looks_like_duckdb(bytes))
        return fail(ErrorCode::corrupt, fmt::format("{} is not a DuckDB database file", path),
                    "check the path in [[duckdb]]; if it is right, the start of the file is damaged: restore it");
    if (bytes.size() < k_duckdb_headers_size)
        return fail(ErrorCode::corrupt, fmt::format("{} ends inside its headers", path), "restore it from a backup");

    DuckDbHeaders result;
    const ByteView main = bytes.first(k_header_size);
    result.storage_version = load_le<std::uint64_t>(main.data() + 12);
    if (result.storage_version < k_storage_version_min)
        return fail(ErrorCode::unsupported,
                    fmt::format("{} has storage version {}, from before DuckDB 0.10", path, result.storage_version),
                    "EXPORT DATABASE with the DuckDB that made it, IMPORT DATABASE with a current one");
    if (load_le<std::uint64_t>(main.data() + 20) & 1)
        return fail(ErrorCode::unsupported, fmt::format("{} is encrypted, so a copy of it cannot be checked", path),
                    "keep the database plain (the vault is encrypted), or back up an EXPORT DATABASE of it as files");
    if (!checksum_holds(main))
        return fail(ErrorCode::corrupt, fmt::format("the checksum of {}'s main header does not hold", path),
                    "restore it from a backup");

    const ByteView first = bytes.subspan(k_header_size, k_header_size);
    const ByteView second = bytes.subspan(2 * k_header_size, k_header_size);
    // DuckDB opens a file only when both hold, whichever is current.
    if (!checksum_holds(first) || !checksum_holds(second))
        return fail(ErrorCode::corrupt, fmt::format("the checksum of a database header of {} does not hold", path),
                    "restore it from a backup");
    const std::uint64_t first_iteration = load_le<std::uint64_t>(first.data() + 8);
    const std::uint64_t second_iteration = load_le<std::uint64_t>(second.data() + 8);
    const ByteView current = first_iteration > second_iteration ? first : second;
    result.iteration = std::max(first_iteration, second_iteration);
    result.root = load_le<std::uint64_t>(current.data() + 16);
    result.block_count = load_le<std::uint64_t>(current.data() + 32);
    // Files of DuckDB before 1.1 have nothing here: the size was fixed.
    std::uint64_t block_size = load_le<std::uint64_t>(current.data() + 40);
    if (block_size == 0) block_size = k_block_size_max;
    if (block_size < k_block_size_min || block_size > k_block_size_max || !std::has_single_bit(block_size))
        return fail(ErrorCode::corrupt, fmt::format("{} names a block size of {}", path, block_size),
                    "restore it from a backup");
    result.block_size = static_cast<std::uint32_t>(block_size);

    result.library_version = text_until_nul(main.subspan(52, 32));
    if (result.storage_version >= 67) result.database_id = to_hex(main.subspan(124, 16));
    return result;
}

}    // namespace holdfast::db
