#include "holdfast/source/duckdb_generation.hpp"

#include <fcntl.h>
#include <fmt/core.h>

#include <algorithm>
#include <charconv>

#include "holdfast/base/xxh64.hpp"
#include "holdfast/os/file.hpp"

namespace holdfast::source {
namespace {

constexpr std::string_view k_blocks_magic = "HFDUCKB1";
constexpr std::uint32_t k_frame_magic = 0x474c4648;    // "HFLG"
constexpr std::size_t k_entry_size = 16, k_identity_size = 40, k_number_digits = 8;
constexpr std::uint32_t k_block_size_min = 16384, k_block_size_max = 262144;

std::uint64_t map_size_without_identity(std::uint64_t file_bytes, std::uint32_t block_size) {
    return db::k_duckdb_headers_size + k_entry_size * KeptGeneration::block_count(file_bytes, block_size);
}

}    // namespace

FileIdentity FileIdentity::of(const struct stat& status) {
    const auto nanoseconds = [](const timespec& t) { return std::int64_t(t.tv_sec) * 1'000'000'000 + t.tv_nsec; };
    return {status.st_dev, status.st_ino, static_cast<std::uint64_t>(status.st_size), nanoseconds(status.st_mtim),
            nanoseconds(status.st_ctim)};
}

std::size_t KeptGeneration::block_count(std::uint64_t file_bytes, std::uint32_t block_size) {
    return file_bytes <= db::k_duckdb_headers_size
               ? 0
               : static_cast<std::size_t>((file_bytes - db::k_duckdb_headers_size + block_size - 1) / block_size);
}

std::size_t KeptGeneration::block_bytes(std::size_t block) const {
    return static_cast<std::size_t>(std::min<std::uint64_t>(block_size, file_bytes - block_begin(block)));
}

// Trailer: magic | map's offset | map's size | its XXH64 | time | file bytes | number, block size | stored | low half of the
// XXH64 of all before. The map: headers, then hash | generation | index of each block,
// then (or not) the identity of the file.
Bytes encode_generation(const KeptGeneration& generation, std::uint64_t offset) {
    Bytes out(generation.headers.begin(), generation.headers.end());
    for (const KeptBlock& block : generation.blocks) {
        append_le(out, block.hash);
        append_le(out, block.generation);
        append_le(out, block.index);
    }
    if (generation.seen) {
        for (const std::uint64_t number : {generation.seen->device, generation.seen->inode, generation.seen->size})
            append_le(out, number);
        append_le(out, generation.seen->modified);
        append_le(out, generation.seen->changed);
    }
    const std::size_t map_size = out.size();
    const std::uint64_t map_hash = xxh64(out);
    append(out, as_bytes(k_blocks_magic));
    append_le(out, offset);
    append_le(out, std::uint64_t(map_size));
    append_le(out, map_hash);
    append_le(out, generation.at.nanoseconds);
    append_le(out, generation.file_bytes);
    append_le(out, generation.number);
    append_le(out, generation.block_size);
    append_le(out, generation.stored);
    append_le(out, static_cast<std::uint32_t>(xxh64(ByteView(out).subspan(map_size))));
    return out;
}

Result<MapPlace> parse_generation_trailer(ByteView trailer, std::string_view path) {
    const auto damaged = [&] {
        return fail(ErrorCode::corrupt, fmt::format("{} does not end as a file of kept blocks", path),
                    "another state is needed; `holdfast duckdb states` lists them");
    };
    if (trailer.size() != k_generation_trailer_size || as_text(trailer.first(8)) != k_blocks_magic ||
        load_le<std::uint32_t>(trailer.data() + 60) != static_cast<std::uint32_t>(xxh64(trailer.first(60))))
        return damaged();
    const MapPlace place{load_le<std::uint64_t>(trailer.data() + 8), load_le<std::uint64_t>(trailer.data() + 16)};
    const auto file_bytes = load_le<std::uint64_t>(trailer.data() + 40);
    const auto block_size = load_le<std::uint32_t>(trailer.data() + 52);
    if (block_size < k_block_size_min || block_size > k_block_size_max || file_bytes >= std::uint64_t(1) << 50)
        return damaged();
    const std::uint64_t without = map_size_without_identity(file_bytes, block_size);
    if (place.size != without && place.size != without + k_identity_size) return damaged();
    return place;
}

Result<KeptGeneration> parse_generation(ByteView map, ByteView trailer, std::string_view path) {
    HF_TRY(const MapPlace place, parse_generation_trailer(trailer, path));
    if (map.size() != place.size || xxh64(map) != load_le<std::uint64_t>(trailer.data() + 24))
        return fail(ErrorCode::corrupt, fmt::format("the map of blocks in {} is damaged", path),
                    "another state is needed; `holdfast duckdb states` lists them");
    KeptGeneration generation;
    generation.at = {load_le<std::int64_t>(trailer.data() + 32)};
    generation.file_bytes = load_le<std::uint64_t>(trailer.data() + 40);
    generation.number = load_le<std::uint32_t>(trailer.data() + 48);
    generation.block_size = load_le<std::uint32_t>(trailer.data() + 52);
    generation.stored = load_le<std::uint32_t>(trailer.data() + 56);
    std::copy_n(map.begin(), generation.headers.size(), generation.headers.begin());
    generation.blocks.resize(KeptGeneration::block_count(generation.file_bytes, generation.block_size));
    const std::byte* at = map.data() + generation.headers.size();
    for (KeptBlock& block : generation.blocks) {
        block = {load_le<std::uint64_t>(at), load_le<std::uint32_t>(at + 8), load_le<std::uint32_t>(at + 12)};
        at += k_entry_size;
    }
    if (at != map.data() + map.size()) {
        generation.seen = {load_le<std::uint64_t>(at), load_le<std::uint64_t>(at + 8), load_le<std::uint64_t>(at + 16),
                           load_le<std::int64_t>(at + 24), load_le<std::int64_t>(at + 32)};
    }
    return generation;
}

Result<KeptGeneration> read_generation(const std::string& path) {
    HF_TRY(const os::Fd file, os::open_file(path, O_RDONLY));
    HF_TRY(const struct stat status, os::status_of(path));
    Bytes trailer(k_generation_trailer_size);
    const auto size = static_cast<std::uint64_t>(status.st_size);
    if (size < trailer.size()) trailer.clear();
    HF_TRY([[maybe_unused]] const std::size_t got, os::pread_full(file.get(), trailer, size - trailer.size()));
    HF_TRY(const MapPlace place, parse_generation_trailer(trailer, path));
    Bytes map;
    if (place.size < size) map.resize(static_cast<std::size_t>(place.size));
    HF_TRY(const std::size_t read, os::pread_full(file.get(), map, place.offset));
    return parse_generation(ByteView(map).first(read), trailer, path);
}

Status KeptBlockFiles::read(const KeptGeneration& generation, std::size_t block, ByteSpan room) {
    const KeptBlock& place = generation.blocks[block];
    auto found = files_.find(place.generation);
    if (found == files_.end()) {
        HF_TRY(os::Fd file, os::open_file(generation_file(folder_, place.generation, ".blocks"), O_RDONLY));
        found = files_.emplace(place.generation, std::move(file)).first;
    }
    HF_TRY(const std::size_t got,
           os::pread_full(found->second.get(), room, std::uint64_t(place.index) * generation.block_size));
    if (got == room.size() && xxh64(room) == place.hash) return {};
    return fail(
        ErrorCode::corrupt,
        fmt::format("block {} of {} is damaged", place.index, generation_file(folder_, place.generation, ".blocks")),
        "every state that needs it is lost: take one from the vault, `holdfast snapshots`");
}

Bytes encode_frame(const KeptFrame& frame) {
    Bytes out;
    append_le(out, k_frame_magic);
    append_le(out, std::uint32_t(0));
    append_le(out, frame.bytes);
    append_le(out, frame.at.nanoseconds);
    append_le(out, frame.commits);
    append_le(out, frame.chain);
    append_le(out, xxh64(out));
    return out;
}

std::optional<KeptFrame> parse_frame(ByteView bytes) {
    if (bytes.size() < k_log_frame_size || load_le<std::uint32_t>(bytes.data()) != k_frame_magic ||
        load_le<std::uint64_t>(bytes.data() + 40) != xxh64(bytes.first(40)))
        return std::nullopt;
    KeptFrame frame;
    frame.bytes = load_le<std::uint64_t>(bytes.data() + 8);
    frame.at = {load_le<std::int64_t>(bytes.data() + 16)};
    frame.commits = load_le<std::uint64_t>(bytes.data() + 24);
    frame.chain = load_le<std::uint64_t>(bytes.data() + 32);
    return frame;
}

Result<std::vector<KeptFrame>> read_frames(const std::string& path) {
    HF_TRY(const os::Fd file, os::open_file(path, O_RDONLY));
    HF_TRY(const struct stat status, os::status_of(path));
    const auto size = static_cast<std::uint64_t>(status.st_size);
    std::vector<KeptFrame> frames;
    Bytes head(k_log_frame_size);
    for (std::uint64_t at = 0; at + head.size() <= size;) {
        HF_TRY(const std::size_t got, os::pread_full(file.get(), head, at));
        auto frame = parse_frame(ByteView(head).first(got));
        at += head.size();
        if (!frame || frame->bytes > size - at) break;
        frame->offset = at;
        at += frame->bytes;
        frames.push_back(*frame);
    }
    // After a power failure a frame may be there without its content.
    if (!frames.empty()) {
        Bytes content(static_cast<std::size_t>(frames.back().bytes));
        HF_TRY(const std::size_t got, os::pread_full(file.get(), content, frames.back().offset));
        const std::uint64_t seed = frames.size() > 1 ? frames[frames.size() - 2].chain : 0;
        if (xxh64(ByteView(content).first(got), seed) != frames.back().chain) frames.pop_back();
    }
    return frames;
}

// The frames' hashes over the joined log's pieces, which need not end where frames do.
std::optional<std::vector<ByteView>> rest_behind(const std::vector<KeptFrame>& frames, const db::JoinedLog& log) {
    std::uint64_t size = 0;
    for (const KeptFrame& one : frames) size += one.bytes;
    if (size > log.size()) return std::nullopt;
    std::vector<ByteView> rest;
    std::uint64_t skipped = 0, chain = 0;
    std::size_t frame = 0;
    Bytes content;
    for (ByteView piece : log.pieces)
        while (!piece.empty()) {
            if (frame == frames.size()) {
                rest.push_back(piece);
                break;
            }
            const std::size_t n = std::min<std::size_t>(piece.size(), frames[frame].bytes - skipped);
            append(content, piece.first(n));
            piece = piece.subspan(n);
            skipped += n;
            while (frame < frames.size() && skipped == frames[frame].bytes) {
                chain = xxh64(content, chain);
                if (chain != frames[frame].chain) return std::nullopt;
                content.clear();
                skipped = 0;
                ++frame;
            }
        }
    return rest;
}

std::string generation_file(const std::string& folder, std::uint32_t number, std::string_view suffix) {
    return fmt::format("{}/{:08}{}", folder, number, suffix);
}

std::optional<std::uint32_t> generation_number(std::string_view name, std::string_view suffix) {
    if (!name.ends_with(suffix)) return std::nullopt;
    name.remove_suffix(suffix.size());
    std::uint32_t number = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
    if (name.size() < k_number_digits || error != std::errc() || end != name.data() + name.size() || number == 0)
        return std::nullopt;
    return number;
}

}    // namespace holdfast::source
