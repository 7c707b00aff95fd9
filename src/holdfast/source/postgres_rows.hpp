#pragma once
// Rows of large tables, which we COPY ourselves out of pg_dump's snapshot and put into its archive: between the server and the
// vault stands one process less, and a pipe.
//
//   moment    the snapshot that pg_dump uses, on a connection of its own; the caller holds the locks
//   errors    unsupported: pg_dump's archive is not one that we can add to (a pg_dump to come); the others as of a connection
//   threads   one

#include <functional>
#include <string>
#include <vector>

#include "holdfast/db/postgres_archive_rows.hpp"
#include "holdfast/source/postgres_selection.hpp"

namespace holdfast::source {

class LargeTables {
public:
    /// Those of the choice that are worth it; none is no error.
    static Result<LargeTables> find(const db::PostgresAccess& access, const std::string& database,
                                    const std::string& encoding, const std::string& snapshot,
                                    const PostgresChoice& choice);
    bool none() const { return rows_.empty(); }
    /// What pg_dump is told, so that it leaves them to us.
    std::vector<std::string> arguments() const;
    /// The archive's head with them in it.
    Result<Bytes> add_to(ByteView head_bytes, const db::ArchiveHead& head);
    /// Their blocks, in pieces. After add_to().
    Status copy(const std::function<Status(ByteView)>& sink);

private:
    explicit LargeTables(db::PostgresConnection connection) : connection_(std::move(connection)) {}
    db::PostgresConnection connection_;
    std::vector<db::AddedRows> rows_;
    std::vector<std::string> quoted_;    // of the tables, as pg_dump takes them
    unsigned int_bytes_ = 4;
};

}    // namespace holdfast::source
