#include "holdfast/source/postgres_properties.hpp"

namespace holdfast::source {
namespace {

json::Value text_or_null(const db::PostgresRow& row, std::size_t column) {
    return row.cells.at(column) ? json::Value(*row.cells[column]) : json::Value();
}

Result<json::Value> rights_of(db::PostgresConnection& connection, const std::string& oid) {
    HF_TRY(const auto rows,
           connection.query("SELECT coalesce(r.rolname, ''), a.privilege_type, a.is_grantable FROM pg_database d, "
                            "aclexplode(d.datacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee WHERE d.oid = $1::oid "
                            "ORDER BY 1, 2",
                            {oid}));
    auto rights = json::Value::array();
    for (const auto& row : rows)
        rights.push(
            json::Value::object({{"grantee", row.text(0)}, {"privilege", row.text(1)}, {"grantable", row.boolean(2)}}));
    return rights;
}

Result<json::Value> settings_of(db::PostgresConnection& connection, const std::string& oid) {
    HF_TRY(const auto rows,
           connection.query("SELECT coalesce(r.rolname, ''), c.setting FROM pg_db_role_setting s "
                            "CROSS JOIN LATERAL unnest(s.setconfig) AS c(setting) LEFT JOIN pg_roles r ON r.oid = "
                            "s.setrole WHERE s.setdatabase = $1::oid ORDER BY 1, 2",
                            {oid}));
    auto settings = json::Value::array();
    for (const auto& row : rows) {
        const std::string& setting = row.text(1);
        const std::size_t equals = std::min(setting.find('='), setting.size() - 1);
        settings.push(json::Value::object(
            {{"role", row.text(0)}, {"name", setting.substr(0, equals)}, {"value", setting.substr(equals + 1)}}));
    }
    return settings;
}

}    // namespace

Result<std::vector<PostgresDatabase>> list_databases(db::PostgresConnection& connection) {
    const int major = connection.server_major();
    const std::string locale = major >= 17   ? "d.datlocprovider, d.datlocale"
                               : major >= 15 ? "d.datlocprovider, d.daticulocale"
                                             : "'c', NULL";
    HF_TRY(const auto rows,
           connection.query("SELECT d.oid, d.datname, d.datallowconn, d.datistemplate, pg_get_userbyid(d.datdba), "
                            "pg_encoding_to_char(d.encoding), d.datcollate, d.datctype, t.spcname, d.datconnlimit, "
                            "shobj_description(d.oid, 'pg_database'), d.datacl IS NULL, " +
                            locale +
                            " FROM pg_database d JOIN pg_tablespace t ON t.oid = d.dattablespace ORDER BY d.datname"));
    std::vector<PostgresDatabase> databases;
    for (const auto& row : rows) {
        auto properties = json::Value::object({{"owner", row.text(4)},
                                               {"encoding", row.text(5)},
                                               {"collate", row.text(6)},
                                               {"ctype", row.text(7)},
                                               {"locale_provider", row.text(12)},
                                               {"icu_locale", text_or_null(row, 13)},
                                               {"tablespace", row.text(8)},
                                               {"connection_limit", row.integer(9)},
                                               {"comment", text_or_null(row, 10)}});
        json::Value rights;
        if (!row.boolean(11)) {
            HF_TRY(rights, rights_of(connection, row.text(0)));
        }
        properties.set("acl", std::move(rights));
        HF_TRY(auto settings, settings_of(connection, row.text(0)));
        properties.set("settings", std::move(settings));
        databases.push_back({row.text(1), row.boolean(2), row.boolean(3), std::move(properties)});
    }
    return databases;
}

}    // namespace holdfast::source
