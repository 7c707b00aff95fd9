// Files come back beside what is there: into a folder next to each path, then by one rename (or exchange) into place.
// Killed at any instant, the path holds the old content or the whole new one.

#include <fcntl.h>
#include <fmt/core.h>
#include <stdio.h>
#include <sys/stat.h>

#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/recovery/restore_store.hpp"
#include "holdfast/vault/restore.hpp"

namespace holdfast::recovery {
namespace {

std::vector<std::string> saved_paths(const RestoreContext& context) {
    std::vector<std::string> paths;
    for (const json::Value& path : context.facts["paths"].items()) paths.push_back(path.text());
    return paths;
}

// The manifest is data from the vault; a path in it is used only if it is one.
Status check_path(const std::string& path) {
    if (path.starts_with('/') && path != "/" && os::absolute_path(path) == path) return {};
    return fail(ErrorCode::corrupt,
                fmt::format("the manifest names the path '{}', which cannot be restored in place", path),
                "use --target FOLDER");
}

// "/etc/.holdfast-restore-1a2b3c4d-redis" for /etc/redis: on the same file system, so that a rename is enough. The name
// is the same in the next attempt, which removes what a killed one left.
std::string staging_for(const std::string& path, const RestoreContext& context) {
    const std::string parent = os::parent_folder(path);
    return fmt::format("{}/.holdfast-restore-{}-{}", parent == "/" ? "" : parent, context.snapshot.id.brief(),
                       os::file_name(path));
}

std::string aside_for(const std::string& path, Timestamp now) {
    std::string stamp = to_rfc3339(now).substr(0, 19);
    std::erase(stamp, ':');
    std::erase(stamp, '-');
    std::string name = fmt::format("{}.before-{}", path, stamp);
    for (int n = 2; os::exists(name); ++n) name = fmt::format("{}.before-{}-{}", path, stamp, n);
    return name;
}

vault::RestoreOptions options_for(const std::string& path, const RestoreContext& context) {
    vault::RestoreOptions options;
    options.target = staging_for(path, context);
    options.include = {context.folder + path};
    return options;
}

Status rename_at(const std::string& from, const std::string& to, unsigned flags) {
    if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), flags) == 0) return {};
    Error error = errno_error(errno, fmt::format("cannot rename {} to {}", from, to));
    if (errno == EBUSY) error.hint = "it is a mount point: restore with --target and copy the content into it";
    return fail(std::move(error));
}

// Returns where the old content is kept; empty when there was none. The new one first takes the name that the old one will have, so
// that at no instant the old one lies in the staging folder, which the next attempt removes.
Result<std::string> switch_into_place(const std::string& made, const std::string& path, const RestoreContext& context) {
    if (!os::status_of(path, false)) {
        HF_DO(context.replaces({"path", path}));
        HF_DO(rename_at(made, path, RENAME_NOREPLACE));
        HF_DO(os::sync_folder(os::parent_folder(path)));
        return std::string();
    }
    const std::string aside = aside_for(path, context.clock.now());
    HF_DO(context.replaces({"path", path, aside, file_identity(path)}));
    HF_DO(rename_at(made, aside, RENAME_NOREPLACE));
    if (auto exchanged = rename_at(aside, path, RENAME_EXCHANGE); !exchanged) {
        static_cast<void>(os::remove_tree(aside));
        return fail(std::move(exchanged).error());
    }
    HF_DO(os::sync_folder(os::parent_folder(path)));
    return aside;
}

Status refuse_existing(const std::string& path, const RestoreContext& context) {
    if (context.existing == WhenExisting::switch_over || !os::status_of(path, false)) return {};
    return fail(ErrorCode::exists, fmt::format("{} is there already", path),
                "--replace puts it aside and takes its place; --target FOLDER restores elsewhere");
}

}    // namespace

Result<std::vector<PlanStep>> plan_files(const policy::FilesConfig&, const RestoreContext& context) {
    std::vector<PlanStep> steps;
    for (const std::string& path : saved_paths(context)) {
        HF_DO(check_path(path));
        HF_DO(refuse_existing(path, context));
        vault::RestoreOptions options = options_for(path, context);
        options.dry_run = true;
        options.overwrite = vault::Overwrite::always;    // what a killed attempt left is no hindrance
        HF_TRY(const vault::RestoreSummary summary, vault::restore(context.repository, context.snapshot, options));
        const bool there = os::status_of(path, false).has_value();
        steps.push_back({fmt::format("restore {} ({} files){}", path, summary.files,
                                     there ? fmt::format("; the present one is kept as {}.before-…", path) : ""),
                         summary.bytes, there});
    }
    const std::size_t missing = context.facts["unreadable"].items().size();
    if (missing > 0 && !steps.empty())
        steps.push_back(
            {fmt::format("note: {} paths could not be read when this copy was made and are not in it", missing), 0,
             false});
    return steps;
}

Result<json::Value> restore_files(const policy::FilesConfig&, const RestoreContext& context) {
    std::uint64_t files = 0, bytes = 0;
    json::Value kept = json::Value::array();
    const std::vector<std::string> paths = saved_paths(context);
    for (const std::string& path : paths) {
        HF_DO(check_path(path));
        HF_DO(refuse_existing(path, context));
    }
    for (const std::string& path : paths) {
        if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped before " + path);
        context.say(fmt::format("restoring {}", path));
        HF_DO(os::make_folders(os::parent_folder(path), 0755));
        const vault::RestoreOptions options = options_for(path, context);
        HF_DO(os::remove_tree(options.target));
        const auto summary = vault::restore(context.repository, context.snapshot, options);
        Result<std::string> aside = summary
                                        ? switch_into_place(options.target + "/" + context.folder + path, path, context)
                                        : fail(summary.error());
        const Status removed = os::remove_tree(options.target);
        if (!aside) return fail(aside.error());
        HF_DO(removed);
        files += summary->files;
        bytes += summary->bytes;
        if (!aside->empty()) kept.push(*aside);
    }
    // Each blob was checked against its hash on the way; that none of the files is missing is left to compare.
    if (files != context.facts["files"].natural())
        return fail(
            ErrorCode::mismatch,
            fmt::format("{} files were restored, the manifest counts {}", files, context.facts["files"].natural()),
            "run `holdfast check --read-data`");
    return json::Value::object({{"files", files}, {"bytes", bytes}, {"equal", true}, {"kept", std::move(kept)}});
}

}    // namespace holdfast::recovery
