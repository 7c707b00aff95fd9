#pragma once
// Walks over a tar archive without unpacking it: is it whole?
//
//   contract  a value means: each header's checksum is right, each content is there, and the archive ends as tar ends it
//   errors    corrupt, with the offset; the source's own
//   source    POSIX.1-1988 ustar; pax and GNU entries are entries like any other

#include <cstdint>

#include "holdfast/plain/gzip.hpp"

namespace holdfast::plain {

struct TarFacts {
    std::uint64_t files = 0, entries = 0, bytes = 0;    // regular files, all that have a name, content of files
};
Result<TarFacts> check_tar(const ByteSource& source);

}    // namespace holdfast::plain
