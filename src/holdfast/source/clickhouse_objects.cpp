#include "holdfast/source/clickhouse_objects.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "holdfast/base/log.hpp"
#include "holdfast/db/clickhouse_text.hpp"
#include "holdfast/source/clickhouse_catalog.hpp"

namespace holdfast::source::clickhouse {

using db::clickhouse::Client;
using db::clickhouse::quoted_name;

namespace {

// Without it the server shows no password and no key of a collection.
const db::clickhouse::Settings k_with_secrets = {{"format_display_secrets_in_show_and_select", "1"}};

struct AccessKind {
    const char *kind, *table, *word;
};
constexpr AccessKind k_access[] = {{"settings profile", "settings_profiles", "SETTINGS PROFILE"},
                                   {"role", "roles", "ROLE"},
                                   {"quota", "quotas", "QUOTA"},
                                   {"user", "users", "USER"},
                                   {"row policy", "row_policies", "ROW POLICY"}};

std::string without_end(std::string text) {
    while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
    return text;
}

// "IDENTIFIED WITH sha256_password" and nothing behind it: a user of that text would have no password, or could not be made.
bool hides_its_password(const std::string& ddl) {
    for (const std::string_view type :
         {"plaintext_password", "sha256_password", "double_sha1_password", "bcrypt_password", "scram_sha256_password"})
        for (std::size_t at = ddl.find(type); at != std::string::npos; at = ddl.find(type, at + 1))
            if (!ddl.substr(at + type.size()).starts_with(" BY ")) return true;
    return hides_secret(ddl);
}

class Lister {
public:
    Lister(Client& client, bool of_files, db::clickhouse::Settings settings)
        : client_(client), of_files_(of_files), settings_(std::move(settings)) {}

    Result<ServerObjects> run() {
        HF_DO(add("function", "functions", "origin",
                  "SELECT name, create_query FROM system.functions WHERE origin = 'SQLUserDefined' ORDER BY name"));
        HF_DO(add("named collection", "named_collections", "create_query",
                  "SELECT name, create_query FROM system.named_collections WHERE source = 'SQL' ORDER BY name"));
        for (const AccessKind& kind : k_access) HF_DO(add_access(kind));
        for (const char* kind : {"role", "user"}) HF_DO(add_grants(kind));
        return std::move(found_);
    }

private:
    // Not seeing them is no reason to have no backup of the tables; it is told.
    Status leave_out(const std::string& what, const Error& error, const char* right) {
        if (error.code != ErrorCode::denied) return fail(error.within("listing " + what));
        found_.left_out.push_back(fmt::format("{}: this user may not see them (GRANT {} ON *.*)", what, right));
        return {};
    }
    Status add(const char* kind, const char* table, const char* column, const std::string& query) {
        HF_TRY(const bool there, client_.system_has(table, column));
        if (!there) return {};
        const auto rows = client_.rows(query, settings_);
        if (!rows) return leave_out(kind + std::string("s"), rows.error(), "SHOW NAMED COLLECTIONS");
        for (const auto& row : *rows) {
            if (row.size() != 2)
                return fail(ErrorCode::store,
                            "ClickHouse answered a question about itself with a row of another width");
            keep(kind, row[0], row[1]);
        }
        return {};
    }

    Status add_access(const AccessKind& kind) {
        HF_TRY(const bool there, client_.system_has(kind.table, "storage"));
        if (!there) return {};
        const bool policy = std::string_view(kind.kind) == "row policy";
        const auto rows =
            client_.rows(fmt::format("SELECT name, storage, {} FROM system.{} ORDER BY name",
                                     policy ? "short_name, database, table" : "name, '', ''", kind.table));
        if (!rows) return leave_out(fmt::format("{}", kind.table), rows.error(), "SHOW ACCESS");
        for (const auto& row : *rows) {
            if (row.size() != 5)
                return fail(ErrorCode::store,
                            "ClickHouse answered a question about itself with a row of another width");
            // Files and directory services bring their own again.
            const bool of_files = row[1] == "users_xml" || row[1] == "users.xml";
            if (row[1].starts_with("ldap") || (of_files && !of_files_)) continue;
            const std::string name = quoted_name(row[2]) + (policy ? " ON " + quoted_name(row[3], row[4]) : "");
            auto ddl = client_.text(fmt::format("SHOW CREATE {} {} FORMAT TSVRaw", kind.word, name), settings_);
            if (!ddl) return leave_out(fmt::format("{}", kind.table), ddl.error(), "SHOW ACCESS");
            keep(kind.kind, row[0], without_end(*std::move(ddl)));
        }
        return {};
    }

    Status add_grants(const std::string& kind) {
        std::vector<std::string> names;
        for (const ServerObject& object : found_.objects)
            if (object.kind == kind) names.push_back(object.name);
        for (const std::string& name : names) {
            auto text = client_.text(fmt::format("SHOW GRANTS FOR {} FORMAT TSVRaw", quoted_name(name)), settings_);
            if (!text) return leave_out("grants", text.error(), "SHOW ACCESS");
            if (auto lines = without_end(*std::move(text)); !lines.empty())
                keep("grants", kind + " " + name, std::move(lines));
        }
        return {};
    }

    void keep(const std::string& kind, const std::string& name, std::string ddl) {
        if ((kind == "user" || kind == "named collection") && hides_its_password(ddl)) {
            found_.left_out.push_back(fmt::format("{} {}{}", kind, name, k_secrets_are_hidden));
            return;
        }
        found_.objects.push_back({kind, name, std::move(ddl)});
    }

    Client& client_;
    bool of_files_;
    db::clickhouse::Settings settings_;
    ServerObjects found_;
};

}    // namespace

Result<ServerObjects> list_objects(Client& client, bool of_files) {
    HF_TRY(auto settings, client.known(k_with_secrets));
    return Lister(client, of_files, std::move(settings)).run();
}

Status add_objects(const ServerObjects& found, vault::Backup& backup, const std::string& folder, json::Value& facts) {
    auto list = json::Value::array(), left_out = json::Value::array();
    for (const ServerObject& object : found.objects) {
        std::string kind = object.kind;
        std::ranges::replace(kind, ' ', '_');
        const std::string file =
            fmt::format("server.objects/{}/{}.sql", kind, db::clickhouse::file_name_of(object.name));
        HF_DO(backup.add_file(folder + "/" + file, as_bytes(object.ddl + "\n")));
        list.push(json::Value::object({{"kind", object.kind}, {"name", object.name}, {"file", file}}));
    }
    for (const std::string& why : found.left_out) {
        log_warning("not in the backup of ClickHouse", {{"what", why}});
        left_out.push(why);
    }
    facts.set("objects", std::move(list));
    facts.set("objects_left_out", std::move(left_out));
    return {};
}

}    // namespace holdfast::source::clickhouse
