#include "holdfast/recovery/clickhouse_parts.hpp"

#include <fmt/core.h>
#include <sys/stat.h>

#include <charconv>

#include "holdfast/base/log.hpp"
#include "holdfast/db/clickhouse_text.hpp"
#include "holdfast/format/sha256.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/recovery/redis_files.hpp"
#include "holdfast/source/clickhouse_freeze.hpp"
#include "holdfast/vault/restore.hpp"

namespace holdfast::recovery::clickhouse {

using db::clickhouse::quoted_name;
using db::clickhouse::quoted_text;
using db::clickhouse::server_folder_of;

namespace {

Error out_of_reach(const std::string& folder) {
    return {
        ErrorCode::unsupported,
        fmt::format("the backup holds the server's own files (method = \"freeze\"), and {} cannot be reached from here",
                    folder),
        "run the restore on the server's own host, as root or as the server's user"};
}

Result<std::string> detached_folder(const Loader& loader, const Item& item, const std::string& table) {
    HF_TRY(const bool several, loader.client.system_has("tables", "data_paths"));
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

namespace {

Status lay_out(const RestoreContext& context, const RowsFile& part, const std::string& at) {
    vault::RestoreOptions options;
    options.target = at;
    options.subfolder = context.folder + "/" + part.path;
    HF_DO(vault::restore(context.repository, context.snapshot, options));
    return {};
}

// What the server wants to know of each file below `folder`. It takes equal checksums for equal files and compares nothing with
// them: ours are halves of SHA-256 over the names, so that no two are equal.
Status list_files(const std::string& folder, const std::string& below, std::string& list) {
    HF_TRY(const auto names, os::list_folder(folder + "/" + below));
    for (const std::string& name : names) {
        // The server escapes these in its names; in a list that it reads they would be something else.
        if (name.find_first_of("<>&") != name.npos)
            return fail(ErrorCode::corrupt, "the snapshot has a part with a file that no server writes: " + name);
        const std::string path = below + "/" + name;
        HF_TRY(const auto status, os::status_of(folder + "/" + path, false));
        if (S_ISDIR(status.st_mode)) {
            HF_DO(list_files(folder, path, list));
            continue;
        }
        list += fmt::format("<file><name>{}</name><size>{}</size><checksum>{}</checksum></file>\n", path,
                            status.st_size, format::sha256(as_bytes(path)).hex().substr(0, 32));
    }
    return {};
}

// Gone with this, whatever happens.
struct Folder {
    std::string path;
    ~Folder() {
        if (const Status gone = os::remove_tree(path); !gone)
            log_warning("a folder for RESTORE is left", {{"folder", path}, {"why", gone.error().message}});
    }
};

}    // namespace

Status attach_parts(const Loader& loader, const Item& item, const std::string& table) {
    HF_TRY(const std::string detached, detached_folder(loader, item, table));
    HF_TRY(const struct stat owner, os::status_of(detached));
    const RestoreContext& context = loader.context;
    for (const RowsFile& part : item.files) {
        if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped while loading ClickHouse");
        const std::string name = os::file_name(part.path), at = detached + "/" + name;
        const Status laid = lay_out(context, part, at);
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

Status restore_parts_by_server(const Loader& loader, const Item& item, const std::string& table) {
    source::clickhouse::remove_leftovers(loader.backups + "/");
    HF_TRY(const struct stat owner, os::status_of(loader.backups));
    const Folder folder{loader.backups + "/" + source::clickhouse::unused_link_name()};
    const std::string place = server_folder_of(item.database) + "/" + server_folder_of(table);
    for (const RowsFile& part : item.files) {
        if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped while loading ClickHouse");
        HF_DO(os::make_folders(folder.path + "/data/" + place));
        HF_DO(lay_out(loader.context, part, folder.path + "/data/" + place + "/" + os::file_name(part.path)));
    }
    HF_DO(os::make_folders(folder.path + "/metadata/" + server_folder_of(item.database)));
    HF_TRY(const std::string definition,
           source::clickhouse::show_create(loader.client, item.database, table, source::clickhouse::Secrets::hidden));
    HF_DO(os::write_file(folder.path + "/metadata/" + place + ".sql", as_bytes(definition)));
    std::string list;
    HF_DO(list_files(folder.path, "data", list));
    HF_DO(list_files(folder.path, "metadata", list));
    // The time and the number only name it; they are in no promise of ours.
    HF_DO(os::write_file(
        folder.path + "/.backup",
        as_bytes("<config><version>1</version><deduplicate_files>0</deduplicate_files>"
                 "<timestamp>2000-01-01 00:00:00</timestamp><uuid>00000000-0000-0000-0000-000000000001</uuid>"
                 "<contents>\n" +
                 list + "</contents></config>\n")));
    HF_DO(give_all(folder.path, {owner.st_uid, owner.st_gid}));
    // The table is the one that was made for these parts, so that its definition need not be looked at again.
    return loader.client.execute(fmt::format("RESTORE TABLE {} FROM File({}) SETTINGS allow_different_table_def = 1",
                                             quoted_name(item.database, table), quoted_text(folder.path)));
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
