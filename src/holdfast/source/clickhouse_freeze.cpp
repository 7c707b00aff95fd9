#include "holdfast/source/clickhouse_freeze.hpp"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <charconv>

#include "holdfast/base/log.hpp"
#include "holdfast/db/clickhouse_text.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"

namespace holdfast::source::clickhouse {

using db::clickhouse::quoted_name;
using db::clickhouse::quoted_text;

namespace {

// "/root/data/db/table/part/" is {"/root/", "data/db/table"}.
struct Place {
    std::string root, table;
};
std::optional<Place> place_of(std::string path) {
    while (path.ends_with('/')) path.pop_back();
    const auto cut = [&](std::string& text) {
        const auto at = text.rfind('/');
        std::string last = at == std::string::npos ? "" : text.substr(at + 1);
        text.resize(at == std::string::npos ? 0 : at);
        return last;
    };
    cut(path);    // the part
    std::string table = cut(path), above = cut(path), kind = cut(path);
    if (path.empty() || (kind != "data" && kind != "store")) return std::nullopt;
    return Place{path + "/", kind + "/" + above + "/" + table};
}

Error out_of_reach(const std::string& why) {
    return {ErrorCode::unsupported, why, "run the backup on the server's own host, as root or as the server's user"};
}

}    // namespace

// Without the machine another host's backup into a shared folder would seem to be a dead one's. Letters and digits only: the server
// writes others otherwise in names of folders.
std::string link_prefix() { return "holdfast_" + os::machine_tag() + "_"; }

std::string unused_link_name() {
    static std::atomic<unsigned> counter = 0;
    return fmt::format("{}{}_{}", link_prefix(), ::getpid(), ++counter);
}

void remove_leftovers(const std::string& folder) {
    for (const std::string& name : os::names_of_gone_processes(folder, link_prefix())) {
        log_info("removing what a killed backup left", {{"folder", folder + name}});
        (void)os::remove_tree(folder + name);
    }
}

Frozen::Frozen(Frozen&& other) noexcept
    : shadow_(std::exchange(other.shadow_, {})), folder_(std::move(other.folder_)) {}

Frozen::~Frozen() {
    if (shadow_.empty()) return;
    if (const Status gone = os::remove_tree(shadow_); !gone)
        log_warning("hard links of a backup are left; they keep the disk space of dropped parts",
                    {{"folder", shadow_}, {"why", gone.error().message}});
}

std::optional<std::uint64_t> rows_in_part(const std::string& folder) {
    const auto text = os::read_text(folder + "/count.txt", 64);
    if (!text) return std::nullopt;
    std::uint64_t rows = 0;
    if (std::from_chars(text->data(), text->data() + text->size(), rows).ec != std::errc()) return std::nullopt;
    return rows;
}

Result<Frozen> freeze(db::clickhouse::Client& client, const Table& table, const std::vector<Part>& parts) {
    const auto place = place_of(parts.front().path);
    if (!place) return fail(out_of_reach("the server does not say where its parts lie"));
    for (const Part& part : parts) {
        const auto other = place_of(part.path);
        if (!other || other->root != place->root || other->table != place->table)
            return fail(out_of_reach("its parts lie on several disks"));
    }
    // The same path on this machine may be another server's: parts would then hold other rows, or not be there.
    const bool here = std::ranges::any_of(parts, [](const Part& part) { return rows_in_part(part.path) == part.rows; });
    if (!here) return fail(out_of_reach(fmt::format("{} is not on this machine, or may not be read", place->root)));
    const std::string shadows = place->root + "shadow/";
    remove_leftovers(shadows);
    const std::string name = unused_link_name();
    const std::string shadow = shadows + name;
    if (const Status clean = os::remove_tree(shadow); !clean) return fail(out_of_reach(clean.error().message));
    Frozen frozen(shadow, shadow + "/" + place->table);
    HF_DO(client.execute(fmt::format("ALTER TABLE {} FREEZE WITH NAME {}", quoted_name(table.database, table.holder()),
                                     quoted_text(name))));
    if (!os::list_folder(frozen.folder())) return fail(out_of_reach(fmt::format("{} cannot be read", frozen.folder())));
    return frozen;
}

}    // namespace holdfast::source::clickhouse
