#include "holdfast/vault/repair_packs.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <mutex>
#include <unordered_map>

#include "holdfast/os/crash_point.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/vault/file_copy.hpp"
#include "holdfast/vault/index_rewrite.hpp"
#include "holdfast/vault/parallel.hpp"
#include "holdfast/vault/pipeline.hpp"
#include "holdfast/vault/repository_state.hpp"

namespace holdfast::vault {
namespace {

using format::BlobType;
using storage::FileKind;

class PackRepair {
public:
    PackRepair(Repository& repository, const RepairPacksOptions& options)
        : repository_(repository), options_(options) {}

    Result<RepairPacksReport> run() {
        HF_TRY(const auto lock, repository_.lock(LockMode::exclusive));
        HF_DO(repository_.load_index(true));
        for (format::IndexPack& pack : repository_.state().index.packs())
            packs_.emplace(pack.id, std::move(pack.blobs));
        HF_DO(repository_.backend().list(FileKind::pack,
                                         [&](const Id& id, std::uint64_t size) { sizes_.emplace(id, size); }));
        HF_DO(options_.packs.empty() ? find_damaged() : take_named());
        std::sort(report_.damaged.begin(), report_.damaged.end());
        if (report_.damaged.empty()) return std::move(report_);
        HF_DO(save_blobs(*lock));
        if (options_.dry_run) return std::move(report_);
        os::crash_point("repair_packs.blobs_saved");
        HF_DO(keep_copies());
        os::crash_point("repair_packs.copies_kept");
        for (const Id& id : report_.damaged) {
            if (!sizes_.contains(id)) continue;
            HF_DO(lock->still_held());
            HF_DO(repository_.backend().remove({FileKind::pack, id}));
        }
        HF_DO(repository_.backend().sync());
        return std::move(report_);
    }

private:
    Status take_named() {
        for (const Id& id : options_.packs) {
            if (!sizes_.contains(id) && !packs_.contains(id))
                return fail(ErrorCode::not_found, fmt::format("there is no pack {}", id.hex()),
                            "`holdfast check --read-data` names the damaged ones");
            report_.damaged.push_back(id);
        }
        return {};
    }

    Status find_damaged() {
        std::vector<Id> all;
        for (const auto& [id, blobs] : packs_) all.push_back(id);
        std::sort(all.begin(), all.end());
        std::mutex mutex;
        std::uint64_t done = 0;
        return for_each_of(all.size(), worker_count(), [&](std::size_t i) -> Status {
            HF_TRY(const bool whole, is_whole(all[i]));
            const std::scoped_lock lock(mutex);
            if (!whole) report_.damaged.push_back(all[i]);
            if (options_.progress) options_.progress(++done, all.size());
            return {};
        });
    }

    // Damage, as opposed to a storage that does not answer.
    static bool is_damage(const Error& error) {
        return error.code == ErrorCode::corrupt || error.code == ErrorCode::not_found || error.code == ErrorCode::io;
    }

    // Every blob opens and the name fits. Read once from end to end: a blob is opened as soon as it has come by, so that
    // memory holds a slice and the longest blob.
    Result<bool> is_whole(const Id& id) {
        const auto size = sizes_.find(id);
        if (size == sizes_.end()) return false;
        std::vector<format::PackedBlob> blobs = packs_.at(id);
        std::ranges::sort(blobs, {}, &format::PackedBlob::offset);
        const auto opener = repository_.state().openers.get();
        Bytes window;
        std::uint64_t window_at = 0;    // where in the pack
        std::size_t next = 0;
        bool whole = true;
        const auto sum =
            read_through(repository_.backend(), {FileKind::pack, id}, size->second, [&](ByteView slice) -> Status {
                append(window, slice);
                const std::uint64_t end = window_at + window.size();
                std::uint64_t used = window_at;
                for (; next < blobs.size() && blobs[next].offset + std::uint64_t(blobs[next].length) <= end; ++next) {
                    const format::PackedBlob& blob = blobs[next];
                    // Where two claim the same bytes the index is wrong about one of them.
                    whole = whole && blob.offset >= used &&
                            opener->open_copy(ByteView(window).subspan(blob.offset - window_at, blob.length), blob);
                    if (!whole) break;
                    used = blob.offset + std::uint64_t(blob.length);
                }
                // Behind the last blob comes the table; and what is damaged needs no further look.
                if (next == blobs.size() || !whole) used = end;
                window.erase(window.begin(), window.begin() + static_cast<std::ptrdiff_t>(used - window_at));
                window_at = used;
                return {};
            });
        if (!sum) {
            if (is_damage(sum.error())) return false;
            return fail(sum.error());
        }
        return whole && next == blobs.size() && *sum == id;
    }

    // Each by itself: of a disk with bad places, too, all is saved that can be read.
    template <class Use>
    Status open_all(const Id& id, const std::vector<format::PackedBlob>& blobs, Use&& use) {
        const auto size = sizes_.find(id);
        const auto opener = repository_.state().openers.get();
        Bytes envelope;
        for (const format::PackedBlob& blob : blobs) {
            std::optional<ByteView> good;
            if (size != sizes_.end() && std::uint64_t(blob.offset) + blob.length <= size->second) {
                envelope.resize(blob.length);
                const auto read = repository_.backend().read_at({FileKind::pack, id}, blob.offset, envelope);
                if (!read && !is_damage(read.error())) return read;
                if (read)
                    if (const auto plain = opener->open(envelope, blob)) good = *plain;
            }
            HF_DO(use(blob, good));
        }
        return {};
    }

    // What is known about a damaged pack: from the index, and from its own table where that can still be read.
    std::vector<format::PackedBlob> blobs_of(const Id& id) {
        std::vector<format::PackedBlob> blobs;
        if (const auto known = packs_.find(id); known != packs_.end()) blobs = known->second;
        if (const auto size = sizes_.find(id); size != sizes_.end())
            if (const auto table = read_pack_table(repository_, id, size->second))
                for (const format::PackedBlob& blob : *table)
                    if (std::ranges::find(blobs, blob) == blobs.end()) blobs.push_back(blob);
        return blobs;
    }

    Status save_blobs(const RepositoryLock& lock) {
        std::vector<RepairPacksReport::Blob> wanted;
        std::vector<std::vector<format::PackedBlob>> known;
        for (const Id& id : report_.damaged) known.push_back(blobs_of(id));
        // From here on the damaged packs are unknown, so that storing their blobs is storing something new.
        for (const Id& id : report_.damaged) packs_.erase(id);
        BlobIndex& index = repository_.state().index;
        index.clear();
        for (const auto& [id, blobs] : packs_) index.add({id, blobs});
        std::set<std::pair<BlobType, Id>> saved;
        {
            std::optional<Pipeline> pipeline;
            if (!options_.dry_run) pipeline.emplace(repository_, lock, options_.storing);
            for (std::size_t i = 0; i < report_.damaged.size(); ++i) {
                const auto content = std::make_shared<Content>();
                const auto stored = open_all(
                    report_.damaged[i], known[i], [&](const format::PackedBlob& blob, std::optional<ByteView> plain) {
                        wanted.push_back({blob.type, blob.id});
                        if (plain) saved.emplace(blob.type, blob.id);
                        return plain && pipeline ? store(*pipeline, blob, *plain, content) : Status();
                    });
                content->end([](Content&) {});
                HF_DO(stored);
            }
            if (pipeline) HF_DO(pipeline->finish());
        }
        std::set<std::pair<BlobType, Id>> counted;
        for (const auto& blob : wanted) {
            if (!counted.emplace(blob.type, blob.id).second) continue;
            if (saved.contains({blob.type, blob.id}) || index.has(blob.type, blob.id))
                ++report_.blobs_saved;
            else
                report_.lost.push_back(blob);
        }
        if (options_.dry_run) {
            // Nothing was changed; what others of this process look up must be what is stored.
            {
                const std::scoped_lock guard(repository_.state().index_files_mutex);
                repository_.state().index_files.clear();
            }
            index.clear();
            return repository_.load_index(true);
        }
        HF_TRY(const std::size_t written, replace_index(repository_, lock, index.packs()));
        static_cast<void>(written);
        return {};
    }

    Status store(Pipeline& pipeline, const format::PackedBlob& blob, ByteView plain,
                 const std::shared_ptr<Content>& content) {
        if (blob.type == BlobType::tree) {
            HF_TRY(const Id id, pipeline.store_tree(as_text(plain)));
            static_cast<void>(id);
            return {};
        }
        const auto buffer = pipeline.buffers().get(plain.size());
        std::copy(plain.begin(), plain.end(), buffer->data());
        return pipeline.submit(
            {buffer, ByteView(buffer->data(), plain.size()), content, content->expect(plain.size())});
    }

    Status keep_copies() {
        if (options_.save_to.empty()) return {};
        HF_DO(os::make_folders(options_.save_to));
        for (const Id& id : report_.damaged) {
            if (!sizes_.contains(id)) continue;
            const std::string path = options_.save_to + "/pack-" + id.hex();
            HF_TRY(auto file, os::AtomicFile::create(path));
            std::optional<Error> refused;
            const auto read =
                read_through(repository_.backend(), {FileKind::pack, id}, sizes_.at(id), [&](ByteView slice) {
                    auto written = file.write(slice);
                    if (!written) refused = written.error();
                    return written;
                });
            if (refused) return fail(*std::move(refused));
            if (!read && !is_damage(read.error())) return fail(read.error());
            if (!read) continue;    // what cannot be read cannot be kept
            HF_DO(file.commit());
            report_.copies.push_back(path);
        }
        return {};
    }

    Repository& repository_;
    const RepairPacksOptions& options_;
    RepairPacksReport report_;
    std::unordered_map<Id, std::vector<format::PackedBlob>> packs_;
    std::unordered_map<Id, std::uint64_t> sizes_;
};

}    // namespace

Result<RepairPacksReport> repair_packs(Repository& repository, const RepairPacksOptions& options) {
    return PackRepair(repository, options).run();
}

}    // namespace holdfast::vault
