#pragma once
// An open repository: keys, index, snapshots, blobs, locks.
//
//   threads   const calls from any thread; load_index() and lock() from one
//   errors    no_repository, wrong_password, locked, corrupt, not_found and the backend's own
//   ownership the Repository owns its backend; the Clock must outlive it
//   source    docs/formats/vault.md

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "holdfast/base/clock.hpp"
#include "holdfast/base/secret.hpp"
#include "holdfast/format/documents.hpp"
#include "holdfast/format/tree.hpp"
#include "holdfast/storage/backend.hpp"

namespace holdfast::vault {

struct InitOptions {
    format::KdfCost cost{};
    std::optional<format::Polynomial> polynomial;    // nullopt: a random one
};

struct SnapshotEntry {
    Id id;
    format::Snapshot snapshot;
};

struct SnapshotFilter {
    std::string host;    // empty: any
    std::vector<std::string> paths;    // empty: any; else all of them must be equal
    std::vector<std::string> tags;    // all of them must be present
};

/// Whether the filter lets the snapshot through.
bool passes(const format::Snapshot& snapshot, const SnapshotFilter& filter);

enum class LockMode { shared, exclusive };

/// Held while it lives; refreshed every 5 minutes by a thread of its own; removed at the end.
class RepositoryLock {
public:
    virtual ~RepositoryLock() = default;
    /// Fails once the lock could not be refreshed in time (22.5 min): stop writing then.
    virtual Status still_held() const = 0;
};

/// Where a blob lies.
struct BlobPlace {
    Id pack;
    format::PackedBlob blob;
};

class Repository {
public:
    /// Refuses (exists) where a repository already is.
    static Result<std::unique_ptr<Repository>> init(std::unique_ptr<storage::Backend> backend, const Secret& password,
                                                    Clock& clock, const InitOptions& options = {});
    static Result<std::unique_ptr<Repository>> open(std::unique_ptr<storage::Backend> backend, const Secret& password,
                                                    Clock& clock);
    ~Repository();

    storage::Backend& backend() const;
    Clock& clock() const;
    const format::Config& config() const;
    const format::Key& master_key() const;

    /// A shared or exclusive lock, as restic takes them. A lock of a process of this host that is gone is removed, with
    /// a warning in the log. Waits up to `wait` for others.
    Result<std::unique_ptr<RepositoryLock>> lock(LockMode mode, Duration wait = {});

    /// Reads all index files. Blobs are found only after it. `reload`: looks again, and reads what others have written
    /// since; if index files are gone (a prune), all anew. A backup does so by itself, under its lock.
    Status load_index(bool reload = false);
    bool has_blob(format::BlobType type, const Id& id) const;
    /// Every place that the index names; empty if unknown.
    std::vector<BlobPlace> places(format::BlobType type, const Id& id) const;
    /// Decrypted, decompressed and checked against its ID; any good copy serves.
    Result<Bytes> read_blob(format::BlobType type, const Id& id) const;
    Result<format::Tree> read_tree(const Id& id) const;
    /// The same, but of a tree that is megabytes as text the files may have numbers (BlobIndex::at) instead of content: then
    /// the index has all their blobs.
    Result<format::Tree> read_numbered_tree(const Id& id) const;

    /// Oldest first. A snapshot file that cannot be read is an error unless `skipped` is given (called with its ID).
    Result<std::vector<SnapshotEntry>> snapshots(
        const std::function<void(const Id&, const Error&)>& skipped = {}) const;
    /// "latest" (within the filter) or a unique prefix of an ID of at least 4 digits.
    Result<SnapshotEntry> find_snapshot(std::string_view spec, const SnapshotFilter& filter = {}) const;
    /// Follows `path` ("/a/b", "a/b" or "/") from the snapshot's root. not_found names the part that is missing.
    /// The root itself comes as a dir node with an empty name.
    Result<format::Node> find_node(const Id& tree, std::string_view path) const;

    /// An unpacked file (index, snapshot, lock): encrypt, name, write; and back.
    Result<Id> write_document(storage::FileKind kind, std::string_view json);
    Result<std::string> read_document(const storage::FileName& name) const;
    Result<std::vector<format::IndexPack>> read_index(const Id& id) const;
    /// Pack by pack: a whole file of them is a megabyte. After again(), and after an error, what came until then counts for
    /// nothing.
    Status read_index(const Id& id, const format::EachIndexPack& each, const std::function<void()>& again) const;

    struct State;
    State& state() const { return *state_; }    // for the rest of vault/

private:
    explicit Repository(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

}    // namespace holdfast::vault
