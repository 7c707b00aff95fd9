#pragma once
// A repository as a read-only file system: entries with inode numbers, folders, content. Knows nothing of FUSE.
//
//   memory    entries that the kernel knows (remember, forget), trees and blobs used last within bounds
//   fresh     what lies above the snapshots follows the repository: looked at again when somebody looks there, at most
//             every few seconds. What is open, and every snapshot that is shown already, stays as it is
//   numbers   made from the place (or, for hard links, from the saved inode): the same as long as the mount lasts, and
//             two names of one file have one
//   threads   any
//   errors    not_found; those of the repository when a tree or blob is damaged

#include <sys/stat.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "holdfast/mount/blob_cache.hpp"
#include "holdfast/mount/layout.hpp"

namespace holdfast::mount {

using InodeNumber = std::uint64_t;
inline constexpr InodeNumber k_root = 1;

struct FilesOptions {
    Templates templates;
    bool owner_root = false;    // everything belongs to root
    std::size_t blob_bytes_max = std::size_t(48) << 20;
    std::size_t tree_bytes_max = std::size_t(16) << 20;
    unsigned fetchers = 2;
    /// The snapshots as they are now, oldest first; nullopt when nothing has changed. Blobs of new ones can be found when
    /// it returns. Called by one thread at a time. Empty: what make() was given stays.
    std::function<Result<std::optional<std::vector<vault::SnapshotEntry>>>()> reload;
    Duration reload_every = std::chrono::seconds(5);
};

class SnapshotFiles {
public:
    static Result<std::unique_ptr<SnapshotFiles>> make(const vault::Repository& repository,
                                                       std::vector<vault::SnapshotEntry> entries,
                                                       const FilesOptions& options);

    struct Attributes {
        InodeNumber number = 0;
        struct stat st{};
        bool fixed = true;    // false: another look may find something else
    };
    /// Counts as known to the kernel until forget() took it back as often.
    Result<Attributes> lookup(InodeNumber folder, std::string_view name);
    void forget(InodeNumber number, std::uint64_t times);
    Result<Attributes> attributes(InodeNumber number);

    struct Item {
        std::string name;
        InodeNumber number = 0;
        mode_t type = 0;    // S_IFDIR and so on
    };
    using Listing = std::vector<Item>;
    /// With "." and "..".
    Result<std::shared_ptr<const Listing>> list(InodeNumber folder);
    /// Whether list() says the same as long as the mount lasts.
    bool is_fixed(InodeNumber folder) const;

    Result<std::string> link_target(InodeNumber number);
    Result<std::vector<std::pair<std::string, Bytes>>> extended_attributes(InodeNumber number);

    /// An open file: where each of its chunks begins.
    struct OpenFile {
        std::vector<Id> chunks;
        std::vector<std::uint64_t> starts;    // one more than chunks
        std::atomic<std::size_t> last = 0;    // the chunk that was read last: in order, the next ones are fetched ahead
    };
    Result<std::shared_ptr<OpenFile>> open(InodeNumber number);
    /// Fewer bytes than asked for only at the end.
    Result<Bytes> read(OpenFile& file, std::uint64_t offset, std::size_t size);

    std::size_t blob_bytes_held() const { return blobs_.bytes_held(); }
    std::size_t inodes_held() const;

private:
    struct Inode {
        InodeNumber above = 0;
        std::optional<std::vector<std::string>> layout;    // the path of a folder above the snapshots
        std::uint64_t scope = 0;    // tells the hard links of one snapshot from another's
        format::Node node;
        std::uint64_t known = 0;    // how often the kernel was told
    };
    using Known = std::shared_ptr<Inode>;
    // The snapshots and where they appear, as they were at one look.
    struct View {
        std::vector<vault::SnapshotEntry> entries;
        LayoutFolder layout;
        Timestamp time;    // of folders that no snapshot describes: the newest snapshot's
        const LayoutFolder* folder(const std::vector<std::string>& path) const;    // null: there is none any more
    };

    SnapshotFiles(const vault::Repository& repository, const FilesOptions& options);
    Result<std::shared_ptr<const View>> make_view(std::vector<vault::SnapshotEntry> entries) const;
    std::shared_ptr<const View> view();    // looked at again when it is time
    Result<Known> find(InodeNumber number) const;
    Result<Known> child(InodeNumber folder, const Inode& above, std::string_view name);
    Result<std::shared_ptr<const format::Tree>> tree(const Id& id);
    InodeNumber number_of(InodeNumber folder, const Inode& above, const format::Node& node) const;
    struct stat status_of(InodeNumber number, const Inode& inode) const;
    static format::Node layout_node(std::string_view name, Timestamp time);

    const vault::Repository& repository_;
    const FilesOptions options_;
    BlobCache blobs_;

    std::mutex reload_mutex_;    // below; taken before mutex_
    Instant looked_at_;

    mutable std::mutex mutex_;    // below
    std::shared_ptr<const View> view_;
    std::unordered_map<InodeNumber, Known> inodes_;
    struct KeptTree {
        std::shared_ptr<const format::Tree> tree;
        std::size_t bytes = 0;
        std::list<Id>::iterator used;
    };
    std::unordered_map<Id, KeptTree> trees_;
    std::list<Id> tree_order_;    // used last: front
    std::size_t tree_bytes_ = 0;
};

}    // namespace holdfast::mount
