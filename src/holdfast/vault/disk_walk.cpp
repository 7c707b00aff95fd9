#include "holdfast/vault/disk_walk.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <thread>

#include "holdfast/base/log.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/vault/disk_node.hpp"

namespace holdfast::vault {
namespace {

// More would only make the disk seek.
constexpr unsigned k_walkers_max = 4;
// Folders that wait for a thread that has nothing to do; beyond it a walk goes down by itself.
constexpr std::size_t k_folders_waiting_max = 8;

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
    std::atomic<bool> any = false;    // whether anything in it was taken

    std::mutex mutex;
    std::vector<std::optional<format::Node>> nodes;
    std::size_t open = 0;
};

// What the names in a folder are walked with; lives until the last of its folders has had its turn.
struct DiskWalk::Listing {
    FolderPtr folder;
    os::Fd fd;
    std::string prefix;    // of the names' paths
    std::vector<std::string> names;
    format::Tree before;

    std::string path(std::size_t place) const { return names[place] == "." ? prefix : prefix + names[place]; }    // "/"
    format::Node* node_before(std::size_t place) {
        const format::Node* const found = before.find(names[place]);
        return found ? &before.nodes[static_cast<std::size_t>(found - before.nodes.data())] : nullptr;
    }
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
    HF_TRY(os::Fd folder, os::open_file(folder_path, O_PATH | O_DIRECTORY));
    const std::string name = path == "/" ? "." : os::file_name(path);
    struct stat st;
    if (::fstatat(folder.get(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0)
        return fail(errno_error(errno, "cannot look at " + path));
    device_ = st.st_dev;
    const auto top = std::make_shared<Listing>();
    top->folder = std::make_shared<Folder>();
    top->folder->nodes.resize(1);
    top->folder->open = 2;    // the place, and this walk
    top->fd = std::move(folder);
    top->prefix = path.substr(0, path.size() - (path == "/" ? 0 : name.size()));
    top->names = {name};
    if (before) {
        top->before.nodes = {*before};
        top->before.nodes[0].name = name;
    }
    walking_ = 1;
    std::vector<std::thread> helpers;
    for (unsigned i = 1; i < std::clamp(os::processor_count(), 2u, k_walkers_max); ++i)
        helpers.emplace_back([this] { walk_waiting(); });
    if (auto walked = walk_entry(top, 0); !walked) stop_walking(std::move(walked).error());
    {
        const std::scoped_lock lock(walk_mutex_);
        --walking_;
    }
    walk_waiting();
    for (std::thread& helper : helpers) helper.join();
    settle(top->folder, 0, std::nullopt);
    {
        std::unique_lock lock(mutex_);
        // Set under this mutex: whoever settles the last place is done with this walk when we see it.
        settled_.wait(lock, [&] { return all_settled_; });
    }
    if (problem_) return fail(*std::move(problem_));
    HF_DO(pipeline_.status());
    if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped");
    return std::move(top->folder->nodes[0]);
}

bool DiskWalk::hand_over(const std::shared_ptr<Listing>& in, std::size_t place, const struct stat& st) {
    {
        const std::scoped_lock lock(walk_mutex_);
        if (waiting_.size() >= k_folders_waiting_max) return false;
        waiting_.push_back({in, place, st});
        ++walking_;
    }
    walk_ready_.notify_one();
    return true;
}

void DiskWalk::walk_waiting() {
    for (;;) {
        Waiting next;
        {
            std::unique_lock lock(walk_mutex_);
            walk_ready_.wait(lock, [&] { return !waiting_.empty() || walking_ == 0; });
            if (waiting_.empty()) break;
            // The newest: depth first keeps few folders unfinished.
            next = std::move(waiting_.back());
            waiting_.pop_back();
        }
        if (auto walked = walk_folder(next.in, next.place, next.st); !walked) stop_walking(std::move(walked).error());
        next.in.reset();
        const std::scoped_lock lock(walk_mutex_);
        --walking_;
        if (walking_ == 0) walk_ready_.notify_all();
    }
    walk_ready_.notify_all();
}

void DiskWalk::stop_walking(Error error) {
    const std::scoped_lock lock(walk_mutex_);
    if (!problem_) problem_ = std::move(error);
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
        const bool left_out = options_.newer_than && !folder->any && folder->above->above;
        node = left_out ? std::nullopt : store(*folder);
        if (!left_out) folder->above->any = true;
        place = folder->place;
        folder = FolderPtr(folder->above);
    }
}

std::optional<format::Node> DiskWalk::store(Folder& folder) {
    std::vector<const format::Node*> nodes;
    for (const std::optional<format::Node>& node : folder.nodes)
        if (node) nodes.push_back(&*node);
    const auto id = pipeline_.store_tree(nodes);
    folder.nodes.clear();
    if (!id) return std::nullopt;    // the pipeline has failed and says so to everybody
    folder.node.subtree = *id;
    auto& counter = !folder.tree_before          ? counters_.dirs_new
                    : *folder.tree_before == *id ? counters_.dirs_unmodified
                                                 : counters_.dirs_changed;
    counter += 1;
    return std::move(folder.node);
}

Status DiskWalk::walk_entry(const std::shared_ptr<Listing>& in, std::size_t place) {
    const std::string& name = in->names[place];
    const auto nothing = [&] { settle(in->folder, place, std::nullopt); };
    struct stat st;
    if (::fstatat(in->fd.get(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
        note(in->path(place), errno_error(errno, "cannot look at it"));
        nothing();
    } else if (S_ISDIR(st.st_mode)) {
        if (!hand_over(in, place, st)) return walk_folder(in, place, st);
    } else if (S_ISSOCK(st.st_mode) || (options_.newer_than && timestamp_of(st.st_mtim) < *options_.newer_than)) {
        nothing();
    } else if (S_ISREG(st.st_mode)) {
        walk_file(*in, place, st);
    } else {
        auto node = node_from_disk(in->fd.get(), name, st, with_atime_);
        if (node) {
            in->folder->any = true;
            settle(in->folder, place, *std::move(node));
        } else {
            note(in->path(place), std::move(node).error());
            nothing();
        }
    }
    return {};
}

Status DiskWalk::walk_folder(const std::shared_ptr<Listing>& in, std::size_t place, const struct stat& st) {
    const std::string& name = in->names[place];
    const std::string path = in->path(place);
    const auto nothing = [&](Error error) -> Status {
        note(path, std::move(error));
        settle(in->folder, place, std::nullopt);
        return {};
    };
    const bool foreign = options_.one_file_system && st.st_dev != device_;
    const auto listing = std::make_shared<Listing>();
    listing->fd = os::Fd(::openat(in->fd.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!listing->fd) return nothing(errno_error(errno, "cannot open it"));
    if (!foreign) {
        auto listed = list_names(listing->fd.get(), path);
        if (!listed) return nothing(std::move(listed).error());
        listing->names = *std::move(listed);
    }
    auto node = node_from_disk(in->fd.get(), name, st, with_atime_);
    if (!node) return nothing(std::move(node).error());

    const auto folder = std::make_shared<Folder>();
    listing->folder = folder;
    listing->prefix = path == "/" ? "/" : path + '/';
    folder->above = in->folder;
    folder->place = place;
    folder->node = *std::move(node);
    folder->nodes.resize(listing->names.size());
    folder->open = listing->names.size() + 1;
    if (const format::Node* before = in->node_before(place); before && before->type == format::NodeType::dir) {
        folder->tree_before = before->subtree;
        auto tree = repository_.read_numbered_tree(before->subtree);
        if (tree)
            listing->before = *std::move(tree);
        else
            log_warning("a folder of the parent snapshot cannot be read; all files in it are read anew",
                        {{"path", path}, {"error", tree.error().message}});
    }
    {
        const std::scoped_lock lock(mutex_);
        ++summary_.folders;
    }

    Status problem;
    for (std::size_t i = 0; i < listing->names.size(); ++i) {
        if (problem) {
            if (os::stop_requested()) problem = fail(ErrorCode::cancelled, "stopped");
            if (problem) problem = pipeline_.status();
        }
        if (!problem || (!excludes_.empty() && excludes_.matches(listing->path(i))))
            settle(folder, i, std::nullopt);
        else
            problem = walk_entry(listing, i);
    }
    settle(folder, 0, std::nullopt);
    return problem;
}

bool DiskWalk::has_content(const format::Node& file) const {
    // What has a number is in the index.
    return std::all_of(file.content.begin(), file.content.end(),
                       [&](const Id& id) { return repository_.has_blob(format::BlobType::data, id); });
}

void DiskWalk::walk_file(Listing& in, std::size_t place, const struct stat& st) {
    const std::string& name = in.names[place];
    const FolderPtr& folder = in.folder;
    format::Node* const before = in.node_before(place);
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
        // Of a huge file its blobs are megabytes, and nobody asks again. The name is still looked for.
        std::vector<Id> content = std::move(before->content);
        std::vector<std::uint32_t> numbers = std::move(before->numbers);
        format::Node node = *before;
        node.content = std::move(content);
        node.numbers = std::move(numbers);
        node.device_id = st.st_dev;
        if (with_atime_) node.atime = timestamp_of(st.st_atim);
        counters_.bytes_unchanged += size;
        counters_.files_unmodified += 1;
        count(size, true);
        folder->any = true;
        return settle(folder, place, std::move(node));
    }
    const auto nothing = [&](Error error) {
        note(in.path(place), std::move(error));
        settle(folder, place, std::nullopt);
    };
    FileReaders::File file;
    // O_NONBLOCK: should it have become a fifo meanwhile, opening must not wait for a writer.
    file.fd = os::Fd(::openat(in.fd.get(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (!file.fd) return nothing(errno_error(errno, "cannot open it"));
    // What was opened counts, not what was listed. Taken before the first read: a change while it is read then shows up
    // as a change in the next run.
    if (::fstat(file.fd.get(), &file.st) != 0) return nothing(errno_error(errno, "cannot look at it"));
    if (!S_ISREG(file.st.st_mode)) return nothing({ErrorCode::changed, "it was a file and became something else", ""});
    auto node = node_from_disk(in.fd.get(), name, file.st, with_atime_);
    if (!node) return nothing(std::move(node).error());
    folder->any = true;
    file.done = [this, folder, place, path = in.path(place), count, is_new = !before,
                 node = *std::move(node)](Result<std::shared_ptr<Content>> content) mutable {
        if (!content) {
            if (pipeline_.status() && content.error().code != ErrorCode::cancelled)
                note(path, std::move(content).error());
            return settle(folder, place, std::nullopt);
        }
        node.content = std::move((*content)->ids);
        node.size = (*content)->size;
        (is_new ? counters_.files_new : counters_.files_changed) += 1;
        count(node.size, false);
        {
            const std::scoped_lock lock(mutex_);
            summary_.bytes_added += (*content)->bytes_added;
        }
        settle(folder, place, std::move(node));
    };
    readers_.add(std::move(file));
}

}    // namespace holdfast::vault
