#include "holdfast/recovery/postgres_tables.hpp"

#include <fmt/core.h>
#include <poll.h>

#include <algorithm>
#include <charconv>
#include <csignal>
#include <optional>
#include <set>
#include <thread>

#include "holdfast/db/copy_digest.hpp"
#include "holdfast/db/postgres_script.hpp"
#include "holdfast/db/postgres_tools.hpp"
#include "holdfast/db/secrets.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/os/scratch_folder.hpp"
#include "holdfast/recovery/postgres_archive.hpp"
#include "holdfast/recovery/postgres_feed.hpp"
#include "holdfast/recovery/postgres_load.hpp"
#include "holdfast/recovery/postgres_parts.hpp"
#include "holdfast/recovery/postgres_properties.hpp"
#include "holdfast/recovery/postgres_switch.hpp"
#include "holdfast/source/postgres_content.hpp"
#include "holdfast/vault/restore.hpp"

namespace holdfast::recovery {
namespace {

using db::quote_identifier;
using db::quote_literal;

struct Name {
    std::string schema, table;
    auto operator<=>(const Name&) const = default;
    std::string text() const { return schema + '.' + table; }
    std::string quoted() const { return quote_identifier(schema) + '.' + quote_identifier(table); }
};

Name name_of(const json::Value& entry) { return {entry["schema"].text(), entry["name"].text()}; }

// One table of the snapshot and where it goes.
struct Item {
    Name from, to;
    const json::Value* facts = nullptr;    // {rows, digest}
    bool partitioned = false;
    std::string parent;    // "schema.name"; empty: it is no partition, or its parent stays behind
    bool detach = false;    // a partition without its parent: it comes back as a table of its own
};

// One database of the snapshot.
struct Work {
    const json::Value* facts = nullptr;
    std::string name, beside;
    format::Node dump;
    bool there = false;    // on the server
    std::vector<Item> items;
    std::map<std::string, std::string> schemas;    // whole ones, and what they will be called; empty: single tables
    std::vector<std::string> taken;    // "auth.users": live, and in the way
    std::string in_use;    // "view desk.v looks at auth.users"
    // All that was saved of it, under its own names: it goes straight into the live database, whose types and functions a dump
    // of some tables does not hold.
    bool direct = false;
};

struct Plan {
    db::PostgresAccess access;
    std::optional<db::PostgresConnection> home;
    db::PostgresTool pg_restore, pg_dump, psql;
    std::vector<Work> works;
    std::map<std::string, std::vector<std::string>> roles;    // name to statements
    std::vector<std::string> roles_taken;
    bool passwords = false;    // of roles
    unsigned jobs = 1;    // connections that load
};

// What of this database is meant, and what it will be called.
void choose(const PostgresPick& pick, Work& work) {
    const json::Value& facts = *work.facts;
    std::map<std::string, std::string> parents;
    std::vector<Item> all;
    for (const char* list : {"partitioned_tables", "tables"})
        for (const json::Value& entry : facts[list].items()) {
            Item item;
            item.from = item.to = name_of(entry);
            item.partitioned = list == std::string_view("partitioned_tables");
            if (!item.partitioned) item.facts = &entry;
            item.parent = entry["partition_of"].text();
            parents[item.from.text()] = item.parent;
            all.push_back(std::move(item));
        }
    const auto fits = [&](const Item& item) {
        if (!pick.schemas.empty() && !source::fits_name(pick.schemas, item.from.schema)) return false;
        if (pick.tables.empty()) return true;
        // Partitions come with the table that they are parts of.
        if (source::fits_table(pick.tables, item.from.schema, item.from.table)) return true;
        for (std::string parent = item.parent; !parent.empty(); parent = parents[parent]) {
            const std::size_t dot = parent.find('.');
            if (source::fits_table(pick.tables, parent.substr(0, dot), parent.substr(dot + 1))) return true;
        }
        return false;
    };
    std::erase_if(all, [&](const Item& item) { return !fits(item); });
    std::set<std::string> chosen;
    for (const Item& item : all) chosen.insert(item.from.text());
    const bool saved_schemas =
        !facts["selection"]["schemas"].items().empty() && facts["selection"]["tables"].items().empty();
    const bool whole_schemas = pick.tables.empty() && (!pick.schemas.empty() || saved_schemas);
    for (Item& item : all) {
        if (const auto to = pick.renames.find(item.from.schema); to != pick.renames.end()) item.to.schema = to->second;
        if (const auto to = pick.renames.find(item.from.text()); to != pick.renames.end()) {
            const std::size_t dot = to->second.find('.');
            item.to = {to->second.substr(0, dot), to->second.substr(dot + 1)};
        }
        if (whole_schemas) work.schemas[item.from.schema] = item.to.schema;
        item.detach = !item.parent.empty() && !chosen.contains(item.parent);
        work.items.push_back(std::move(item));
    }
}

// Every name of --rename must be about something.
Status check_renames(const PostgresPick& pick, const std::vector<Work>& works) {
    for (const auto& [from, to] : pick.renames) {
        const bool table = from.find('.') != from.npos;
        bool found = false;
        for (const Work& work : works)
            for (const Item& item : work.items) {
                found |= from == item.from.text() || from == item.from.schema;
                if (table && from == item.from.text() && !work.schemas.empty())
                    return fail(ErrorCode::usage,
                                fmt::format("{} is to be renamed, but its whole schema is restored", from),
                                "name tables with --table, or rename the schema");
            }
        if (!found)
            return fail(ErrorCode::usage, fmt::format("--rename {}={}: nothing of that name is restored", from, to),
                        "name it with --table or --schema, too; letters are as in the catalogue");
    }
    return {};
}

std::string oid_list(const db::PostgresRows& rows) {
    std::string text = "{";
    for (const auto& row : rows) text += (text.size() == 1 ? "" : ",") + row.text(0);
    return text + "}";
}

// What is there in the live database in the place of what is wanted, and what hangs on that.
Status look_at_live(const db::PostgresAccess& access, Work& work) {
    HF_TRY(auto live, access.connect(work.name));
    std::string schemas, tables;
    for (const auto& [from, to] : work.schemas) schemas += (schemas.empty() ? "" : ", ") + quote_literal(to);
    for (const Item& item : work.items)
        tables += fmt::format("{}({}, {})", tables.empty() ? "" : ", ", quote_literal(item.to.schema),
                              quote_literal(item.to.table));
    const std::string where =
        work.schemas.empty() ? fmt::format("(n.nspname, c.relname) IN ({})", tables.empty() ? "(NULL, NULL)" : tables)
                             : fmt::format("n.nspname IN ({})", schemas);
    HF_TRY(const auto found,
           live.query("SELECT c.oid, n.nspname, c.relname, c.relkind FROM pg_class c JOIN pg_namespace n ON "
                      "n.oid = c.relnamespace WHERE c.relkind <> 'i' AND " +
                      where + " ORDER BY 2, 3"));
    if (work.schemas.empty()) {
        for (const auto& row : found) {
            work.taken.push_back(row.text(1) + '.' + row.text(2));
            if (row.text(3) != "r" && row.text(3) != "p")
                work.in_use = fmt::format("{}.{} is no table there", row.text(1), row.text(2));
        }
    } else {
        HF_TRY(const auto used,
               live.query(fmt::format(
                   "SELECT n.nspname FROM pg_namespace n WHERE n.nspname IN ({}) AND (EXISTS (SELECT FROM "
                   "pg_class c WHERE c.relnamespace = n.oid) OR EXISTS (SELECT FROM pg_proc p WHERE "
                   "p.pronamespace = n.oid) OR EXISTS (SELECT FROM pg_type t WHERE t.typnamespace = n.oid)) "
                   "ORDER BY 1",
                   schemas)));
        for (const auto& row : used) work.taken.push_back(row.text(0));
    }
    if (found.empty()) return {};
    HF_TRY(
        const auto hang,
        live.query(
            "SELECT 'view ' || v.oid::regclass || ' looks at ' || d.refobjid::regclass FROM pg_depend d JOIN "
            "pg_rewrite r "
            "ON r.oid = d.objid JOIN pg_class v ON v.oid = r.ev_class WHERE d.classid = 'pg_rewrite'::regclass AND "
            "d.refclassid = 'pg_class'::regclass AND d.refobjid = ANY($1::oid[]) AND NOT v.oid = ANY($1::oid[]) UNION "
            "SELECT 'rows of ' || conrelid::regclass || ' refer to ' || confrelid::regclass FROM pg_constraint WHERE "
            "contype = 'f' AND confrelid = ANY($1::oid[]) AND NOT conrelid = ANY($1::oid[]) ORDER BY 1 LIMIT 1",
            {oid_list(found)}));
    if (!hang.empty() && work.in_use.empty()) work.in_use = hang[0].text(0);
    return {};
}

Status choose_roles(const RestoreContext& context, const PostgresPick& pick, Plan& plan) {
    if (pick.roles.empty()) return {};
    const json::Value& facts = context.facts["globals"];
    if (!facts.is_object())
        return fail(ErrorCode::not_found, "the snapshot holds no roles of this component (globals = false)",
                    "restore them from another component or snapshot");
    HF_TRY(const format::Node node,
           context.repository.find_node(context.snapshot.snapshot.tree,
                                        fmt::format("/{}/{}", context.folder, facts["file"].text())));
    HF_TRY(const Bytes script, vault::read_small(context.repository, node));
    HF_TRY(const auto statements, db::split_script(as_text(script)));
    for (const std::string& statement : statements) {
        const auto about = db::classify_global(statement);
        if (about.kind != db::GlobalStatement::Kind::create_role && about.kind != db::GlobalStatement::Kind::about_role)
            continue;
        if (source::fits_name(pick.roles, about.name)) plan.roles[about.name].push_back(statement);
    }
    if (plan.roles.empty())
        return fail(ErrorCode::not_found, fmt::format("no role fits {} in the snapshot", pick.roles[0]),
                    "`holdfast dump` of globals.sql shows which there are");
    plan.passwords = facts["role_passwords"].boolean();
    for (const auto& [name, all] : plan.roles) {
        HF_TRY(const auto there, plan.home->query("SELECT FROM pg_roles WHERE rolname = $1", {name}));
        if (!there.empty()) plan.roles_taken.push_back(name);
    }
    return {};
}

std::string joined(const std::vector<std::string>& all) {
    constexpr std::size_t k_told_max = 8;
    std::string text;
    for (std::size_t i = 0; i < std::min(all.size(), k_told_max); ++i) text += (i == 0 ? "" : ", ") + all[i];
    if (all.size() > k_told_max) text += fmt::format(" and {} more", all.size() - k_told_max);
    return text;
}

Status refuse(const Plan& plan, WhenExisting existing) {
    for (const Work& work : plan.works) {
        if (work.taken.empty()) continue;
        if (existing == WhenExisting::refuse)
            return fail(
                ErrorCode::exists, fmt::format("database {} has already: {}", work.name, joined(work.taken)),
                "--replace keeps those in another schema and takes their place; --rename FROM=TO restores beside "
                "them");
        if (!work.in_use.empty())
            return fail(ErrorCode::exists,
                        fmt::format("in database {} {}: with the table replaced it would stay with the old one",
                                    work.name, work.in_use),
                        "restore both together, or beside it with --rename FROM=TO and carry the rows over");
    }
    if (existing == WhenExisting::refuse && !plan.roles_taken.empty())
        return fail(ErrorCode::exists, "the server has already: role " + joined(plan.roles_taken),
                    "--replace gives them the password and the rights that they had");
    return {};
}

Result<Plan> make_plan(const policy::PostgresConfig& config, const RestoreContext& context, const PostgresPick& pick) {
    if (context.facts["method"].text() == "physical")
        return fail(ErrorCode::unsupported,
                    "this snapshot holds the cluster's files: single tables cannot be taken out of it",
                    "restore it beside (data_folder of another server), and dump the table there");
    HF_TRY(Secret password, db::read_secret(config.password));
    Plan plan{{{config.host, config.port, config.user, config.maintenance_database}, std::move(password)},
              std::nullopt,
              {},
              {},
              {},
              {},
              {},
              {},
              false,
              restore_jobs(config)};
    HF_TRY(plan.home, [&]() -> Result<std::optional<db::PostgresConnection>> {
        HF_TRY(auto home, connect_beside(plan.access, ""));
        return std::optional(std::move(home));
    }());
    const int major = plan.home->server_major();
    int dumped_by = 0;
    const std::string version = context.facts["pg_dump_version"].text();
    std::from_chars(version.data(), version.data() + version.size(), dumped_by);
    HF_TRY(plan.pg_restore, db::find_postgres_tool("pg_restore", std::max(major, dumped_by), config.bin_folder));
    HF_TRY(plan.pg_dump, db::find_postgres_tool("pg_dump", major, config.bin_folder));
    HF_TRY(plan.psql, db::find_postgres_tool("psql", major, config.bin_folder));
    HF_DO(choose_roles(context, pick, plan));
    const bool only_roles = !pick.roles.empty() && pick.tables.empty() && pick.schemas.empty();
    bool named = false;
    for (const json::Value& facts : context.facts["databases"].items()) {
        if (only_roles) break;
        if (!pick.database.empty() && facts["name"].text() != pick.database) continue;
        named = true;
        if (facts["format"].text() == "plain") continue;    // an imported script has no parts
        Work work;
        work.facts = &facts;
        work.name = facts["name"].text();
        choose(pick, work);
        if (work.items.empty()) continue;
        const bool tables_only = !facts["selection"]["tables"].items().empty();
        work.direct = tables_only && pick.renames.empty() && work.schemas.empty() &&
                      work.items.size() == facts["tables"].items().size() + facts["partitioned_tables"].items().size();
        work.beside = beside_name(work.name, context.snapshot.id);
        const std::string path = fmt::format("/{}/{}", context.folder, facts["file"].text());
        HF_TRY(work.dump, context.repository.find_node(context.snapshot.snapshot.tree, path));
        if (work.dump.size != facts["bytes"].natural())
            return fail(ErrorCode::corrupt,
                        fmt::format("{} of the snapshot is not the file that its manifest describes", path),
                        "restore from another snapshot");
        HF_TRY(const auto there,
               plan.home->query("SELECT datallowconn FROM pg_database WHERE datname = $1", {work.name}));
        work.there = !there.empty();
        if (work.there) HF_DO(look_at_live(plan.access, work));
        plan.works.push_back(std::move(work));
    }
    if (!pick.database.empty() && !named)
        return fail(ErrorCode::not_found, fmt::format("the snapshot holds no database {}", pick.database),
                    "`holdfast ls` shows what it holds");
    if (plan.works.empty() && !only_roles)
        return fail(
            ErrorCode::not_found,
            fmt::format("nothing in the snapshot fits {}", joined(pick.tables.empty() ? pick.schemas : pick.tables)),
            "patterns are \"schema.table\" with * and ?, letters as in the catalogue");
    HF_DO(check_renames(pick, plan.works));
    HF_DO(refuse(plan, context.existing));
    return plan;
}

// Of what the manifest tells the place of; where it does not, the dump is read from end to end.
std::uint64_t bytes_to_read(const Work& work) {
    const json::Value& told = (*work.facts)["archive"];
    if (work.direct || !told.is_object()) return work.dump.size;
    std::set<Name> wanted;
    for (const Item& item : work.items) wanted.insert(item.from);
    std::uint64_t bytes = told["head_bytes"].natural();
    for (const json::Value& block : told["blocks"].items())
        if (wanted.contains(name_of(block))) bytes += block["bytes"].natural();
    return bytes;
}

// ---- the way through the scratch database

// The line "215; 1259 16386 TABLE public users postgres" without its numbers.
std::string_view entry_of(std::string_view line) {
    for (int blanks = 0; blanks < 3; ++blanks) {
        const std::size_t at = line.find(' ');
        if (at == line.npos) return {};
        line.remove_prefix(at + 1);
    }
    return line;
}

bool is_about(std::string_view entry, std::string_view kind, const Name& table) {
    return entry.starts_with(fmt::format("{} {} {} ", kind, table.schema, table.table));
}

// Definitions of everything, rows of what is wanted. Foreign keys would not fit empty tables; the rest acts on its own.
bool is_wanted(std::string_view entry, const std::vector<Item>& items) {
    for (const char* kind : {"FK CONSTRAINT ", "MATERIALIZED VIEW DATA ", "BLOB", "EVENT TRIGGER ", "PUBLICATION",
                             "SUBSCRIPTION", "DATABASE", "ACL - LARGE OBJECT", "COMMENT - LARGE OBJECT"})
        if (entry.starts_with(kind)) return false;
    if (!entry.starts_with("TABLE DATA ")) return true;
    return std::ranges::any_of(items, [&](const Item& item) { return is_about(entry, "TABLE DATA", item.from); });
}

struct Lists {
    std::string load, late;    // files with lines of the archive's list
    db::EntryIds load_ids;    // what `load` names
    bool has_late = false;
};

Result<Lists> read_list(const Plan& plan, const Work& work, const RestoreContext& context, const std::string& folder) {
    os::Command command;
    command.arguments = {plan.pg_restore.path, "--format=custom", "--list"};
    command.output_file = folder + "/list";
    HF_TRY(auto feed, PostgresFeed::start(std::move(command), "pg_restore --list"));
    HF_DO(feed_file(std::move(feed), context, work.dump, true));
    HF_TRY(const std::string list, os::read_text(folder + "/list"));
    std::string load, late;
    db::EntryIds load_ids;
    std::string_view rest = list;
    while (!rest.empty()) {
        const std::string_view line = rest.substr(0, rest.find('\n'));
        rest.remove_prefix(std::min(rest.size(), line.size() + 1));
        if (line.empty() || line.front() == ';') continue;
        const std::string_view entry = entry_of(line);
        // What refers to other tables or to functions comes last, and may be left out.
        const bool trigger = work.direct && entry.starts_with("TRIGGER ");
        const bool foreign = std::ranges::any_of(
            work.items, [&](const Item& item) { return is_about(entry, "FK CONSTRAINT", item.from); });
        if (trigger || foreign)
            late += fmt::format("{}\n", line);
        else if (is_wanted(entry, work.items)) {
            load += fmt::format("{}\n", line);
            std::int64_t id = 0;
            std::from_chars(line.data(), line.data() + line.size(), id);
            load_ids.insert(id);
        }
    }
    Lists lists{folder + "/load", folder + "/late", std::move(load_ids), !late.empty()};
    HF_DO(os::write_file(lists.load, as_bytes(load)));
    HF_DO(os::write_file(lists.late, as_bytes(late)));
    return lists;
}

// A foreign key or a trigger.
struct Late {
    std::string statement;    // without ';'
    bool foreign = false;
};

// "ALTER TABLE ONLY auth.keys\n    ADD CONSTRAINT …;", of pg_restore; `scratch` knows the names that it uses (null: they stay).
Result<std::vector<Late>> read_late(const Plan& plan, const Work& work, const RestoreContext& context,
                                    const Lists& lists, db::PostgresConnection* scratch) {
    std::vector<Late> all;
    if (!lists.has_late) return all;
    const std::string file = lists.late + ".sql";
    os::Command command;
    command.arguments = {plan.pg_restore.path, "--format=custom", "--use-list=" + lists.late, "--file=" + file};
    HF_TRY(auto feed, PostgresFeed::start(std::move(command), "pg_restore of foreign keys and triggers"));
    HF_DO(feed_file(std::move(feed), context, work.dump, true));
    HF_TRY(const std::string script, os::read_text(file));
    HF_TRY(const auto statements, db::split_script(script));
    for (const std::string& statement : statements) {
        std::string_view text = statement;
        while (text.ends_with(';')) text.remove_suffix(1);
        if (text.starts_with("SET ") || text.starts_with("SELECT ")) continue;
        const bool foreign = text.find("\n    ADD CONSTRAINT ") != text.npos && text.find("FOREIGN KEY") != text.npos;
        if (!scratch || !foreign) {
            all.push_back({std::string(text), foreign});
            continue;
        }
        text.remove_prefix(12);
        const bool only = text.starts_with("ONLY ");
        if (only) text.remove_prefix(5);
        const std::size_t end = text.find("\n    ADD CONSTRAINT ");
        HF_TRY(const auto rows,
               scratch->query("SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = "
                              "c.relnamespace WHERE c.oid = $1::regclass",
                              {std::string(text.substr(0, end))}));
        const Name from{rows[0].text(0), rows[0].text(1)};
        for (const Item& item : work.items) {
            if (item.from != from) continue;
            all.push_back(
                {fmt::format("ALTER TABLE {}{}{}", only ? "ONLY " : "", item.to.quoted(), text.substr(end)), true});
        }
    }
    return all;
}

// Indexes and sequences have names of their own beside the table's: "users_pkey" becomes "users_old_pkey".
Status rename_parts(db::PostgresConnection& scratch, const Item& item) {
    HF_TRY(const auto parts,
           scratch.query(
               "SELECT n.nspname, c.relname, c.relkind FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
               "WHERE c.oid IN (SELECT indexrelid FROM pg_index WHERE indrelid = $1::regclass UNION SELECT objid FROM "
               "pg_depend WHERE classid = 'pg_class'::regclass AND refobjid = $1::regclass AND deptype IN ('a', 'i')) "
               "AND c.relkind IN ('i', 'I', 'S')",
               {item.from.quoted()}));
    for (const auto& part : parts) {
        const std::string& old = part.text(1);
        const std::string name = old.starts_with(item.from.table) ? item.to.table + old.substr(item.from.table.size())
                                                                  : item.to.table + "_" + old;
        HF_DO(scratch.execute(fmt::format("ALTER {} {}.{} RENAME TO {}", part.text(2) == "S" ? "SEQUENCE" : "INDEX",
                                          quote_identifier(part.text(0)), quote_identifier(old),
                                          quote_identifier(name))));
    }
    return {};
}

Status rename_in_scratch(db::PostgresConnection& scratch, const Work& work) {
    HF_DO(scratch.execute("SET search_path = ''"));
    for (const Item& item : work.items)
        if (item.detach) {
            const std::size_t dot = item.parent.find('.');
            const Name parent{item.parent.substr(0, dot), item.parent.substr(dot + 1)};
            HF_DO(scratch.execute(
                fmt::format("ALTER TABLE {} DETACH PARTITION {}", parent.quoted(), item.from.quoted())));
        }
    if (!work.schemas.empty()) {
        for (const auto& [from, to] : work.schemas)
            if (from != to)
                HF_DO(scratch.execute(
                    fmt::format("ALTER SCHEMA {} RENAME TO {}", quote_identifier(from), quote_identifier(to))));
        return {};
    }
    for (const Item& item : work.items) {
        if (item.from == item.to) continue;
        if (item.from.table != item.to.table) {
            HF_DO(rename_parts(scratch, item));
            HF_DO(scratch.execute(
                fmt::format("ALTER TABLE {} RENAME TO {}", item.from.quoted(), quote_identifier(item.to.table))));
        }
        if (item.from.schema != item.to.schema) {
            HF_DO(scratch.execute("CREATE SCHEMA IF NOT EXISTS " + quote_identifier(item.to.schema)));
            HF_DO(scratch.execute(fmt::format("ALTER TABLE {} SET SCHEMA {}",
                                              Name{item.from.schema, item.to.table}.quoted(),
                                              quote_identifier(item.to.schema))));
        }
    }
    return {};
}

// ---- the one transaction in the live database

std::string compact_time(Timestamp now) {
    std::string time;
    for (const char c : to_rfc3339({now.nanoseconds / 1'000'000'000 * 1'000'000'000}))
        if (c != '-' && c != ':') time += c;
    return time;
}

std::string opening(const Work& work, const std::string& aside_time, std::string& kept) {
    // What the script answers nobody wants; what we ask at its end we do.
    std::string sql = "\\o /dev/null\nBEGIN;\nSET lock_timeout = '60s';\nSET client_min_messages = warning;\n";
    if (!work.schemas.empty()) {
        for (const auto& [from, to] : work.schemas) {
            if (std::ranges::find(work.taken, to) != work.taken.end()) {
                const std::string aside = to + "_replaced_" + aside_time;
                kept += fmt::format("{}schema {} of database {}", kept.empty() ? "" : ", ", aside, work.name);
                sql += fmt::format("ALTER SCHEMA {} RENAME TO {};\n", quote_identifier(to), quote_identifier(aside));
            } else {
                sql += fmt::format("DROP SCHEMA IF EXISTS {};\n", quote_identifier(to));    // an empty one
            }
        }
        return sql;
    }
    if (!work.taken.empty()) {
        const std::string aside = "holdfast_replaced_" + aside_time;
        kept = fmt::format("schema {} of database {}", aside, work.name);
        sql += fmt::format("CREATE SCHEMA {};\n", quote_identifier(aside));
        for (const Item& item : work.items)
            if (std::ranges::find(work.taken, item.to.text()) != work.taken.end())
                sql += fmt::format("ALTER TABLE {} SET SCHEMA {};\n", item.to.quoted(), quote_identifier(aside));
    }
    std::set<std::string> schemas;
    for (const Item& item : work.items) schemas.insert(item.to.schema);
    for (const std::string& schema : schemas)
        sql += fmt::format("CREATE SCHEMA IF NOT EXISTS {};\n", quote_identifier(schema));
    return sql;
}

std::string closing(const Work& work, const std::vector<Late>& lates, const std::string& text_form) {
    std::string sql = "\n";
    for (const Late& late : lates) {
        const bool again = late.foreign && !late.statement.ends_with("NOT VALID");
        sql += "DO " +
               quote_literal(fmt::format("BEGIN EXECUTE {}; EXCEPTION {}WHEN undefined_table OR undefined_column OR "
                                         "undefined_function OR undefined_object OR invalid_foreign_key THEN NULL; END",
                                         quote_literal(late.statement),
                                         again ? fmt::format("WHEN foreign_key_violation THEN EXECUTE {}; ",
                                                             quote_literal(late.statement + " NOT VALID"))
                                               : "")) +
               ";\n";
    }
    sql += text_form + "\n";
    for (const Item& item : work.items) {
        if (!item.facts || (*item.facts)["rows"].is_null() || db::is_copy_digest((*item.facts)["digest"].text()))
            continue;
        const json::Value& facts = *item.facts;
        const std::string rows = std::to_string(facts["rows"].integer());
        const std::string differs = fmt::format(
            "RAISE EXCEPTION '%', {};", quote_literal(fmt::format("{} is not what was backed up", item.to.text())));
        std::string body;
        if (facts["digest"].is_null())
            body = fmt::format("BEGIN IF (SELECT count(*) FROM ONLY {}) <> {} THEN {} END IF; END", item.to.quoted(),
                               rows, differs);
        else
            body = fmt::format(
                "DECLARE n bigint; a numeric; b numeric; BEGIN SELECT count(*), sum(hashtextextended(r, 0)), "
                "sum(hashtextextended(r, 1)) INTO n, a, b FROM (SELECT ROW(hf_row.*)::text COLLATE \"C\" AS r FROM "
                "ONLY {} AS "
                "hf_row OFFSET 0) AS hf_rows; IF n <> {} OR coalesce(a || ':' || b, '0:0') <> {} THEN {} END IF; END",
                item.to.quoted(), rows, quote_literal(facts["digest"].text()), differs);
        sql += "DO " + quote_literal(body) + ";\n";
    }
    return sql;
}

// The columns of a COPY are in the dump's encoding, our script is UTF-8.
Result<std::string> in_utf8(db::PostgresConnection& connection, const std::string& text, const std::string& encoding) {
    const bool plain = std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x80; });
    if (plain || encoding == "UTF8" || encoding == "SQL_ASCII") return text;
    std::string hex;
    for (const char c : text) hex += fmt::format("{:02x}", static_cast<unsigned char>(c));
    HF_TRY(const auto rows, connection.query("SELECT convert_from(decode($1, 'hex'), $2)", {hex, encoding}));
    return rows[0].text(0);
}

// What is asked of the transaction before its COMMIT: rows as COPY tells them, behind them a line that no row looks like.
struct Question {
    std::string sql;
    const Item* item = nullptr;
};

Result<std::vector<Question>> questions(const Work& work, const RestoreContext& context, db::PostgresConnection& live) {
    std::vector<Question> all;
    HF_TRY(const auto archive, PostgresArchive::open(context.repository, work.dump, *work.facts));
    const std::string encoding = (*work.facts)["encoding"].text();
    for (const Item& item : work.items) {
        if (!item.facts || !db::is_copy_digest((*item.facts)["digest"].text())) continue;
        const PostgresRowsPart* const part = archive ? archive->find(item.from.schema, item.from.table) : nullptr;
        if (!part)
            return fail(ErrorCode::corrupt,
                        fmt::format("the manifest tells the digest of {}, but not its place", item.from.text()));
        HF_TRY(const std::string columns, in_utf8(live, part->copy.columns, encoding));
        all.push_back({fmt::format("COPY {} {} TO STDOUT WITH (ENCODING {});\nSELECT E'\\\\.';\n", item.to.quoted(),
                                   columns, quote_literal(encoding)),
                       &item});
    }
    return all;
}

Status ask(PostgresFeed& psql, const std::vector<Question>& questions) {
    if (questions.empty()) return {};
    HF_DO(psql.write("\\o\nRESET lc_monetary;\nSET client_encoding = 'UTF8';\n"));
    for (const Question& question : questions) {
        HF_DO(psql.write(question.sql));
        db::CopyDigest digest;
        HF_DO(psql.listen([&](ByteView bytes) {
            digest.add(bytes);
            return digest.ended();
        }));
        const json::Value& facts = *question.item->facts;
        if (digest.rows() != facts["rows"].natural() || digest.text() != facts["digest"].text())
            return fail(ErrorCode::mismatch, fmt::format("{} is not what was backed up", question.item->to.text()));
    }
    return {};
}

std::vector<std::string> dump_arguments(const Work& work) {
    std::vector<std::string> arguments = {"--format=plain", "--dbname=" + db::database_option(work.beside)};
    if (!work.schemas.empty())
        for (const auto& [from, to] : work.schemas) arguments.push_back("--schema=" + quote_identifier(to));
    else
        for (const Item& item : work.items) arguments.push_back("--table=" + item.to.quoted());
    return arguments;
}

// What tells the tables as SQL: pg_dump of the scratch database, or pg_restore, which is fed from the vault meanwhile.
Result<os::Process> start_teller(const Plan& plan, const Work& work, const Lists& lists) {
    if (!work.direct)
        return os::Process::start(
            postgres_command(plan.pg_dump, plan.access.address, plan.access.password, dump_arguments(work)));
    os::Command command;
    command.arguments = {plan.pg_restore.path, "--format=custom", "--no-tablespaces", "--use-list=" + lists.load,
                         "--file=-"};
    command.environment = {{"LC_ALL", "C"}};
    command.input = os::Stream::pipe;
    return os::Process::start(command);
}

// Into psql of the live database, between our own words; COMMIT only once all of it has come.
Status carry(const Plan& plan, const Work& work, const RestoreContext& context, const Lists& lists,
             const std::string& before, const std::string& after, const std::vector<Question>& questions) {
    HF_TRY(auto into, PostgresFeed::start(postgres_command(plan.psql, plan.access.address, plan.access.password,
                                                           {"--no-psqlrc", "--quiet", "--tuples-only", "--no-align",
                                                            "--set=ON_ERROR_STOP=1", "--file=-",
                                                            "--dbname=" + db::database_option(work.name)}),
                                          "psql into " + work.name, true));
    HF_TRY(auto teller, start_teller(plan, work, lists));
    Status told;
    std::jthread feeder;
    if (work.direct)
        feeder = std::jthread([&] {
            told = vault::read_content(context.repository, work.dump,
                                       [&](ByteView bytes) { return os::write_all(teller.input(), bytes); });
            teller.close_input();
        });
    const Status fed = [&]() -> Status {
        HF_DO(into.write(before));
        Bytes buffer(std::size_t(256) << 10);
        for (;;) {
            if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped; nothing was changed");
            pollfd entry{teller.output(), POLLIN, 0};
            if (::poll(&entry, 1, 200) <= 0) continue;
            HF_TRY(const std::size_t n, os::read_some(teller.output(), buffer));
            if (n == 0) break;
            HF_DO(into.write(ByteView(buffer).first(n)));
        }
        return {};
    }();
    if (!fed) teller.kill(SIGKILL);    // the feeder ends with it
    if (feeder.joinable()) feeder.join();
    if (fed) {
        HF_TRY(const auto ended, wait_for_tool(teller));
        if (!ended.ok())
            return fail(db::postgres_tool_error(work.direct ? "pg_restore" : "pg_dump of " + work.beside, ended,
                                                teller.errors()));
        HF_DO(told);
    }
    const Status closed = [&]() -> Status {
        HF_DO(fed);
        HF_DO(into.write(after));
        HF_DO(ask(into, questions));
        return into.write("COMMIT;\n");
    }();
    if (!closed && !into.refused()) return closed;    // no COMMIT was said
    HF_DO(into.finish());
    return closed;
}

Error explain(Error error) {
    if (error.message.find("is not what was backed up") != std::string::npos) {
        error.code = ErrorCode::mismatch;
        error.hint = "nothing was changed; run `holdfast check --read-data`, and try another snapshot";
    } else if (error.message.find("role \"") != std::string::npos &&
               error.message.find("does not exist") != std::string::npos) {
        error.hint = "nothing was changed; create the role first: `holdfast restore SNAPSHOT --only NAME --role ROLE`";
    } else if (error.message.find("does not exist") != std::string::npos) {
        error.hint =
            "nothing was changed; the live database lacks something that the table needs: create that first, or "
            "restore "
            "the whole schema with --schema";
    } else if (error.message.find("already exists") != std::string::npos) {
        error.code = ErrorCode::exists;
        error.hint = "nothing was changed; restore beside it with --rename FROM=TO";
    }
    return error;
}

// The wanted rows in a scratch database, under the names that they shall have. Returns what is to be made last.
Result<std::vector<Late>> load_scratch(const Plan& plan, const Work& work, const RestoreContext& context,
                                       const Lists& lists) {
    context.say(fmt::format("loading {} tables of database {} beside", work.items.size(), work.name));
    HF_TRY(const auto archive, PostgresArchive::open(context.repository, work.dump, *work.facts));
    if (archive && archive->complete(&lists.load_ids)) {
        const PostgresLoad load{plan.access, plan.pg_restore, plan.psql, context, plan.jobs, true};
        HF_DO(load_in_parts(load, *archive, *work.facts, work.beside, &lists.load_ids));
    } else {
        HF_TRY(auto feed,
               PostgresFeed::start(
                   postgres_command(plan.pg_restore, plan.access.address, plan.access.password,
                                    {"--format=custom", "--single-transaction", "--exit-on-error", "--no-tablespaces",
                                     "--use-list=" + lists.load, "--dbname=" + db::database_option(work.beside)}),
                   "pg_restore into " + work.beside));
        HF_DO(feed_file(std::move(feed), context, work.dump, true));    // it ends with the last rows that it wants
    }
    HF_TRY(auto scratch, plan.access.connect(work.beside));
    HF_TRY(auto lates, read_late(plan, work, context, lists, &scratch));
    HF_DO(rename_in_scratch(scratch, work));
    return lates;
}

// Two restores of one second keep the old ones under two names.
Result<std::string> free_mark(db::PostgresConnection& live, const std::string& time) {
    std::string mark = time;
    for (int n = 2;; ++n) {
        HF_TRY(const auto taken, live.query("SELECT 1 FROM pg_namespace WHERE right(nspname, length($1)) = $1 LIMIT 1",
                                            {"_replaced_" + mark}));
        if (taken.empty()) return mark;
        mark = fmt::format("{}_{}", time, n);
    }
}

// So that a restore can be undone: what there is now under each name, and where it will be kept.
Status tell_replaced(db::PostgresConnection& live, const Work& work, const std::string& time,
                     const RestoreContext& context) {
    const auto is_taken = [&](const std::string& name) {
        return std::ranges::find(work.taken, name) != work.taken.end();
    };
    for (const auto& [from, to] : work.schemas) {
        HF_TRY(const auto there, live.query("SELECT oid FROM pg_namespace WHERE nspname = $1", {to}));
        HF_DO(context.replaces({.what = "schema",
                                .place = to,
                                .aside = is_taken(to) ? to + "_replaced_" + time : std::string(),
                                .identity = there.empty() || !is_taken(to) ? std::string() : there[0].text(0),
                                .database = work.name}));
    }
    if (!work.schemas.empty()) return {};
    for (const Item& item : work.items) {
        const bool taken = is_taken(item.to.text());
        HF_TRY(const auto there, live.query("SELECT to_regclass($1)::oid", {item.to.quoted()}));
        HF_DO(context.replaces({.what = "relation",
                                .place = item.to.table,
                                .aside = taken ? "holdfast_replaced_" + time : std::string(),
                                .identity = taken ? there[0].text(0) : std::string(),
                                .definition = item.to.schema,
                                .database = work.name}));
    }
    return {};
}

Result<json::Value> load_and_carry(const Plan& plan, const Work& work, const RestoreContext& context,
                                   const std::string& folder) {
    HF_TRY(const Lists lists, read_list(plan, work, context, folder));
    std::vector<Late> lates;
    if (work.direct) {
        HF_TRY(lates, read_late(plan, work, context, lists, nullptr));
    } else {
        HF_TRY(lates, load_scratch(plan, work, context, lists));
    }
    HF_TRY(auto live, plan.access.connect(work.name));
    HF_TRY(const std::string time, free_mark(live, compact_time(context.clock.now())));
    std::string kept;
    const std::string before = opening(work, time, kept);
    if (context.will_replace) HF_DO(tell_replaced(live, work, time, context));
    context.say(fmt::format("loading and comparing them in database {}, in one transaction", work.name));
    HF_TRY(const auto asked, questions(work, context, live));
    HF_DO(carry(plan, work, context, lists, before,
                closing(work, lates, source::text_form_settings(live.server_major())), asked));

    auto tables = json::Value::array();
    std::string oids;
    for (const Item& item : work.items) {
        auto one = json::Value::object({{"from", item.from.text()}, {"to", item.to.text()}});
        if (item.facts) one.set("rows", (*item.facts)["rows"]);
        if (item.detach) one.set("was_partition_of", item.parent);
        tables.push(std::move(one));
        oids += (oids.empty() ? "" : ", ") + quote_literal(item.to.quoted()) + "::regclass";
    }
    auto result = json::Value::object({{"name", work.name}, {"tables", std::move(tables)}});
    HF_TRY(const auto not_valid,
           live.query("SELECT conrelid::regclass || ': ' || conname FROM pg_constraint WHERE contype = 'f' AND "
                      "NOT convalidated AND conrelid IN (" +
                      oids + ") ORDER BY 1"));
    HF_TRY(
        const auto present,
        live.query(
            "SELECT (SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND conparentid = 0 AND conrelid IN (" +
            oids + ")) + (SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal AND tgparentid = 0 AND tgrelid IN (" +
            oids + "))"));
    auto invalid = json::Value::array();
    for (const auto& row : not_valid) {
        invalid.push(row.text(0));
        context.say(
            fmt::format("foreign key {} does not fit the rows that are there now: it is NOT VALID", row.text(0)));
    }
    result.set("not_valid", std::move(invalid));
    std::int64_t made_last = 0;
    for (const Late& late : lates) made_last += late.foreign || late.statement.starts_with("CREATE ");
    const std::int64_t left_out = std::max<std::int64_t>(0, made_last - present[0].integer(0));
    result.set("left_out", left_out);
    if (left_out > 0)
        context.say(fmt::format("{} foreign keys or triggers are left out: what they refer to is not there", left_out));
    if (!kept.empty()) result.set("kept", kept);
    return result;
}

Result<json::Value> restore_roles(Plan& plan, const RestoreContext& context) {
    auto names = json::Value::array();
    std::string script;
    for (const auto& [name, statements] : plan.roles) {
        const bool there = std::ranges::find(plan.roles_taken, name) != plan.roles_taken.end();
        for (const std::string& statement : statements)
            if (!there || !statement.starts_with("CREATE ROLE ")) script += statement + '\n';
        names.push(name);
    }
    auto done = plan.home->execute("BEGIN;\n" + script + "COMMIT;");
    if (!done) return fail(std::move(done).error().within("restoring roles"));
    context.say(fmt::format("{} roles are as they were{}", names.items().size(),
                            plan.passwords ? ", with their passwords" : "; their passwords were not saved"));
    return names;
}

}    // namespace

Status add_rename(std::string_view text, std::map<std::string, std::string>& to) {
    const std::size_t equals = text.find('=');
    const std::string from(text.substr(0, equals));
    const std::string name(equals == text.npos ? "" : text.substr(equals + 1));
    const bool table = from.find('.') != from.npos;
    if (from.empty() || name.empty() || name.front() == '.' || name.back() == '.' ||
        table != (name.find('.') != name.npos))
        return fail(ErrorCode::usage, fmt::format("--rename '{}' does not say what becomes what", text),
                    "write --rename public.users=public.users_old, or --rename auth=auth_old for a schema");
    if (!to.emplace(from, name).second)
        return fail(ErrorCode::usage, fmt::format("--rename names {} twice", from), "once is enough");
    return {};
}

bool holds_only_tables(const json::Value& facts) {
    for (const json::Value& database : facts["databases"].items()) {
        const json::Value& selection = database["selection"];
        if (!selection["tables"].items().empty() || !selection["schemas"].items().empty()) return true;
    }
    return false;
}

bool covers_tables(const json::Value& whole, const json::Value& some) {
    if (whole["method"].text() == "physical") return true;
    for (const json::Value& database : some["databases"].items()) {
        std::set<Name> held;
        for (const json::Value& other : whole["databases"].items())
            if (other["name"].text() == database["name"].text())
                for (const json::Value& table : other["tables"].items())
                    if (!table["left_out"].boolean()) held.insert(name_of(table));
        for (const json::Value& table : database["tables"].items())
            if (!held.contains(name_of(table))) return false;
    }
    return true;
}

Result<std::vector<PlanStep>> plan_postgres_tables(const policy::PostgresConfig& config, const RestoreContext& context,
                                                   const PostgresPick& pick) {
    HF_TRY(const Plan plan, make_plan(config, context, pick));
    std::vector<PlanStep> steps;
    for (const auto& [name, statements] : plan.roles) {
        const bool there = std::ranges::find(plan.roles_taken, name) != plan.roles_taken.end();
        steps.push_back({fmt::format("{} role {}{}", there ? "set" : "create", name,
                                     plan.passwords ? " with its password" : "; its password was not saved"),
                         0, there});
    }
    for (const Work& work : plan.works) {
        if (!work.there) steps.push_back({fmt::format("create database {}", work.name), 0, false});
        std::vector<std::string> names;
        for (const Item& item : work.items)
            names.push_back(item.from == item.to ? item.from.text() : item.from.text() + " as " + item.to.text());
        const std::uint64_t bytes = bytes_to_read(work);
        steps.push_back({fmt::format("read {} into a scratch database and carry {} tables into database {}: {}",
                                     human_size(bytes), names.size(), work.name, joined(names)),
                         bytes, false});
        if (!work.taken.empty())
            steps.push_back({fmt::format("keep {} aside in another schema", joined(work.taken)), 0, true});
    }
    return steps;
}

Result<json::Value> restore_postgres_tables(const policy::PostgresConfig& config, const RestoreContext& context,
                                            const PostgresPick& pick) {
    HF_TRY(Plan plan, make_plan(config, context, pick));
    auto result = json::Value::object();
    if (!plan.roles.empty()) {
        HF_TRY(auto roles, restore_roles(plan, context));
        result.set("roles", std::move(roles));
        result.set("role_passwords", plan.passwords);
    }
    auto databases = json::Value::array();
    for (const Work& work : plan.works) {
        HF_TRY(const os::ScratchFolder folder, os::ScratchFolder::create("postgres", context.scratch));
        auto warnings = json::Value::array();
        if (!work.there) HF_DO(create_database(*plan.home, work.name, (*work.facts)["properties"], warnings));
        if (!work.direct) {
            HF_DO(drop_database(*plan.home, work.beside));
            HF_DO(create_database(*plan.home, work.beside, (*work.facts)["properties"], warnings));
        }
        auto carried = load_and_carry(plan, work, context, folder.path());
        if (auto dropped = work.direct ? Status() : drop_database(*plan.home, work.beside); !dropped)
            context.say(fmt::format("{} is left behind; the next restore of this snapshot drops it", work.beside));
        if (!carried)
            return fail(explain(std::move(carried).error()).within("restoring tables of database " + work.name));
        const bool counted = std::ranges::any_of(
            work.items, [](const Item& item) { return item.facts && !(*item.facts)["digest"].is_null(); });
        carried->set("proof", counted ? "digest" : "count");
        databases.push(*std::move(carried));
    }
    result.set("databases", std::move(databases));
    return result;
}

}    // namespace holdfast::recovery
