// ClickHouse out of the vault: look at every table, load all rows beside and compare them, then let all tables take their
// places, then views (so that no view sees the rows come in), then what refers to both.

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "holdfast/db/clickhouse_text.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/recovery/clickhouse_objects.hpp"
#include "holdfast/recovery/clickhouse_switch.hpp"
#include "holdfast/source/store_access.hpp"

namespace holdfast::recovery {

namespace clickhouse {

namespace {

using db::clickhouse::Client;
using db::clickhouse::quoted_name;

Result<std::vector<Item>> plan_items(Client& client, const RestoreContext& context) {
    HF_TRY(auto items, read_items(context));
    if (context.tables != nullptr) HF_DO(choose(items, *context.tables));
    HF_DO(look(client, items));
    HF_DO(refuse_existing(items, context));
    return items;
}

PlanStep step_for(const Item& item) {
    const bool replaces = item.present.there && (item.present.with_rows || item.present.is_view) && !item.stays();
    if (item.stays()) return {fmt::format("leave {} as it is: the same definition", item.title()), 0, false};
    const std::string title = item.from.empty() ? item.title() : fmt::format("{} as {}", item.from, item.title());
    std::string what =
        item.kind == Kind::definition
            ? fmt::format("create {} {}", item.create.kind == "TABLE" ? "table" : item.create.kind, title)
            : fmt::format("load {} rows ({}) of {}{}", item.rows, human_size(item.bytes),
                          item.partition.empty() ? "" : fmt::format("partition {} of ", item.partition), title);
    if (item.into_table()) {
        what +=
            item.present.with_rows
                ? fmt::format(
                      ", compare them, and put them in the place of that partition, which is kept as {}__replaced_…",
                      item.name)
                : ", compare them, and put them into the table that is there";
    } else if (item.present.with_rows) {
        what += fmt::format(", compare them, and keep the present rows as {}__replaced_…", item.name);
    } else if (replaces) {
        what += ", in the place of the present definition";
    }
    return {std::move(what), item.bytes, replaces};
}

Status make_databases(Client& client, const RestoreContext& context, const std::vector<Item>& items) {
    std::set<std::string> names;
    for (const Item& item : items) names.insert(item.database);
    if (context.tables == nullptr)
        for (const json::Value& name : context.facts["databases"].items()) names.insert(name.text());
    // Not by the snapshot's own statement: 26 refuses the engine of 18.16, and each server's default fits it best.
    for (const std::string& name : names) HF_DO(client.execute("CREATE DATABASE IF NOT EXISTS " + quoted_name(name)));
    return {};
}

void drop_loaded(const Loader& loader, const std::vector<Item>& items) {
    for (const Item& item : items) {
        if (item.kind == Kind::definition) continue;
        const std::string table = beside_name(item.name);
        if (!loader.client.execute("DROP TABLE IF EXISTS " + quoted_name(item.database, table)))
            loader.context.say(fmt::format("{} may be left behind; the next restore drops it", table));
    }
}

json::Value report(const Item& item, const std::string& proof, const Replaced& replaced) {
    auto value = json::Value::object({{"name", item.title()}});
    if (!item.from.empty()) value.set("from", item.from);
    if (!item.partition.empty()) value.set("partition", item.partition);
    if (item.kind != Kind::definition) {
        value.set("rows", item.rows);
        value.set("proof", proof);
    }
    if (!replaced.kept_as.empty()) value.set("kept_as", item.database + "." + replaced.kept_as);
    if (!replaced.definition.empty()) value.set("replaced_definition", replaced.definition);
    return value;
}

/// Views may read views: what cannot be made yet is tried again as long as others succeed.
Status make_definitions(const Loader& loader, std::vector<const Item*> items) {
    while (!items.empty()) {
        std::vector<const Item*> later;
        std::optional<Error> error;
        for (const Item* item : items) {
            Status made = make_definition(loader, *item);
            if (made) continue;
            const ErrorCode code = made.error().code;
            error = made.error().within("creating " + item->title());
            if (code == ErrorCode::unreachable || code == ErrorCode::cancelled) return fail(*error);
            later.push_back(item);
        }
        if (later.size() == items.size()) return fail(*error);
        items = std::move(later);
    }
    return {};
}

}    // namespace

}    // namespace clickhouse

Result<std::vector<PlanStep>> plan_clickhouse(const policy::ClickHouseConfig& config, const RestoreContext& context) {
    using namespace clickhouse;
    HF_TRY(auto client, source::clickhouse_client(config));
    HF_TRY(const auto items, plan_items(client, context));
    HF_TRY(const auto objects, read_objects(client, context));
    std::vector<PlanStep> steps = steps_for(objects);
    for (const Item& item : items) steps.push_back(step_for(item));
    return steps;
}

Result<json::Value> restore_clickhouse(const policy::ClickHouseConfig& config, const RestoreContext& context) {
    using namespace clickhouse;
    HF_TRY(auto client, source::clickhouse_client(config));
    HF_TRY(const auto items, plan_items(client, context));
    HF_TRY(const auto objects, read_objects(client, context));
    HF_TRY(auto loader, Loader::make(client, context));
    if (config.method == policy::ClickHouseMethod::backup) loader.backups = config.backup_folder;
    auto objects_report = json::Value::object();
    HF_DO(make_objects(loader, objects, true, objects_report));
    HF_DO(make_databases(client, context, items));

    std::map<std::string, std::string> proofs;
    for (const Item& item : items) {
        if (item.kind == Kind::definition) continue;
        context.say(fmt::format("loading {} rows of {}", item.rows, item.title()));
        auto proof = load_beside(loader, item);
        if (!proof) {
            drop_loaded(loader, items);
            return fail(proof.error());
        }
        proofs[item.title()] = *std::move(proof);
    }

    // All are whole and equal: now they take their places. Tables first, then what reads them.
    auto tables = json::Value::array();
    std::vector<const Item*> definitions;
    for (const Kind kind : {Kind::rows, Kind::rows_inside, Kind::definition}) {
        for (const Item& item : items) {
            if (item.kind != kind || item.stays()) continue;
            auto replaced = item.into_table()           ? switch_partition(loader, item)
                            : item.replicated           ? switch_replicated(loader, item)
                            : kind == Kind::rows        ? switch_table(loader, item)
                            : kind == Kind::rows_inside ? switch_view_with_rows(loader, item)
                                                        : put_aside(loader, item);
            if (!replaced) return fail(replaced.error().within("putting " + item.title() + " into its place"));
            if (!replaced->kept_as.empty())
                context.say(fmt::format("{} is back; the one before is kept as {}", item.title(), replaced->kept_as));
            if (kind == Kind::definition) definitions.push_back(&item);
            tables.push(report(item, proofs[item.title()], *replaced));
        }
    }
    HF_DO(make_definitions(loader, std::move(definitions)));
    HF_DO(make_objects(loader, objects, false, objects_report));
    auto result = json::Value::object({{"version", client.version()}, {"tables", std::move(tables)}});
    if (!objects.empty()) result.set("objects", std::move(objects_report));
    return result;
}

}    // namespace holdfast::recovery
