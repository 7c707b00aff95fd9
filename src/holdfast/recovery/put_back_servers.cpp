// What a restore replaced inside servers, put back by renames: databases of PostgreSQL, tables and views of ClickHouse.

#include <fmt/core.h>

#include "holdfast/db/clickhouse_text.hpp"
#include "holdfast/recovery/clickhouse_switch.hpp"
#include "holdfast/recovery/postgres_switch.hpp"
#include "holdfast/recovery/put_back.hpp"
#include "holdfast/source/store_access.hpp"

namespace holdfast::recovery {
namespace {

using db::quote_identifier;
using db::clickhouse::quoted_name;
using db::clickhouse::quoted_text;

Result<std::string> oid_of(db::PostgresConnection& home, const std::string& database) {
    HF_TRY(const auto rows, home.query("SELECT oid FROM pg_database WHERE datname = $1", {database}));
    return rows.empty() ? std::string() : rows[0].text(0);
}

std::string rename_database(const std::string& from, const std::string& to) {
    return fmt::format("ALTER DATABASE {} RENAME TO {}; ", quote_identifier(from), quote_identifier(to));
}

// A table or view as it is now.
struct Standing {
    bool there = false, is_view = false, with_rows = false;
    std::string inner;
};

class Tables {
public:
    Tables(db::clickhouse::Client& client, db::clickhouse::Settings settings, const Replacement& one)
        : client_(client), settings_(std::move(settings)), one_(one) {}

    Result<Standing> look(const std::string& name) {
        Standing now;
        HF_TRY(const auto all, source::clickhouse::list_tables(client_, one_.database));
        for (const auto& table : all) {
            if (table.name != name) continue;
            now.there = true;
            now.inner = table.inner;
            now.is_view = table.engine.ends_with("View") || table.engine == "Dictionary";
            if (!now.is_view || !now.inner.empty()) {
                HF_TRY(const auto rows,
                       client_.rows("SELECT 1 FROM " + quoted_name(one_.database, table.holder()) + " LIMIT 1"));
                now.with_rows = !rows.empty();
            }
        }
        return now;
    }
    Result<std::string> definition() { return source::clickhouse::show_create(client_, one_.database, one_.place); }
    Status run(const std::string& statement) { return client_.execute(statement, settings_); }
    std::string at(const std::string& name) const { return quoted_name(one_.database, name); }

    /// What stands at the place goes to `undone`, rows and all; a view without rows only goes: the snapshot has its definition.
    Status clear_place(const Standing& now) {
        if (!now.there) return {};
        if (!now.is_view) return run(fmt::format("RENAME TABLE {} TO {}", at(one_.place), at(one_.undone)));
        if (!now.inner.empty() && now.with_rows)
            HF_DO(run(fmt::format("RENAME TABLE {} TO {}", at(now.inner), at(one_.undone))));
        HF_TRY(const std::string ddl, definition());
        return run((ddl.starts_with("CREATE DICTIONARY") ? "DROP DICTIONARY " : "DROP TABLE ") + at(one_.place));
    }
    Status make(const std::string& definition) {
        HF_TRY(const auto create, db::clickhouse::parse_create(definition));
        return run(db::clickhouse::create_as(create, one_.database, one_.place));
    }
    Status make_around(const std::string& definition, const std::string& rows) {
        HF_TRY(const auto create, db::clickhouse::parse_create(definition));
        return clickhouse::attach_around(client_, settings_, one_.database, one_.place, create, rows);
    }

    Status table_back() {
        HF_TRY(const Standing kept, look_if_named(one_.aside));
        HF_TRY(const Standing now, look(one_.place));
        HF_TRY(const Standing undone, look(one_.undone));
        if (kept.there) {
            if (!now.there || now.is_view) {
                HF_DO(clear_place(now));
                return run(fmt::format("RENAME TABLE {} TO {}", at(one_.aside), at(one_.place)));
            }
            return run(fmt::format("RENAME TABLE {} TO {}, {} TO {}", at(one_.place), at(one_.undone), at(one_.aside),
                                   at(one_.place)));
        }
        if (undone.there) return one_.definition.empty() || now.there ? Status() : make(one_.definition);
        // Never replaced: the old one is still there.
        if (!one_.aside.empty() && (one_.definition.empty() || !now.with_rows)) return {};
        HF_DO(clear_place(now));
        return one_.definition.empty() ? Status() : make(one_.definition);
    }

    /// `definition` is the partition's ID. The restored rows are copied to `undone` first: hard links, no row is read.
    Status partition_back() {
        HF_TRY(const Standing kept, look_if_named(one_.aside));
        if (!one_.aside.empty() && !kept.there) return {};    // back already, or never replaced
        HF_TRY(const Standing undone, look(one_.undone));
        const std::string live = at(one_.place), id = quoted_text(one_.definition);
        if (!undone.with_rows) {
            HF_TRY(const std::string ddl, definition());
            HF_TRY(auto create, db::clickhouse::parse_create(ddl));
            create.rest = db::clickhouse::without_replication(create.rest).rest;
            HF_DO(run("DROP TABLE IF EXISTS " + at(one_.undone)));
            HF_DO(run(db::clickhouse::create_as(create, one_.database, one_.undone)));
            HF_DO(run(fmt::format("ALTER TABLE {} ATTACH PARTITION ID {} FROM {}", at(one_.undone), id, live)));
        }
        if (one_.aside.empty()) return run(fmt::format("ALTER TABLE {} DROP PARTITION ID {}", live, id));
        HF_DO(run(fmt::format("ALTER TABLE {} REPLACE PARTITION ID {} FROM {}", live, id, at(one_.aside))));
        return run("DROP TABLE " + at(one_.aside));
    }

    Status view_back() {
        HF_TRY(const Standing kept, look_if_named(one_.aside));
        HF_TRY(const Standing now, look(one_.place));
        if (!one_.aside.empty() && !kept.there) {
            if (now.there) return {};    // back already, or never replaced
            HF_TRY(const auto create, db::clickhouse::parse_create(one_.definition));
            HF_TRY(const std::string inner, clickhouse::inner_without_view(client_, one_.database, one_.place));
            return clickhouse::attach_inner(client_, settings_, one_.database, one_.place, create, inner);
        }
        if (!kept.there && now.there) {
            HF_TRY(const std::string ddl, definition());
            if (ddl == one_.definition) return {};    // back already, or never replaced
        }
        HF_DO(clear_place(now));
        return kept.there ? make_around(one_.definition, one_.aside) : make(one_.definition);
    }

private:
    Result<Standing> look_if_named(const std::string& name) { return name.empty() ? Standing{} : look(name); }

    db::clickhouse::Client& client_;
    const db::clickhouse::Settings settings_;
    const Replacement& one_;
};

}    // namespace

Status put_back_database(const policy::PostgresConfig& config, const Replacement& one) {
    HF_TRY(const auto access, source::postgres_access(config));
    HF_TRY(auto home, connect_beside(access, one.place));
    HF_TRY(const std::string now, oid_of(home, one.place));
    HF_TRY(const std::string kept, oid_of(home, one.aside));
    HF_TRY(const std::string undone, oid_of(home, one.undone));
    if (!one.identity.empty() && now == one.identity) return {};    // back already, or never replaced
    const bool make_empty = !one.aside.empty() && kept.empty();    // an empty one was dropped
    if (now.empty() && kept.empty() && !(make_empty && !undone.empty())) return {};
    if (!now.empty() && !undone.empty()) {
        if (kept.empty()) return {};    // made anew after it was put back
        return fail(ErrorCode::exists, fmt::format("database {} is there already", one.undone),
                    "rename it, then undo again");
    }
    std::string script = "BEGIN; ";
    if (!now.empty())
        script += rename_database(one.place, one.undone) +
                  fmt::format("ALTER DATABASE {} ALLOW_CONNECTIONS false; ", quote_identifier(one.undone));
    if (!kept.empty())
        script += rename_database(one.aside, one.place) +
                  fmt::format("ALTER DATABASE {} ALLOW_CONNECTIONS true; ", quote_identifier(one.place));
    {
        std::optional<SessionEnder> ender;
        if (!now.empty()) {
            HF_TRY(auto second, connect_beside(access, one.place));
            ender.emplace(std::move(second), one.place);
        }
        HF_DO(home.execute(script + "COMMIT"));
    }
    return make_empty ? home.execute("CREATE DATABASE " + quote_identifier(one.place)) : Status();
}

Status drop_kept_database(const policy::PostgresConfig& config, const std::string& name) {
    if (name.find("_replaced_") == std::string::npos && name.find("_undone_") == std::string::npos)
        return fail(ErrorCode::corrupt, fmt::format("{} is no name under which a restore keeps a database", name),
                    "look at it, and drop it yourself");
    HF_TRY(const auto access, source::postgres_access(config));
    HF_TRY(auto home, connect_beside(access, name));
    return home.execute("DROP DATABASE IF EXISTS " + quote_identifier(name));
}

Status put_back_table(const policy::ClickHouseConfig& config, const Replacement& one) {
    HF_TRY(auto client, source::clickhouse_client(config));
    HF_TRY(auto settings, clickhouse::load_settings(client));
    Tables tables(client, std::move(settings), one);
    if (one.what == "partition") return tables.partition_back();
    return one.what == "view" ? tables.view_back() : tables.table_back();
}

Status drop_kept_table(const policy::ClickHouseConfig& config, const std::string& database, const std::string& name) {
    if (name.find("__replaced_") == std::string::npos && name.find("__undone_") == std::string::npos)
        return fail(ErrorCode::corrupt, fmt::format("{} is no name under which a restore keeps a table", name),
                    "look at it, and drop it yourself");
    HF_TRY(auto client, source::clickhouse_client(config));
    return client.execute("DROP TABLE IF EXISTS " + quoted_name(database, name));
}

}    // namespace holdfast::recovery
