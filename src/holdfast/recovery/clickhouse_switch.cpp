#include "holdfast/recovery/clickhouse_switch.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "holdfast/db/clickhouse_text.hpp"

namespace holdfast::recovery::clickhouse {

using db::clickhouse::quoted_name;
using db::clickhouse::quoted_text;

namespace {

constexpr std::string_view k_inner_by_id = ".inner_id.";

Result<std::string> one_value(db::clickhouse::Client& client, const std::string& query) {
    HF_TRY(const auto rows, client.rows(query));
    if (rows.size() != 1 || rows[0].size() != 1) return fail(ErrorCode::store, "no answer to: " + query);
    return rows[0][0];
}

std::string rename(const Item& item, std::string_view from, std::string_view to) {
    return quoted_name(item.database, from) + " TO " + quoted_name(item.database, to);
}

Status run(const Loader& loader, const std::string& statement) {
    return loader.client.execute(statement, loader.settings);
}

Status will_replace(const Loader& loader, const Item& item, const std::string& aside) {
    const bool view = item.present.there && item.present.is_view;
    const bool empty =
        item.present.there && !view && !item.present.with_rows;    // will be dropped, and can be made again
    return loader.context.replaces({.what = view ? "view" : "table",
                                    .place = item.name,
                                    .aside = aside,
                                    .definition = view || empty ? item.present.ddl : std::string(),
                                    .database = item.database});
}

/// The rows inside a materialized view are kept as a plain table: once renamed they no longer go with the view (seen on
/// 18.16 and 26).
Result<Replaced> put_view_aside(const Loader& loader, const Item& item) {
    Replaced replaced;
    replaced.definition = item.present.shown;
    if (!item.present.inner.empty() && item.present.with_rows) {
        HF_TRY(replaced.kept_as, free_aside_name(loader, item));
    }
    HF_DO(will_replace(loader, item, replaced.kept_as));
    if (!replaced.kept_as.empty()) {
        HF_DO(run(loader, "RENAME TABLE " + rename(item, item.present.inner, replaced.kept_as)));
    }
    const bool dictionary = item.present.ddl.starts_with("CREATE DICTIONARY");
    HF_DO(run(loader, (dictionary ? "DROP DICTIONARY " : "DROP TABLE ") + quoted_name(item.database, item.name)));
    return replaced;
}

Result<bool> has_uuids(db::clickhouse::Client& client, const std::string& database) {
    HF_TRY(const auto engine,
           one_value(client, "SELECT engine FROM system.databases WHERE name = " + quoted_text(database)));
    return engine == "Atomic" || engine == "Replicated" || engine == "Overlay";
}

}    // namespace

Result<std::string> free_aside_name(const Loader& loader, const Item& item) {
    const std::string name = aside_name(item.name, loader.context.clock.now());
    HF_TRY(const auto rows,
           loader.client.rows("SELECT name FROM system.tables WHERE database = " + quoted_text(item.database)));
    const auto taken = [&](const std::string& wanted) {
        return std::ranges::any_of(rows, [&](const auto& row) { return row.size() == 1 && row[0] == wanted; });
    };
    std::string free = name;
    for (int n = 2; taken(free); ++n) free = fmt::format("{}_{}", name, n);
    return free;
}

Result<Replaced> put_aside(const Loader& loader, const Item& item) {
    if (!item.present.there) {
        HF_DO(will_replace(loader, item, {}));
        return Replaced{};
    }
    if (item.present.is_view) return put_view_aside(loader, item);
    HF_TRY(const std::string aside, free_aside_name(loader, item));
    HF_DO(will_replace(loader, item, aside));
    HF_DO(run(loader, "RENAME TABLE " + rename(item, item.name, aside)));
    return Replaced{aside, {}};
}

Result<Replaced> switch_table(const Loader& loader, const Item& item) {
    const std::string into_place = rename(item, beside_name(item.name), item.name);
    if (!item.present.there || item.present.is_view) {
        HF_TRY(auto replaced, put_aside(loader, item));
        HF_DO(run(loader, "RENAME TABLE " + into_place));
        return replaced;
    }
    HF_TRY(const std::string aside, free_aside_name(loader, item));
    HF_DO(will_replace(loader, item, aside));
    HF_DO(run(loader, "RENAME TABLE " + rename(item, item.name, aside) + ", " + into_place));
    if (item.present.with_rows) return Replaced{aside, {}};
    // It was empty when it was looked at; rows that came since are worth keeping, an empty table is not.
    HF_TRY(const auto rows, loader.client.rows("SELECT 1 FROM " + quoted_name(item.database, aside) + " LIMIT 1"));
    if (!rows.empty()) return Replaced{aside, {}};
    HF_DO(run(loader, "DROP TABLE " + quoted_name(item.database, aside)));
    return Replaced{};
}

Result<Replaced> switch_view_with_rows(const Loader& loader, const Item& item) {
    HF_TRY(auto replaced, put_aside(loader, item));
    HF_DO(attach_around(loader.client, loader.settings, item.database, item.name, item.create, beside_name(item.name)));
    return replaced;
}

Status attach_inner(db::clickhouse::Client& client, const db::clickhouse::Settings& settings,
                    const std::string& database, const std::string& name, const db::clickhouse::Create& create,
                    const std::string& inner) {
    std::string identity;
    if (inner.starts_with(k_inner_by_id)) {
        HF_TRY(
            const auto inner_uuid,
            one_value(client, fmt::format("SELECT toString(uuid) FROM system.tables WHERE database = {} AND name = {}",
                                          quoted_text(database), quoted_text(inner))));
        identity = fmt::format(" UUID {} TO INNER UUID {}", quoted_text(inner.substr(k_inner_by_id.size())),
                               quoted_text(inner_uuid));
    }
    // ATTACH does not make the inner table: it takes the one that is there.
    return client.execute("ATTACH MATERIALIZED VIEW " + quoted_name(database, name) + identity + create.rest, settings);
}

Status attach_around(db::clickhouse::Client& client, const db::clickhouse::Settings& settings,
                     const std::string& database, const std::string& name, const db::clickhouse::Create& create,
                     const std::string& rows) {
    HF_TRY(const bool uuids, has_uuids(client, database));
    std::string inner = ".inner." + name;
    if (uuids) {
        HF_TRY(const auto uuid, one_value(client, "SELECT toString(generateUUIDv4())"));
        inner = std::string(k_inner_by_id) + uuid;
    }
    HF_DO(client.execute(
        fmt::format("RENAME TABLE {} TO {}", quoted_name(database, rows), quoted_name(database, inner)), settings));
    return attach_inner(client, settings, database, name, create, inner);
}

Result<std::string> inner_without_view(db::clickhouse::Client& client, const std::string& database,
                                       const std::string& name) {
    HF_TRY(const bool uuids, has_uuids(client, database));
    const std::string tables = "SELECT name FROM system.tables WHERE database = " + quoted_text(database);
    HF_TRY(const auto found,
           client.rows(
               uuids ? tables +
                           " AND startsWith(name, '.inner_id.') AND substring(name, 11) NOT IN (SELECT toString(uuid) "
                           "FROM system.tables WHERE database = " +
                           quoted_text(database) + ")"
                     : tables + " AND name = " + quoted_text(".inner." + name)));
    if (found.size() == 1) return found[0][0];
    return fail(ErrorCode::not_found,
                fmt::format("the rows of the view {}.{} are not where they were kept", database, name),
                "look for them in the tables that begin with .inner");
}

Status make_definition(const Loader& loader, const Item& item) {
    Status made = run(loader, db::clickhouse::create_as(item.create, item.database, item.name));
    // A parser's words quote the statement, and it may hold a password.
    if (!made && made.error().message.ends_with("(code 62)"))
        return fail(made.error().code, "ClickHouse cannot read the statement (code 62)",
                    "its .sql file is in the snapshot: this server may be older than the one that was backed up");
    return made;
}

}    // namespace holdfast::recovery::clickhouse
