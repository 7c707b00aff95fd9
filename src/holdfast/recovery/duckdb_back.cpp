#include "holdfast/recovery/duckdb_back.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>

#include "holdfast/db/duckdb_check.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/recovery/duckdb_switch.hpp"

namespace holdfast::recovery {
namespace {

std::string holder_text(pid_t pid) {
    const auto name = os::read_text(fmt::format("/proc/{}/comm", pid), 4096);
    std::string text = name ? *name : std::string();
    while (!text.empty() && text.back() == '\n') text.pop_back();
    return text.empty() ? fmt::format("process {}", pid) : fmt::format("process {} ({})", pid, text);
}

// The checks that change nothing. Holds the lock on what is there, if it is a database.
Result<os::Fd> check_target(const std::string& target, DuckDbPlace place, WhenExisting existing) {
    if (place != DuckDbPlace::taken) return os::Fd();
    HF_TRY(const struct stat status, os::status_of(target));
    if (!S_ISREG(status.st_mode))
        return fail(ErrorCode::exists, fmt::format("{} is there and is no file", target),
                    "give [[duckdb]] another path");
    if (existing == WhenExisting::refuse)
        return fail(ErrorCode::exists, fmt::format("{} is there already", target),
                    "--replace puts it aside, with its logs, and takes its place; --target FOLDER restores elsewhere");
    return lock_duckdb(target);
}

Status check_space(const std::string& target, const DuckDbOrigin& origin) {
    // Folding the log in may add as much as it holds.
    const std::uint64_t needed = origin.file_bytes + 2 * origin.log_bytes;
    HF_TRY(const std::uint64_t free, os::free_space(os::parent_folder(target)));
    if (free >= needed) return {};
    return fail(ErrorCode::disk_full,
                fmt::format("restoring {} takes {}, where {} is free", target, human_size(needed), human_size(free)),
                "make room there; the old database is untouched");
}

// The new file and its log while they are made; gone unless they were put into place.
class Staged {
public:
    explicit Staged(std::string path) : path_(std::move(path)) {}
    ~Staged() {
        if (kept_) return;
        for (const char* suffix : {"", ".wal", ".wal.checkpoint", ".wal.recovery", ".tmp"})
            (void)os::remove_tree(path_ + suffix);
    }
    Staged(const Staged&) = delete;
    Staged& operator=(const Staged&) = delete;
    const std::string& path() const { return path_; }
    /// From here on a kill must find it.
    void keep() { kept_ = true; }

private:
    std::string path_;
    bool kept_ = false;
};

db::DuckDbCheck::Depth depth_of(const json::Value& facts) {
    if (facts["proof"].text() == "digest") return db::DuckDbCheck::Depth::digest;
    if (facts["proof"].text() == "count") return db::DuckDbCheck::Depth::count;
    return db::DuckDbCheck::Depth::catalog;
}

std::string table_name(const json::Value& table) { return table["schema"].text() + "." + table["name"].text(); }

// Differences as people read them; both lists are sorted the same way by the same query.
std::vector<std::string> differences(const json::Value& saved, const json::Value& restored, bool with_digests) {
    std::vector<std::string> found;
    const json::Array& before = saved["tables"].items();
    const json::Array& after = restored["tables"].items();
    const auto find = [](const json::Array& tables, const json::Value& wanted) {
        return std::find_if(tables.begin(), tables.end(),
                            [&](const json::Value& t) { return table_name(t) == table_name(wanted); });
    };
    for (const json::Value& table : before) {
        const auto other = find(after, table);
        if (other == after.end())
            found.push_back(table_name(table) + " is missing");
        else if (table["rows"].natural() != (*other)["rows"].natural())
            found.push_back(fmt::format("{} has {} rows and not {}", table_name(table), (*other)["rows"].natural(),
                                        table["rows"].natural()));
        else if (with_digests && table["digest"].text() != (*other)["digest"].text())
            found.push_back(table_name(table) + " has other content");
    }
    for (const json::Value& table : after)
        if (find(before, table) == before.end()) found.push_back(table_name(table) + " was not there");
    for (const char* kind : {"views", "indexes", "sequences", "constraints"})
        if (saved[kind].natural() != restored[kind].natural())
            found.push_back(fmt::format("{} {} and not {}", restored[kind].natural(), kind, saved[kind].natural()));
    return found;
}

// Another version of the library may hash the same rows differently; then equal counts must do, and are said.
Result<bool> compare(const json::Value& saved, const json::Value& restored, const std::string& target) {
    const auto all = differences(saved, restored, true);
    if (all.empty()) return true;
    const bool same_library = saved["library"].text() == restored["library"].text();
    if (!same_library && differences(saved, restored, false).empty()) return false;
    std::string list;
    for (std::size_t i = 0; i < all.size() && i < 5; ++i) list += (i ? "; " : "") + all[i];
    if (all.size() > 5) list += fmt::format("; and {} more", all.size() - 5);
    return fail(ErrorCode::mismatch, fmt::format("the restored {} is not what was backed up: {}", target, list),
                "run `holdfast check --read-data`, and restore from another snapshot; nothing was replaced");
}

// The old file's owner and mode; without one, those of the file that was backed up, as far as this user may.
Status give_owner(const std::string& staged, const std::string& target, DuckDbPlace place,
                  const std::optional<std::string>& aside, const json::Value& facts) {
    const std::string old = place == DuckDbPlace::taken ? target : aside.value_or("");
    if (const auto status = old.empty() ? Result<struct stat>(fail(ErrorCode::not_found, "")) : os::status_of(old);
        status) {
        if (::chown(staged.c_str(), status->st_uid, status->st_gid) != 0 && ::geteuid() == 0)
            return fail(errno_error(errno, "cannot give " + staged + " to its owner"));
        if (::chmod(staged.c_str(), status->st_mode & 07777) != 0)
            return fail(errno_error(errno, "cannot chmod " + staged));
        return {};
    }
    unsigned mode = 0600;
    const std::string text = facts["mode"].text();
    std::from_chars(text.data(), text.data() + text.size(), mode, 8);
    const passwd* user = ::getpwnam(facts["owner"].text().c_str());
    const group* users = ::getgrnam(facts["group"].text().c_str());
    if (::geteuid() == 0 && user && users && ::chown(staged.c_str(), user->pw_uid, users->gr_gid) != 0)
        return fail(errno_error(errno, "cannot give " + staged + " to its owner"));
    if (::chmod(staged.c_str(), mode & 0777) != 0) return fail(errno_error(errno, "cannot chmod " + staged));
    return {};
}

std::string aside_for(const std::string& target, Timestamp now) {
    std::string stamp = to_rfc3339(now).substr(0, 19);
    std::erase(stamp, '-');
    std::erase(stamp, ':');
    std::string name = fmt::format("{}.replaced-{}", target, stamp);
    for (int n = 2; os::status_of(name, false); ++n) name = fmt::format("{}.replaced-{}-{}", target, stamp, n);
    return name;
}

}    // namespace

// DuckDB's own kind of lock on the whole file. Held, it keeps programs from opening the old file while it is replaced.
// As an "open file" lock it conflicts with DuckDB's, and ends with this descriptor and not with another one's close.
Result<os::Fd> lock_duckdb(const std::string& target) {
    auto opened = os::open_file(target, O_RDWR);
    const bool writable = opened.has_value();
    if (!writable) opened = os::open_file(target, O_RDONLY);
    HF_TRY(os::Fd file, std::move(opened));
    struct flock lock{};
    lock.l_type = static_cast<short>(writable ? F_WRLCK : F_RDLCK);
    if (::fcntl(file.get(), F_OFD_SETLK, &lock) == 0) return file;
    if (errno != EAGAIN && errno != EACCES) return fail(errno_error(errno, "cannot lock " + target));
    struct flock holder{};
    holder.l_type = F_WRLCK;
    std::string who = "another process";
    if (::fcntl(file.get(), F_OFD_GETLK, &holder) == 0 && holder.l_type != F_UNLCK && holder.l_pid > 0)
        who = holder_text(holder.l_pid);
    return fail(ErrorCode::locked, fmt::format("{} is open in {}", target, who), "stop it, then restore again");
}

Result<std::vector<PlanStep>> plan_duckdb_back(const DuckDbBack& back, const DuckDbOrigin& origin) {
    const std::string& target = back.target;
    HF_TRY(const DuckDbPlace place, look_at_duckdb(target));
    HF_TRY([[maybe_unused]] const os::Fd locked, check_target(target, place, back.existing));
    HF_DO(check_space(target, origin));
    const std::uint64_t bytes = origin.file_bytes + origin.log_bytes;
    std::vector<PlanStep> steps;
    steps.push_back({fmt::format("restore {} beside {}, open it and {}", human_size(bytes), target,
                                 origin.facts["tables"].is_null() ? "check it" : "compare it with the manifest"),
                     bytes, false});
    if (place == DuckDbPlace::guarded)
        steps.push_back({fmt::format("finish the interrupted restore of {}", target), 0, false});
    else if (place == DuckDbPlace::taken)
        steps.push_back(
            {fmt::format("put {} and its logs aside, and the restored file in its place", target), 0, true});
    else
        steps.push_back({fmt::format("put the restored file at {}{}", target,
                                     has_leftover_log(target) ? ", the log that lies there aside" : ""),
                         0, has_leftover_log(target)});
    return steps;
}

Result<json::Value> put_duckdb_back(const DuckDbBack& back, const DuckDbOrigin& origin) {
    const std::string& target = back.target;
    HF_TRY(const DuckDbPlace place, look_at_duckdb(target));
    HF_TRY(const os::Fd locked, check_target(target, place, back.existing));    // held to the end
    HF_DO(os::make_folders(os::parent_folder(target), 0755));
    HF_TRY(const auto unfinished, clear_unfinished_duckdb(target));
    HF_DO(check_space(target, origin));

    const std::uint64_t bytes = origin.file_bytes + origin.log_bytes;
    Staged staged(staged_duckdb(target, origin.id));
    back.say(fmt::format("writing {} beside {}", human_size(bytes), target));
    HF_DO(origin.write(staged.path()));

    const bool compares = !origin.facts["tables"].is_null();
    back.say(compares ? "opening and comparing it" : "opening and checking it");
    HF_TRY(db::DuckDbChecker checker,
           db::DuckDbChecker::start(staged.path(),
                                    {.depth = compares ? depth_of(origin.facts) : db::DuckDbCheck::Depth::digest,
                                     .settle = origin.log_bytes > 0}));
    auto restored = checker.finish();
    if (!restored) return fail(restored.error().within("the restored " + target));
    bool digests_compared = false;
    if (compares) {
        HF_TRY(digests_compared, compare(origin.facts, *restored, target));
    }
    HF_DO(give_owner(staged.path(), target, place, unfinished, origin.facts));
    {
        HF_TRY(const os::Fd file, os::open_file(staged.path(), O_RDONLY));
        HF_DO(os::sync_fd(file.get(), staged.path()));
    }
    HF_DO(os::sync_folder(os::parent_folder(target)));

    back.say("putting it in place");
    // What a killed restore left under another name is the old one, too.
    const std::string put_aside = unfinished.value_or(aside_for(target, back.clock.now()));
    const bool anything = place != DuckDbPlace::empty || has_leftover_log(target);
    if (back.will_replace)
        HF_DO(back.will_replace({.what = "duckdb",
                                 .place = target,
                                 .aside = anything ? put_aside : std::string(),
                                 .identity = file_identity(unfinished ? *unfinished : target)}));
    staged.keep();
    const auto switched = switch_duckdb({target, staged.path(), put_aside, {}});
    if (!switched) {
        // While a guard stands at the target, the new file stays, too: it is whole. Else all is as it was.
        if (const auto now = look_at_duckdb(target); now && *now != DuckDbPlace::guarded)
            (void)clear_unfinished_duckdb(target);
        return fail(switched.error());
    }
    json::Value result =
        json::Value::object({{"path", target},
                             {"bytes", bytes},
                             {"tables", (*restored)["tables"]},
                             {"library", (*restored)["library"]},
                             {"digests_compared", digests_compared && origin.facts["proof"].text() == "digest"}});
    if (*switched) result.set("old_one_is_at", **switched);
    return result;
}

}    // namespace holdfast::recovery
