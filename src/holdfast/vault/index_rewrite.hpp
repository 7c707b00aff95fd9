#pragma once
// The index made anew: from what is known about packs to index files, and from packs back to what they hold.
//
//   order    all new index files are durable before an old one goes; a kill between leaves some packs named twice,
//            which is harmless
//   errors   corrupt, naming the pack
//   source   docs/formats/vault.md sections 6, 7 and 15

#include <vector>

#include "holdfast/vault/repository.hpp"

namespace holdfast::vault {

/// The table at the end of a pack of `size` bytes. Fits exactly: its sum is the file's size.
Result<std::vector<format::PackedBlob>> read_pack_table(const Repository& repository, const Id& pack,
                                                        std::uint64_t size);

/// Writes index files that name exactly `packs` (those without blobs are left out), then removes every other index file.
/// The repository's own index is loaded anew. Needs the exclusive lock. Returns how many files were written.
Result<std::size_t> replace_index(Repository& repository, const RepositoryLock& lock,
                                  std::vector<format::IndexPack> packs);

}    // namespace holdfast::vault
