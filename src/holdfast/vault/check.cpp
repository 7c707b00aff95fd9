#include "holdfast/vault/check.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <unordered_map>

#include "holdfast/os/host.hpp"
#include "holdfast/vault/id_set.hpp"
#include "holdfast/vault/pack_check.hpp"
#include "holdfast/vault/parallel.hpp"
#include "holdfast/vault/repository_state.hpp"
#include "holdfast/vault/tree_depth.hpp"

namespace holdfast::vault {
namespace {

using storage::FileKind;

class Checker {
public:
    Checker(Repository& repository, const CheckOptions& options) : repository_(repository), options_(options) {}

    Result<CheckReport> run() {
        HF_DO(read_keys());
        HF_DO(read_index());
        HF_DO(compare_packs());
        HF_DO(walk_snapshots());
        if (options_.read_data) HF_DO(read_packs());
        HF_DO(repository_.state().index.status());
        std::sort(report_.errors.begin(), report_.errors.end());
        return std::move(report_);
    }

private:
    // A pack, and where its blobs stand in the index: one after the other, sorted by offset.
    struct Indexed : SizedPack {
        std::uint32_t first = 0, blobs = 0;
    };
    format::IndexPack blobs_of(const Indexed& pack) const {
        format::IndexPack whole{pack.id, {}};
        whole.blobs.reserve(pack.blobs);
        for (std::uint32_t i = 0; i < pack.blobs; ++i)
            whole.blobs.push_back(repository_.state().index.at(pack.first + i).blob);
        return whole;
    }

    void error(std::string text) {
        const std::scoped_lock lock(mutex_);
        report_.errors.push_back(std::move(text));
    }
    void hint(std::string text) {
        const std::scoped_lock lock(mutex_);
        report_.hints.push_back(std::move(text));
    }
    void progress(std::uint64_t done, std::uint64_t total) {
        const std::unique_lock lock(progress_mutex_, std::try_to_lock);
        if (lock && options_.progress) options_.progress(done, total);
    }
    static Status check_stop() {
        if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped while checking");
        return {};
    }

    // Also those that did not open the repository this time: they are somebody's only way in.
    Status read_keys() {
        std::vector<Id> ids;
        HF_DO(repository_.backend().list(FileKind::key, [&](const Id& id, std::uint64_t) { ids.push_back(id); }));
        for (const Id& id : ids) {
            const std::string what = "key file " + id.brief();
            const auto content = repository_.backend().read({FileKind::key, id});
            if (!content) {
                if (content.error().code != ErrorCode::not_found) error(what + ": " + content.error().message);
                continue;
            }
            if (format::sha256(*content) != id)
                error(what + " is damaged: its content does not match its name");
            else if (const auto file = format::decode_key_file(as_text(*content), what); !file)
                error(file.error().message);
        }
        return {};
    }

    // Every index file by itself, so that one damaged file hides nothing of the others.
    Status read_index() {
        std::vector<Id> ids;
        HF_DO(repository_.backend().list(FileKind::index, [&](const Id& id, std::uint64_t) { ids.push_back(id); }));
        std::sort(ids.begin(), ids.end());
        repository_.state().index.clear();
        {
            const std::scoped_lock lock(repository_.state().index_files_mutex);
            repository_.state().index_files.clear();
        }
        // Read side by side, taken in the order of their names; a group at a time bounds what waits in memory.
        const std::size_t group = reader_count(repository_.backend());
        for (std::size_t from = 0; from < ids.size(); from += group) {
            HF_DO(check_stop());
            const std::size_t count = std::min(group, ids.size() - from);
            std::vector<std::optional<Result<std::vector<format::IndexPack>>>> read(count);
            HF_DO(for_each_of(count, reader_count(repository_.backend()), [&](std::size_t i) -> Status {
                read[i] = repository_.read_index(ids[from + i]);
                return {};
            }));
            for (std::size_t i = 0; i < count; ++i) {
                auto& packs = *read[i];
                if (!packs) {
                    error(packs.error().message);
                    continue;
                }
                for (format::IndexPack& pack : *packs) add_pack(std::move(pack), ids[from + i]);
                const std::scoped_lock lock(repository_.state().index_files_mutex);
                repository_.state().index_files.insert(ids[from + i]);
            }
        }
        repository_.state().index_loaded = true;
        return {};
    }

    void add_pack(format::IndexPack pack, const Id& index) {
        std::sort(pack.blobs.begin(), pack.blobs.end(),
                  [](const auto& a, const auto& b) { return a.offset < b.offset; });
        const auto [known, is_new] = packs_.try_emplace(pack.id, packs_.size());
        if (is_new) {
            BlobIndex& index_now = repository_.state().index;
            const auto first = static_cast<std::uint32_t>(index_now.blob_count());
            index_now.add(pack);
            check_table(pack);
            report_.blobs += pack.blobs.size();
            indexed_.push_back(
                {{pack.id, format::pack_size(pack.blobs)}, first, static_cast<std::uint32_t>(pack.blobs.size())});
        } else if (blobs_of(indexed_[known->second]).blobs == pack.blobs) {
            hint(fmt::format("pack {} is named by two index files", pack.id.brief()));
        } else {
            error(fmt::format("index {} and another one name different blobs in pack {}", index.brief(),
                              pack.id.brief()));
        }
    }

    // Blobs must lie one after the other from the start.
    void check_table(const format::IndexPack& pack) {
        std::uint64_t end = 0;
        bool data = false, trees = false;
        for (const format::PackedBlob& blob : pack.blobs) {
            if (blob.offset != end || blob.length < format::k_envelope_overhead) {
                error(fmt::format("the index puts blob {} of pack {} at offset {} with {} bytes, where {} was expected",
                                  blob.id.brief(), pack.id.brief(), blob.offset, blob.length, end));
                return;
            }
            end += blob.length;
            (blob.type == format::BlobType::tree ? trees : data) = true;
        }
        if (data && trees)
            hint(fmt::format("pack {} holds both data and trees; restic's prune splits it", pack.id.brief()));
    }

    Status compare_packs() {
        std::unordered_map<Id, std::uint64_t> sizes;
        HF_DO(repository_.backend().list(FileKind::pack,
                                         [&](const Id& id, std::uint64_t size) { sizes.emplace(id, size); }));
        for (const Indexed& pack : indexed_) {
            const auto found = sizes.find(pack.id);
            if (found == sizes.end()) {
                error(fmt::format("pack {} is missing; {} blobs were in it", pack.id.hex(), pack.blobs));
                continue;
            }
            if (found->second != pack.size)
                error(fmt::format("pack {} has {} bytes instead of {}", pack.id.hex(), found->second, pack.size));
            sizes.erase(found);
        }
        report_.packs = indexed_.size();
        for (const auto& [id, size] : sizes)
            hint(fmt::format(
                "pack {} ({}) is named by no index: left by a run that was killed; restic's prune removes it",
                id.brief(), human_size(size)));
        const BlobIndex& index = repository_.state().index;
        std::size_t extra = 0;
        for (std::uint32_t n = 0; n < index.blob_count(); ++n)
            if (index.first_of(n) != n) ++extra;
        if (extra > 0)
            hint(fmt::format("{} blobs are stored twice: two runs wrote them at once; restic's prune removes one copy",
                             extra));
        return {};
    }

    Status walk_snapshots() {
        std::vector<std::pair<Id, std::string>> roots;
        auto snapshots = repository_.snapshots([&](const Id&, const Error& e) { error(e.message); });
        if (!snapshots) return fail(std::move(snapshots).error());
        report_.snapshots = snapshots->size();
        std::uint64_t done = 0;
        for (const SnapshotEntry& entry : *snapshots) {
            HF_DO(walk_tree(entry.snapshot.tree, "snapshot " + entry.id.brief()));
            if (!options_.read_data) progress(++done, snapshots->size());
        }
        return {};
    }

    // `where` names one way to the tree; the same tree is looked at once.
    Status walk_tree(const Id& root, const std::string& where) {
        struct Below {
            Id id;
            std::string path;
            unsigned depth = 0;
        };
        std::vector<Below> todo{{root, where}};
        // The deepest few at once: over a line each costs a round trip.
        const std::size_t group = reader_count(repository_.backend());
        while (!todo.empty()) {
            HF_DO(check_stop());
            std::vector<Below> now;
            while (!todo.empty() && now.size() < group) {
                Below below = std::move(todo.back());
                todo.pop_back();
                if (const auto sane = check_tree_depth(below.depth); !sane) {
                    error(fmt::format("{}: {}", where, sane.error().message));
                } else if (is_first_look(below.id)) {
                    now.push_back(std::move(below));
                }
            }
            std::vector<std::optional<Result<format::Tree>>> trees(now.size());
            HF_DO(for_each_of(now.size(), reader_count(repository_.backend()), [&](std::size_t i) -> Status {
                trees[i] = repository_.read_tree(now[i].id);
                return {};
            }));
            for (std::size_t i = 0; i < now.size(); ++i) {
                ++report_.trees;
                const auto& tree = *trees[i];
                if (!tree) {
                    error(fmt::format("{}: {}", now[i].path, tree.error().message));
                    continue;
                }
                for (const format::Node& node : tree->nodes) {
                    const std::string node_path = now[i].path + '/' + node.name;
                    if (node.type == format::NodeType::dir) todo.push_back({node.subtree, node_path, now[i].depth + 1});
                    if (node.type == format::NodeType::file) check_file(node, node_path);
                }
            }
        }
        return {};
    }

    bool is_first_look(const Id& tree) {
        const auto number = repository_.state().index.number(format::BlobType::tree, tree);
        if (!number) return trees_lost_.insert(tree);
        trees_seen_.resize(repository_.state().index.blob_count());
        if (trees_seen_[*number]) return false;
        return trees_seen_[*number] = true;
    }

    void check_file(const format::Node& node, const std::string& path) {
        std::uint64_t size = 0;
        for (const Id& id : node.content) {
            const auto place = repository_.state().index.first_place(format::BlobType::data, id);
            if (!place) return error(fmt::format("{}: blob {} is in no index", path, id.brief()));
            size +=
                place->uncompressed_length ? place->uncompressed_length : place->length - format::k_envelope_overhead;
        }
        if (size != node.size)
            error(fmt::format("{}: its blobs have {} bytes, but its size is {}", path, size, node.size));
    }

    Status read_packs() {
        if (options_.subset) {
            const std::vector<SizedPack> all(indexed_.begin(), indexed_.end());
            std::vector<Indexed> chosen;
            for (const std::size_t at :
                 chosen_packs(all, *options_.subset, static_cast<std::uint64_t>(repository_.clock().now().nanoseconds)))
                chosen.push_back(indexed_[at]);
            indexed_ = std::move(chosen);
        }
        std::atomic<std::size_t> next = 0;
        std::atomic<std::uint64_t> done = 0, bytes = 0;
        LongRoom long_room(Buffer::Pages::usual);
        std::vector<std::thread> threads;
        for (unsigned i = 0; i < reader_count(repository_.backend()); ++i)
            threads.emplace_back([&] {
                PackCheck pack_check(repository_, long_room);
                for (std::size_t at = next++; at < indexed_.size() && !os::stop_requested(); at = next++) {
                    bytes +=
                        pack_check.run(blobs_of(indexed_[at]), [this](std::string text) { error(std::move(text)); });
                    progress(++done, indexed_.size());
                }
            });
        for (std::thread& thread : threads) thread.join();
        report_.bytes_read = bytes;
        return check_stop();
    }

    Repository& repository_;
    const CheckOptions& options_;
    std::vector<Indexed> indexed_;
    std::unordered_map<Id, std::size_t> packs_;
    std::vector<bool> trees_seen_;    // by their numbers
    IdSet trees_lost_;    // that no index names
    std::mutex mutex_, progress_mutex_;
    CheckReport report_;
};

}    // namespace

Result<CheckReport> check(Repository& repository, const CheckOptions& options) {
    std::unique_ptr<RepositoryLock> lock;
    if (options.lock) {
        HF_TRY(lock, repository.lock(LockMode::exclusive));
    }
    HF_TRY(auto report, Checker(repository, options).run());
    if (lock) HF_DO(lock->still_held());
    return report;
}

}    // namespace holdfast::vault
