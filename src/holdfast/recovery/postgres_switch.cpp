#include "holdfast/recovery/postgres_switch.hpp"

#include <fmt/core.h>

#include <thread>

#include "holdfast/source/postgres_content.hpp"

namespace holdfast::recovery {
namespace {

using db::quote_identifier;

constexpr std::size_t k_name_max = 63;

// "trading_replaced_20261120T184222Z"; a number behind it if that is taken.
Result<std::string> aside_name(db::PostgresConnection& home, const std::string& database, Timestamp now) {
    std::string time;
    for (const char c : to_rfc3339({now.nanoseconds / 1'000'000'000 * 1'000'000'000}))
        if (c != '-' && c != ':') time += c;
    for (int attempt = 1;; ++attempt) {
        const std::string suffix = "_replaced_" + time + (attempt == 1 ? "" : fmt::format("_{}", attempt));
        std::size_t length = std::min(database.size(), k_name_max - suffix.size());
        while (length < database.size() && length > 0 && (static_cast<unsigned char>(database[length]) & 0xC0) == 0x80)
            --length;
        const std::string name = database.substr(0, length) + suffix;
        HF_TRY(const auto taken, home.query("SELECT FROM pg_database WHERE datname = $1", {name}));
        if (taken.empty()) return name;
    }
}

}    // namespace

SessionEnder::SessionEnder(db::PostgresConnection connection, std::string database)
    : connection_(std::move(connection)), thread_([this, name = std::move(database)](const std::stop_token& stop) {
          constexpr const char* k_end_sessions =
              "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()";
          while (!stop.stop_requested() && connection_.query(k_end_sessions, {name}))
              std::this_thread::sleep_for(std::chrono::milliseconds(50));
      }) {}

Result<db::PostgresConnection> connect_beside(const db::PostgresAccess& access, const std::string& avoid) {
    std::optional<Error> error;
    for (const std::string& name : {access.address.database, std::string("postgres"), std::string("template1")}) {
        if (name == avoid) continue;
        auto connection = access.connect(name);
        if (connection || connection.error().code != ErrorCode::not_found) return connection;
        if (!error) error = connection.error();
    }
    return fail(std::move(*error));
}

Result<PostgresTarget> look_at_target(const db::PostgresAccess& access, db::PostgresConnection& home,
                                      const std::string& database) {
    HF_TRY(const auto rows, home.query("SELECT datallowconn FROM pg_database WHERE datname = $1", {database}));
    PostgresTarget target;
    if (rows.empty()) return target;
    target.place = PostgresPlace::taken;
    HF_TRY(
        const auto sessions,
        home.query(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND backend_type = 'client backend' AND pid <> "
            "pg_backend_pid()",
            {database}));
    target.sessions = sessions[0].integer(0);
    if (!rows[0].boolean(0)) return target;
    HF_TRY(auto inside, access.connect(database));
    HF_TRY(const auto objects, source::count_user_objects(inside));
    if (objects == 0) target.place = PostgresPlace::empty;
    return target;
}

Result<std::string> switch_database(const db::PostgresAccess& access, const std::string& database,
                                    const std::string& beside, PostgresPlace place, bool end_sessions, Timestamp now,
                                    const WillReplace& will_replace) {
    HF_TRY(auto home, connect_beside(access, database));
    const std::string take_place =
        fmt::format("ALTER DATABASE {} RENAME TO {}", quote_identifier(beside), quote_identifier(database));
    if (place == PostgresPlace::free) {
        if (will_replace) HF_DO(will_replace({"database", database}));
        HF_DO(home.execute(take_place));
        return std::string();
    }
    HF_TRY(const std::string aside, aside_name(home, database, now));
    if (will_replace) {
        HF_TRY(const auto old, home.query("SELECT oid FROM pg_database WHERE datname = $1", {database}));
        HF_DO(will_replace({"database", database, aside, old.empty() ? std::string() : old[0].text(0)}));
    }
    std::optional<SessionEnder> ender;
    if (end_sessions) {
        HF_TRY(auto second, connect_beside(access, database));
        ender.emplace(std::move(second), database);
    }
    auto switched =
        home.execute(fmt::format("BEGIN; ALTER DATABASE {} RENAME TO {}; {}; ALTER DATABASE {} ALLOW_CONNECTIONS {}; "
                                 "COMMIT",
                                 quote_identifier(database), quote_identifier(aside), take_place,
                                 quote_identifier(aside), place == PostgresPlace::empty ? "true" : "false"));
    ender.reset();
    if (!switched) {
        if (home.sql_state() == "55006")
            return fail(
                ErrorCode::exists, fmt::format("database {} is in use: {}", database, switched.error().message),
                "end its sessions and prepared transactions, or restore with --replace, which ends the sessions");
        return fail(std::move(switched).error());
    }
    if (place != PostgresPlace::empty) return aside;
    // It was empty when we looked; a table that came since then is kept.
    HF_TRY(const auto now_there, look_at_target(access, home, aside));
    if (now_there.place != PostgresPlace::empty) return aside;
    HF_DO(home.execute("DROP DATABASE " + quote_identifier(aside)));
    return std::string();
}

}    // namespace holdfast::recovery
