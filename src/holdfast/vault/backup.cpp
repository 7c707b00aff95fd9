#include "holdfast/vault/backup.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <set>

#include "holdfast/os/crash_point.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/vault/disk_node.hpp"
#include "holdfast/vault/disk_walk.hpp"
#include "holdfast/vault/repository_state.hpp"
#include "holdfast/vault/snapshot_tree.hpp"
#include "holdfast/vault/tree_depth.hpp"

namespace holdfast::vault {
namespace {

// Reading from the page cache takes a quarter of what the workers take; two readers keep a slow disk busy.
constexpr unsigned k_readers = 2;

}    // namespace

struct Backup::State {
    State(Repository& r, std::unique_ptr<RepositoryLock> l, BackupOptions o)
        : repository(r),
          options(std::move(o)),
          lock(std::move(l)),
          started(r.clock().now()),
          chunkers(r.config().polynomial),
          tree(started),
          pipeline(r, *lock, options),
          readers(pipeline, chunkers, k_readers) {}

    Repository& repository;
    const BackupOptions options;
    std::unique_ptr<RepositoryLock> lock;    // until the snapshot is written
    const Timestamp started;
    const Chunkers chunkers;
    SnapshotTree tree;
    WalkCounters counters;
    std::mutex mutex;
    std::set<std::string> paths;    // what went in, for snapshots whose options name no paths
    std::map<std::string, std::uint64_t> bytes_added;    // by the first two names of the path
    std::atomic<std::uint64_t> bytes_reused = 0;
    bool committed = false;
    struct LastFolder {
        Id root;
        std::string path;
        format::Tree tree;
    };
    static constexpr std::size_t k_numbers_kept = 1u << 20;    // of 4 bytes
    std::mutex last_folder_mutex;
    std::optional<LastFolder> last_folder;    // that find_node() has read
    Pipeline pipeline;
    FileReaders readers;    // ends before the pipeline it feeds

    void note_added(const std::vector<std::string>& path, std::uint64_t bytes) {
        std::string key;
        for (std::size_t i = 0; i < std::min<std::size_t>(path.size(), 2); ++i) key.append("/").append(path[i]);
        const std::scoped_lock guard(mutex);
        bytes_added[key] += bytes;
    }
    void remember(const std::string& path) {
        const std::scoped_lock guard(mutex);
        paths.insert(path);
    }
    std::optional<format::Node> node_before(const std::string& path) {
        if (!options.parent) return std::nullopt;
        auto node = find_node(options.parent->snapshot.tree, path);
        if (!node) return std::nullopt;
        return *std::move(node);
    }
    // As find_numbered_node(). Whoever asks for one thing in a folder asks for the next: the parts of a large table would cost
    // the square of their number if each read the folder anew.
    Result<format::Node> find_node(const Id& root, const std::string& path) {
        const std::size_t slash = path.rfind('/');
        if (slash == std::string::npos || slash + 1 == path.size()) return find_numbered_node(repository, root, path);
        const std::string folder = path.substr(0, slash), name = path.substr(slash + 1);
        const auto in = [&](const format::Tree& level) -> Result<format::Node> {
            const format::Node* const found = level.find(name);
            if (!found) return fail(ErrorCode::not_found, "the snapshot has no " + path);
            return *found;
        };
        const std::scoped_lock guard(last_folder_mutex);
        if (last_folder && last_folder->root == root && last_folder->path == folder) return in(last_folder->tree);
        last_folder.reset();
        HF_TRY(const format::Node node, find_numbered_node(repository, root, folder));
        if (node.type != format::NodeType::dir)
            return fail(ErrorCode::not_found, fmt::format("the snapshot has no {}: {} is no folder", path, folder));
        HF_TRY(format::Tree level, repository.read_numbered_tree(node.subtree));
        auto found = in(level);
        // The lists of blobs of very large files are not kept for the length of a backup.
        std::size_t numbers = 0;
        for (const format::Node& one : level.nodes) numbers += one.numbers.size();
        if (numbers <= k_numbers_kept) last_folder = LastFolder{root, folder, std::move(level)};
        return found;
    }
    Status has_all(const format::Node& node, unsigned depth = 0) const;
};

namespace {

// A node that no file of this machine describes.
format::Node made_node(format::NodeType type, mode_t kind, const StreamOptions& options, Timestamp started) {
    format::Node node;
    node.type = type;
    node.mode = format::go_mode(kind | (options.mode & 07777));
    node.mtime = node.atime = node.ctime = options.mtime.value_or(started);
    node.uid = options.owner ? options.owner->first : ::geteuid();
    node.gid = options.owner ? options.owner->second : ::getegid();
    return node;
}

class FileStream final : public StreamWriter {
public:
    FileStream(Backup::State& state, std::vector<std::string> path, const StreamOptions& options)
        : state_(state),
          path_(std::move(path)),
          options_(options),
          feeder_(state.pipeline, state.chunkers, options.cut, options.size_expected) {}

    Status write(ByteView bytes) override {
        if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped while writing a stream");
        while (!bytes.empty()) {
            const ByteSpan room = feeder_.room();
            const std::size_t n = std::min(room.size(), bytes.size());
            std::copy_n(bytes.begin(), n, room.begin());
            HF_DO(feeder_.filled(n));
            bytes = bytes.subspan(n);
            state_.counters.bytes_found += n;
        }
        return {};
    }

    Status add_stored(const Id& blob, std::size_t bytes) override {
        HF_DO(feeder_.add_stored(blob, bytes));
        state_.counters.bytes_found += bytes;
        state_.bytes_reused += bytes;
        return {};
    }

    Status end() override {
        if (content_) return {};
        HF_TRY(content_, feeder_.end());
        content_->end([stored = stored_](Content&) {
            const std::scoped_lock lock(stored->mutex);
            stored->done = true;
            stored->told.notify_all();
        });
        return {};
    }

    Result<StreamReceipt> finish() override {
        HF_DO(end());
        {
            std::unique_lock lock(stored_->mutex);
            stored_->told.wait(lock, [&] { return stored_->done; });
        }
        HF_DO(state_.pipeline.status());
        format::Node node = made_node(format::NodeType::file, S_IFREG, options_, state_.started);
        node.size = content_->size;
        node.content = content_->ids;
        HF_DO(state_.tree.put(path_, std::move(node)));
        state_.note_added(path_, content_->bytes_added);
        state_.remember('/' + path_.front());
        state_.counters.files_found += 1;
        state_.counters.files_done += 1;
        state_.counters.files_new += 1;
        return StreamReceipt{content_->size, content_->bytes_added, std::move(content_->ids)};
    }

private:
    Backup::State& state_;
    const std::vector<std::string> path_;
    const StreamOptions options_;
    ChunkFeeder feeder_;
    struct Stored {
        std::mutex mutex;
        std::condition_variable told;
        bool done = false;
    };
    // Shared: the pipeline may be the last to look at it, when this stream is left without finish().
    const std::shared_ptr<Stored> stored_ = std::make_shared<Stored>();
    std::shared_ptr<Content> content_;    // once it has ended
};

}    // namespace

Backup::Backup(std::unique_ptr<State> state) : state_(std::move(state)) {}
Backup::~Backup() = default;

Result<std::unique_ptr<Backup>> Backup::start(Repository& repository, BackupOptions options) {
    HF_TRY(auto lock, repository.lock(LockMode::shared));
    // Under the lock, as a prune may have taken blobs away since the repository was opened.
    HF_DO(repository.load_index(true));
    return std::unique_ptr<Backup>(
        new Backup(std::make_unique<State>(repository, std::move(lock), std::move(options))));
}

Result<PathSummary> Backup::add_path(const std::string& path, const PathOptions& options) {
    State& state = *state_;
    const std::string absolute = os::absolute_path(path);
    if (auto st = os::status_of(absolute, false); !st) return fail(std::move(st).error());
    HF_TRY(auto place, snapshot_path(options.under));
    std::string_view inside = absolute;
    if (!options.base.empty()) {
        if (!inside.starts_with(options.base + "/"))
            return fail(ErrorCode::usage, fmt::format("{} is not below {}", absolute, options.base));
        inside.remove_prefix(options.base.size());
    }
    HF_TRY(const auto below, snapshot_path(inside));
    const std::size_t under_count = place.size();
    place.insert(place.end(), below.begin(), below.end());
    std::string in_snapshot;
    for (const std::string& part : place) in_snapshot.append("/").append(part);

    DiskWalk walk(state.repository, state.pipeline, state.readers, state.counters, options, state.options.with_atime);
    HF_TRY(auto node, walk.run(absolute, state.node_before(in_snapshot)));
    if (!node) return walk.take_summary();

    // The folders above it are nodes with their real metadata, as restic has them.
    std::vector<format::Node> folders;
    for (std::size_t i = 0; i + 1 < place.size(); ++i) {
        if (i < under_count) {
            format::Node plain;
            plain.type = format::NodeType::dir;
            plain.mode = format::go_mode(S_IFDIR | 0755);
            plain.mtime = plain.atime = plain.ctime = state.started;
            plain.uid = ::geteuid();
            plain.gid = ::getegid();
            folders.push_back(std::move(plain));
            continue;
        }
        std::string folder = options.base;
        for (std::size_t k = under_count; k <= i; ++k) folder.append("/").append(place[k]);
        HF_TRY(const os::Fd fd, os::open_file(folder, O_PATH | O_DIRECTORY));
        HF_TRY(const struct stat st, os::status_of(folder));    // follows: a link on the way is the folder it leads to
        HF_TRY(auto above, node_from_disk(fd.get(), ".", st, state.options.with_atime));
        folders.push_back(std::move(above));
    }
    HF_DO(state.tree.put(place, *std::move(node), folders));
    state.remember(in_snapshot.empty() ? "/" : in_snapshot);
    PathSummary summary = walk.take_summary();
    state.note_added(place, summary.bytes_added);
    return summary;
}

Result<std::unique_ptr<StreamWriter>> Backup::start_stream(const std::string& path, const StreamOptions& options) {
    HF_TRY(auto place, snapshot_path(path));
    if (place.empty()) return fail(ErrorCode::usage, "a stream needs a name in the snapshot");
    HF_DO(state_->pipeline.status());
    return std::make_unique<FileStream>(*state_, std::move(place), options);
}

Status Backup::add_file(const std::string& path, ByteView content, std::uint32_t mode) {
    StreamOptions options;
    options.mode = mode;
    HF_TRY(const auto stream, start_stream(path, options));
    HF_DO(stream->write(content));
    HF_DO(stream->finish());
    return {};
}

Status Backup::add_folder(const std::string& path, const StreamOptions& options) {
    HF_TRY(const auto place, snapshot_path(path));
    if (place.empty()) return fail(ErrorCode::usage, "a folder needs a name in the snapshot");
    HF_DO(state_->tree.put_folder(place, made_node(format::NodeType::dir, S_IFDIR, options, state_->started)));
    state_->remember('/' + place.front());
    return {};
}

Status Backup::add_link(const std::string& path, const std::string& target, const StreamOptions& options) {
    HF_TRY(const auto place, snapshot_path(path));
    if (place.empty()) return fail(ErrorCode::usage, "a link needs a name in the snapshot");
    format::Node node = made_node(format::NodeType::symlink, S_IFLNK, options, state_->started);
    node.link_target = target;
    HF_DO(state_->tree.put(place, std::move(node)));
    state_->remember('/' + place.front());
    return {};
}

// Everything that the node needs must be named by the index, or the new snapshot would be born damaged.
Status Backup::State::has_all(const format::Node& node, unsigned depth) const {
    HF_DO(check_tree_depth(depth));
    if (node.type == format::NodeType::dir) {
        HF_TRY(const format::Tree below, repository.read_numbered_tree(node.subtree));
        for (const format::Node& one : below.nodes) HF_DO(has_all(one, depth + 1));
    }
    for (const Id& id : node.content)
        if (!repository.has_blob(format::BlobType::data, id))
            return fail(
                ErrorCode::corrupt,
                fmt::format("{} in an earlier snapshot needs blob {}, which is in no index", node.name, id.brief()),
                "back it up anew; run `holdfast check`");
    return {};
}

Status Backup::reuse(const std::string& path_in_parent, const std::string& path) {
    if (!state_->options.parent)
        return fail(ErrorCode::not_found, "there is no parent snapshot to take " + path_in_parent + " from");
    return reuse(state_->options.parent->snapshot.tree, path_in_parent, path);
}

Status Backup::reuse(const Id& tree, const std::string& path_in_tree, const std::string& path) {
    State& state = *state_;
    HF_TRY(auto node, state.find_node(tree, path_in_tree));
    HF_TRY(const auto place, snapshot_path(path));
    HF_DO(state.has_all(node));
    if (node.type == format::NodeType::file) {
        state.bytes_reused += node.size;
        state.counters.bytes_found += node.size;
        state.counters.files_unmodified += 1;
        state.counters.files_found += 1;
        state.counters.files_done += 1;
    }
    HF_DO(state.tree.put(place, std::move(node)));
    state.remember(place.empty() ? "/" : '/' + place.front());
    return {};
}

bool Backup::has_blob(const Id& id) const { return state_->pipeline.has(format::BlobType::data, id); }

void Backup::forget_path(const std::string& path) {
    const auto place = snapshot_path(path);
    if (!place) return;
    state_->tree.remove(*place);
    std::string full;
    for (const std::string& part : *place) full.append("/").append(part);
    const std::scoped_lock lock(state_->mutex);
    std::erase_if(state_->paths, [&](const std::string& one) { return one == full || one.starts_with(full + '/'); });
}

BackupProgress Backup::progress() const {
    const WalkCounters& walk = state_->counters;
    const Pipeline::Counters& stored = state_->pipeline.counters();
    BackupProgress progress;
    progress.files_done = walk.files_done;
    progress.bytes_done = stored.bytes_done + walk.bytes_unchanged + state_->bytes_reused;
    progress.files_found = walk.files_found;
    progress.bytes_found = std::max<std::uint64_t>(walk.bytes_found, progress.bytes_done);
    progress.bytes_added = stored.bytes_added;
    progress.bytes_stored = stored.bytes_stored;
    progress.errors = walk.errors;
    return progress;
}

std::uint64_t Backup::bytes_added_below(const std::string& path) const {
    const std::string whole = '/' + path, below = whole + '/';
    const std::scoped_lock lock(state_->mutex);
    std::uint64_t sum = 0;
    for (const auto& [key, bytes] : state_->bytes_added)
        if (key == whole || key.starts_with(below)) sum += bytes;
    return sum;
}

Result<Backup::Outcome> Backup::commit(const std::vector<std::string>& tags) {
    State& state = *state_;
    HF_ASSERT(!std::exchange(state.committed, true));
    if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped before the snapshot was written");
    HF_DO(state.pipeline.status());
    HF_TRY(const Id root, state.tree.store(state.pipeline));
    HF_DO(state.pipeline.finish());

    format::Snapshot snapshot;
    snapshot.time = state.options.time.value_or(state.started);
    if (state.options.parent) snapshot.parent = state.options.parent->id;
    snapshot.tree = root;
    snapshot.paths = state.options.paths;
    if (snapshot.paths.empty()) snapshot.paths.assign(state.paths.begin(), state.paths.end());
    snapshot.hostname = state.options.hostname.empty() ? os::host_name() : state.options.hostname;
    snapshot.username = os::user_name();
    snapshot.uid = ::geteuid();
    snapshot.gid = ::getegid();
    snapshot.tags = state.options.tags;
    for (const std::string& tag : tags)
        if (std::find(snapshot.tags.begin(), snapshot.tags.end(), tag) == snapshot.tags.end())
            snapshot.tags.push_back(tag);
    snapshot.program_version = state.options.program_version;

    const Pipeline::Counters& stored = state.pipeline.counters();
    const WalkCounters& walk = state.counters;
    format::SnapshotSummary summary;
    summary.backup_start = state.started;
    summary.backup_end = state.repository.clock().now();
    summary.files_new = walk.files_new;
    summary.files_changed = walk.files_changed;
    summary.files_unmodified = walk.files_unmodified;
    summary.dirs_new = walk.dirs_new;
    summary.dirs_changed = walk.dirs_changed;
    summary.dirs_unmodified = walk.dirs_unmodified;
    summary.data_blobs = stored.data_blobs;
    summary.tree_blobs = stored.tree_blobs;
    summary.data_added = stored.bytes_added;
    summary.data_added_packed = stored.bytes_stored;
    summary.total_files_processed = walk.files_done;
    summary.total_bytes_processed = stored.bytes_done + walk.bytes_unchanged + state.bytes_reused;
    snapshot.summary = summary;

    // The index must survive a power failure before anything names what is in it.
    HF_DO(state.lock->still_held());
    HF_DO(state.repository.backend().sync());
    os::crash_point("backup.index_synced");
    HF_TRY(const Id id, state.repository.write_document(storage::FileKind::snapshot, format::encode(snapshot)));
    os::crash_point("backup.snapshot_written");
    HF_DO(state.repository.backend().sync());
    os::crash_point("backup.snapshot_synced");
    state.lock.reset();
    return Outcome{id, summary};
}

}    // namespace holdfast::vault
