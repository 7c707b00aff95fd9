#include "holdfast/vault/disk_walk.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "holdfast/base/log.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/vault/disk_node.hpp"

namespace holdfast::vault {
namespace {

Result<std::vector<std::string>> list_names(int folder, const std::string& path) {
    // The descriptor that readdir owns is its own, so that `folder` stays open for openat.
    const int own = ::openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR* dir = own < 0 ? nullptr : ::fdopendir(own);
    if (!dir) return fail(errno_error(errno, "cannot list " + path));
    std::vector<std::string> names;
    int error = 0;
    for (;;) {
        errno = 0;
        const dirent* entry = ::readdir(dir);
        if (!entry) {
            error = errno;
            break;
        }
        const std::string_view name = entry->d_name;
        if (name != "." && name != "..") names.emplace_back(name);
    }
    ::closedir(dir);
    if (error != 0) return fail(errno_error(error, "cannot list " + path));
    std::sort(names.begin(), names.end());
    return names;
}

}    // namespace

// A folder of which not all is done. Whoever settles the last place stores it and settles its place in the folder above.
struct DiskWalk::Folder {
    FolderPtr above;    // null: the top
    std::size_t place = 0;
    format::Node node;
    std::optional<Id> tree_before;
    bool left_out = false;

    std::mutex mutex;
    std::vector<std::optional<format::Node>> nodes;
    std::size_t open = 0;
};

DiskWalk::DiskWalk(Repository& repository, Pipeline& pipeline, FileReaders& readers, WalkCounters& counters,
                   const PathOptions& options, bool with_atime)
    : repository_(repository),
      pipeline_(pipeline),
      readers_(readers),
      counters_(counters),
      options_(options),
      excludes_(options.excludes),
      with_atime_(with_atime) {}

Result<std::optional<format::Node>> DiskWalk::run(const std::string& path, const std::optional<format::Node>& before) {
    // The path itself is the one place of a folder above that is never stored.
    const std::string folder_path = os::parent_folder(path);
    HF_TRY(const os::Fd folder, os::open_file(folder_path, O_PATH | O_DIRECTORY));
    const std::string name = path == "/" ? "." : os::file_name(path);
    struct stat st;
    if (::fstatat(folder.get(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0)
        return fail(errno_error(errno, "cannot look at " + path));
    device_ = st.st_dev;
    const auto top = std::make_shared<Folder>();
    top->nodes.resize(1);
    top->open = 2;    // the place, and this walk
    const auto walked = walk_entry(folder.get(), name, path, top, 0, before ? &*before : nullptr);
    settle(top, 0, std::nullopt);
    {
        std::unique_lock lock(mutex_);
        // Set under this mutex: whoever settles the last place is done with this walk when we see it.
        settled_.wait(lock, [&] { return all_settled_; });
    }
    if (!walked) return fail(walked.error());
    HF_DO(pipeline_.status());
    if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped");
    return std::move(top->nodes[0]);
}

void DiskWalk::note(const std::string& path, Error error) {
    const std::scoped_lock lock(mutex_);
    if (error.code == ErrorCode::not_found) {
        log_info("vanished before it was read", {{"path", path}});
        summary_.vanished.push_back(path);
        return;
    }
    counters_.errors += 1;
    log_warning("cannot be read", {{"path", path}, {"error", error.message}});
    summary_.unreadable.emplace_back(path, std::move(error));
}

void DiskWalk::settle(FolderPtr folder, std::size_t place, std::optional<format::Node> node) {
    // A loop, not a recursion: a deep tree may finish all at once.
    for (;;) {
        bool finished = false;
        {
            const std::scoped_lock lock(folder->mutex);
            if (node) folder->nodes[place] = std::move(node);
            finished = --folder->open == 0;
        }
        if (!finished) return;
        if (!folder->above) {
            const std::scoped_lock lock(mutex_);
            all_settled_ = true;
            settled_.notify_all();
            return;
        }
        node = folder->left_out ? std::nullopt : store(*folder);
        place = folder->place;
        folder = FolderPtr(folder->above);
    }
}

std::optional<format::Node> DiskWalk::store(Folder& folder) {
    std::string json = "{\"nodes\":[";
    bool first = true;
    for (std::optional<format::Node>& node : folder.nodes) {
        if (!node) continue;
        if (!std::exchange(first, false)) json += ',';
        format::append_node(json, *node);
        node.reset();
    }
    json += "]}\n";
    folder.nodes.clear();
    auto id = pipeline_.store_tree(json);
    if (!id) return std::nullopt;    // the pipeline has failed and says so to everybody
    folder.node.subtree = *id;
    auto& counter = !folder.tree_before          ? counters_.dirs_new
                    : *folder.tree_before == *id ? counters_.dirs_unmodified
                                                 : counters_.dirs_changed;
    counter += 1;
    return std::move(folder.node);
}

Result<bool> DiskWalk::walk_entry(int at, const std::string& name, const std::string& path, const FolderPtr& in,
                                  std::size_t place, const format::Node* before) {
    const auto nothing = [&] {
        settle(in, place, std::nullopt);
        return false;
    };
    struct stat st;
    if (::fstatat(at, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
        note(path, errno_error(errno, "cannot look at it"));
        return nothing();
    }
    if (S_ISDIR(st.st_mode)) return walk_folder(at, name, path, in, place, st, before);
    if (S_ISSOCK(st.st_mode)) return nothing();
    if (options_.newer_than && timestamp_of(st.st_mtim) < *options_.newer_than) return nothing();
    if (S_ISREG(st.st_mode)) return walk_file(at, name, path, in, place, st, before);
    auto node = node_from_disk(at, name, st, with_atime_);
    if (!node) {
        note(path, std::move(node).error());
        return nothing();
    }
    settle(in, place, *std::move(node));
    return true;
}

Result<bool> DiskWalk::walk_folder(int at, const std::string& name, const std::string& path, const FolderPtr& in,
                                   std::size_t place, const struct stat& st, const format::Node* before) {
    const auto nothing = [&](Error error) {
        note(path, std::move(error));
        settle(in, place, std::nullopt);
        return false;
    };
    const bool foreign = options_.one_file_system && st.st_dev != device_;
    const os::Fd fd(::openat(at, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!fd) return nothing(errno_error(errno, "cannot open it"));
    std::vector<std::string> names;
    if (!foreign) {
        auto listed = list_names(fd.get(), path);
        if (!listed) return nothing(std::move(listed).error());
        names = *std::move(listed);
    }
    auto node = node_from_disk(at, name, st, with_atime_);
    if (!node) return nothing(std::move(node).error());

    auto folder = std::make_shared<Folder>();
    folder->above = in;
    folder->place = place;
    folder->node = *std::move(node);
    folder->nodes.resize(names.size());
    folder->open = names.size() + 1;
    format::Tree tree_before;
    if (before && before->type == format::NodeType::dir) {
        folder->tree_before = before->subtree;
        auto tree = repository_.read_tree(before->subtree);
        if (tree)
            tree_before = *std::move(tree);
        else
            log_warning("a folder of the parent snapshot cannot be read; all files in it are read anew",
                        {{"path", path}, {"error", tree.error().message}});
    }
    {
        const std::scoped_lock lock(mutex_);
        ++summary_.folders;
    }

    bool any = false;
    Status problem;
    const std::string prefix = path == "/" ? "/" : path + '/';
    for (std::size_t i = 0; i < names.size(); ++i) {
        if (problem) {
            if (os::stop_requested()) problem = fail(ErrorCode::cancelled, "stopped");
            if (problem) problem = pipeline_.status();
        }
        const std::string entry_path = prefix + names[i];
        if (!problem || excludes_.matches(entry_path)) {
            settle(folder, i, std::nullopt);
            continue;
        }
        auto taken = walk_entry(fd.get(), names[i], entry_path, folder, i, tree_before.find(names[i]));
        if (taken)
            any = any || *taken;
        else
            problem = fail(std::move(taken).error());
    }
    folder->left_out = options_.newer_than && !any && in->above;
    const bool left_out = folder->left_out;
    settle(std::move(folder), 0, std::nullopt);
    if (!problem) return fail(std::move(problem).error());
    return !left_out;
}

bool DiskWalk::has_content(const format::Node& file) const {
    return std::all_of(file.content.begin(), file.content.end(),
                       [&](const Id& id) { return repository_.has_blob(format::BlobType::data, id); });
}

Result<bool> DiskWalk::walk_file(int at, const std::string& name, const std::string& path, const FolderPtr& in,
                                 std::size_t place, const struct stat& st, const format::Node* before) {
    const auto size = static_cast<std::uint64_t>(st.st_size);
    counters_.files_found += 1;
    counters_.bytes_found += size;
    const auto count = [this](std::uint64_t bytes, bool unchanged) {
        counters_.files_done += 1;
        const std::scoped_lock lock(mutex_);
        ++summary_.files;
        summary_.bytes += bytes;
        if (unchanged) ++summary_.files_unchanged;
    };
    if (before && is_unchanged(*before, st) && has_content(*before)) {
        // An unchanged ctime says that owner, mode and attributes are as they were, too.
        format::Node node = *before;
        node.device_id = st.st_dev;
        if (with_atime_) node.atime = timestamp_of(st.st_atim);
        counters_.bytes_unchanged += size;
        counters_.files_unmodified += 1;
        count(size, true);
        settle(in, place, std::move(node));
        return true;
    }
    const auto nothing = [&](Error error) {
        note(path, std::move(error));
        settle(in, place, std::nullopt);
        return false;
    };
    FileReaders::File file;
    // O_NONBLOCK: should it have become a fifo meanwhile, opening must not wait for a writer.
    file.fd = os::Fd(::openat(at, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (!file.fd) return nothing(errno_error(errno, "cannot open it"));
    // What was opened counts, not what was listed. Taken before the first read: a change while it is read then shows up
    // as a change in the next run.
    if (::fstat(file.fd.get(), &file.st) != 0) return nothing(errno_error(errno, "cannot look at it"));
    if (!S_ISREG(file.st.st_mode)) return nothing({ErrorCode::changed, "it was a file and became something else", ""});
    auto node = node_from_disk(at, name, file.st, with_atime_);
    if (!node) return nothing(std::move(node).error());
    file.done = [this, in, place, path, count, is_new = !before,
                 node = *std::move(node)](Result<std::shared_ptr<Content>> content) mutable {
        if (!content) {
            if (pipeline_.status() && content.error().code != ErrorCode::cancelled)
                note(path, std::move(content).error());
            return settle(in, place, std::nullopt);
        }
        node.content = std::move((*content)->ids);
        node.size = (*content)->size;
        (is_new ? counters_.files_new : counters_.files_changed) += 1;
        count(node.size, false);
        settle(in, place, std::move(node));
    };
    readers_.add(std::move(file));
    return true;
}

}    // namespace holdfast::vault
