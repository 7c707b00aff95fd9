// Rows that were loaded beside go into tables that exist: one partition into a live table, all of them into a replicated one.

#include <fmt/core.h>

#include <set>

#include "holdfast/db/clickhouse_text.hpp"
#include "holdfast/recovery/clickhouse_switch.hpp"

namespace holdfast::recovery::clickhouse {

using db::clickhouse::quoted_name;
using db::clickhouse::quoted_text;

namespace {

Status run(const Loader& loader, const std::string& statement) {
    return loader.client.execute(statement, loader.settings);
}

Result<std::set<std::string>> partitions_of(const Loader& loader, const Item& item, const std::string& table) {
    HF_TRY(const auto listing, source::clickhouse::list_parts(loader.client, item.database, table));
    std::set<std::string> found;
    for (const auto& part : listing.parts) found.insert(part.partition);
    return found;
}

Status attach_partition(const Loader& loader, const std::string& to, const std::string& partition,
                        const std::string& from) {
    return run(loader, fmt::format("ALTER TABLE {} ATTACH PARTITION ID {} FROM {}", to, quoted_text(partition), from));
}

// Hard links: no row is read. What comes in meanwhile must be in it, too.
Status keep_partition(const Loader& loader, const Item& item, const std::string& aside) {
    constexpr int k_tries_max = 10;
    const std::string kept = quoted_name(item.database, aside), live = quoted_name(item.database, item.name);
    HF_TRY(auto create, db::clickhouse::parse_create(item.present.ddl));
    create.rest = db::clickhouse::without_replication(create.rest).rest;
    const auto names = [&]() -> Result<std::vector<std::string>> {
        HF_TRY(const auto listing, source::clickhouse::list_parts(loader.client, item.database, item.name));
        std::vector<std::string> found;
        for (const auto& part : listing.parts)
            if (part.partition == item.partition) found.push_back(part.name);
        return found;
    };
    for (int attempt = 0; attempt < k_tries_max; ++attempt) {
        HF_DO(run(loader, db::clickhouse::create_as(create, item.database, aside)));
        HF_TRY(const auto before, names());
        HF_DO(attach_partition(loader, kept, item.partition, live));
        HF_TRY(const auto after, names());
        if (before == after) return {};
        HF_DO(run(loader, "DROP TABLE " + kept));
    }
    return fail(ErrorCode::changed,
                fmt::format("rows came into partition {} of {} during each of {} tries to keep a copy of it",
                            item.partition, item.title(), k_tries_max),
                "stop what writes there, or restore it under another name with --rename");
}

// What a replica is made as until all rows are in it.
std::string joining_name(std::string_view table) { return std::string(table) + "__holdfast_replica"; }

Status create_replica(const Loader& loader, const Item& item, const std::string& name) {
    if (item.create.rest.find("{table}") != std::string::npos)
        return fail(
            ErrorCode::unsupported,
            fmt::format("the path of {} in ZooKeeper follows its name, and holdfast makes it under a provisional one",
                        item.title()),
            "make it from its .sql file (`holdfast dump latest`), and leave it empty: a restore then fills it");
    auto made = run(loader, db::clickhouse::create_as(item.create, item.database, name));
    if (made) return made;
    const std::string& why = made.error().message;
    if (why.find("(code 253)") != std::string::npos)
        return fail(ErrorCode::exists, why,
                    "ZooKeeper still knows this replica from before the loss: remove it there (SYSTEM DROP REPLICA, or "
                    "its node on "
                    "old servers), then restore again");
    return made;
}

Result<std::uint64_t> replicas_of(const Loader& loader, const Item& item, const std::string& name) {
    HF_TRY(const auto rows, loader.client.rows(fmt::format(
                                "SELECT total_replicas FROM system.replicas WHERE database = {} AND table = {}",
                                quoted_text(item.database), quoted_text(name))));
    if (rows.size() != 1 || rows[0].size() != 1)
        return fail(ErrorCode::store, fmt::format("the server does not say how many replicas {} has", item.title()));
    return std::strtoull(rows[0][0].c_str(), nullptr, 10);
}

// The table is there, empty or full of what other replicas have.
Status fill_replica(const Loader& loader, const Item& item, const std::string& name) {
    const std::string table = quoted_name(item.database, name),
                      beside = quoted_name(item.database, beside_name(item.name));
    HF_TRY(const auto replicas, replicas_of(loader, item, name));
    if (replicas > 1) {
        HF_DO(run(loader, "SYSTEM SYNC REPLICA " + table));
        HF_TRY(const auto rows, loader.client.rows("SELECT 1 FROM " + table + " LIMIT 1"));
        if (!rows.empty()) {
            loader.context.say(fmt::format("{}: other replicas hold its rows; it takes them from there", item.title()));
            auto compared = compare(loader, item, name);
            if (compared) return {};
            return fail(compared.error().code, compared.error().message,
                        "the other replicas hold other rows than the backup: nothing was added to them; to go back to "
                        "the backup drop "
                        "the table on every replica first, or restore it under another name with --rename");
        }
    }
    HF_TRY(const auto partitions, partitions_of(loader, item, beside_name(item.name)));
    for (const std::string& partition : partitions) {
        HF_DO(attach_partition(loader, table, partition, beside));
    }
    // Replacing, Summing … may have merged by now: then the rows are fewer, and have been compared beside.
    if (merges_change_rows(item)) return {};
    if (auto proof = compare(loader, item, name); !proof) return fail(std::move(proof).error());
    return {};
}

}    // namespace

Result<Replaced> switch_partition(const Loader& loader, const Item& item) {
    const std::string beside = quoted_name(item.database, beside_name(item.name));
    Replaced replaced;
    if (item.present.with_rows) {
        HF_TRY(replaced.kept_as, free_aside_name(loader, item));
    }
    const auto done = [&]() -> Status {
        HF_DO(loader.context.replaces({.what = "partition",
                                       .place = item.name,
                                       .aside = replaced.kept_as,
                                       .definition = item.partition,
                                       .database = item.database}));
        if (item.present.with_rows) HF_DO(keep_partition(loader, item, replaced.kept_as));
        return run(loader, fmt::format("ALTER TABLE {} REPLACE PARTITION ID {} FROM {}",
                                       quoted_name(item.database, item.name), quoted_text(item.partition), beside));
    }();
    (void)run(loader, "DROP TABLE IF EXISTS " + beside);    // else the next restore does it
    if (done) return replaced;
    if (!replaced.kept_as.empty())
        (void)run(loader, "DROP TABLE IF EXISTS " + quoted_name(item.database, replaced.kept_as));
    return fail(
        done.error().code, done.error().message,
        fmt::format(
            "{0} is as it was; when its columns or keys are not those of the backup any more, restore the partition "
            "under another name: --rename {0}={0}_back",
            item.title()));
}

Result<Replaced> switch_replicated(const Loader& loader, const Item& item) {
    const std::string joining = joining_name(item.name);
    const std::string drop = "DROP TABLE IF EXISTS " + quoted_name(item.database, joining);
    auto done = [&]() -> Status {
        if (item.present.there) return fill_replica(loader, item, item.name);    // empty: see refuse_existing()
        HF_DO(run(loader, drop));    // what a killed restore left
        HF_DO(create_replica(loader, item, joining));
        HF_DO(fill_replica(loader, item, joining));
        HF_DO(loader.context.replaces({.what = "table", .place = item.name, .database = item.database}));
        return run(loader, fmt::format("RENAME TABLE {} TO {}", quoted_name(item.database, joining),
                                       quoted_name(item.database, item.name)));
    }();
    // What cannot be dropped now the next restore drops.
    if (!done && !item.present.there) (void)run(loader, drop);
    (void)run(loader, "DROP TABLE IF EXISTS " + quoted_name(item.database, beside_name(item.name)));
    if (!done) return fail(std::move(done).error());
    return Replaced{};
}

}    // namespace holdfast::recovery::clickhouse
