#pragma once
// Where instances agree on who trades an account: a lease that ends by itself, with a fencing token that only grows.
//
//   promises   no two tokens of one account are alive at once, by the store's own clock; a token is never given twice and
//              each is larger than all before it, also after the store was restored from a backup or lost its last writes in a failover
//              (as long as its clock goes forward)
//   errors     unreachable, denied, store as the store says; nothing was decided then, or it was and the answer is lost: ask again
//   threads    one at a time
//   source     watch/lease.hpp says when to ask; docs/decisions/0017

#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "holdfast/db/postgres.hpp"
#include "holdfast/watch/lease.hpp"

namespace holdfast::trade {

using watch::FencingToken;

struct LeaseGrant {
    FencingToken token = 0;
    Duration ttl{};    // from a moment between asking and hearing
    /// Of a new lease: the token that was granted last before it; nothing when the store cannot swear to it (no row, or its
    /// database has been set back or has failed over since).
    std::optional<FencingToken> previous = std::nullopt;
};
struct LeaseHeld {
    std::string holder;    // empty: nobody has it any more
    Timestamp until;    // by the store's clock, for people
    Duration left{};
};
using LeaseAnswer = std::variant<LeaseGrant, LeaseHeld>;

class LeaseStore {
public:
    virtual ~LeaseStore() = default;
    /// A new lease with a new token, if nobody has an unexpired one. `own` is a token that this caller was granted before and
    /// whose user has certainly ended (the journal's last one, once the journal is locked): that lease is taken over at once.
    virtual Result<LeaseAnswer> acquire(std::optional<FencingToken> own) = 0;
    /// The same token for another ttl. LeaseHeld: it is not ours any more.
    virtual Result<LeaseAnswer> renew(FencingToken token) = 0;
    /// Ends it now. Not ours any more: nothing to do.
    virtual Status release(FencingToken token) = 0;
    /// "none", "postgres holdfast@db1:5432/holdfast"
    virtual std::string name() const = 0;
};

struct LeaseOptions {
    std::string account;
    std::string holder;    // instance and host, for people: the token tells holders apart
    Duration ttl = std::chrono::seconds(10);
};

/// One row an account in the table holdfast_lease, made when it is not there. Connects when it is first asked, and again after
/// a failure. An answer is waited for ttl / 4 at most.
std::unique_ptr<LeaseStore> open_postgres_lease(db::PostgresAccess access, LeaseOptions options);

/// For one instance only: always granted. Its tokens are the clock's milliseconds, and larger than all before.
std::unique_ptr<LeaseStore> no_lease(const Clock& clock);

}    // namespace holdfast::trade
