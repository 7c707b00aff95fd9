#include "holdfast/recovery/postgres_globals.hpp"

#include <fmt/core.h>

#include <set>

#include "holdfast/db/postgres_script.hpp"

namespace holdfast::recovery {
namespace {

using Kind = db::GlobalStatement::Kind;

Result<std::set<std::string>> names(db::PostgresConnection& connection, const std::string& sql) {
    HF_TRY(const auto rows, connection.query(sql));
    std::set<std::string> found;
    for (const auto& row : rows) found.insert(row.text(0));
    return found;
}

json::Value list(const std::set<std::string>& names) {
    auto array = json::Value::array();
    for (const std::string& name : names) array.push(name);
    return array;
}

bool stops(const Error& error) { return error.code == ErrorCode::cancelled || error.code == ErrorCode::unreachable; }

}    // namespace

Result<json::Value> restore_globals(db::PostgresConnection& connection, std::string_view script) {
    HF_TRY(const auto statements, db::split_script(script));
    HF_TRY(const auto roles, names(connection, "SELECT rolname FROM pg_roles"));
    HF_TRY(const auto tablespaces, names(connection, "SELECT spcname FROM pg_tablespace"));
    std::set<std::string> created, kept, tablespaces_missing;
    auto warnings = json::Value::array();

    // A role without its password would be taken for an existing one by the next try: all of a role or nothing.
    std::string make_roles;
    for (const std::string& statement : statements) {
        const auto about = db::classify_global(statement);
        if (about.kind != Kind::create_role && about.kind != Kind::about_role) continue;
        if (roles.contains(about.name)) {
            kept.insert(about.name);
        } else {
            created.insert(about.name);
            make_roles += statement + '\n';
        }
    }
    if (!make_roles.empty()) {
        auto made = connection.execute("BEGIN;\n" + make_roles + "COMMIT;");
        if (!made) {
            if (!stops(made.error())) HF_DO(connection.execute("ROLLBACK"));
            return fail(std::move(made).error().within("creating the missing roles"));
        }
    }
    for (const std::string& statement : statements) {
        const auto about = db::classify_global(statement);
        if (about.kind != Kind::membership && about.kind != Kind::create_tablespace &&
            about.kind != Kind::about_tablespace)
            continue;
        const bool tablespace = about.kind != Kind::membership;
        if (tablespace && (tablespaces.contains(about.name) || tablespaces_missing.contains(about.name))) continue;
        auto done = connection.execute(statement);
        if (done) continue;
        if (stops(done.error())) return fail(std::move(done).error());
        if (about.kind == Kind::create_tablespace) tablespaces_missing.insert(about.name);
        warnings.push(done.error().message);
    }
    return json::Value::object({{"roles_created", list(created)},
                                {"roles_kept", list(kept)},
                                {"tablespaces_missing", list(tablespaces_missing)},
                                {"warnings", std::move(warnings)}});
}

}    // namespace holdfast::recovery
