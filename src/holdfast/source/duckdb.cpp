// DuckDB into the vault: a consistent copy on scratch, opened and read in a child process while it is streamed. The
// copy is made first, at the disk's speed, and not streamed from the live file: the time in which a checkpoint can force
// another try is then as short as it can be, and nothing that failed reaches the repository.

#include <fcntl.h>
#include <fmt/core.h>

#include "holdfast/base/log.hpp"
#include "holdfast/db/duckdb_check.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/source/capture.hpp"
#include "holdfast/source/duckdb_copy.hpp"
#include "holdfast/source/duckdb_state.hpp"

namespace holdfast::source {
namespace {

constexpr std::uint64_t k_scratch_reserve = std::uint64_t(64) << 20;    // for what the check spills

db::DuckDbCheck::Depth depth_of(policy::Proof proof) {
    switch (proof) {
        case policy::Proof::digest:
            return db::DuckDbCheck::Depth::digest;
        case policy::Proof::count:
            return db::DuckDbCheck::Depth::count;
        case policy::Proof::none:
            break;
    }
    return db::DuckDbCheck::Depth::catalog;
}

std::string_view proof_name(policy::Proof proof) {
    return proof == policy::Proof::digest ? "digest" : proof == policy::Proof::count ? "count" : "none";
}

Result<struct stat> look_at(const std::string& path) {
    auto status = os::status_of(path);
    if (!status && status.error().code == ErrorCode::not_found)
        return fail(ErrorCode::not_found, fmt::format("there is no DuckDB database at {}", path),
                    "check the path in [[duckdb]]");
    HF_TRY(const struct stat found, std::move(status));
    if (!S_ISREG(found.st_mode))
        return fail(ErrorCode::corrupt, fmt::format("{} is no file", path), "check the path in [[duckdb]]");
    return found;
}

Status check_scratch(const std::string& path, const struct stat& file, const std::string& scratch) {
    std::uint64_t needed = static_cast<std::uint64_t>(file.st_size) + k_scratch_reserve;
    for (const std::string suffix : {".wal", ".wal.checkpoint"}) {
        // Twice: as read, and cut.
        if (const auto log = os::status_of(path + suffix); log) needed += 2 * static_cast<std::uint64_t>(log->st_size);
    }
    HF_TRY(const std::uint64_t free, os::free_space(scratch));
    if (free >= needed) return {};
    return fail(ErrorCode::disk_full,
                fmt::format("checking a copy of {} takes {} in {}, where {} is free", path, human_size(needed), scratch,
                            human_size(free)),
                "set scratch_folder in holdfast.toml to a folder on a larger disk");
}

Result<std::unique_ptr<vault::StreamWriter>> stream(vault::Backup& backup, const std::string& from,
                                                    const std::string& to, const vault::StreamOptions& options) {
    HF_TRY(const os::Fd file, os::open_file(from, O_RDONLY));
    HF_TRY(auto writer, backup.start_stream(to, options));
    Bytes buffer(std::size_t(1) << 20);
    while (true) {
        if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped while storing " + to);
        HF_TRY(const std::size_t got, os::read_some(file.get(), buffer));
        if (got == 0) return writer;
        HF_DO(writer->write(ByteView(buffer).first(got)));
    }
}

json::Value make_facts(const policy::DuckDbConfig& config, const DuckDbCopy& copy, const struct stat& file) {
    return json::Value::object({{"path", config.path},
                                {"file_bytes", copy.file_bytes},
                                {"wal_bytes", copy.wal_bytes},
                                {"wal_commits", copy.wal_commits},
                                {"storage_version", copy.headers.storage_version},
                                {"written_by", copy.headers.library_version},
                                {"iteration", copy.headers.iteration},
                                {"block_size", copy.headers.block_size},
                                {"database_id", copy.headers.database_id},
                                {"tries", copy.tries},
                                {"mode", fmt::format("{:04o}", file.st_mode & 07777)},
                                {"owner", os::user_name_of(file.st_uid)},
                                {"group", os::group_name_of(file.st_gid)},
                                {"proof", proof_name(config.proof)}});
}

// One copy, checked and stored; the streams are finished only once the child has read the copy to its end.
Result<json::Value> capture_once(const policy::DuckDbConfig& config, CaptureContext& context, const struct stat& file) {
    HF_TRY(const os::TempFolder folder, os::TempFolder::create("holdfast-duckdb-", context.scratch));
    const std::string copied = folder.path() + "/copy.duckdb";
    HF_TRY(const DuckDbCopy copy, copy_live_duckdb(config.path, copied, context.clock));
    HF_TRY(db::DuckDbChecker checker, db::DuckDbChecker::start(copied, {.depth = depth_of(config.proof)}));

    const std::string name = fmt::format("{}/{}.duckdb", context.folder, config.name);
    vault::StreamOptions options;
    options.mode = file.st_mode & 0777;
    options.mtime = Timestamp{file.st_mtim.tv_sec * 1'000'000'000 + file.st_mtim.tv_nsec};
    options.cut = vault::Cut::blocks(copy.headers.block_size, db::k_duckdb_headers_size);
    HF_TRY(const auto file_stream, stream(context.backup, copied, name, options));
    std::unique_ptr<vault::StreamWriter> wal_stream;
    if (copy.wal_bytes > 0) {
        options.cut = vault::Cut::content();
        HF_TRY(wal_stream, stream(context.backup, copied + ".wal", name + ".wal", options));
    }
    auto checked = checker.finish();
    if (!checked) return fail(checked.error().within("the copy of " + config.path));
    HF_TRY([[maybe_unused]] const auto stored, file_stream->finish());
    if (wal_stream) {
        if (const auto wal_stored = wal_stream->finish(); !wal_stored) {
            context.backup.forget_path(name);    // without its log it would be an older state that passes for this one
            return fail(wal_stored.error());
        }
    }
    json::Value facts = make_facts(config, copy, file);
    for (const auto& [key, value] : checked->members()) facts.set(key, value);
    return facts;
}

// The facts of the earlier copy, when the database is still what it was then; its files are in this snapshot, too.
std::optional<json::Value> take_unchanged(const policy::DuckDbConfig& config, CaptureContext& context,
                                          const std::optional<std::string>& state) {
    if (!context.earlier || !state) return std::nullopt;
    const auto earlier = context.earlier();
    if (!earlier || earlier->facts["state"].text() != *state || earlier->facts["path"].text() != config.path ||
        earlier->facts["proof"].text() != proof_name(config.proof))
        return std::nullopt;
    const std::string name = fmt::format("{}/{}.duckdb", context.folder, config.name);
    std::vector<std::string> files{name};
    if (earlier->facts["wal_bytes"].natural() > 0) files.push_back(name + ".wal");
    for (const std::string& file : files)
        if (const auto reused = context.backup.reuse(earlier->tree, file, file); !reused) {
            log_debug("a DuckDB database is read again", {{"path", config.path}, {"why", reused.error().message}});
            for (const std::string& taken : files) context.backup.forget_path(taken);
            return std::nullopt;
        }
    json::Value facts = earlier->facts;
    facts.set("how", "unchanged since the last backup");
    return facts;
}

}    // namespace

Result<json::Value> capture_duckdb(const policy::DuckDbConfig& config, CaptureContext& context) {
    HF_TRY(const struct stat file, look_at(config.path));
    HF_TRY(const auto state, duckdb_state(config.path));
    if (auto facts = take_unchanged(config, context, state)) return *std::move(facts);
    HF_DO(os::make_folders(context.scratch));
    HF_DO(check_scratch(config.path, file, context.scratch));
    auto facts = capture_once(config, context, file);
    if (facts) {
        // It tells the copy only if nothing happened until the copy was made.
        if (const auto after = duckdb_state(config.path); after && *after && *after == state)
            facts->set("state", *state);
        return facts;
    }
    if (facts.error().code != ErrorCode::corrupt) return facts;
    // Damage that a second copy shows too is in the database itself.
    facts = capture_once(config, context, file);
    if (!facts && facts.error().code == ErrorCode::corrupt) {
        Error error = facts.error();
        if (error.hint.empty())
            error.hint =
                "the live database is damaged: see docs/operations/restore-duckdb-by-hand.md, and keep its files";
        return fail(std::move(error));
    }
    return facts;
}

}    // namespace holdfast::source
