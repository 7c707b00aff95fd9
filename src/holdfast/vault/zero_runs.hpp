#pragma once
// Holes: runs of zeros that a file need not hold on disk.

#include <cstdint>

#include "holdfast/base/bytes.hpp"
#include "holdfast/base/result.hpp"

namespace holdfast::vault {

/// Runs shorter than this are written: a hole costs an entry in the file system's map and a seek when it is read.
inline constexpr std::size_t k_hole_min = 32u << 10;

/// Writes `bytes` at `offset` of the file, leaving out long runs of zeros. `punch`: something else may lie there, so the
/// place of a run is freed (or, where the file system cannot, written). The caller sets the file's size in the end.
Status write_with_holes(int fd, ByteView bytes, std::uint64_t offset, bool punch);

}    // namespace holdfast::vault
