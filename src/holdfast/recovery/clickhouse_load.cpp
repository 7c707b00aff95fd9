#include "holdfast/recovery/clickhouse_load.hpp"

#include <fmt/core.h>

#include "holdfast/base/log.hpp"
#include "holdfast/db/clickhouse_text.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/recovery/clickhouse_parts.hpp"
#include "holdfast/vault/restore.hpp"

namespace holdfast::recovery::clickhouse {

using db::clickhouse::Client;
using db::clickhouse::Create;
using db::clickhouse::quoted_name;

namespace {

// 18.16 knows few of these. What they switch off would change or drop rows on their way in, or refuse types that the
// source's tables had.
const db::clickhouse::Settings k_settings = {
    {"optimize_on_insert", "0"},    // else Replacing, Summing … merge rows inside one insert
    {"async_insert", "0"},
    {"insert_deduplicate", "0"},    // two equal parts are two parts
    {"deduplicate_insert", "disable"},
    {"max_partitions_per_insert_block", "0"},
    {"check_table_dependencies", "0"},    // what reads a table finds the new one under the same name
    {"allow_experimental_low_cardinality_type", "1"},
    {"allow_suspicious_low_cardinality_types", "1"},
    {"allow_suspicious_fixed_string_types", "1"},
    {"allow_suspicious_codecs", "1"},
    {"allow_suspicious_types_in_group_by", "1"},
    {"allow_suspicious_types_in_order_by", "1"},
    {"allow_suspicious_indices", "1"},
    {"allow_deprecated_syntax_for_merge_tree", "1"},
};

const Create& table_of(const Item& item) { return item.kind == Kind::rows_inside ? item.inner : item.create; }

Status insert_file(const Loader& loader, const std::string& statement, const RowsFile& file) {
    HF_TRY(auto insertion, loader.client.insert(statement, loader.settings));
    // Each blob is checked against its ID before it comes here: 18.16 would take a damaged or cut body for good.
    HF_DO(vault::read_content(loader.context.repository, file.node, [&](ByteView bytes) -> Status {
        if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped while loading ClickHouse");
        return insertion->write(bytes);
    }));
    return insertion->finish();
}

bool same_release(std::string_view a, std::string_view b) {
    const auto release = [](std::string_view version) {
        return version.substr(0, version.find('.', version.find('.') + 1));
    };
    return release(a) == release(b);
}

Result<std::string> load(const Loader& loader, const Item& item) {
    const std::string table = beside_name(item.name), quoted = quoted_name(item.database, table);
    Create create = table_of(item);
    if (item.replicated) create.rest = db::clickhouse::without_replication(create.rest).rest;
    const bool as_files = !item.files.empty() && item.files[0].folder();
    if (!as_files) create.rest = db::clickhouse::with_insertable_columns(create.rest);
    HF_DO(loader.client.execute(db::clickhouse::create_as(create, item.database, table), loader.settings));
    const bool held = merges_change_rows(item);
    if (held) HF_DO(loader.client.execute("SYSTEM STOP MERGES " + quoted));
    const std::string statement =
        "INSERT INTO " + quoted + " (" + source::clickhouse::column_list(item.columns) + ") FORMAT Native";
    if (as_files) {
        HF_DO(loader.backups.empty() ? attach_parts(loader, item, table)
                                     : restore_parts_by_server(loader, item, table));
        HF_DO(check_table(loader, item, table));
    } else {
        for (const RowsFile& file : item.files) HF_DO(insert_file(loader, statement, file));
    }
    HF_TRY(auto proof, compare(loader, item, table));
    if (held) HF_DO(loader.client.execute("SYSTEM START MERGES " + quoted));
    for (const auto& column : item.columns) {
        if (as_files || column.kind != "MATERIALIZED") continue;
        HF_DO(loader.client.execute(fmt::format("ALTER TABLE {} MODIFY COLUMN {} {} MATERIALIZED {}", quoted,
                                                quoted_name(column.name), column.type, column.expression),
                                    loader.settings));
    }
    return proof;
}

}    // namespace

// Replacing, Summing, Aggregating, Collapsing …: none may run before the comparison.
bool merges_change_rows(const Item& item) {
    return item.engine.ends_with("MergeTree") &&
           (!(item.engine == "MergeTree" || item.engine == "ReplicatedMergeTree") ||
            table_of(item).rest.find("TTL ") != std::string::npos);
}

Result<std::string> compare(const Loader& loader, const Item& item, const std::string& table) {
    const auto proof = item.digest.empty() ? policy::Proof::count : policy::Proof::digest;
    HF_TRY(const auto rows, loader.client.rows("SELECT " + source::clickhouse::content_expression(item.columns, proof) +
                                               " FROM " + quoted_name(item.database, table)));
    if (rows.size() != 1 || rows[0].size() != 2)
        return fail(ErrorCode::store, "no count of the restored " + item.title());
    if (rows[0][0] != std::to_string(item.rows))
        return fail(ErrorCode::mismatch,
                    fmt::format("{} came back with {} rows, {} were backed up", item.title(), rows[0][0], item.rows),
                    "nothing was replaced; run `holdfast check --read-data`");
    if (item.digest.empty()) return "count";
    if (rows[0][1] == item.digest) return "digest";
    const std::string from = loader.context.facts["version"].text();
    if (!same_release(from, loader.client.version())) {
        loader.context.say(fmt::format(
            "{}: {} rows are back; ClickHouse {} writes values otherwise than {}, so only they are compared",
            item.title(), item.rows, loader.client.version(), from));
        return "count";
    }
    return fail(ErrorCode::mismatch,
                fmt::format("{} came back with digest {}, {} was backed up", item.title(), rows[0][1], item.digest),
                "nothing was replaced; run `holdfast check --read-data`");
}

Result<db::clickhouse::Settings> load_settings(Client& client) { return client.known(k_settings); }

Result<Loader> Loader::make(Client& client, const RestoreContext& context) {
    HF_TRY(auto settings, load_settings(client));
    return Loader{client, context, std::move(settings)};
}

Result<std::string> load_beside(const Loader& loader, const Item& item) {
    const std::string drop = "DROP TABLE IF EXISTS " + quoted_name(item.database, beside_name(item.name));
    HF_DO(loader.client.execute(drop));    // what a killed restore left
    auto proof = load(loader, item);
    if (proof) return proof;
    if (Status dropped = loader.client.execute(drop); !dropped)
        log_warning("a table of the failed restore is left; the next restore drops it",
                    {{"table", beside_name(item.name)}});
    return fail(proof.error().within("restoring " + item.title()));
}

}    // namespace holdfast::recovery::clickhouse
