#include "holdfast/recovery/losses.hpp"

#include <algorithm>
#include <charconv>

#include "holdfast/db/clickhouse.hpp"
#include "holdfast/db/clickhouse_text.hpp"
#include "holdfast/db/postgres.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/recovery/redis_instance.hpp"
#include "holdfast/source/store_access.hpp"

namespace holdfast::recovery {
namespace {

template <class Component>
const Component* named(const std::vector<Component>& all, const std::string& name) {
    const auto at = std::ranges::find(all, name, &Component::name);
    return at == all.end() ? nullptr : &*at;
}

Result<std::uint64_t> postgres_rows(const policy::PostgresConfig& config, const json::Value& facts) {
    HF_TRY(const db::PostgresAccess access, source::postgres_access(config));
    std::uint64_t rows = 0;
    for (const json::Value& database : facts["databases"].items()) {
        auto inside = access.connect(database["name"].text());
        if (!inside && inside.error().code == ErrorCode::not_found) continue;
        if (!inside) return fail(std::move(inside).error());
        HF_TRY(const auto sum, inside->query("SELECT coalesce(sum(n_live_tup), 0)::bigint FROM pg_stat_user_tables"));
        rows += static_cast<std::uint64_t>(std::max<std::int64_t>(0, sum[0].integer(0)));
    }
    return rows;
}

Result<std::uint64_t> cluster_bytes(const policy::PostgresConfig& config) {
    HF_TRY(const db::PostgresAccess access, source::postgres_access(config));
    HF_TRY(auto connection, access.connect(config.maintenance_database));
    HF_TRY(const auto sum, connection.query("SELECT sum(pg_database_size(oid))::bigint FROM pg_database"));
    return static_cast<std::uint64_t>(sum[0].integer(0));
}

Result<std::uint64_t> clickhouse_rows(const policy::ClickHouseConfig& config, const json::Value& facts) {
    HF_TRY(auto client, source::clickhouse_client(config));
    std::string names;
    for (const json::Value& name : facts["databases"].items())
        names += (names.empty() ? "" : ", ") + db::clickhouse::quoted_text(name.text());
    if (names.empty()) return 0;
    HF_TRY(const auto sum,
           client.rows("SELECT sum(rows) FROM system.parts WHERE active AND database IN (" + names + ")"));
    std::uint64_t rows = 0;
    if (!sum.empty()) std::from_chars(sum[0][0].data(), sum[0][0].data() + sum[0][0].size(), rows);
    return rows;
}

std::uint64_t rows_in(const json::Value& tables) {
    std::uint64_t rows = 0;
    for (const json::Value& table : tables.items()) rows += table["rows"].natural();
    return rows;
}

constexpr std::uint64_t k_files_max = 100'000;    // more are not looked at

void count_files(const std::string& path, Timestamp since, Holding& to) {
    const auto status = os::status_of(path, false);
    if (!status || *to.now >= k_files_max) return;
    if (!S_ISDIR(status->st_mode)) {
        ++*to.now;
        if (status->st_mtim.tv_sec * 1'000'000'000 + status->st_mtim.tv_nsec > since.nanoseconds) ++*to.changed;
        return;
    }
    if (const auto names = os::list_folder(path))
        for (const std::string& name : *names) count_files(path + "/" + name, since, to);
}

void take(const Result<std::uint64_t>& asked, Holding& to) {
    if (asked) to.now = *asked;
}

}    // namespace

std::optional<Holding> look_at_holding(const policy::Config& config, const std::string& name, const std::string& kind,
                                       const json::Value& facts, Timestamp snapshot_time) {
    Holding holding;
    if (kind == "postgres") {
        const auto* one = named(config.postgres, name);
        if (!one) return std::nullopt;
        if (facts["method"].text() == "physical") {
            holding.unit = "bytes";
            holding.saved = facts["bytes"].natural();
            take(cluster_bytes(*one), holding);
        } else {
            holding.unit = "rows";
            holding.saved = 0;
            for (const json::Value& database : facts["databases"].items())
                *holding.saved += rows_in(database["tables"]);
            take(postgres_rows(*one, facts), holding);
        }
        holding.estimated = true;
    } else if (kind == "clickhouse") {
        const auto* one = named(config.clickhouse, name);
        if (!one) return std::nullopt;
        holding.unit = "rows";
        holding.saved = rows_in(facts["tables"]);
        take(clickhouse_rows(*one, facts), holding);
        holding.estimated = true;
    } else if (kind == "redis") {
        const auto* one = named(config.redis, name);
        if (!one) return std::nullopt;
        holding.unit = "keys";
        holding.saved = facts["keys"].natural();
        if (const auto instance = look_at_redis(*one); instance && instance->running) holding.now = instance->keys;
    } else if (kind == "duckdb") {
        const auto* one = named(config.duckdb, name);
        if (!one) return std::nullopt;
        holding.unit = "bytes";
        holding.saved = facts["file_bytes"].natural() + facts["wal_bytes"].natural();
        if (const auto file = os::status_of(one->path)) {
            holding.now = static_cast<std::uint64_t>(file->st_size);
            if (const auto log = os::status_of(one->path + ".wal"))
                *holding.now += static_cast<std::uint64_t>(log->st_size);
        }
    } else {
        holding.unit = "files";
        holding.saved = facts["files"].natural();
        holding.now = holding.changed = 0;
        for (const json::Value& path : facts["paths"].items()) count_files(path.text(), snapshot_time, holding);
        if (*holding.now >= k_files_max) holding.now.reset();
    }
    return holding;
}

}    // namespace holdfast::recovery
