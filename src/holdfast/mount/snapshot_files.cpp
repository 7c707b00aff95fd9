#include "holdfast/mount/snapshot_files.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <atomic>
#include <cstring>

#include "holdfast/base/log.hpp"

namespace holdfast::mount {
namespace {

constexpr std::size_t k_chunks_ahead = 3;

// 64 bits of a strong hash: that two places of one mount get the same number is out of the question.
InodeNumber number_from(std::string_view kind, std::uint64_t a, std::uint64_t b, std::string_view name) {
    std::string text;
    text.append(kind);
    text.append(reinterpret_cast<const char*>(&a), sizeof a);
    text.append(reinterpret_cast<const char*>(&b), sizeof b);
    text.append(name);
    const auto number = load_le<std::uint64_t>(format::sha256(as_bytes(text)).bytes.data()) >> 1;
    return number <= k_root ? number + 2 : number;
}

mode_t type_bits(format::NodeType type) {
    switch (type) {
        case format::NodeType::dir:
            return S_IFDIR;
        case format::NodeType::symlink:
            return S_IFLNK;
        case format::NodeType::dev:
            return S_IFBLK;
        case format::NodeType::chardev:
            return S_IFCHR;
        case format::NodeType::fifo:
            return S_IFIFO;
        case format::NodeType::socket:
            return S_IFSOCK;
        case format::NodeType::file:
        case format::NodeType::irregular:
            break;
    }
    return S_IFREG;
}

timespec timespec_of(Timestamp t) {
    constexpr std::int64_t second = 1'000'000'000;
    std::int64_t whole = t.nanoseconds / second, rest = t.nanoseconds % second;
    if (rest < 0) {
        --whole;
        rest += second;
    }
    return {static_cast<time_t>(whole), static_cast<long>(rest)};
}

std::size_t size_in_memory(const format::Tree& tree) {
    std::size_t bytes = sizeof tree;
    for (const format::Node& node : tree.nodes) {
        bytes += sizeof node + node.name.size() + node.content.size() * sizeof(Id) + node.link_target.size();
        for (const auto& [name, value] : node.extended_attributes) bytes += name.size() + value.size() + 64;
    }
    return bytes;
}

// Tells the content of one snapshot from another's of the same name.
std::uint64_t scope_of(const Id& id) { return load_le<std::uint64_t>(id.bytes.data()); }

std::unexpected<Error> absent(std::string_view name) {
    return fail(ErrorCode::not_found, fmt::format("{} is not there", name));
}

}    // namespace

SnapshotFiles::SnapshotFiles(const vault::Repository& repository, const FilesOptions& options)
    : repository_(repository), options_(options), blobs_(repository, options.blob_bytes_max, options.fetchers) {}

Result<std::unique_ptr<SnapshotFiles>> SnapshotFiles::make(const vault::Repository& repository,
                                                           std::vector<vault::SnapshotEntry> entries,
                                                           const FilesOptions& options) {
    std::unique_ptr<SnapshotFiles> files(new SnapshotFiles(repository, options));
    HF_TRY(files->view_, files->make_view(std::move(entries)));
    files->looked_at_ = repository.clock().instant();
    auto root = std::make_shared<Inode>();
    root->above = k_root;
    root->layout.emplace();
    root->node = layout_node("", files->view_->time);
    root->known = 1;    // never forgotten
    files->inodes_.emplace(k_root, std::move(root));
    return files;
}

Result<std::shared_ptr<const SnapshotFiles::View>> SnapshotFiles::make_view(
    std::vector<vault::SnapshotEntry> entries) const {
    auto view = std::make_shared<View>();
    view->entries = std::move(entries);
    if (!view->entries.empty()) view->time = view->entries.back().snapshot.time;
    HF_TRY(view->layout, lay_out(view->entries, options_.templates));
    return view;
}

const LayoutFolder* SnapshotFiles::View::folder(const std::vector<std::string>& path) const {
    const LayoutFolder* at = &layout;
    for (const std::string& name : path) {
        const auto below = at->folders.find(name);
        if (below == at->folders.end()) return nullptr;
        at = &below->second;
    }
    return at;
}

std::shared_ptr<const SnapshotFiles::View> SnapshotFiles::view() {
    // While one looks the others go on with what is known.
    const std::unique_lock reloading(reload_mutex_, std::try_to_lock);
    if (options_.reload && reloading && repository_.clock().instant() - looked_at_ >= options_.reload_every) {
        auto entries = options_.reload();
        looked_at_ = repository_.clock().instant();
        auto fresh = entries && *entries ? make_view(std::move(**entries))
                                         : Result<std::shared_ptr<const View>>(std::shared_ptr<const View>());
        if (!entries)
            log_warning("the snapshots could not be looked at again", {{"error", entries.error().message}});
        else if (fresh && *fresh) {
            const std::scoped_lock lock(mutex_);
            view_ = *std::move(fresh);
        }
    }
    const std::scoped_lock lock(mutex_);
    return view_;
}

format::Node SnapshotFiles::layout_node(std::string_view name, Timestamp time) {
    format::Node node;
    node.name = name;
    node.type = format::NodeType::dir;
    node.mode = format::go_mode(S_IFDIR | 0555);
    node.mtime = node.atime = node.ctime = time;
    return node;
}

Result<SnapshotFiles::Known> SnapshotFiles::find(InodeNumber number) const {
    const std::scoped_lock lock(mutex_);
    const auto found = inodes_.find(number);
    if (found == inodes_.end()) return absent("this inode");
    return found->second;
}

Result<std::shared_ptr<const format::Tree>> SnapshotFiles::tree(const Id& id) {
    {
        const std::scoped_lock lock(mutex_);
        if (const auto found = trees_.find(id); found != trees_.end()) {
            tree_order_.splice(tree_order_.begin(), tree_order_, found->second.used);
            return found->second.tree;
        }
    }
    HF_TRY(auto decoded, repository_.read_tree(id));
    const auto tree = std::make_shared<const format::Tree>(std::move(decoded));
    const std::size_t bytes = size_in_memory(*tree);
    const std::scoped_lock lock(mutex_);
    if (trees_.contains(id)) return tree;
    tree_order_.push_front(id);
    trees_[id] = {tree, bytes, tree_order_.begin()};
    tree_bytes_ += bytes;
    // The one that was asked for stays, however large: a lookup of each of its names follows.
    while (tree_bytes_ > options_.tree_bytes_max && tree_order_.size() > 1) {
        const auto oldest = trees_.find(tree_order_.back());
        tree_bytes_ -= oldest->second.bytes;
        trees_.erase(oldest);
        tree_order_.pop_back();
    }
    return tree;
}

InodeNumber SnapshotFiles::number_of(InodeNumber folder, const Inode& above, const format::Node& node) const {
    if (node.type != format::NodeType::dir && node.links > 1 && node.inode != 0) {
        // With the content: an inode that was written to between its two names' turns was saved as two files.
        std::string content;
        if (!node.content.empty()) content = node.content.front().hex() + node.content.back().hex();
        return number_from("link", above.scope ^ node.device_id, node.inode, content);
    }
    // Of one name above the snapshots: what it leads to may become another thing.
    if (above.layout && node.type == format::NodeType::symlink)
        return number_from("latest", folder, 0, node.link_target);
    return number_from("name", folder, above.layout ? scope_of(node.subtree) : 0, node.name);
}

Result<SnapshotFiles::Known> SnapshotFiles::child(InodeNumber folder, const Inode& above, std::string_view name) {
    auto inode = std::make_shared<Inode>();
    inode->above = folder;
    inode->scope = above.scope;
    if (!above.layout) {
        if (above.node.type != format::NodeType::dir) return absent(name);
        HF_TRY(const auto here, tree(above.node.subtree));
        const format::Node* node = here->find(name);
        if (!node) return absent(name);
        inode->node = *node;
        return inode;
    }
    const auto now = view();
    const LayoutFolder* const layout = now->folder(*above.layout);
    if (!layout) return absent(name);
    if (layout->folders.contains(name)) {
        inode->layout = above.layout;
        inode->layout->emplace_back(name);
        inode->node = layout_node(name, now->time);
        return inode;
    }
    if (const auto found = layout->snapshots.find(name); found != layout->snapshots.end()) {
        const vault::SnapshotEntry& entry = now->entries[found->second];
        inode->node = layout_node(name, entry.snapshot.time);
        inode->node.subtree = entry.snapshot.tree;
        inode->scope = scope_of(entry.id);
        return inode;
    }
    if (name == "latest" && !layout->latest.empty()) {
        inode->node = layout_node(name, now->time);
        inode->node.type = format::NodeType::symlink;
        inode->node.mode = 0777;
        inode->node.link_target = layout->latest;
        return inode;
    }
    return absent(name);
}

struct stat SnapshotFiles::status_of(InodeNumber number, const Inode& inode) const {
    const format::Node& node = inode.node;
    struct stat st{};
    st.st_ino = number;
    st.st_mode = type_bits(node.type) | static_cast<mode_t>(format::permission_bits(node.mode));
    st.st_nlink = node.type == format::NodeType::dir ? 2 : std::max<std::uint64_t>(node.links, 1);
    st.st_uid = options_.owner_root ? 0 : node.uid;
    st.st_gid = options_.owner_root ? 0 : node.gid;
    st.st_rdev = node.device;
    st.st_size = static_cast<off_t>(node.type == format::NodeType::symlink ? node.link_target.size() : node.size);
    st.st_blksize = 4096;
    st.st_blocks = (st.st_size + 511) / 512;
    st.st_atim = timespec_of(node.atime);
    st.st_mtim = timespec_of(node.mtime);
    st.st_ctim = timespec_of(node.ctime);
    return st;
}

Result<SnapshotFiles::Attributes> SnapshotFiles::lookup(InodeNumber folder, std::string_view name) {
    HF_TRY(const Known above, find(folder));
    HF_TRY(Known inode, child(folder, *above, name));
    const InodeNumber number = number_of(folder, *above, inode->node);
    const std::scoped_lock lock(mutex_);
    const auto [at, is_new] = inodes_.try_emplace(number, std::move(inode));
    ++at->second->known;
    return Attributes{number, status_of(number, *at->second), !above->layout};
}

void SnapshotFiles::forget(InodeNumber number, std::uint64_t times) {
    const std::scoped_lock lock(mutex_);
    const auto found = inodes_.find(number);
    if (found == inodes_.end() || number == k_root) return;
    found->second->known -= std::min(found->second->known, times);
    if (found->second->known == 0) inodes_.erase(found);
}

Result<SnapshotFiles::Attributes> SnapshotFiles::attributes(InodeNumber number) {
    HF_TRY(const Known inode, find(number));
    return Attributes{number, status_of(number, *inode), true};
}

Result<std::shared_ptr<const SnapshotFiles::Listing>> SnapshotFiles::list(InodeNumber folder) {
    HF_TRY(const Known above, find(folder));
    auto items = std::make_shared<Listing>();
    items->push_back({".", folder, S_IFDIR});
    items->push_back({"..", above->above, S_IFDIR});
    if (!above->layout) {
        if (above->node.type != format::NodeType::dir) return absent("this folder");
        HF_TRY(const auto here, tree(above->node.subtree));
        for (const format::Node& node : here->nodes)
            items->push_back({node.name, number_of(folder, *above, node), type_bits(node.type)});
        return items;
    }
    const auto now = view();
    const LayoutFolder* const layout = now->folder(*above->layout);
    if (!layout) return items;
    const auto add = [&](const format::Node& node) {
        items->push_back({node.name, number_of(folder, *above, node), type_bits(node.type)});
    };
    for (const auto& [name, below] : layout->folders) add(layout_node(name, now->time));
    for (const auto& [name, entry] : layout->snapshots) {
        format::Node node = layout_node(name, now->time);
        node.subtree = now->entries[entry].snapshot.tree;
        add(node);
    }
    if (!layout->latest.empty()) {
        format::Node node = layout_node("latest", now->time);
        node.type = format::NodeType::symlink;
        node.link_target = layout->latest;
        add(node);
    }
    return items;
}

bool SnapshotFiles::is_fixed(InodeNumber folder) const {
    const auto inode = find(folder);
    return inode && !(*inode)->layout;
}

Result<std::string> SnapshotFiles::link_target(InodeNumber number) {
    HF_TRY(const Known inode, find(number));
    return inode->node.link_target;
}

Result<std::vector<std::pair<std::string, Bytes>>> SnapshotFiles::extended_attributes(InodeNumber number) {
    HF_TRY(const Known inode, find(number));
    return inode->node.extended_attributes;
}

Result<std::shared_ptr<SnapshotFiles::OpenFile>> SnapshotFiles::open(InodeNumber number) {
    HF_TRY(const Known inode, find(number));
    auto file = std::make_shared<OpenFile>();
    file->chunks = inode->node.content;
    file->starts.reserve(file->chunks.size() + 1);
    file->starts.push_back(0);
    for (const Id& id : file->chunks) {
        const auto places = repository_.places(format::BlobType::data, id);
        if (places.empty())
            return fail(ErrorCode::corrupt, fmt::format("blob {} of {} is in no index", id.brief(), inode->node.name),
                        "run `holdfast check`");
        const format::PackedBlob& blob = places.front().blob;
        file->starts.push_back(file->starts.back() + (blob.uncompressed_length
                                                          ? blob.uncompressed_length
                                                          : blob.length - format::k_envelope_overhead));
    }
    return file;
}

Result<Bytes> SnapshotFiles::read(OpenFile& file, std::uint64_t offset, std::size_t size) {
    Bytes bytes;
    if (offset >= file.starts.back()) return bytes;
    size = static_cast<std::size_t>(std::min<std::uint64_t>(size, file.starts.back() - offset));
    bytes.resize(size);
    auto chunk = static_cast<std::size_t>(std::ranges::upper_bound(file.starts, offset) - file.starts.begin() - 1);
    const std::size_t last = file.last.load();
    const bool in_order = chunk == last || chunk == last + 1;
    for (std::size_t done = 0; done < size; ++chunk) {
        HF_TRY(const BlobCache::Blob blob, blobs_.get(file.chunks[chunk]));
        const std::uint64_t from = offset + done - file.starts[chunk];
        if (file.starts[chunk] + blob->size() != file.starts[chunk + 1])
            return fail(ErrorCode::corrupt,
                        fmt::format("blob {} has another length than its index says", file.chunks[chunk].brief()));
        const std::size_t n = std::min<std::size_t>(blob->size() - from, size - done);
        if (n > 0) std::memcpy(bytes.data() + done, blob->data() + from, n);
        done += n;
    }
    --chunk;
    file.last = chunk;
    if (in_order)
        for (std::size_t i = chunk + 1; i < std::min(chunk + 1 + k_chunks_ahead, file.chunks.size()); ++i)
            blobs_.prefetch(file.chunks[i]);
    return bytes;
}

std::size_t SnapshotFiles::inodes_held() const {
    const std::scoped_lock lock(mutex_);
    return inodes_.size();
}

}    // namespace holdfast::mount
