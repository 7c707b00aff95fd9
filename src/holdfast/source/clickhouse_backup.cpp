#include "holdfast/source/clickhouse_backup.hpp"

#include <fmt/core.h>

#include <set>

#include "holdfast/db/clickhouse_text.hpp"
#include "holdfast/os/file.hpp"

namespace holdfast::source::clickhouse {

using db::clickhouse::quoted_name;
using db::clickhouse::quoted_text;
using db::clickhouse::server_folder_of;

namespace {

Error no_backup(const std::string& why) {
    return {ErrorCode::unsupported, why,
            "name the folder in the server's <backups><allowed_path>, and GRANT BACKUP ON *.* to the user"};
}

}    // namespace

Result<Frozen> back_up_by_server(db::clickhouse::Client& client, const Table& table, const std::vector<Part>& parts,
                                 const std::string& backups) {
    remove_leftovers(backups + "/");
    const std::string name = unused_link_name(), folder = backups + "/" + name;
    Frozen laid_out(
        folder, fmt::format("{}/data/{}/{}", folder, server_folder_of(table.database), server_folder_of(table.name)));
    std::set<std::string> partitions;
    for (const Part& part : parts) partitions.insert(part.partition);
    std::string chosen;
    for (const std::string& partition : partitions)
        chosen += (chosen.empty() ? "ID " : ", ID ") + quoted_text(partition);
    // A materialized view stands for its inner table. Without deduplicate_files=0 a file that another part has too would be left out.
    const Status done =
        client.execute(fmt::format("BACKUP TABLE {} PARTITIONS {} TO File({}) SETTINGS deduplicate_files = 0",
                                   quoted_name(table.database, table.name), chosen, quoted_text(folder)));
    if (!done) {
        switch (done.error().code) {
            case ErrorCode::unreachable:
            case ErrorCode::cancelled:
            case ErrorCode::disk_full:
            case ErrorCode::not_found:
                return fail(done.error());
            default:
                return fail(no_backup(done.error().message));
        }
    }
    if (!os::list_folder(folder)) return fail(no_backup(fmt::format("{} cannot be read", folder)));
    return laid_out;
}

}    // namespace holdfast::source::clickhouse
