#pragma once
// pg_dump's archive in the custom format, read as it comes: what it holds, and the data of each entry.
//
//   head      "PGDMP", version (3 bytes), bytes of an int, bytes of an offset, format 1, compression, time (7 ints), database,
//             two versions (strings), number of entries (int), the entries
//   blocks    after the head, each: kind (byte: 1 rows, 3 large objects), entry (int), pieces (int length, bytes) until one has
//             length 0. Large objects: OID (int) and pieces, again and again, until an OID is 0
//   int       a byte that is not 0 when it is negative, then its magnitude, little endian. String: int length (-1: none), bytes
//   versions  1.12 to 1.16 (pg_dump 9.0 to 18), not compressed; others are unsupported. The format is nowhere promised: who
//             cannot read an archive must have another way
//   errors    unsupported, corrupt; nothing is believed about sizes
//   source    PostgreSQL, src/bin/pg_dump/pg_backup_archiver.c and pg_backup_custom.c
//   threads   values only

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "holdfast/base/bytes.hpp"
#include "holdfast/base/result.hpp"

namespace holdfast::db {

using EntryIds = std::set<std::int64_t>;
struct ArchiveEntry {
    enum class Section { none = 1, pre_data, data, post_data };
    std::int64_t id = 0;    // by which pg_restore's lists and the blocks name it
    std::size_t at = 0;    // where it begins in the head
    std::string oid;    // of rows: the table's
    std::string kind;    // "TABLE DATA"
    std::string schema, name, owner;    // in the encoding of the dump
    std::string copy;    // of rows: "COPY public.users (id, name) FROM stdin;\n"
    Section section = Section::none;
    std::vector<std::int64_t> needs;    // entries that come before it
};

struct ArchiveHead {
    std::size_t bytes = 0;    // where the first block begins
    int minor = 0;    // of the version 1.x
    unsigned int_bytes = 4, offset_bytes = 8;
    std::size_t count_at = 0;    // where the number of entries stands
    std::vector<ArchiveEntry> entries;
};
/// nullopt: it goes on behind these bytes.
Result<std::optional<ArchiveHead>> parse_archive_head(ByteView bytes);

/// "COPY public.users (id, name) FROM stdin;\n" in its parts. The columns are empty for a table without any.
struct CopyParts {
    std::string table, columns;    // "public.users", "(id, name)": as SQL, in the dump's encoding
};
std::optional<CopyParts> split_copy(std::string_view statement);

/// The blocks, from the place of one on.
class ArchiveBlocks {
public:
    struct Sink {
        virtual ~Sink() = default;
        virtual Status begins(std::int64_t entry, bool rows, std::uint64_t place) = 0;
        virtual Status piece(ByteView bytes) = 0;    // of rows; of large objects nothing is told
        virtual Status ends(std::uint64_t place) = 0;    // the place behind it
    };
    /// `place`: of the first byte that take() gets.
    ArchiveBlocks(unsigned int_bytes, std::uint64_t place, Sink& sink)
        : int_bytes_(int_bytes), place_(place), sink_(sink) {}
    Status take(ByteView bytes);
    /// Between two blocks: the archive may end here.
    bool between() const { return state_ == State::kind; }

private:
    enum class State { kind, entry, object, length, piece };
    Status field(ByteView bytes);

    const unsigned int_bytes_;
    std::uint64_t place_, begin_ = 0, left_ = 0;
    Sink& sink_;
    State state_ = State::kind;
    bool rows_ = false;
    std::byte open_[9];    // a field of which not all has come
    std::size_t open_size_ = 0;
};

}    // namespace holdfast::db
