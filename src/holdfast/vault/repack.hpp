#pragma once
// Blobs out of some packs into new ones, under the same key: read in long runs, verified (seal, decompression, hash) and
// copied as they are, without being encrypted or compressed again.
//
//   order     a new pack's bytes are safe before it is handed to the index
//   memory    about 25 MiB a thread (the longest blobs twice, a run of 4 MiB, the end of a pack)
//   errors    a blob that is damaged is taken from another copy; if there is none the work stops, and nothing old has
//             been touched

#include <functional>
#include <vector>

#include "holdfast/vault/index_writer.hpp"

namespace holdfast::vault {

struct RepackOptions {
    std::uint32_t pack_size_target = 16u << 20;
    bool compress_plain = false;    // data blobs that are stored plain; trees always
    int compression_level = 1;
    std::function<void(std::uint64_t bytes)> progress;    // of blobs copied so far; from one thread at a time
};

/// Copies for each number below `count` the blobs of `pack(number)` (sorted by offset; called from several threads).
/// Returns how many packs were written.
Result<std::uint64_t> repack(Repository& repository, std::size_t count,
                             const std::function<format::IndexPack(std::size_t)>& pack, IndexWriter& index,
                             const RepackOptions& options);

}    // namespace holdfast::vault
