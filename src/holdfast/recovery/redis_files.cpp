#include "holdfast/recovery/redis_files.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>

#include "holdfast/os/file.hpp"

namespace holdfast::recovery {
namespace {

constexpr std::string_view k_unfinished = ".unfinished";
constexpr mode_t k_file_mode = 0640, k_folder_mode = 0750;

Status copy_file(const std::string& from, const std::string& to) {
    HF_TRY(const os::Fd in, os::open_file(from, O_RDONLY));
    HF_TRY(const os::Fd out, os::open_file(to, O_WRONLY | O_CREAT | O_EXCL, k_file_mode));
    Bytes buffer(std::size_t(1) << 20);
    for (;;) {
        HF_TRY(const std::size_t n, os::read_some(in.get(), buffer));
        if (n == 0) return os::sync_fd(out.get(), to);
        HF_DO(os::write_all(out.get(), ByteView(buffer).first(n)));
    }
}

// Redis never writes into an RDB or an old AOF that is in place, so a link is as good as a copy.
Status link_or_copy(const std::string& from, const std::string& to) {
    if (::link(from.c_str(), to.c_str()) == 0) return {};
    if (errno == EEXIST || errno == ENOENT || errno == ENOSPC)
        return fail(errno_error(errno, fmt::format("cannot link {} to {}", from, to)));
    return copy_file(from, to);    // a file system without links
}

Status rename_file(const std::string& from, const std::string& to) {
    if (::rename(from.c_str(), to.c_str()) == 0) return {};
    return fail(errno_error(errno, fmt::format("cannot rename {} to {}", from, to)));
}

Status make_folder(const std::string& path, Owner owner) {
    HF_DO(os::make_folders(path, k_folder_mode));
    return give_to(path, owner);
}

std::vector<std::string> files_in(const std::string& folder) {
    std::vector<std::string> files;
    const auto names = os::list_folder(folder);
    if (!names) return files;
    for (const std::string& name : *names)
        if (const auto status = os::status_of(folder + "/" + name, false); status && S_ISREG(status->st_mode))
            files.push_back(name);
    return files;
}

bool is_file(const std::string& path) {
    const auto status = os::status_of(path);
    return status && S_ISREG(status->st_mode);
}

std::string aside_for(const std::string& folder, Timestamp now) {
    std::string stamp = to_rfc3339(now).substr(0, 19);
    std::erase(stamp, '-');
    std::erase(stamp, ':');
    std::string path = fmt::format("{}/replaced-{}", folder, stamp);
    for (int n = 2; os::exists(path); ++n) path = fmt::format("{}/replaced-{}-{}", folder, stamp, n);
    return path;
}

// Which files are live, so that it shows whether a switch took place.
std::string redis_identity(const RedisFiles& files) {
    return file_identity(files.rdb_path()) + "," +
           file_identity(fmt::format("{}/{}.manifest", files.append_path(), files.append_file));
}

// All that is live into `to`, which is durable when this returns.
Status link_all(const RedisFiles& files, const std::string& to, Owner owner) {
    for (const auto& [path, name] :
         {std::pair(files.rdb_path(), files.rdb), std::pair(files.old_append_path(), files.append_file)})
        if (is_file(path)) HF_DO(link_or_copy(path, to + "/" + name));
    const auto appended = files_in(files.append_path());
    if (!appended.empty()) {
        const std::string inside = to + "/" + files.append_folder;
        HF_DO(make_folder(inside, owner));
        for (const std::string& name : appended)
            HF_DO(link_or_copy(files.append_path() + "/" + name, inside + "/" + name));
        HF_DO(os::sync_folder(inside));
    }
    return os::sync_folder(to);
}

// Links everything that is there; the folder is durable when it returns.
Result<std::optional<std::string>> put_aside(const RedisFiles& files, Owner owner, Timestamp now,
                                             const WillReplace& will_replace) {
    if (redis_data_in(files).empty()) {
        if (will_replace) HF_DO(will_replace({"redis", files.folder}));
        return std::optional<std::string>();
    }
    const std::string aside = aside_for(files.folder, now);
    if (will_replace) HF_DO(will_replace({"redis", files.folder, aside, redis_identity(files)}));
    // Under its name only when it is whole: an undo believes what it finds there.
    const std::string making = aside + std::string(k_unfinished);
    HF_DO(os::remove_tree(making));
    HF_DO(make_folder(making, owner));
    HF_DO(link_all(files, making, owner));
    HF_DO(rename_file(making, aside));
    HF_DO(os::sync_folder(files.folder));
    return std::optional(aside);
}

// The names of the new AOF. Its number is higher than any that is there: nothing old is written over.
struct AppendNames {
    std::string base, incr, manifest;
    unsigned long number;
};

AppendNames new_append_names(const RedisFiles& files) {
    unsigned long number = 0;
    const std::string prefix = files.append_file + ".";
    for (const std::string& name : files_in(files.append_path())) {
        unsigned long found = 0;
        if (name.starts_with(prefix)) std::from_chars(name.data() + prefix.size(), name.data() + name.size(), found);
        number = std::max(number, found);
    }
    ++number;
    return {fmt::format("{}{}.base.rdb", prefix, number), fmt::format("{}{}.incr.aof", prefix, number),
            prefix + "manifest", number};
}

Status write_owned(const std::string& path, std::string_view text, Owner owner) {
    HF_TRY(const os::Fd file, os::open_file(path, O_WRONLY | O_CREAT | O_TRUNC, k_file_mode));
    HF_DO(os::write_all(file.get(), as_bytes(text)));
    HF_DO(give_to(path, owner));
    return os::sync_fd(file.get(), path);
}

// What is live, under another name, whole or not at all; with `move` it is then gone from its place.
Status keep_as(const RedisFiles& files, const std::string& name, Owner owner, bool move) {
    if (!os::exists(name)) {
        const std::string making = name + std::string(k_unfinished);
        HF_DO(os::remove_tree(making));
        HF_DO(make_folder(making, owner));
        HF_DO(link_all(files, making, owner));
        HF_DO(rename_file(making, name));
        HF_DO(os::sync_folder(files.folder));
    }
    if (!move) return {};
    HF_DO(os::remove_tree(files.append_path()));
    for (const std::string& path : {files.rdb_path(), files.old_append_path()}) HF_DO(os::remove_tree(path));
    return os::sync_folder(files.folder);
}

// Links a file over another one in one step.
Status link_over(const std::string& from, const std::string& to) {
    const std::string beside = to + ".holdfast-tmp";
    HF_DO(os::remove_tree(beside));
    if (file_identity(from) == file_identity(to)) return {};    // rename(2) would leave both names of one file
    HF_DO(link_or_copy(from, beside));
    return rename_file(beside, to);
}

// The old files into their places: the manifest last, for it is what a server with an append-only file reads first.
Status take_back(const RedisFiles& files, const std::string& aside, Owner owner) {
    const std::string append = files.append_path() + "/", kept = fmt::format("{}/{}", aside, files.append_folder);
    const std::string manifest = files.append_file + ".manifest";
    const auto old_names = files_in(kept);
    if (!old_names.empty()) HF_DO(make_folder(files.append_path(), owner));
    for (const std::string& name : old_names)
        if (name != manifest) HF_DO(link_over(kept + "/" + name, append + name));
    if (!old_names.empty()) HF_DO(os::sync_folder(files.append_path()));
    for (const auto& [path, name] :
         {std::pair(files.old_append_path(), files.append_file), std::pair(files.rdb_path(), files.rdb)})
        HF_DO(is_file(aside + "/" + name) ? link_over(aside + "/" + name, path) : os::remove_tree(path));
    HF_DO(os::sync_folder(files.folder));
    if (std::ranges::find(old_names, manifest) != old_names.end())
        HF_DO(link_over(kept + "/" + manifest, append + manifest));
    return os::sync_folder(files.folder);
}

// What no old manifest names: of the restored data, or of a switch that did not take place.
Status remove_strangers(const RedisFiles& files, const std::string& aside) {
    const auto old_names = files_in(fmt::format("{}/{}", aside, files.append_folder));
    if (old_names.empty()) return os::remove_tree(files.append_path());
    for (const std::string& name : files_in(files.append_path()))
        if (std::ranges::find(old_names, name) == old_names.end())
            HF_DO(os::remove_tree(files.append_path() + "/" + name));
    return os::sync_folder(files.append_path());
}

}    // namespace

std::string redis_data_in(const RedisFiles& files) {
    std::string found;
    const auto add = [&](bool is_there, const std::string& name) {
        if (is_there) found += (found.empty() ? "" : ", ") + name;
    };
    add(is_file(files.rdb_path()), files.rdb);
    add(!files_in(files.append_path()).empty(), files.append_folder);
    add(is_file(files.old_append_path()), files.append_file);
    return found;
}

bool has_redis_pipe(const RedisFiles& files) {
    const auto status = os::status_of(files.rdb_path(), false);
    return status && S_ISFIFO(status->st_mode);
}

Result<Owner> redis_owner(const std::string& name, const std::string& folder) {
    if (!name.empty()) {
        passwd entry, *found = nullptr;
        char buffer[16384];
        ::getpwnam_r(name.c_str(), &entry, buffer, sizeof buffer, &found);
        if (!found)
            return fail(ErrorCode::config, fmt::format("there is no user {} on this machine", name),
                        "correct `owner` in [[redis]]");
        return Owner{found->pw_uid, found->pw_gid};
    }
    std::string there = folder;
    while (!os::exists(there) && there.size() > 1) there = os::parent_folder(there);
    HF_TRY(const struct stat status, os::status_of(there));
    return Owner{status.st_uid, status.st_gid};
}

Status give_to(const std::string& path, Owner owner) {
    HF_TRY(const struct stat status, os::status_of(path, false));
    if (status.st_uid == owner.user && status.st_gid == owner.group) return {};
    if (::lchown(path.c_str(), owner.user, owner.group) == 0) return {};
    return fail(errno_error(errno, fmt::format("cannot give {} to its owner", path)));
}

Result<std::optional<std::string>> switch_redis_parts(const RedisFiles& files, const std::string& base,
                                                      const std::vector<std::string>& increments, Owner owner,
                                                      Timestamp now, const WillReplace& will_replace) {
    HF_TRY(std::optional<std::string> aside, put_aside(files, owner, now, will_replace));
    const AppendNames names = new_append_names(files);
    const std::string append = files.append_path() + "/";
    HF_DO(make_folder(files.append_path(), owner));
    std::vector<std::string> kept;
    std::string manifest;
    const auto place = [&](const std::string& from, const std::string& name, unsigned long number,
                           char type) -> Status {
        if (::chmod(from.c_str(), k_file_mode) != 0) return fail(errno_error(errno, "cannot chmod " + from));
        HF_DO(give_to(from, owner));
        HF_DO(rename_file(from, append + name));
        manifest += fmt::format("file {} seq {} type {}\n", name, number, type);
        kept.push_back(name);
        return {};
    };
    HF_DO(place(base, names.base, names.number, 'b'));
    unsigned long number = names.number;
    for (const std::string& increment : increments) {
        HF_DO(place(increment, fmt::format("{}.{}.incr.aof", files.append_file, number), number, 'i'));
        ++number;
    }
    // What is written from now on gets a file of its own: the restored ones stay as they are.
    const std::string fresh = fmt::format("{}.{}.incr.aof", files.append_file, number);
    HF_DO(write_owned(append + fresh, "", owner));
    manifest += fmt::format("file {} seq {} type i\n", fresh, number);
    kept.insert(kept.end(), {fresh, names.manifest});
    HF_DO(write_owned(append + "temp-" + names.manifest, manifest, owner));
    HF_DO(os::sync_folder(files.append_path()));
    HF_DO(rename_file(append + "temp-" + names.manifest, append + names.manifest));
    HF_DO(os::sync_folder(files.append_path()));

    // The new data is in place; what is left of the old would only mislead, and lies aside.
    for (const std::string& old : {files.old_append_path(), files.rdb_path()})
        if (is_file(old)) HF_DO(os::remove_tree(old));
    for (const std::string& name : files_in(files.append_path()))
        if (std::ranges::find(kept, name) == kept.end()) HF_DO(os::remove_tree(append + name));
    HF_DO(os::sync_folder(files.append_path()));
    HF_DO(os::sync_folder(files.folder));
    return aside;
}

Result<std::optional<std::string>> switch_redis_files(const RedisFiles& files, const std::string& staged, Owner owner,
                                                      Timestamp now, const WillReplace& will_replace) {
    HF_TRY(std::optional<std::string> aside, put_aside(files, owner, now, will_replace));
    if (::chmod(staged.c_str(), k_file_mode) != 0) return fail(errno_error(errno, "cannot chmod " + staged));
    HF_DO(give_to(staged, owner));

    const AppendNames names = new_append_names(files);
    const std::string append = files.append_path() + "/";
    if (files.append_only) {
        HF_DO(make_folder(files.append_path(), owner));
        HF_DO(link_or_copy(staged, append + names.base));
        HF_DO(give_to(append + names.base, owner));
        HF_DO(write_owned(append + names.incr, "", owner));
        // The name that Redis uses for it, too: a server removes a leftover.
        HF_DO(write_owned(append + "temp-" + names.manifest,
                          fmt::format("file {} seq {} type b\nfile {} seq {} type i\n", names.base, names.number,
                                      names.incr, names.number),
                          owner));
        HF_DO(os::sync_folder(files.append_path()));
    }
    HF_DO(rename_file(staged, files.rdb_path()));
    HF_DO(os::sync_folder(files.folder));
    if (files.append_only) {
        HF_DO(rename_file(append + "temp-" + names.manifest, append + names.manifest));
        HF_DO(os::sync_folder(files.append_path()));
    }

    // The new data is in place; what is left of the old would only mislead, and lies aside.
    if (is_file(files.old_append_path())) HF_DO(os::remove_tree(files.old_append_path()));
    if (files.append_only) {
        for (const std::string& name : files_in(files.append_path()))
            if (name != names.base && name != names.incr && name != names.manifest)
                HF_DO(os::remove_tree(append + name));
        HF_DO(os::sync_folder(files.append_path()));
    } else {
        HF_DO(os::remove_tree(files.append_path()));
    }
    HF_DO(os::sync_folder(files.folder));
    return aside;
}

Status place_redis_file(const RedisFiles& files, const std::string& staged, Owner owner) {
    if (::chmod(staged.c_str(), k_file_mode) != 0) return fail(errno_error(errno, "cannot chmod " + staged));
    HF_DO(give_to(staged, owner));
    HF_DO(rename_file(staged, files.rdb_path()));
    return os::sync_folder(files.folder);
}

Status put_back_redis_files(const RedisFiles& files, const Replacement& replaced, Owner owner) {
    if (replaced.aside.empty()) {    // nothing was there: what is there now goes away as a whole
        if (redis_data_in(files).empty()) return has_redis_pipe(files) ? os::remove_tree(files.rdb_path()) : Status();
        return keep_as(files, replaced.undone, owner, true);
    }
    HF_DO(os::remove_tree(replaced.aside + std::string(k_unfinished)));
    const std::string done = replaced.aside + ".put-back";
    if (os::exists(replaced.aside)) {
        if (redis_identity(files) != replaced.identity) {
            HF_DO(keep_as(files, replaced.undone, owner, false));
            HF_DO(take_back(files, replaced.aside, owner));
        }
        HF_DO(remove_strangers(files, replaced.aside));
        // From here on the old files are live, and may be written to: never again are they taken from there.
        HF_DO(rename_file(replaced.aside, done));
        HF_DO(os::sync_folder(files.folder));
    }
    HF_DO(os::remove_tree(done));
    return os::sync_folder(files.folder);
}

}    // namespace holdfast::recovery
