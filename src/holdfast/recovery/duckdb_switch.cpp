#include "holdfast/recovery/duckdb_switch.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <stdio.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "holdfast/os/file.hpp"
#include "holdfast/recovery/replacement.hpp"

namespace holdfast::recovery {
namespace {

// DuckDB 1.4 has only the first; all three may stand beside a file.
constexpr std::array<std::string_view, 3> k_log_suffixes = {".wal", ".wal.checkpoint", ".wal.recovery"};

constexpr std::string_view k_guard_start =
    "holdfast: this DuckDB database is being replaced by a restore.\n"
    "Run the restore again to finish it. The old database is whole in: ";

std::string folder_of(const std::string& path) { return os::parent_folder(path); }

Result<bool> is_there(const std::string& path) {
    const auto status = os::status_of(path, false);
    if (status) return true;
    if (status.error().code == ErrorCode::not_found) return false;
    return fail(status.error());
}

Status remove_if_there(const std::string& path) {
    if (::unlink(path.c_str()) == 0 || errno == ENOENT) return {};
    return fail(errno_error(errno, "cannot remove " + path));
}

Status rename_to(const std::string& from, const std::string& to, unsigned flags) {
    if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), flags) == 0) return {};
    return fail(errno_error(errno, fmt::format("cannot rename {} to {}", from, to)));
}

// The aside name that the guard at `path` gives; nullopt when there is no guard.
std::optional<std::string> read_guard(const std::string& path) {
    const auto status = os::status_of(path, false);
    if (!status || !S_ISREG(status->st_mode) || status->st_size > 8192) return std::nullopt;
    const auto text = os::read_text(path, 8192);
    if (!text || !text->starts_with(k_guard_start)) return std::nullopt;
    std::string name = text->substr(k_guard_start.size());
    name.resize(std::min(name.find('\n'), name.size()));
    // A name, not a path: whoever can write here could otherwise make us move files elsewhere.
    if (name.empty() || name.find('/') != name.npos || name == "." || name == "..") return std::nullopt;
    return folder_of(path) + "/" + name;
}

Status write_guard(const std::string& path) {
    HF_TRY(const os::Fd fd, os::open_file(path, O_WRONLY | O_CREAT | O_EXCL));
    HF_DO(os::write_all(fd.get(), as_bytes(fmt::format("{}{}\n", k_guard_start, os::file_name(path)))));
    return os::sync_fd(fd.get(), path);
}

// Logs at X belong to the file that is now `aside`: they were linked there already, or are moved there now.
Status move_logs(const std::string& target, const std::string& aside) {
    for (const std::string_view suffix : k_log_suffixes) {
        const std::string from = fmt::format("{}{}", target, suffix), to = fmt::format("{}{}", aside, suffix);
        HF_TRY(const bool log_there, is_there(from));
        if (!log_there) continue;
        HF_TRY(const bool linked, is_there(to));
        HF_DO(linked ? remove_if_there(from) : rename_to(from, to, RENAME_NOREPLACE));
    }
    return os::sync_folder(folder_of(target));
}

Status link_logs(const std::string& target, const std::string& aside) {
    for (const std::string_view suffix : k_log_suffixes) {
        const std::string from = fmt::format("{}{}", target, suffix), to = fmt::format("{}{}", aside, suffix);
        if (::link(from.c_str(), to.c_str()) != 0 && errno != ENOENT)
            return fail(errno_error(errno, fmt::format("cannot link {} to {}", from, to)));
    }
    return os::sync_folder(folder_of(target));
}

Status exchange(const std::string& target, const std::string& aside) {
    if (::renameat2(AT_FDCWD, target.c_str(), AT_FDCWD, aside.c_str(), RENAME_EXCHANGE) == 0)
        return os::sync_folder(folder_of(target));
    if (errno == EINVAL || errno == ENOSYS)
        return fail(
            ErrorCode::unsupported, fmt::format("the file system of {} cannot exchange two names at once", target),
            "stop all programs that use the database, move the file and its .wal* away together, restore again");
    return fail(errno_error(errno, fmt::format("cannot exchange {} and {}", target, aside)));
}

}    // namespace

std::string staged_duckdb(const std::string& target, std::string_view id) {
    return fmt::format("{}.holdfast-restore-{}", target, id);
}

Result<DuckDbPlace> look_at_duckdb(const std::string& target) {
    HF_TRY(const bool there, is_there(target));
    if (!there) return DuckDbPlace::empty;
    return read_guard(target) ? DuckDbPlace::guarded : DuckDbPlace::taken;
}

bool has_leftover_log(const std::string& target) {
    for (const std::string_view suffix : k_log_suffixes)
        if (os::status_of(fmt::format("{}{}", target, suffix), false)) return true;
    return false;
}

Result<std::optional<std::string>> clear_unfinished_duckdb(const std::string& target) {
    const std::string folder = folder_of(target), name = os::file_name(target);
    HF_TRY(const auto entries, os::list_folder(folder));
    for (const std::string& entry : entries) {
        const std::string path = folder + "/" + entry;
        if (entry.starts_with(staged_duckdb(name, "")))
            HF_DO(os::remove_tree(path));    // DuckDB may have made a folder
        // A guard under an aside name was never exchanged: the logs beside it are second names of X's own.
        if (entry.starts_with(name + ".replaced-") && read_guard(path)) {
            for (const std::string_view suffix : k_log_suffixes)
                HF_DO(remove_if_there(fmt::format("{}{}", path, suffix)));
            HF_DO(remove_if_there(path));
        }
    }
    const std::optional<std::string> aside = read_guard(target);
    if (aside) HF_DO(move_logs(target, *aside));
    return aside;
}

Result<std::optional<std::string>> switch_duckdb(const DuckDbSwitch& paths) {
    const auto step = [&](int number) { return paths.after_step ? paths.after_step(number) : Status(); };
    HF_TRY(const DuckDbPlace place, look_at_duckdb(paths.target));
    std::optional<std::string> aside;
    switch (place) {
        case DuckDbPlace::taken:
            HF_DO(write_guard(paths.aside));
            HF_DO(step(1));
            HF_DO(link_logs(paths.target, paths.aside));
            HF_DO(step(2));
            HF_DO(exchange(paths.target, paths.aside));
            HF_DO(step(3));
            aside = paths.aside;
            break;
        case DuckDbPlace::guarded:
            aside = read_guard(paths.target);
            break;
        case DuckDbPlace::empty:
            if (has_leftover_log(paths.target)) aside = paths.aside;
            break;
    }
    if (aside) HF_DO(move_logs(paths.target, *aside));
    HF_DO(step(4));
    // Over the guard, or into the empty place; a file that a program made there meanwhile is not lost.
    HF_TRY(const DuckDbPlace now, look_at_duckdb(paths.target));
    if (now == DuckDbPlace::taken)
        return fail(ErrorCode::exists, fmt::format("a program made a new file at {} during the restore", paths.target),
                    "stop it and restore again");
    HF_DO(rename_to(paths.staged, paths.target, now == DuckDbPlace::empty ? RENAME_NOREPLACE : 0));
    HF_DO(step(5));
    HF_DO(os::sync_folder(folder_of(paths.target)));
    return aside;
}

namespace {

constexpr std::string_view k_back_guard =
    "holdfast: what a restore replaced is being put back here.\n"
    "Run `holdfast restore --undo` again to finish it.\n";

// Whether the file holds the guard's text or, with `part`, as much of it as was written before a kill.
bool holds(const std::string& path, std::string_view guard, bool part) {
    const auto status = os::status_of(path, false);
    if (!status || !S_ISREG(status->st_mode) || status->st_size > 8192) return false;
    const auto text = os::read_text(path, 8192);
    return text && (*text == guard || (part && guard.starts_with(*text)));
}

bool is_back_guard(const std::string& path) { return holds(path, k_back_guard, false); }

Status remove_with_logs(const std::string& path) {
    for (const std::string_view suffix : k_log_suffixes) HF_DO(remove_if_there(fmt::format("{}{}", path, suffix)));
    return remove_if_there(path);
}

// With the guard at the target: its logs that have a second name beside `undone` are the restored file's, and go; others are the
// old one's, put there by an earlier attempt.
Status remove_linked_logs(const std::string& target, const std::string& undone) {
    for (const std::string_view suffix : k_log_suffixes) {
        const std::string here = fmt::format("{}{}", target, suffix);
        const std::string there = file_identity(fmt::format("{}{}", undone, suffix));
        if (!there.empty() && file_identity(here) == there) HF_DO(remove_if_there(here));
    }
    return os::sync_folder(folder_of(target));
}

// The guard takes the target's place, and the restored file, with its logs, goes to `undone`.
Status guard_target(const std::string& target, const std::string& undone) {
    if (holds(undone, k_back_guard, true))
        HF_DO(remove_with_logs(undone));    // an earlier attempt ended before the exchange
    HF_TRY(const bool there, is_there(target));
    {
        HF_TRY(const os::Fd fd, os::open_file(undone, O_WRONLY | O_CREAT | O_EXCL));
        HF_DO(os::write_all(fd.get(), as_bytes(k_back_guard)));
        HF_DO(os::sync_fd(fd.get(), undone));
    }
    if (!there) {
        HF_DO(rename_to(undone, target, RENAME_NOREPLACE));
        return os::sync_folder(folder_of(target));
    }
    HF_DO(link_logs(target, undone));
    HF_DO(exchange(target, undone));
    return remove_linked_logs(target, undone);
}

}    // namespace

Status put_back_duckdb(const std::string& target, const std::string& aside, const std::string& identity,
                       const std::string& undone) {
    const std::string folder = folder_of(target);
    if (!is_back_guard(target)) {
        HF_TRY(const bool kept, is_there(aside.empty() ? target : aside));
        // Back already, or never replaced: what a killed switch left is cleared away.
        if (!kept || (!identity.empty() && file_identity(target) == identity)) {
            if (look_at_duckdb(target) == DuckDbPlace::taken) {
                HF_TRY([[maybe_unused]] const auto cleared, clear_unfinished_duckdb(target));
                // A guard that was not written to its end, under the name that the old one was going to have.
                if (kept && !aside.empty() &&
                    holds(aside, fmt::format("{}{}\n", k_guard_start, os::file_name(aside)), true))
                    HF_DO(remove_with_logs(aside));
                if (holds(undone, k_back_guard, true)) HF_DO(remove_with_logs(undone));
            }
            return {};
        }
        if (aside.empty() && os::status_of(undone, false) && !holds(undone, k_back_guard, true))
            return {};    // moved already
        // A restore that was killed behind its guard: its logs go to the old one before that comes back.
        if (read_guard(target)) {
            HF_TRY([[maybe_unused]] const auto cleared, clear_unfinished_duckdb(target));
            HF_DO(remove_if_there(target));
        }
        HF_DO(guard_target(target, undone));
    } else {
        HF_DO(remove_linked_logs(target, undone));
    }
    if (aside.empty()) {
        HF_DO(remove_if_there(target));
        return os::sync_folder(folder);
    }
    for (const std::string_view suffix : k_log_suffixes) {
        const std::string from = fmt::format("{}{}", aside, suffix), to = fmt::format("{}{}", target, suffix);
        HF_TRY(const bool log_there, is_there(from));
        if (log_there) HF_DO(rename_to(from, to, RENAME_NOREPLACE));
    }
    HF_DO(os::sync_folder(folder));
    HF_TRY(const bool file_there, is_there(aside));
    HF_DO(file_there ? rename_to(aside, target, 0) : remove_if_there(target));
    return os::sync_folder(folder);
}

}    // namespace holdfast::recovery
