#pragma once
// A restored database takes its place: both renames in one transaction, so that at any instant, a kill included, either the
// old one or the whole new one has the name.

#include <string>
#include <thread>

#include "holdfast/base/clock.hpp"
#include "holdfast/db/postgres.hpp"
#include "holdfast/recovery/replacement.hpp"

namespace holdfast::recovery {

enum class PostgresPlace {
    free,    // no database of that name
    empty,    // one without user objects
    taken,    // one with content, or closed to us
};

struct PostgresTarget {
    PostgresPlace place = PostgresPlace::free;
    std::int64_t sessions = 0;    // of clients, ours not counted
};
Result<PostgresTarget> look_at_target(const db::PostgresAccess& access, db::PostgresConnection& home,
                                      const std::string& database);

/// A connection to some database that is not one of `avoid`: the one of the address, else postgres, else template1. A
/// database cannot be renamed from inside, nor while we are in it.
Result<db::PostgresConnection> connect_beside(const db::PostgresAccess& access, const std::string& avoid);

/// RENAME locks the database against new sessions, then waits 5 s for the old ones to go: a second connection ends them
/// meanwhile. Closing the database first instead would leave it closed if we were killed in between.
class SessionEnder {
public:
    /// The connection must be to another database.
    SessionEnder(db::PostgresConnection connection, std::string database);

private:
    db::PostgresConnection connection_;
    std::jthread thread_;
};

/// Puts `beside` in the place of `database`. What was there is renamed to "<database>_replaced_<time>", closed to
/// connections and told as the result; empty when the place was free, or held an empty database (which is dropped).
/// `end_sessions`: those of the old database are ended; else sessions there are an error (exists).
/// `will_replace` may be empty.
Result<std::string> switch_database(const db::PostgresAccess& access, const std::string& database,
                                    const std::string& beside, PostgresPlace place, bool end_sessions, Timestamp now,
                                    const WillReplace& will_replace = {});

}    // namespace holdfast::recovery
