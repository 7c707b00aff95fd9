#include "holdfast/source/postgres_rights.hpp"

#include <fmt/core.h>

#include <algorithm>

namespace holdfast::source {
namespace {

constexpr std::size_t k_named_max = 20;

Result<MissingRights> missing_in(db::PostgresConnection& connection, const PostgresScope& scope) {
    MissingRights missing;
    std::string within;
    if (scope.partial()) {
        HF_TRY(const PostgresChoice choice, choose_tables(connection, scope));
        std::string schemas;
        for (const std::string& schema : choice.schemas)
            schemas += (schemas.empty() ? "" : ", ") + db::quote_literal(schema);
        const std::string oids = db::quote_literal(choice.oids()) + "::oid[]";
        // With the sequences that belong to the tables.
        within = scope.tables.empty()
                     ? fmt::format("n.nspname IN ({}) AND ", schemas.empty() ? "NULL" : schemas)
                     : fmt::format(
                           "(c.oid = ANY({0}) OR c.oid IN (SELECT objid FROM pg_depend WHERE classid = "
                           "'pg_class'::regclass AND refobjid = ANY({0}) AND deptype IN ('a', 'i'))) AND ",
                           oids);
    }
    HF_TRY(const auto me, connection.query("SELECT current_user"));
    const std::string role = db::quote_identifier(me[0].text(0));
    HF_TRY(const auto closed,
           connection.query(
               "SELECT n.nspname || '.' || c.relname, row_security_active(c.oid), NOT has_schema_privilege(n.oid, "
               "'USAGE') OR (c.relkind <> 'v' AND NOT has_table_privilege(c.oid, 'SELECT')) "
               "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
               "WHERE " +
               within +
               "c.relkind IN ('r', 'p', 'm', 'S', 'v') AND c.relpersistence <> 't' "
               "AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' "
               "AND ((c.relkind <> 'v' AND NOT has_table_privilege(c.oid, 'SELECT')) "
               "OR NOT has_schema_privilege(n.oid, 'USAGE') OR row_security_active(c.oid)) ORDER BY 1"));
    bool select = false, row_security = false;
    for (std::size_t i = 0; i < closed.size(); ++i) {
        row_security |= closed[i].boolean(1);
        select |= closed[i].boolean(2);
        if (i < k_named_max)
            missing.what += fmt::format("{}{}{}", i == 0 ? "" : ", ", closed[i].text(0),
                                        closed[i].boolean(1) ? " (row-level security)" : "");
    }
    if (closed.size() > k_named_max) missing.what += fmt::format(" and {} more", closed.size() - k_named_max);
    HF_TRY(const auto objects,
           connection.query(
               "SELECT count(*) FROM pg_largeobject_metadata m WHERE NOT pg_has_role(m.lomowner, 'USAGE') AND NOT "
               "(SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AND NOT EXISTS (SELECT FROM "
               "aclexplode(m.lomacl) a WHERE a.privilege_type = 'SELECT' AND (a.grantee = 0 OR "
               "pg_has_role(a.grantee, 'USAGE')))"));
    const auto count = scope.partial() ? 0 : objects[0].integer(0);
    if (count != 0) missing.what += fmt::format("{}{} large objects", missing.what.empty() ? "" : ", ", count);

    if (select && connection.server_major() >= 14)
        missing.remedies.push_back(fmt::format("GRANT pg_read_all_data TO {};", role));
    else if (select)
        missing.remedies.push_back(fmt::format(
            "DO $$ DECLARE s name; BEGIN FOR s IN SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND "
            "nspname <> 'information_schema' LOOP EXECUTE format('GRANT USAGE ON SCHEMA %1$I TO {0}; GRANT "
            "SELECT ON ALL TABLES IN SCHEMA %1$I TO {0}; GRANT SELECT ON ALL SEQUENCES IN SCHEMA %1$I TO {0}', "
            "s); END LOOP; END $$;",
            role));
    if (row_security) missing.remedies.push_back(fmt::format("ALTER ROLE {} BYPASSRLS;", role));
    if (count != 0)
        missing.remedies.push_back(fmt::format(
            "DO $$ BEGIN EXECUTE (SELECT 'GRANT SELECT ON LARGE OBJECT ' || string_agg(oid::text, ', ') || ' TO "
            "{}' FROM pg_largeobject_metadata); END $$;",
            role));
    return missing;
}

}    // namespace

Result<std::vector<std::pair<std::string, MissingRights>>> find_missing_rights(
    const db::PostgresAccess& access, const std::vector<std::string>& databases, const PostgresScope& scope) {
    std::vector<std::pair<std::string, MissingRights>> found;
    for (const std::string& database : databases) {
        auto connection = access.connect(database);
        if (!connection && connection.error().message.find("permission denied for database") != std::string::npos) {
            found.push_back({database,
                             {"anything (no right to connect)",
                              {fmt::format("GRANT CONNECT ON DATABASE {} TO {};", db::quote_identifier(database),
                                           db::quote_identifier(access.address.user))}}});
            continue;
        }
        if (!connection) return fail(std::move(connection).error());
        HF_TRY(auto missing, missing_in(*connection, scope));
        found.emplace_back(database, std::move(missing));
    }
    return found;
}

Status check_rights(const std::vector<std::pair<std::string, MissingRights>>& found) {
    std::string what, remedies;
    std::vector<std::string> told;
    for (const auto& [database, missing] : found) {
        if (missing.what.empty()) continue;
        what += fmt::format("{}in database {}: {}", what.empty() ? "" : "; ", database, missing.what);
        for (const std::string& remedy : missing.remedies) {
            // A role's own rights hold everywhere; what a DO block grants, in its database only.
            const bool here = remedy.starts_with("DO ");
            if (!here && std::ranges::find(told, remedy) != told.end()) continue;
            told.push_back(remedy);
            remedies += fmt::format("\n    {}{}",
                                    here ? fmt::format("\\c {}\n    ", db::quote_identifier(database)) : "", remedy);
        }
    }
    if (what.empty()) return {};
    return fail(ErrorCode::denied, "the backup role may not read " + what,
                "in psql, as a superuser, then run the backup again:" + remedies);
}

}    // namespace holdfast::source
