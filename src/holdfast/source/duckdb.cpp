// DuckDB into the vault: a consistent copy on scratch, opened and read in a child process while it is streamed. The
// copy is made first, at the disk's speed, and not streamed from the live file: the time in which a checkpoint can force
// another try is then as short as it can be, and nothing that failed reaches the repository.

#include <fcntl.h>
#include <fmt/core.h>

#include "holdfast/base/log.hpp"
#include "holdfast/db/duckdb_check.hpp"
#include "holdfast/db/duckdb_log_damage.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/os/scratch_folder.hpp"
#include "holdfast/source/capture.hpp"
#include "holdfast/source/duckdb_kept.hpp"
#include "holdfast/source/duckdb_state.hpp"

namespace holdfast::source {
namespace {

constexpr std::uint64_t k_log_max = std::uint64_t(8) << 30;
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

std::string name_of(const policy::DuckDbConfig& config, const CaptureContext& context) {
    return fmt::format("{}/{}.duckdb", context.folder, config.name);
}

vault::StreamOptions options_of(const struct stat& file) {
    vault::StreamOptions options;
    options.mode = file.st_mode & 0777;
    options.mtime = Timestamp{file.st_mtim.tv_sec * 1'000'000'000 + file.st_mtim.tv_nsec};
    return options;
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
    HF_TRY(const os::ScratchFolder folder, os::ScratchFolder::create("duckdb", context.scratch));
    const std::string copied = folder.path() + "/copy.duckdb";
    HF_TRY(const DuckDbCopy copy, copy_live_duckdb(config.path, copied, context.clock));
    HF_TRY(db::DuckDbChecker checker, db::DuckDbChecker::start(copied, {.depth = depth_of(config.proof)}));

    const std::string name = name_of(config, context);
    vault::StreamOptions options = options_of(file);
    options.cut = vault::Cut::blocks(copy.headers.block_size, db::k_duckdb_headers_size);
    HF_TRY(const auto file_stream, stream_file(context.backup, copied, name, options));
    std::unique_ptr<vault::StreamWriter> wal_stream;
    if (copy.wal_bytes > 0) {
        options.cut = vault::Cut::content();
        HF_TRY(wal_stream, stream_file(context.backup, copied + ".wal", name + ".wal", options));
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
                                          const std::optional<EarlierCopy>& earlier,
                                          const std::optional<std::string>& state) {
    if (!earlier || !state || earlier->facts["state"].text() != *state ||
        earlier->facts["path"].text() != config.path || earlier->facts["proof"].text() != proof_name(config.proof))
        return std::nullopt;
    const std::string name = name_of(config, context);
    std::vector<std::string> files{name};
    if (earlier->facts["wal_bytes"].natural() > 0) files.push_back(name + ".wal");
    for (const std::string& file : files)
        if (const auto reused = context.backup.reuse(earlier->tree, file, file); !reused) {
            log_debug("a DuckDB database is read again", {{"path", config.path}, {"why", reused.error().message}});
            for (const std::string& taken : files) context.backup.forget_path(taken);
            return std::nullopt;
        }
    json::Value facts = earlier->facts;
    // Nothing was committed since: the states before it are in the snapshots before this one.
    if (!facts["states"].is_null()) facts.set("states", json::Value::object({{"newest", facts["states"]["newest"]}}));
    facts.set("how", "unchanged since the last backup");
    return facts;
}

// Out of what `holdfast duckdb watch` keeps; nullopt: by reading the file, and why.
Result<std::optional<json::Value>> take_kept(const policy::DuckDbConfig& config, CaptureContext& context,
                                             KeptDuckDb& kept, const struct stat& file, std::uint32_t since) {
    HF_TRY(const auto taken, kept.take(name_of(config, context)));
    if (!taken) return std::optional<json::Value>();
    json::Value facts = make_facts(config, taken->copy, file);
    facts.set("proof", taken->checked.is_null() ? "kept" : taken->proof);
    for (const auto& [key, value] : taken->checked.members()) facts.set(key, value);
    facts.set("kept", taken->kept);
    std::string how = fmt::format("{} of {} kept blocks were new", taken->blocks_read, taken->blocks);
    if (auto states = kept.add_states(since, taken)) {
        if (!(*states)["moments"].is_null())
            how += fmt::format(", {} moments since {}", (*states)["moments"].natural(), (*states)["from"].text());
        facts.set("states", *std::move(states));
    }
    facts.set("how", how);
    return std::optional(std::move(facts));
}

json::Value describe_log(ByteView bytes, const db::DuckDbHeaders& headers, const std::string& path) {
    const auto damage = db::examine_duckdb_log(bytes, headers, path);
    if (!damage) return json::Value::object({{"text", damage.error().message}});
    return damage->to_json().set("text", damage->text());
}

// What DuckDB would not open, as it lies there, beside where a good copy would be: nothing takes it for one. Its facts say what is wrong.
Result<json::Value> set_aside(const policy::DuckDbConfig& config, CaptureContext& context, const struct stat& file,
                              const Error& damage) {
    DuckDbCopy copy;
    json::Value logs = json::Value::array(), files = json::Value::array();
    const std::string below = fmt::format("{}.damaged/{}.duckdb", config.name, config.name);
    const auto finish = [&](vault::StreamWriter& writer, const std::string& suffix) -> Result<std::uint64_t> {
        HF_TRY(const auto stored, writer.finish());
        files.push(below + suffix);
        return stored.size;
    };
    DuckDbHeaderBytes head;
    {
        HF_TRY(const os::Fd database, os::open_file(config.path, O_RDONLY));
        HF_TRY(head, LiveDuckDb::read_header_bytes(database.get()));
    }
    HF_TRY(copy.headers, db::parse_duckdb_headers(head, config.path));
    vault::StreamOptions options = options_of(file);
    // The logs first: what is checkpointed meanwhile is in the file then.
    for (const std::string suffix : {".wal", ".wal.checkpoint"}) {
        const auto bytes = os::read_file(config.path + suffix, k_log_max);
        if (!bytes && bytes.error().code == ErrorCode::not_found) continue;
        if (!bytes) return fail(bytes.error());
        HF_TRY(const auto writer, context.backup.start_stream(context.folder + "/" + below + suffix, options));
        HF_DO(writer->write(*bytes));    // the very bytes that are described
        HF_TRY(const std::uint64_t size, finish(*writer, suffix));
        json::Value one = describe_log(*bytes, copy.headers, config.path + suffix);
        one.set("file", below + suffix).set("size", size);
        logs.push(std::move(one));
    }
    options.cut = vault::Cut::blocks(copy.headers.block_size, db::k_duckdb_headers_size);
    HF_TRY(const auto writer, stream_file(context.backup, config.path, context.folder + "/" + below, options));
    HF_TRY(copy.file_bytes, finish(*writer, ""));
    json::Value facts = make_facts(config, copy, file);
    facts.set("proof", "none");
    facts.set("damaged", json::Value::object({{"why", damage.message},
                                              {"remedy", damage.hint},
                                              {"files", std::move(files)},
                                              {"logs", std::move(logs)}}));
    return facts;
}

// The same damage twice is in the database itself. A file that is no database any more, or one that cannot be read, is not taken.
Result<json::Value> take_damaged(const policy::DuckDbConfig& config, CaptureContext& context, const struct stat& file,
                                 Error damage) {
    if (damage.hint.empty())
        damage.hint = fmt::format(
            "the live database is damaged: keep its files, and see docs/operations/restore-duckdb-by-hand.md; "
            "`holdfast restore latest "
            "--only {} --dry-run`{}",
            config.name,
            config.rebuild.empty() ? "" : fmt::format(", `holdfast duckdb rebuild {} --dry-run`", config.name));
    auto facts = set_aside(config, context, file, damage);
    if (facts) return facts;
    context.backup.forget_path(fmt::format("{}/{}.damaged", context.folder, config.name));
    if (facts.error().code == ErrorCode::cancelled) return facts;
    return fail(std::move(damage));
}

}    // namespace

Result<json::Value> capture_duckdb(const policy::DuckDbConfig& config, CaptureContext& context) {
    HF_TRY(const struct stat file, look_at(config.path));
    HF_TRY(const auto state, duckdb_state(config.path));
    const auto earlier = context.earlier ? context.earlier() : std::nullopt;
    if (auto facts = take_unchanged(config, context, earlier, state)) return *std::move(facts);
    HF_DO(os::make_folders(context.scratch));
    // It tells the copy only if nothing happened until the copy was made.
    const auto with_state = [&](json::Value facts) {
        if (const auto after = duckdb_state(config.path); after && *after && *after == state)
            facts.set("state", *state);
        return facts;
    };
    // As they are numbered where they are kept: what the earlier copy brought need not come again.
    const std::uint32_t since = earlier ? static_cast<std::uint32_t>(earlier->facts["states"]["newest"].natural()) : 0;
    KeptDuckDb kept(config, context, options_of(file));
    if (context.earlier) {
        HF_TRY(auto facts, take_kept(config, context, kept, file, since));
        if (facts) return with_state(*std::move(facts));
    }
    HF_DO(check_scratch(config.path, file, context.scratch));
    auto facts = capture_once(config, context, file);
    if (!facts && facts.error().code == ErrorCode::corrupt) {
        facts = capture_once(config, context, file);
        if (!facts && facts.error().code == ErrorCode::corrupt)
            return take_damaged(config, context, file, facts.error());
    }
    if (!facts) return facts;
    if (context.earlier)
        if (auto states = kept.add_states(since, std::nullopt)) facts->set("states", *std::move(states));
    if (!kept.why().empty()) facts->set("how", "read whole: " + kept.why());
    return with_state(*std::move(facts));
}

}    // namespace holdfast::source
