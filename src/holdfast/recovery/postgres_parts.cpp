#include "holdfast/recovery/postgres_parts.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>

#include "holdfast/base/log.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/os/scratch_folder.hpp"
#include "holdfast/recovery/postgres_feed.hpp"
#include "holdfast/source/postgres_content.hpp"

namespace holdfast::recovery {
namespace {

using Section = db::ArchiveEntry::Section;

constexpr unsigned k_jobs_default_max = 4;
constexpr std::size_t k_rows_at_once = std::size_t(64) << 10;

// `count` pieces of work by the load's number of connections into one database; the first failure ends all.
Status by_connections(const PostgresLoad& load, const std::string& database, const std::string& encoding,
                      std::size_t count,
                      const std::function<Status(db::PostgresConnection& connection, std::size_t i)>& each) {
    std::vector<db::PostgresConnection> connections;
    for (std::size_t i = 0; i < std::min<std::size_t>(load.jobs, count); ++i) {
        HF_TRY(auto connection, load.access.connect(database));
        HF_DO(connection.execute(source::copy_form_settings(connection.server_major(), encoding)));
        connections.push_back(std::move(connection));
    }
    std::mutex mutex;
    std::optional<Error> error;
    std::atomic<std::size_t> next = 0;
    std::atomic<bool> failed = false;
    {
        std::vector<std::jthread> threads;
        for (db::PostgresConnection& connection : connections)
            threads.emplace_back([&] {
                for (std::size_t i = next++; i < count && !failed; i = next++) {
                    auto done = each(connection, i);
                    if (done) continue;
                    const std::scoped_lock lock(mutex);
                    if (error) return;
                    error = std::move(done).error();
                    failed = true;
                    for (db::PostgresConnection& other : connections) other.cancel();
                }
            });
    }
    if (error) return fail(*std::move(error));
    return {};
}

Status load_rows(db::PostgresConnection& connection, const PostgresArchive& archive, const PostgresRowsPart& part) {
    HF_DO(connection.begin_copy(fmt::format("COPY {} {} FROM STDIN", part.copy.table, part.copy.columns)));
    // Rows come one by one from the archive.
    Bytes open;
    HF_DO(archive.read_rows(part, [&](ByteView bytes) -> Status {
        append(open, bytes);
        if (open.size() < k_rows_at_once) return {};
        HF_DO(connection.put(open));
        open.clear();
        return {};
    }));
    HF_DO(connection.put(open));
    return connection.end_copy();
}

// What each run of pg_restore takes: numbers of entries, in the archive's order. Runs by several connections take only
// what cannot deadlock: pg_restore keeps apart what locks the same table, but knows nothing of partitions.
struct Lists {
    std::string definitions, large_objects;
    std::string indexes;    // side by side: each locks its own table
    std::string others;    // one by one
    std::string checked;    // side by side: foreign keys, whose rows are checked, and views to fill; after the rights
};

Lists split_entries(const PostgresArchive& archive, const db::EntryIds* wanted) {
    constexpr std::string_view k_indexes[] = {"INDEX", "CONSTRAINT"};
    constexpr std::string_view k_checked[] = {"FK CONSTRAINT", "MATERIALIZED VIEW DATA", "EVENT TRIGGER"};
    Lists lists;
    db::EntryIds one_by_one, last;    // of what comes behind the rows
    for (const db::ArchiveEntry& entry : archive.entries()) {
        if (entry.kind == "TABLE DATA" || (wanted && !wanted->contains(entry.id))) continue;
        const auto is_one_of = [&](const auto& kinds) {
            return std::ranges::find(kinds, entry.kind) != std::end(kinds);
        };
        const auto needs_of = [&](const db::EntryIds& ids) {
            return std::ranges::any_of(entry.needs, [&](std::int64_t need) { return ids.contains(need); });
        };
        const bool data = entry.section == Section::data;
        // Rights come last, as pg_restore has it: they may take the right to load from the owner.
        const bool rights = entry.kind.find("ACL") != entry.kind.npos;
        std::string* list = &lists.others;
        if (data && entry.kind.starts_with("BLOB"))
            list = &lists.large_objects;
        else if (entry.section == Section::pre_data && !rights)
            list = &lists.definitions;
        else if (is_one_of(k_checked) || needs_of(last))
            list = &lists.checked;
        else if (is_one_of(k_indexes) && !needs_of(one_by_one))
            list = &lists.indexes;
        if (list == &lists.checked) last.insert(entry.id);
        if (list == &lists.others) one_by_one.insert(entry.id);
        *list += fmt::format("{};\n", entry.id);
    }
    return lists;
}

class Restorer {
public:
    Restorer(const PostgresLoad& load, std::string beside, std::string folder)
        : load_(load), beside_(std::move(beside)), folder_(std::move(folder)) {}

    Result<PostgresFeed> start(const std::string& what, const std::string& list, std::vector<std::string> more) {
        const std::string file = folder_ + "/" + what;
        HF_DO(os::write_file(file, as_bytes(list)));
        std::vector<std::string> arguments = {"--format=custom", "--exit-on-error", "--use-list=" + file,
                                              "--dbname=" + db::database_option(beside_)};
        if (load_.no_tablespaces) arguments.emplace_back("--no-tablespaces");
        for (std::string& argument : more) arguments.push_back(std::move(argument));
        return PostgresFeed::start(
            postgres_command(load_.pg_restore, load_.access.address, load_.access.password, arguments),
            fmt::format("pg_restore of {} into {}", what, beside_));
    }
    Status run(const std::string& what, const std::string& list, std::vector<std::string> more) {
        if (list.empty()) return {};
        HF_TRY(auto feed, start(what, list, std::move(more)));
        return feed.finish();
    }

private:
    const PostgresLoad& load_;
    const std::string beside_, folder_;
};

}    // namespace

unsigned restore_jobs(const policy::PostgresConfig& config) {
    return config.restore_jobs ? config.restore_jobs : std::clamp(os::processor_count(), 1u, k_jobs_default_max);
}

Status load_in_parts(const PostgresLoad& load, const PostgresArchive& archive, const json::Value& facts,
                     const std::string& beside, const db::EntryIds* wanted) {
    HF_TRY(const os::ScratchFolder folder, os::ScratchFolder::create("postgres", load.context.scratch));
    const std::string head = folder.path() + "/head";
    HF_DO(os::write_file(head, archive.head()));
    const Lists lists = split_entries(archive, wanted);
    Restorer restorer(load, beside, folder.path());
    HF_DO(restorer.run("definitions", lists.definitions, {"--single-transaction", head}));

    std::vector<const PostgresRowsPart*> parts;
    for (const PostgresRowsPart& part : archive.parts())
        if (!wanted || wanted->contains(part.entry)) parts.push_back(&part);
    std::ranges::stable_sort(parts, [](const auto* a, const auto* b) { return a->bytes > b->bytes; });
    HF_DO(by_connections(
        load, beside, facts["encoding"].text(), parts.size(),
        [&](db::PostgresConnection& connection, std::size_t i) { return load_rows(connection, archive, *parts[i]); }));

    if (archive.has_large_objects() && !lists.large_objects.empty()) {
        HF_TRY(auto feed, restorer.start("large objects", lists.large_objects, {"--single-transaction"}));
        const auto fed = archive.read_large_objects([&](ByteView bytes) { return feed.write(bytes); });
        if (!fed && !feed.refused()) return fed;
        HF_DO(feed.finish());
        HF_DO(fed);
    }
    const std::vector<std::string> side_by_side = {fmt::format("--jobs={}", load.jobs), head};
    const std::vector<std::string> one_by_one = {"--single-transaction", head};
    HF_DO(restorer.run("indexes", lists.indexes, side_by_side));
    HF_DO(restorer.run("other definitions", lists.others, one_by_one));
    // Keys between partitions of one table and another may still deadlock; made again one by one they cannot.
    const Status checked = restorer.run("foreign keys", lists.checked, side_by_side);
    if (checked) return {};
    log_info("foreign keys are made again one by one", {{"database", beside}, {"why", checked.error().message}});
    return restorer.run("foreign keys", lists.checked, {"--clean", "--if-exists", "--single-transaction", head});
}

Result<std::map<TableName, db::CopyDigest>> digest_tables(const PostgresLoad& load, const PostgresArchive* archive,
                                                          const db::ScriptCopies& script, const json::Value& facts,
                                                          const std::string& beside) {
    struct Asked {
        TableName name;
        std::string what;    // "public.trades (id, symbol)"
        std::uint64_t bytes = 0;
    };
    std::vector<Asked> asked;
    for (const json::Value& table : facts["tables"].items()) {
        if (!db::is_copy_digest(table["digest"].text())) continue;
        const std::string schema = table["schema"].text(), name = table["name"].text();
        if (archive == nullptr) {
            // One that the script does not tell has its columns in the order of the dump, or it is a difference.
            const auto copy = script.find(schema, name);
            asked.push_back({{schema, name},
                             copy ? copy->table + " " + copy->columns
                                  : db::quote_identifier(schema) + "." + db::quote_identifier(name),
                             0});
            continue;
        }
        const PostgresRowsPart* const part = archive->find(schema, name);
        if (!part)
            return fail(ErrorCode::corrupt,
                        fmt::format("the manifest tells the digest of {}.{}, but not its place", schema, name));
        asked.push_back({{schema, name}, part->copy.table + " " + part->copy.columns, part->bytes});
    }
    std::ranges::stable_sort(asked, std::greater(), &Asked::bytes);
    std::vector<std::optional<db::CopyDigest>> digests(asked.size());
    HF_DO(by_connections(load, beside, facts["encoding"].text(), asked.size(),
                         [&](db::PostgresConnection& connection, std::size_t i) -> Status {
                             db::CopyDigest digest;
                             const auto told = connection.copy_out("COPY " + asked[i].what + " TO STDOUT",
                                                                   [&](ByteView bytes) { digest.add(bytes); });
                             // No such table, no such column: a difference, and no failure.
                             const std::string& state = connection.sql_state();
                             if (!told && (state == "42P01" || state == "42703")) return {};
                             HF_DO(told);
                             digests[i] = std::move(digest);
                             return {};
                         }));
    std::map<TableName, db::CopyDigest> by_name;
    for (std::size_t i = 0; i < asked.size(); ++i)
        if (digests[i]) by_name.emplace(asked[i].name, *std::move(digests[i]));
    return by_name;
}

}    // namespace holdfast::recovery
