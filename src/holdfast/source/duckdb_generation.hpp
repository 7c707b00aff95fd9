#pragma once
// The files in which states of a DuckDB database are kept beside it (duckdb_keeper writes them, duckdb_states reads them).
//
//   shape    NNNNNNNN.blocks: the blocks that changed since the generation before, one after the other, then a map of all blocks,
//            then a trailer. NNNNNNNN.log: frames, each with the bytes that DuckDB's log got since the frame before. A
//            generation and any number of whole commits of its log are a state
//   errors   corrupt (a checksum does not hold, or a number cannot be); those of the disk
//   threads  values only
//   source   docs/formats/duckdb.md

#include <sys/stat.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "holdfast/os/fd.hpp"
#include "holdfast/source/duckdb_live.hpp"

namespace holdfast::source {

/// Where a block of the database file lies: in the blocks file of `generation`, at index * block_size.
struct KeptBlock {
    std::uint64_t hash = 0;    // XXH64 of its bytes
    std::uint32_t generation = 0, index = 0;
    bool operator==(const KeptBlock&) const = default;
};

/// Which file the blocks were read from, and that nobody has written into it since. Equal: its blocks are those that are kept. Taken only
/// when the last write was longer ago than the clock of the file system is coarse.
struct FileIdentity {
    std::uint64_t device = 0, inode = 0, size = 0;
    std::int64_t modified = 0, changed = 0;    // ns since 1970
    bool operator==(const FileIdentity&) const = default;
    static FileIdentity of(const struct stat& status);
};

struct KeptGeneration {
    std::uint32_t number = 0;    // from 1
    Timestamp at;    // what was acknowledged by then is in it
    std::uint64_t file_bytes = 0;
    std::uint32_t block_size = 0;
    std::uint32_t stored = 0;    // blocks in its own file
    DuckDbHeaderBytes headers{};
    std::optional<FileIdentity> seen;    // nullopt: it was being written, or an earlier program kept it
    std::vector<KeptBlock> blocks;    // of the database file, in their order; the last one may be shorter

    std::uint64_t block_begin(std::size_t block) const { return headers.size() + std::uint64_t(block) * block_size; }
    std::size_t block_bytes(std::size_t block) const;
    static std::size_t block_count(std::uint64_t file_bytes, std::uint32_t block_size);
};

inline constexpr std::size_t k_generation_trailer_size = 64, k_log_frame_size = 48;

/// Map and trailer, to be put behind the stored blocks, at `offset`.
Bytes encode_generation(const KeptGeneration& generation, std::uint64_t offset);
/// `trailer`: the file's last k_generation_trailer_size bytes. Where the map begins, and how long it is.
struct MapPlace {
    std::uint64_t offset = 0, size = 0;
};
Result<MapPlace> parse_generation_trailer(ByteView trailer, std::string_view path);
Result<KeptGeneration> parse_generation(ByteView map, ByteView trailer, std::string_view path);
Result<KeptGeneration> read_generation(const std::string& path);

/// Kept blocks, read out of their files and compared with their hashes. One thread at a time.
class KeptBlockFiles {
public:
    explicit KeptBlockFiles(std::string folder) : folder_(std::move(folder)) {}
    /// `room` has block_bytes(block) bytes. not_found (its file expired), corrupt.
    Status read(const KeptGeneration& generation, std::size_t block, ByteSpan room);

private:
    const std::string folder_;
    std::map<std::uint32_t, os::Fd> files_;
};

/// One frame of a log file.
struct KeptFrame {
    Timestamp at;    // what was acknowledged by then is in the log up to here
    std::uint64_t bytes = 0;    // of its own
    std::uint64_t commits = 0;    // of the log up to here
    std::uint64_t chain = 0;    // XXH64 of its bytes, seeded with the frame's before
    std::uint64_t offset = 0;    // of its bytes in the file
};
Bytes encode_frame(const KeptFrame& frame);
/// nullopt: this is no frame.
std::optional<KeptFrame> parse_frame(ByteView bytes);
/// All whole frames; a torn one ends them. Reads no content but the last frame's, which must hold.
Result<std::vector<KeptFrame>> read_frames(const std::string& path);

/// What of the log comes behind these frames; nullopt: it does not begin with them.
std::optional<std::vector<ByteView>> rest_behind(const std::vector<KeptFrame>& frames, const db::JoinedLog& log);

/// "/srv/.holdfast/trades.duckdb" + number + ".blocks"
std::string generation_file(const std::string& folder, std::uint32_t number, std::string_view suffix);
/// There while the newest verification found damage.
inline constexpr const char* k_refused_name = "refused";
/// The number in "00000012.blocks" when it ends with `suffix`.
std::optional<std::uint32_t> generation_number(std::string_view name, std::string_view suffix);

}    // namespace holdfast::source
