#include "holdfast/vault/prune_plan.hpp"

#include <algorithm>
#include <tuple>

namespace holdfast::vault {
namespace {

using Kind = PackStatistics::Kind;

// Fewer small packs than this are not worth the work, and one alone would be copied again and again.
constexpr std::size_t k_small_packs_min = 10;
constexpr std::uint64_t k_small_floor = 4u << 20;

// What counts as large enough. By default only packs that are small among the others here, as a repository that
// somebody fills with smaller packs should be left as it is.
std::uint64_t large_enough(std::span<const PackStatistics> packs, const PruneLimits& limits) {
    std::uint64_t usual = limits.pack_size_target;
    if (!limits.small) {
        std::vector<std::uint64_t> sizes;
        sizes.reserve(packs.size());
        for (const PackStatistics& pack : packs) sizes.push_back(pack.size());
        const std::size_t rank = sizes.size() * 3 / 100;
        if (!sizes.empty()) {
            std::nth_element(sizes.begin(), sizes.begin() + static_cast<std::ptrdiff_t>(rank), sizes.end());
            usual = std::min(usual, std::max(k_small_floor, sizes[rank]));
        }
    }
    return usual / 5 * 4;
}

}    // namespace

std::uint64_t MaxUnused::of(std::uint64_t used) const {
    switch (kind) {
        case Kind::percent:
            return static_cast<std::uint64_t>(percent / (100 - percent) * static_cast<double>(used));
        case Kind::bytes:
            return bytes;
        case Kind::unlimited:
            break;
    }
    return std::numeric_limits<std::uint64_t>::max();
}

std::vector<PackFate> plan_prune(std::span<const PackStatistics> packs, const PruneLimits& limits,
                                 PruneStatistics& statistics) {
    std::vector<PackFate> fates(packs.size(), PackFate::keep);
    const std::uint64_t large = large_enough(packs, limits);
    const auto must_compress = [&](const PackStatistics& pack) {
        return pack.has_plain && (pack.kind != Kind::data || limits.uncompressed);
    };
    std::vector<std::size_t> candidates, small;
    for (std::size_t i = 0; i < packs.size(); ++i) {
        const PackStatistics& pack = packs[i];
        if (pack.used_blobs == 0) {
            fates[i] = PackFate::remove;
            ++statistics.packs_unused;
            ++statistics.packs_remove;
            statistics.remove.blobs += pack.unused_blobs;
            statistics.remove.bytes += pack.unused_size;
            continue;
        }
        ++(pack.unused_blobs == 0 ? statistics.packs_used : statistics.packs_partly_used);
        if (limits.cacheable_only && pack.kind == Kind::data) continue;
        if (pack.unused_blobs != 0 || pack.kind == Kind::mixed || must_compress(pack))
            candidates.push_back(i);
        else if (pack.size() < large)
            small.push_back(i);
    }
    if (small.size() >= k_small_packs_min) candidates.insert(candidates.end(), small.begin(), small.end());

    const auto unused_share = [](const PackStatistics& pack) {
        return static_cast<double>(pack.unused_size) / static_cast<double>(pack.size());
    };
    std::sort(candidates.begin(), candidates.end(), [&](std::size_t a, std::size_t b) {
        const auto rank = [&](std::size_t i) {
            return std::tuple(packs[i].kind == Kind::data, packs[i].size() >= large, -unused_share(packs[i]), i);
        };
        return rank(a) < rank(b);
    });
    const std::uint64_t unused_max = limits.max_unused.of(statistics.used.bytes);
    for (const std::size_t i : candidates) {
        const PackStatistics& pack = packs[i];
        if (statistics.repack.bytes + pack.size() >= limits.max_repack) continue;    // a smaller one may still fit
        const bool enough_freed = statistics.unused_after() <= unused_max;
        const bool only_for_space = pack.kind == Kind::data && !must_compress(pack) && pack.size() >= large;
        if (enough_freed && only_for_space) continue;
        fates[i] = PackFate::repack;
        ++statistics.packs_repack;
        statistics.repack.blobs += pack.used_blobs + pack.unused_blobs;
        statistics.repack.bytes += pack.size();
        statistics.repack_remove.blobs += pack.unused_blobs;
        statistics.repack_remove.bytes += pack.unused_size;
    }
    statistics.packs_keep = packs.size() - statistics.packs_remove - statistics.packs_repack;
    return fates;
}

}    // namespace holdfast::vault
