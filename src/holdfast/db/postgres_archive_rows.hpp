#pragma once
// Rows put into an archive of which pg_dump was told to leave them out, as pg_dump itself would have written them.
//
//   format    pg_dump's custom archive, versions 1.12 to 1.16: WriteToc in pg_backup_archiver.c, pg_backup_custom.c
//   threads   none of its own; nothing is shared

#include <span>

#include "holdfast/db/postgres_archive.hpp"

namespace holdfast::db {

/// The rows of one table, to be added.
struct AddedRows {
    std::string oid;    // of the table
    std::string columns;    // "\"id\", \"name\"": as SQL, in the dump's encoding; empty: it has none
    std::int64_t entry = 0;    // set by add_entries; 0: the archive has them already
    std::string copy_out;    // set, too: "COPY "public"."users" ("id", "name") TO STDOUT", in the dump's encoding
};

/// The head with one entry more for each, behind all that rows need. unsupported: no such table in it.
Result<Bytes> add_entries(ByteView head_bytes, const ArchiveHead& head, std::span<AddedRows> rows);

/// The block of one table: begins, each row as COPY hands it out, ends.
class RowsBlock {
public:
    explicit RowsBlock(unsigned int_bytes) : int_bytes_(int_bytes) {}
    void begin(Bytes& to, std::int64_t entry) const;
    void row(Bytes& to, ByteView row) const;
    void end(Bytes& to) const;

private:
    const unsigned int_bytes_;
};

}    // namespace holdfast::db
