#include "holdfast/recovery/clickhouse_parts.hpp"

#include <fmt/core.h>
#include <sys/stat.h>

#include <charconv>

#include "holdfast/db/clickhouse_text.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/recovery/redis_files.hpp"
#include "holdfast/vault/restore.hpp"

namespace holdfast::recovery::clickhouse {

using db::clickhouse::quoted_name;
using db::clickhouse::quoted_text;

namespace {

Error out_of_reach(const std::string& folder) {
    return {
        ErrorCode::unsupported,
        fmt::format("the backup holds the server's own files (method = \"freeze\"), and {} cannot be reached from here",
                    folder),
        "run the restore on the server's own host, as root or as the server's user"};
}

Result<std::string> detached_folder(const Loader& loader, const Item& item, const std::string& table) {
    HF_TRY(const bool several, source::clickhouse::system_has(loader.client, "tables", "data_paths"));
    HF_TRY(const auto rows,
           loader.client.rows(fmt::format("SELECT {} FROM system.tables WHERE database = {} AND name = {}",
                                          several ? "data_paths[1]" : "data_path", quoted_text(item.database),
                                          quoted_text(table))));
    if (rows.size() != 1 || rows[0].size() != 1 || !rows[0][0].starts_with('/'))
        return fail(ErrorCode::store, fmt::format("the server does not say where {} lies", item.title()));
    std::string folder = rows[0][0];
    while (folder.ends_with('/')) folder.pop_back();
    folder += "/detached";
    if (!os::list_folder(folder)) return fail(out_of_reach(folder));
    return folder;
}

// A part is a folder of files; projections are folders in it.
Status give_all(const std::string& folder, Owner owner) {
    HF_DO(give_to(folder, owner));
    HF_TRY(const auto names, os::list_folder(folder));
    for (const std::string& name : names) {
        const std::string path = folder + "/" + name;
        HF_TRY(const auto status, os::status_of(path, false));
        HF_DO(S_ISDIR(status.st_mode) ? give_all(path, owner) : give_to(path, owner));
    }
    return {};
}

}    // namespace

Status attach_parts(const Loader& loader, const Item& item, const std::string& table) {
    HF_TRY(const std::string detached, detached_folder(loader, item, table));
    HF_TRY(const struct stat owner, os::status_of(detached));
    const RestoreContext& context = loader.context;
    for (const RowsFile& part : item.files) {
        if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped while loading ClickHouse");
        const std::string name = os::file_name(part.path), at = detached + "/" + name;
        vault::RestoreOptions options;
        options.target = at;
        options.subfolder = context.folder + "/" + part.path;
        auto laid = vault::restore(context.repository, context.snapshot, options);
        if (!laid) {
            if (laid.error().code == ErrorCode::denied) return fail(out_of_reach(detached));
            return fail(laid.error());
        }
        HF_DO(give_all(at, {owner.st_uid, owner.st_gid}));
        HF_DO(loader.client.execute(
            fmt::format("ALTER TABLE {} ATTACH PART {}", quoted_name(item.database, table), quoted_text(name)),
            loader.settings));
    }
    return {};
}

Status check_table(const Loader& loader, const Item& item, const std::string& table) {
    const auto rows = loader.client.rows(
        fmt::format("CHECK TABLE {} SETTINGS check_query_single_value_result = 1", quoted_name(item.database, table)));
    // 18.16 has none for these engines, and does not know the setting: a syntax error, or "not supported".
    if (!rows) return rows.error().code == ErrorCode::unreachable ? fail(rows.error()) : Status();
    if (rows->size() == 1 && (*rows)[0].size() == 1 && (*rows)[0][0] == "1") return {};
    return fail(ErrorCode::mismatch, fmt::format("CHECK TABLE finds damage in the restored {}", item.title()),
                "nothing was replaced; take an older snapshot");
}

}    // namespace holdfast::recovery::clickhouse
