// DuckDB out of the vault.

#include <fcntl.h>
#include <fmt/core.h>

#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/recovery/duckdb_back.hpp"
#include "holdfast/vault/restore.hpp"

namespace holdfast::recovery {
namespace {

struct Saved {
    format::Node file;
    std::optional<format::Node> log;
    std::uint64_t bytes() const { return file.size + (log ? log->size : 0); }
};

Result<Saved> find_saved(const policy::DuckDbConfig& config, const RestoreContext& context) {
    const std::string path = fmt::format("/{}/{}.duckdb", context.folder, config.name);
    Saved saved;
    HF_TRY(saved.file, context.repository.find_node(context.snapshot.snapshot.tree, path));
    auto log = context.repository.find_node(context.snapshot.snapshot.tree, path + ".wal");
    if (log)
        saved.log = *std::move(log);
    else if (log.error().code != ErrorCode::not_found)
        return fail(log.error());
    // A copy without its log would be an older state that looks whole.
    if (!saved.log && context.facts["wal_bytes"].natural() > 0)
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

DuckDbBack back_to(const policy::DuckDbConfig& config, const RestoreContext& context) {
    return {os::absolute_path(config.path), context.existing, context.clock, context.say, context.will_replace};
}

DuckDbOrigin origin_of(const Saved& saved, const RestoreContext& context) {
    DuckDbOrigin origin;
    origin.id = context.snapshot.id.brief();
    origin.file_bytes = saved.file.size;
    origin.log_bytes = saved.log ? saved.log->size : 0;
    origin.facts = context.facts;
    origin.write = [&](const std::string& to) -> Status {
        HF_DO(write_content(context.repository, saved.file, to));
        if (saved.log) HF_DO(write_content(context.repository, *saved.log, to + ".wal"));
        return {};
    };
    return origin;
}

}    // namespace

Result<std::vector<PlanStep>> plan_duckdb(const policy::DuckDbConfig& config, const RestoreContext& context) {
    HF_TRY(const Saved saved, find_saved(config, context));
    return plan_duckdb_back(back_to(config, context), origin_of(saved, context));
}

Result<json::Value> restore_duckdb(const policy::DuckDbConfig& config, const RestoreContext& context) {
    HF_TRY(const Saved saved, find_saved(config, context));
    return put_duckdb_back(back_to(config, context), origin_of(saved, context));
}

}    // namespace holdfast::recovery
