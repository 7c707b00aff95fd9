// PostgreSQL out of the vault: look at every target, load all databases beside and compare them, then switch all of them.

#include <fmt/core.h>

#include <charconv>
#include <optional>

#include "holdfast/recovery/postgres_globals.hpp"
#include "holdfast/recovery/postgres_load.hpp"
#include "holdfast/recovery/postgres_parts.hpp"
#include "holdfast/recovery/postgres_physical.hpp"
#include "holdfast/recovery/postgres_switch.hpp"
#include "holdfast/recovery/postgres_tables.hpp"
#include "holdfast/source/store_access.hpp"
#include "holdfast/vault/restore.hpp"

namespace holdfast::recovery {
namespace {

// One database of the snapshot, and what stands in its place now.
struct Work {
    const json::Value* facts = nullptr;
    std::string name, beside;
    format::Node dump;
    PostgresTarget target;
    bool nothing_to_do = false;    // empty there, and empty here
};

struct Plan {
    db::PostgresAccess access;
    std::optional<db::PostgresConnection> home;    // must be gone before a database is renamed: it may be the one
    db::PostgresTool pg_restore, psql;
    std::optional<format::Node> globals;
    std::vector<Work> databases;
};

Result<format::Node> find_file(const RestoreContext& context, const std::string& file, std::uint64_t bytes) {
    const std::string path = fmt::format("/{}/{}", context.folder, file);
    HF_TRY(format::Node node, context.repository.find_node(context.snapshot.snapshot.tree, path));
    if (node.type != format::NodeType::file || node.size != bytes)
        return fail(ErrorCode::corrupt,
                    fmt::format("{} of the snapshot is not the file that its manifest describes", path),
                    "restore from another snapshot");
    return node;
}

Result<std::vector<Work>> list_work(const RestoreContext& context, const db::PostgresAccess& access,
                                    db::PostgresConnection& home) {
    std::vector<Work> works;
    for (const json::Value& facts : context.facts["databases"].items()) {
        Work work;
        work.facts = &facts;
        work.name = facts["name"].text();
        if (work.name.empty()) return fail(ErrorCode::corrupt, "the manifest has a database without a name");
        work.beside = beside_name(work.name, context.snapshot.id);
        HF_TRY(work.dump, find_file(context, facts["file"].text(), facts["bytes"].natural()));
        HF_TRY(work.target, look_at_target(access, home, work.name));
        work.nothing_to_do = work.target.place == PostgresPlace::empty && facts["user_objects"].integer(-1) == 0;
        works.push_back(std::move(work));
    }
    if (works.empty()) return fail(ErrorCode::not_found, "the snapshot holds no database of this component");
    return works;
}

Status refuse_what_exists(const std::vector<Work>& works) {
    std::string taken, used;
    for (const Work& work : works) {
        if (work.target.place == PostgresPlace::taken)
            taken += (taken.empty() ? "" : ", ") + work.name;
        else if (work.target.sessions > 0 && !work.nothing_to_do)
            used += (used.empty() ? "" : ", ") + work.name;
    }
    // NS-17: "database already exists"
    if (!taken.empty())
        return fail(ErrorCode::exists, fmt::format("on the server there is already: database {}", taken),
                    "--replace restores beside it, ends its sessions, keeps it under another name and takes its place; "
                    "--target FOLDER restores the dump as a file");
    if (!used.empty())
        return fail(ErrorCode::exists, fmt::format("programs are connected to the empty database {}", used),
                    "end them, or restore with --replace, which ends their sessions");
    return {};
}

Result<Plan> make_plan(const policy::PostgresConfig& config, const RestoreContext& context) {
    HF_TRY(db::PostgresAccess access, source::postgres_access(config));
    HF_TRY(auto home, connect_beside(access, ""));
    // pg_restore must know the archive's format, and should know the server it talks to.
    int dumped_by = 0;
    const std::string version = context.facts["pg_dump_version"].text();
    std::from_chars(version.data(), version.data() + version.size(), dumped_by);
    HF_TRY(auto tool,
           db::find_postgres_tool("pg_restore", std::max(home.server_major(), dumped_by), config.bin_folder));
    db::PostgresTool psql;
    for (const json::Value& database : context.facts["databases"].items())
        if (database["format"].text() == "plain" && psql.path.empty()) {
            HF_TRY(psql, db::find_postgres_tool("psql", home.server_major(), config.bin_folder));
        }
    std::optional<format::Node> globals;
    if (const json::Value& facts = context.facts["globals"]; facts.is_object()) {
        HF_TRY(globals, find_file(context, facts["file"].text(), facts["bytes"].natural()));
    }
    HF_TRY(auto works, list_work(context, access, home));
    if (context.existing == WhenExisting::refuse) HF_DO(refuse_what_exists(works));
    return Plan{std::move(access), std::move(home),    std::move(tool),
                std::move(psql),   std::move(globals), std::move(works)};
}

std::string describe(const Work& work) {
    const std::string size = human_size(work.dump.size);
    if (work.nothing_to_do) return fmt::format("leave database {} as it is: empty there and in the backup", work.name);
    switch (work.target.place) {
        case PostgresPlace::free:
            return fmt::format("create database {} and load {}", work.name, size);
        case PostgresPlace::empty:
            return fmt::format("load {} and put it in the place of the empty database {}", size, work.name);
        case PostgresPlace::taken:
            break;
    }
    return fmt::format(
        "load {} beside database {}, compare it, end {} sessions, keep the present one as {}_replaced_… and "
        "take its place",
        size, work.name, work.target.sessions, work.name);
}

// From here on a failure leaves no new database behind.
void drop_loaded(const Plan& plan, std::size_t from, std::size_t to, const RestoreContext& context) {
    auto home = connect_beside(plan.access, "");
    for (std::size_t i = from; i < to; ++i) {
        const Work& work = plan.databases[i];
        if (work.nothing_to_do) continue;
        if (!home || !drop_database(*home, work.beside))
            context.say(fmt::format("{} is left behind; the next restore of this snapshot drops it", work.beside));
    }
}

}    // namespace

Result<std::vector<PlanStep>> plan_postgres(const policy::PostgresConfig& config, const RestoreContext& context) {
    // What the snapshot holds decides, whatever the configuration has become since.
    if (context.facts["method"].text() == "physical") return plan_postgres_physical(config, context);
    if (holds_only_tables(context.facts)) return plan_postgres_tables(config, context, {});
    HF_TRY(const Plan plan, make_plan(config, context));
    std::vector<PlanStep> steps;
    if (plan.globals)
        steps.push_back(
            {"create the roles, memberships and tablespaces that are missing; existing roles keep their passwords",
             plan.globals->size, false});
    for (const Work& work : plan.databases)
        steps.push_back({describe(work), work.nothing_to_do ? 0 : work.dump.size,
                         !work.nothing_to_do && work.target.place == PostgresPlace::taken});
    return steps;
}

Result<json::Value> restore_postgres(const policy::PostgresConfig& config, const RestoreContext& context) {
    if (context.facts["method"].text() == "physical") return restore_postgres_physical(config, context);
    if (holds_only_tables(context.facts)) return restore_postgres_tables(config, context, {});
    HF_TRY(Plan plan, make_plan(config, context));
    auto result = json::Value::object();
    PostgresLoad load{plan.access, plan.pg_restore, plan.psql, context, restore_jobs(config)};
    if (plan.globals) {
        HF_TRY(const Bytes script, vault::read_small(context.repository, *plan.globals));
        HF_TRY(auto globals, restore_globals(*plan.home, as_text(script)));
        load.no_tablespaces = !globals["tablespaces_missing"].items().empty();
        context.say(fmt::format("{} roles created, {} kept", globals["roles_created"].items().size(),
                                globals["roles_kept"].items().size()));
        result.set("globals", std::move(globals));
    }

    std::vector<json::Value> reports(plan.databases.size());
    for (std::size_t i = 0; i < plan.databases.size(); ++i) {
        const Work& work = plan.databases[i];
        if (work.nothing_to_do) {
            reports[i] = json::Value::object({{"name", work.name}, {"how", "left as it is, empty"}});
            continue;
        }
        context.say(fmt::format("loading {} of database {}", human_size(work.dump.size), work.name));
        auto loaded = load_beside(load, *plan.home, *work.facts, work.dump, work.beside);
        if (!loaded) {
            drop_loaded(plan, 0, i, context);
            return fail(std::move(loaded).error().within("restoring database " + work.name));
        }
        reports[i] = *std::move(loaded);
    }

    // All are whole: now they take their places, each in an instant.
    plan.home.reset();
    auto databases = json::Value::array();
    for (std::size_t i = 0; i < plan.databases.size(); ++i) {
        const Work& work = plan.databases[i];
        if (!work.nothing_to_do) {
            const bool replace = context.existing == WhenExisting::switch_over;
            auto kept = switch_database(plan.access, work.name, work.beside, work.target.place, replace,
                                        context.clock.now(), context.will_replace);
            if (!kept) {
                drop_loaded(plan, i, plan.databases.size(), context);
                return fail(std::move(kept).error().within(fmt::format(
                    "database {} was restored and compared, but could not take its place ({} of {} others have)",
                    work.name, i, plan.databases.size() - 1)));
            }
            constexpr const char* k_hows[] = {"created", "took the place of an empty one", "took the place of another"};
            reports[i].set("how", k_hows[static_cast<int>(work.target.place)]);
            if (!kept->empty()) reports[i].set("kept_as", *kept);
            context.say(kept->empty()
                            ? fmt::format("database {} is back", work.name)
                            : fmt::format("database {} is back; the one before is kept as {}, closed to connections",
                                          work.name, *kept));
        }
        databases.push(std::move(reports[i]));
    }
    result.set("databases", std::move(databases));
    return result;
}

}    // namespace holdfast::recovery
