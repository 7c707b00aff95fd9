// DuckDB out of the vault.

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include "holdfast/db/duckdb_wal.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/recovery/duckdb_back.hpp"
#include "holdfast/recovery/duckdb_moment.hpp"
#include "holdfast/vault/restore.hpp"

namespace holdfast::recovery {
namespace {

constexpr std::uint64_t k_log_max = std::uint64_t(8) << 30;

struct Saved {
    format::Node file;
    std::optional<format::Node> log;
    std::optional<DuckDbMoment> moment;    // the log is cut behind its commits
    std::uint64_t bytes() const { return file.size + (log ? log->size : 0); }
};

Result<Saved> find_saved(const policy::DuckDbConfig& config, const RestoreContext& context) {
    std::string path = fmt::format("/{}/{}.duckdb", context.folder, config.name);
    Saved saved;
    std::uint64_t log_needed = context.facts["wal_bytes"].natural();
    if (context.time) {
        HF_TRY(saved.moment,
               find_duckdb_moment(context.repository, context.snapshot, context.folder, config.name, *context.time));
        path = fmt::format("/{}/{}", context.folder, saved.moment->file);
        log_needed = saved.moment->commits;
    }
    HF_TRY(saved.file, context.repository.find_node(context.snapshot.snapshot.tree, path));
    auto log = context.repository.find_node(context.snapshot.snapshot.tree, path + ".wal");
    if (log)
        saved.log = *std::move(log);
    else if (log.error().code != ErrorCode::not_found)
        return fail(log.error());
    // A copy without its log would be an older state that looks whole.
    if (!saved.log && log_needed > 0)
        return fail(ErrorCode::corrupt, fmt::format("the snapshot lacks {}.wal, which its manifest names", path),
                    "restore from another snapshot");
    return saved;
}

Status write_content(const vault::Repository& repository, const format::Node& node, const std::string& path) {
    HF_TRY(const os::Fd file, os::open_file(path, O_WRONLY | O_CREAT | O_TRUNC));
    HF_DO(vault::read_content(repository, node, [&](ByteView bytes) -> Status {
        if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped while writing " + path);
        return os::write_all(file.get(), bytes);
    }));
    return os::sync_fd(file.get(), path);
}

// The log as far as the moment goes.
Status cut_log(const std::string& path, std::uint64_t commits) {
    if (commits == 0) return os::remove_tree(path);
    const auto bytes = os::read_file(path, k_log_max);
    if (!bytes) return fail(bytes.error());
    HF_TRY(const std::uint64_t size, db::duckdb_log_size(*bytes, commits, path));
    HF_TRY(const os::Fd file, os::open_file(path, O_RDWR));
    if (::ftruncate(file.get(), static_cast<off_t>(size)) != 0) return fail(errno_error(errno, "cannot cut " + path));
    return os::sync_fd(file.get(), path);
}

DuckDbBack back_to(const policy::DuckDbConfig& config, const RestoreContext& context) {
    return {os::absolute_path(config.path), context.existing, context.clock, context.say, context.will_replace};
}

DuckDbOrigin origin_of(const Saved& saved, const RestoreContext& context) {
    DuckDbOrigin origin;
    origin.id = context.snapshot.id.brief();
    origin.file_bytes = saved.file.size;
    origin.log_bytes = saved.log ? saved.log->size : 0;
    origin.facts = context.facts;
    // Nothing tells what was in it at that moment: it is read through, and not compared.
    if (saved.moment) origin.facts.set("tables", json::Value());
    origin.write = [saved, &repository = context.repository](const std::string& to) -> Status {
        HF_DO(write_content(repository, saved.file, to));
        if (!saved.log) return {};
        HF_DO(write_content(repository, *saved.log, to + ".wal"));
        return saved.moment ? cut_log(to + ".wal", saved.moment->commits) : Status();
    };
    return origin;
}

std::string moment_text(const DuckDbMoment& moment) {
    return fmt::format("as of {} (state {}), the last moment at or before the one asked for", to_rfc3339(moment.at),
                       moment.name());
}

}    // namespace

Result<DuckDbOrigin> saved_duckdb(const policy::DuckDbConfig& config, const RestoreContext& context) {
    HF_TRY(const Saved saved, find_saved(config, context));
    return origin_of(saved, context);
}

Result<std::vector<PlanStep>> plan_duckdb(const policy::DuckDbConfig& config, const RestoreContext& context) {
    HF_TRY(const Saved saved, find_saved(config, context));
    HF_TRY(auto steps, plan_duckdb_back(back_to(config, context), origin_of(saved, context)));
    if (saved.moment) steps.insert(steps.begin(), PlanStep{moment_text(*saved.moment), 0, false});
    return steps;
}

Result<json::Value> restore_duckdb(const policy::DuckDbConfig& config, const RestoreContext& context) {
    HF_TRY(const Saved saved, find_saved(config, context));
    if (saved.moment) context.say(moment_text(*saved.moment));
    HF_TRY(json::Value result, put_duckdb_back(back_to(config, context), origin_of(saved, context)));
    if (saved.moment)
        result.set("moment",
                   json::Value::object({{"state", saved.moment->name()}, {"time", to_rfc3339(saved.moment->at)}}));
    return result;
}

}    // namespace holdfast::recovery
