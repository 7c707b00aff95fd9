#include "holdfast/vault/repair_index.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <mutex>
#include <unordered_map>

#include "holdfast/vault/index_rewrite.hpp"
#include "holdfast/vault/parallel.hpp"
#include "holdfast/vault/repository_state.hpp"

namespace holdfast::vault {
namespace {

using storage::FileKind;

class IndexRepair {
public:
    IndexRepair(Repository& repository, const RepairIndexOptions& options)
        : repository_(repository), options_(options) {}

    Result<RepairIndexReport> run() {
        HF_TRY(const auto lock, repository_.lock(LockMode::exclusive));
        HF_DO(read_index_files());
        HF_DO(compare_with_packs());
        HF_DO(read_tables());
        std::sort(report_.damaged_packs.begin(), report_.damaged_packs.end());
        if (!report_.changed || options_.dry_run) return std::move(report_);
        std::vector<format::IndexPack> packs;
        for (auto& [id, blobs] : packs_) packs.push_back({id, std::move(blobs)});
        std::sort(packs.begin(), packs.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
        HF_TRY(report_.index_written, replace_index(repository_, *lock, std::move(packs)));
        return std::move(report_);
    }

private:
    Status read_index_files() {
        std::vector<Id> ids;
        HF_DO(repository_.backend().list(FileKind::index, [&](const Id& id, std::uint64_t) { ids.push_back(id); }));
        for (const Id& id : ids) {
            auto packs = repository_.read_index(id);
            if (!packs) {
                // A storage that does not answer says nothing about the file.
                if (packs.error().code != ErrorCode::corrupt) return fail(std::move(packs).error());
                report_.damaged_index.push_back(packs.error().message);
                report_.changed = true;
                continue;
            }
            for (format::IndexPack& pack : *packs) {
                std::ranges::sort(pack.blobs, {}, &format::PackedBlob::offset);
                const auto [at, is_new] = packs_.try_emplace(pack.id, std::move(pack.blobs));
                if (is_new) continue;
                report_.changed = true;    // named twice: once is enough
                if (at->second != pack.blobs) at->second.clear();    // two opinions: ask the pack
            }
        }
        return {};
    }

    Status compare_with_packs() {
        std::unordered_map<Id, std::uint64_t> there;
        HF_DO(repository_.backend().list(FileKind::pack,
                                         [&](const Id& id, std::uint64_t size) { there.emplace(id, size); }));
        report_.packs_vanished = std::erase_if(packs_, [&](const auto& pack) { return !there.contains(pack.first); });
        if (report_.packs_vanished > 0) report_.changed = true;
        for (const auto& [id, size] : there) {
            const auto known = packs_.find(id);
            if (known == packs_.end()) ++report_.packs_found;
            const bool fits =
                known != packs_.end() && !known->second.empty() && format::pack_size(known->second) == size;
            if (fits && !options_.read_all_packs)
                ++report_.packs_kept;
            else
                to_read_.emplace_back(id, size);
        }
        std::sort(to_read_.begin(), to_read_.end());
        return {};
    }

    Status read_tables() {
        std::mutex mutex;
        return for_each_of(to_read_.size(), k_request_threads, [&](std::size_t i) -> Status {
            const auto& [id, size] = to_read_[i];
            auto table = read_pack_table(repository_, id, size);
            const std::scoped_lock lock(mutex);
            ++report_.packs_read;
            if (options_.progress) options_.progress(report_.packs_read, to_read_.size());
            if (!table) {
                if (table.error().code != ErrorCode::corrupt) return fail(std::move(table).error());
                report_.damaged_packs.push_back(table.error().message);
                return {};
            }
            auto& known = packs_[id];
            if (known == *table) return {};
            known = *std::move(table);
            report_.changed = true;
            return {};
        });
    }

    Repository& repository_;
    const RepairIndexOptions& options_;
    RepairIndexReport report_;
    std::unordered_map<Id, std::vector<format::PackedBlob>> packs_;
    std::vector<std::pair<Id, std::uint64_t>> to_read_;
};

}    // namespace

Result<RepairIndexReport> repair_index(Repository& repository, const RepairIndexOptions& options) {
    return IndexRepair(repository, options).run();
}

}    // namespace holdfast::vault
