#include "holdfast/recovery/put_back.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <stdio.h>

#include <algorithm>
#include <cerrno>
#include <ranges>

#include "holdfast/os/crash_point.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/recovery/duckdb_back.hpp"
#include "holdfast/recovery/duckdb_switch.hpp"
#include "holdfast/recovery/postgres_folder.hpp"
#include "holdfast/recovery/postgres_physical.hpp"
#include "holdfast/recovery/redis_files.hpp"
#include "holdfast/recovery/redis_instance.hpp"
#include "holdfast/recovery/redis_stream.hpp"
#include "holdfast/trade/journal_disk.hpp"

namespace holdfast::recovery {
namespace {

Status rename_path(const std::string& from, const std::string& to, unsigned flags) {
    if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), flags) == 0) return {};
    return fail(errno_error(errno, fmt::format("cannot rename {} to {}", from, to)));
}

template <class Component>
Result<const Component*> find_component(const std::vector<Component>& all, const RunPart& part) {
    const auto at = std::ranges::find(all, part.name, &Component::name);
    if (at != all.end()) return &*at;
    return fail(ErrorCode::config,
                fmt::format("the configuration no longer names {} ({}), which was restored", part.name, part.kind),
                "bring its table in holdfast.toml back");
}

Status refuse_journal_in_use(const std::string& path) {
    const auto folder = trade::JournalFolder::look(path);
    if (!folder) return {};
    HF_TRY(const bool in_use, (*folder)->in_use());
    if (in_use) return fail(ErrorCode::locked, "an engine writes the journal in " + path, "stop it first");
    return {};
}

Status put_one_back(const RunPart& part, const Replacement& one, const PutBackContext& context) {
    if (one.what == "path") {
        if (part.kind == "journal") HF_DO(refuse_journal_in_use(one.place));
        return put_back_path(one);
    }
    if (one.what == "duckdb") {
        os::Fd lock;    // held, so that nobody opens what is being replaced
        HF_TRY(const DuckDbPlace place, look_at_duckdb(one.place));
        if (place == DuckDbPlace::taken) {
            HF_TRY(lock, lock_duckdb(one.place));
        }
        return put_back_duckdb(one.place, one.aside, one.identity, one.undone);
    }
    if (one.what == "redis") {
        HF_TRY(const auto* config, find_component(context.config.redis, part));
        return put_back_redis(*config, one, context);
    }
    if (one.what == "cluster" || one.what == "database") {
        HF_TRY(const auto* config, find_component(context.config.postgres, part));
        return one.what == "cluster" ? put_back_cluster(*config, one, context) : put_back_database(*config, one);
    }
    if (one.what == "relation" || one.what == "schema") {
        HF_TRY(const auto* config, find_component(context.config.postgres, part));
        return put_back_part(*config, one);
    }
    HF_TRY(const auto* config, find_component(context.config.clickhouse, part));
    return put_back_table(*config, one);
}

Status remove_one(const RunPart& part, const Replacement& one, const PutBackContext& context) {
    const std::string& name = one.kept_as();
    if (name.empty()) return {};
    if (one.what == "database") {
        HF_TRY(const auto* config, find_component(context.config.postgres, part));
        return drop_kept_database(*config, name);
    }
    if (one.what == "relation" || one.what == "schema") {
        HF_TRY(const auto* config, find_component(context.config.postgres, part));
        return drop_kept_part(*config, one);
    }
    if (one.what == "table" || one.what == "view" || one.what == "partition") {
        HF_TRY(const auto* config, find_component(context.config.clickhouse, part));
        return drop_kept_table(*config, one.database, name);
    }
    // What we remove must look like ours: the record may have been written by anybody.
    const std::string file = os::file_name(name);
    const bool ours = file.find("replaced-") != std::string::npos || file.find(".before-") != std::string::npos ||
                      file.find("undone-") != std::string::npos;
    const std::string above = one.what == "redis" ? one.place : os::parent_folder(one.place);
    if (!ours || os::parent_folder(name) != above)
        return fail(ErrorCode::corrupt, fmt::format("{} is no name under which a restore keeps anything", name),
                    "look at it, and remove it yourself");
    for (const char* suffix : {".wal", ".wal.checkpoint", ".wal.recovery"})
        if (one.what == "duckdb") HF_DO(os::remove_tree(name + suffix));
    HF_DO(os::remove_tree(name));
    return os::sync_folder(above);
}

}    // namespace

void choose_undone_names(RunPart& part, Timestamp now) {
    const std::string mark = time_mark(now);
    for (Replacement& one : part.replaced) {
        if (!one.undone.empty() || one.stage != ReplacementStage::aside) continue;
        const bool file = one.what == "path" || one.what == "cluster" || one.what == "duckdb";
        if (file)
            one.undone = fmt::format("{}.undone-{}", one.place, mark);
        else if (one.what == "redis")
            one.undone = fmt::format("{}/undone-{}", one.place, mark);
        else if (one.what == "relation")
            one.undone = "holdfast_undone_" + mark;
        else if (one.what == "database" || one.what == "schema")    // 63 bytes at most; cut between letters
            one.undone = [&] {
                const std::string suffix = (one.what == "schema" ? "__undone_" : "_undone_") + mark;
                std::size_t length = std::min(one.place.size(), 63 - suffix.size());
                while (length > 0 && length < one.place.size() &&
                       (static_cast<unsigned char>(one.place[length]) & 0xC0) == 0x80)
                    --length;
                return one.place.substr(0, length) + suffix;
            }();
        else
            one.undone = fmt::format("{}__undone_{}", one.place, mark);
    }
}

Status put_back(RunPart& part, const PutBackContext& context, const std::function<Status()>& changed) {
    // The last first: a component that was restored twice by one run goes back to what it was before both.
    for (Replacement& one : std::views::reverse(part.replaced)) {
        if (one.stage != ReplacementStage::aside) continue;
        if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped before " + one.place + " was put back");
        context.say(fmt::format("putting {} back", one.place));
        if (auto back = put_one_back(part, one, context); !back)
            return fail(std::move(back).error().within(fmt::format("putting {} back", one.place)));
        os::crash_point("undo.put_back");
        one.stage = ReplacementStage::back;
        HF_DO(changed());
    }
    return {};
}

Status remove_kept(RunPart& part, const PutBackContext& context, const std::function<Status()>& changed,
                   KeptWhere where) {
    for (Replacement& one : part.replaced) {
        if (one.stage == ReplacementStage::gone) continue;
        if (where == KeptWhere::files && !one.keeps_files()) continue;
        if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped before " + one.kept_as() + " was removed");
        if (!one.kept_as().empty()) context.say("removing " + one.kept_as());
        if (auto removed = remove_one(part, one, context); !removed)
            return fail(std::move(removed).error().within("removing " + one.kept_as()));
        os::crash_point("commit.removed");
        one.stage = ReplacementStage::gone;
        HF_DO(changed());
    }
    return {};
}

namespace {

std::uint64_t bytes_below(const std::string& path) {
    const auto status = os::status_of(path, false);
    if (!status) return 0;
    std::uint64_t bytes = static_cast<std::uint64_t>(status->st_blocks) * 512;
    if (S_ISDIR(status->st_mode))
        if (const auto names = os::list_folder(path))
            for (const std::string& name : *names) bytes += bytes_below(path + "/" + name);
    return bytes;
}

}    // namespace

std::uint64_t kept_bytes(const Replacement& one) { return one.keeps_files() ? bytes_below(one.kept_as()) : 0; }

std::uint64_t kept_bytes(const RunPart& part) {
    std::uint64_t bytes = 0;
    for (const Replacement& one : part.replaced) bytes += kept_bytes(one);
    return bytes;
}

Status put_back_path(const Replacement& one) {
    const std::string folder = os::parent_folder(one.place);
    if (one.aside.empty()) {    // nothing was there
        if (!os::status_of(one.place, false) || os::status_of(one.undone, false)) return {};
        HF_DO(rename_path(one.place, one.undone, RENAME_NOREPLACE));
        return os::sync_folder(folder);
    }
    const std::string kept = file_identity(one.aside), there = file_identity(one.place);
    if (there == one.identity) {
        // Back already, or never replaced; what has the other name is the restored one then.
        if (!kept.empty() && !os::status_of(one.undone, false))
            HF_DO(rename_path(one.aside, one.undone, RENAME_NOREPLACE));
        return os::sync_folder(folder);
    }
    if (kept != one.identity)
        return fail(ErrorCode::not_found, fmt::format("{}, where the old one was kept, is not what it was", one.aside),
                    "look at both yourself; nothing was changed");
    HF_DO(there.empty() ? rename_path(one.aside, one.place, RENAME_NOREPLACE)
                        : rename_path(one.aside, one.place, RENAME_EXCHANGE));
    HF_DO(os::sync_folder(folder));
    if (!there.empty()) HF_DO(rename_path(one.aside, one.undone, RENAME_NOREPLACE));
    return os::sync_folder(folder);
}

Status put_back_cluster(const policy::PostgresConfig& config, const Replacement& one, const PutBackContext& context) {
    // Between the exchange and its name the old one has the name of the new one while that was made.
    const std::string staged = one.place + ".holdfast-restore";
    if (!one.aside.empty() && file_identity(one.place) != one.identity && file_identity(staged) == one.identity)
        HF_DO(rename_path(staged, one.aside, RENAME_NOREPLACE));
    const bool back = !one.aside.empty() && file_identity(one.place) == one.identity;
    if (!back && running_postgres(one.place)) {
        if (config.stop_command.empty())
            return fail(ErrorCode::locked, "a server runs on " + one.place,
                        "stop it, then undo again; or set stop_command and start_command in [[postgres]]");
        context.say("stopping the server on " + one.place);
        HF_DO(stop_cluster(config, one.place, context.clock));
    }
    HF_DO(put_back_path(one));
    if (one.aside.empty() || config.start_command.empty() || running_postgres(one.place)) return {};
    context.say("starting it");
    return start_cluster(config, context.scratch, {}, context.clock);
}

Status put_back_redis(const policy::RedisConfig& config, const Replacement& one, const PutBackContext& context) {
    HF_TRY(RedisInstance instance, look_at_redis(config));
    instance.files.folder = one.place;
    HF_TRY(const Owner owner, redis_owner(config.owner, one.place));
    if (instance.running) {
        if (config.stop_command.empty() && config.start_command.empty())
            return fail(ErrorCode::locked, instance.login.text() + " is running and would write over what is put back",
                        "stop it, then undo again; or set stop_command and start_command in [[redis]]");
        context.say("stopping " + instance.login.text());
        HF_DO(stop_redis(config, instance, context.clock));
    }
    HF_DO(release_redis_pipe(instance, context.clock));
    HF_DO(put_back_redis_files(instance.files, one, owner));
    if (config.start_command.empty()) {
        context.say("not started: start the server now");
        return {};
    }
    context.say("starting it");
    return start_redis(config, instance, context.scratch, context.clock);
}

}    // namespace holdfast::recovery
