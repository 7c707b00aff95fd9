#pragma once
// A tar archive as it comes: bytes in, entries out. Pure; remembers at most one block of 512 bytes.
//
//   shape     ustar headers of 512 bytes (names up to 255 with their prefix, sizes in octal or, from 8 GiB on, in base 256),
//             content padded to 512, two blocks of zeros at the end; files, folders and symbolic links, nothing else
//   errors    corrupt: a header's sum is wrong, a name leads out of the archive, an entry of another kind, data after the
//             end; the message names the archive and the byte
//   threads   one
//   source    POSIX.1-1988 ustar, and what PostgreSQL 15 writes (src/port/tar.c); docs/formats/manifest.md

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "holdfast/base/bytes.hpp"
#include "holdfast/base/clock.hpp"
#include "holdfast/base/result.hpp"

namespace holdfast::source {

struct TarEntry {
    enum class Kind { file, folder, link } kind = Kind::file;
    std::string name;    // relative, no "." and ".." parts, no '/' at the end
    std::string link_target;    // as it stands there: whoever makes the link must look at it
    std::uint64_t size = 0;    // of files
    std::uint32_t mode = 0, uid = 0, gid = 0;    // mode: permission bits
    Timestamp mtime{};
};

class TarSink {
public:
    virtual ~TarSink() = default;
    virtual Status begin(const TarEntry& entry) = 0;
    /// Content of the file that was begun last, in pieces; together exactly its size.
    virtual Status data(ByteView bytes) = 0;
    /// The file is whole. Not called for folders and links.
    virtual Status end() = 0;
};

class TarReader {
public:
    /// `what` names the archive in errors.
    explicit TarReader(std::string what) : what_(std::move(what)) {}
    /// Errors of the sink stop the reading and are returned.
    Status feed(ByteView bytes, TarSink& sink);
    /// No more will come: corrupt unless the archive's end was seen.
    Status finish() const;

private:
    Status header(TarSink& sink);
    std::unexpected<Error> corrupt(std::string_view why) const;

    std::string what_;
    std::array<std::byte, 512> block_{};
    std::size_t block_filled_ = 0;
    std::uint64_t offset_ = 0;    // of the archive
    std::uint64_t content_left_ = 0;
    std::size_t padding_left_ = 0;
    unsigned zero_blocks_ = 0;
    bool in_file_ = false;
};

/// Whether `path` stays below the folder it is joined to: relative, without empty, "." and ".." parts and NUL.
bool is_inner_path(std::string_view path);

}    // namespace holdfast::source
