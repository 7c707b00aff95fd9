#include <fmt/core.h>

#include <charconv>

#include "holdfast/trade/lease.hpp"

namespace holdfast::trade {
namespace {

// clock_timestamp(), because now() stands still inside a statement that waits for another's row lock.
// A token is at least the clock's milliseconds: a database that was set back to an older state then gives none twice, and
// none that is older than what the stores have seen.
constexpr const char* k_make = R"(
CREATE TABLE IF NOT EXISTS holdfast_lease (
    account text PRIMARY KEY, holder text NOT NULL, token bigint NOT NULL, expires_at timestamptz NOT NULL,
    previous bigint, history text NOT NULL))";
// `history` names the line of writes that the row is in: a standby that is promoted, or a backup that is brought back, may
// have lost grants, and begins a new timeline or is another system. Then the row does not know who had the lease last.
constexpr const char* k_acquire = R"(
INSERT INTO holdfast_lease AS l (account, holder, token, expires_at, history)
SELECT $1, $2, (extract(epoch FROM clock_timestamp()) * 1000)::bigint, clock_timestamp() + $3::interval,
       system_identifier || '/' || left(pg_walfile_name(pg_current_wal_lsn()), 8)
FROM pg_control_system()
ON CONFLICT (account) DO UPDATE
SET holder = excluded.holder,
    token = greatest(l.token + 1, (extract(epoch FROM clock_timestamp()) * 1000)::bigint),
    expires_at = clock_timestamp() + $3::interval,
    previous = CASE WHEN l.history = excluded.history THEN l.token END,
    history = excluded.history
WHERE l.expires_at <= clock_timestamp() OR l.token = nullif($4, '')::bigint
RETURNING token, coalesce(previous, 0))";
constexpr const char* k_renew = R"(
UPDATE holdfast_lease SET expires_at = clock_timestamp() + $3::interval
WHERE account = $1 AND token = $2::bigint AND expires_at > clock_timestamp() RETURNING token)";
constexpr const char* k_who = R"(
SELECT holder, (extract(epoch FROM expires_at) * 1000)::bigint,
       (extract(epoch FROM expires_at - clock_timestamp()) * 1000)::bigint
FROM holdfast_lease WHERE account = $1 AND expires_at > clock_timestamp())";
constexpr const char* k_release = R"(
UPDATE holdfast_lease SET expires_at = clock_timestamp()
WHERE account = $1 AND token = $2::bigint AND expires_at > clock_timestamp())";

class PostgresLease final : public LeaseStore {
public:
    PostgresLease(db::PostgresAccess access, LeaseOptions options)
        : access_(std::move(access)),
          options_(std::move(options)),
          interval_(fmt::format("{} microseconds",
                                std::chrono::duration_cast<std::chrono::microseconds>(options_.ttl).count())) {
        access_.address.connect_timeout = std::min(access_.address.connect_timeout, options_.ttl / 4);
    }

    Result<LeaseAnswer> acquire(std::optional<FencingToken> own) override {
        HF_TRY(const auto rows, ask(k_acquire, {options_.account, options_.holder, interval_,
                                                own ? std::to_string(*own) : std::string()}));
        if (rows.empty()) return who();
        LeaseGrant grant = granted(rows);
        if (rows[0].integer(1) != 0) grant.previous = static_cast<FencingToken>(rows[0].integer(1));
        return grant;
    }

    Result<LeaseAnswer> renew(FencingToken token) override {
        HF_TRY(const auto rows, ask(k_renew, {options_.account, std::to_string(token), interval_}));
        if (rows.empty()) return who();
        return granted(rows);
    }

    Status release(FencingToken token) override {
        HF_DO(ask(k_release, {options_.account, std::to_string(token)}));
        return {};
    }

    std::string name() const override { return "postgres " + access_.address.text(); }

private:
    LeaseGrant granted(const db::PostgresRows& rows) const {
        return {static_cast<FencingToken>(rows[0].integer(0)), options_.ttl};
    }

    Result<LeaseAnswer> who() {
        HF_TRY(const auto rows, ask(k_who, {options_.account}));
        if (rows.empty()) return LeaseHeld{};    // it has ended in between
        return LeaseHeld{rows[0].text(0), Timestamp{rows[0].integer(1) * 1'000'000},
                         std::chrono::milliseconds(rows[0].integer(2))};
    }

    Status connect() {
        HF_TRY(auto connection, access_.connect(access_.address.database));
        connection.answer_within(options_.ttl / 4);
        // A grant that a crash of the server forgets would be one that the next one does not know of.
        HF_DO(
            connection.query("SELECT set_config('synchronous_commit', 'on', false) "
                             "WHERE current_setting('synchronous_commit') = 'off'"));
        // Asked first: a role that may not create tables can use one that was made for it.
        HF_TRY(const auto rows, connection.query("SELECT to_regclass('holdfast_lease') IS NOT NULL"));
        if (!rows.at(0).boolean(0)) {
            // Two that make it at once: one gets an error from the catalogue, and finds the table made.
            const auto made = connection.execute(k_make);
            HF_TRY(const auto again, connection.query("SELECT to_regclass('holdfast_lease') IS NOT NULL"));
            if (!again.at(0).boolean(0)) {
                if (made) return fail(ErrorCode::store, "the table holdfast_lease could not be made");
                Error error = made.error();
                error.hint =
                    "let this role create tables in its schema, or make holdfast_lease for it: "
                    "docs/operations/trade-intake.md";
                return fail(std::move(error).within("making the table of leases"));
            }
        }
        connection_ = std::move(connection);
        return {};
    }

    Result<db::PostgresRows> ask(const char* sql, const std::vector<std::string>& parameters) {
        if (!connection_) HF_DO(connect());
        auto rows = connection_->query(sql, parameters);
        if (!rows) connection_.reset();
        return rows;
    }

    db::PostgresAccess access_;
    const LeaseOptions options_;
    const std::string interval_;
    std::optional<db::PostgresConnection> connection_;
};

}    // namespace

std::unique_ptr<LeaseStore> open_postgres_lease(db::PostgresAccess access, LeaseOptions options) {
    return std::make_unique<PostgresLease>(std::move(access), std::move(options));
}

}    // namespace holdfast::trade
