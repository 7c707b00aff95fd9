#include "holdfast/vault/pack_usage.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "holdfast/vault/repository_state.hpp"

namespace holdfast::vault {
namespace {

using Kind = PackStatistics::Kind;

constexpr std::size_t k_named_max = 5;

class Collector {
public:
    Collector(const Repository& repository, const Reachable& needed)
        : repository_(repository), index_(repository.state().index), needed_(needed) {}

    Result<PackUsage> run() {
        usage_.packs.resize(index_.pack_count());
        usage_.used.resize(index_.blob_count());
        for (std::uint32_t n = 0; n < usage_.used.size(); ++n) count(n);
        for (PackStatistics& pack : usage_.packs) pack.table_size += k_table_overhead;
        HF_DO(list_packs());
        for (const auto& [first, entries] : copies_) choose(entries);
        HF_DO(index_.status());    // else packs could pass for not needed
        HF_DO(refuse_if_damaged());
        return std::move(usage_);
    }

private:
    static constexpr std::uint64_t k_table_overhead = format::k_envelope_overhead + format::k_pack_trailer;

    void count(std::uint32_t number) {
        const BlobIndex::Numbered entry = index_.at(number);
        PackStatistics& pack = usage_.packs[entry.pack];
        const bool is_tree = entry.blob.type == format::BlobType::tree;
        const bool is_first = pack.used_blobs + pack.unused_blobs == 0;
        const Kind kind = is_tree ? Kind::tree : Kind::data;
        if (is_first)
            pack.kind = kind;
        else if (pack.kind != kind)
            pack.kind = Kind::mixed;
        if (entry.blob.uncompressed_length == 0) pack.has_plain = true;
        pack.table_size += format::header_entry_size(entry.blob);
        // All count as unused until it is known which copy stays.
        ++pack.unused_blobs;
        pack.unused_size += entry.blob.length;
        const std::uint32_t first = index_.first_of(number);
        if (!needed_.contains(first)) {
            ++usage_.totals.unused.blobs;
            usage_.totals.unused.bytes += entry.blob.length;
        } else if (first == number) {
            ++usage_.totals.used.blobs;
            usage_.totals.used.bytes += entry.blob.length;
            use(number, entry);
        } else {
            ++usage_.totals.duplicate.blobs;
            usage_.totals.duplicate.bytes += entry.blob.length;
            auto& entries = copies_[first];
            if (entries.empty()) {
                entries.push_back(first);
                disuse(first);    // its copies are looked at together, when all packs are known
            }
            entries.push_back(number);
        }
    }

    void use(std::uint32_t number, const BlobIndex::Numbered& entry) { change(number, entry, 1); }
    void disuse(std::uint32_t number) { change(number, index_.at(number), -1); }
    void change(std::uint32_t number, const BlobIndex::Numbered& entry, int by) {
        PackStatistics& pack = usage_.packs[entry.pack];
        usage_.used[number] = by > 0;
        const std::uint64_t length = entry.blob.length;
        pack.used_blobs += static_cast<std::uint32_t>(by);
        pack.unused_blobs -= static_cast<std::uint32_t>(by);
        pack.used_size = by > 0 ? pack.used_size + length : pack.used_size - length;
        pack.unused_size = by > 0 ? pack.unused_size - length : pack.unused_size + length;
    }

    void choose(const std::vector<std::uint32_t>& entries) {
        const auto rank = [&](std::uint32_t number) {
            const BlobIndex::PackNumber pack = index_.at(number).pack;
            return std::pair(bool(usage_.file_there[pack]), usage_.packs[pack].used_blobs > 0);
        };
        const auto best = std::max_element(entries.begin(), entries.end(),
                                           [&](std::uint32_t a, std::uint32_t b) { return rank(a) < rank(b); });
        use(*best, index_.at(*best));
    }

    Status list_packs() {
        usage_.file_there.resize(usage_.packs.size());
        return repository_.backend().list(storage::FileKind::pack, [&](const Id& id, std::uint64_t size) {
            const auto number = index_.pack_number(id);
            if (!number) {
                usage_.unindexed.emplace_back(id, size);
                ++usage_.totals.unindexed.blobs;
                usage_.totals.unindexed.bytes += size;
            } else if (usage_.packs[*number].size() == size) {
                usage_.file_there[*number] = true;
            } else {
                wrong_size_.emplace(*number, size);
            }
        });
    }

    Status refuse_if_damaged() {
        std::size_t count = 0;
        std::string named;
        for (BlobIndex::PackNumber pack = 0; pack < usage_.packs.size(); ++pack) {
            const bool wrong = wrong_size_.contains(pack);
            if (usage_.packs[pack].used_blobs == 0 || usage_.file_there[pack]) {
                if (!usage_.file_there[pack] && !wrong) ++usage_.totals.packs_missing;
                continue;
            }
            if (++count > k_named_max) continue;
            named += fmt::format(
                "{}{} {}", named.empty() ? "" : ", ", index_.pack_id(pack).hex(),
                wrong ? fmt::format("has {} bytes instead of {}", wrong_size_.at(pack), usage_.packs[pack].size())
                      : "is missing");
        }
        if (count == 0) return {};
        return fail(
            ErrorCode::corrupt,
            fmt::format("{} pack{} with needed data {} not as the index says: {}{}", count, count == 1 ? "" : "s",
                        count == 1 ? "is" : "are", named, count > k_named_max ? ", …" : ""),
            "nothing was removed; bring the packs back from a mirror, then run `holdfast check`");
    }

    const Repository& repository_;
    const BlobIndex& index_;
    const Reachable& needed_;
    PackUsage usage_;
    std::unordered_map<std::uint32_t, std::vector<std::uint32_t>> copies_;    // of needed blobs, by their first entry
    std::unordered_map<BlobIndex::PackNumber, std::uint64_t> wrong_size_;
};

}    // namespace

Result<PackUsage> pack_usage(const Repository& repository, const Reachable& needed) {
    return Collector(repository, needed).run();
}

}    // namespace holdfast::vault
