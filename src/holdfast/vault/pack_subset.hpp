#pragma once
// Which packs does `check --read-data-subset` read? As restic: n/t, a share in per cent, or an amount.
//
//   n/t      the packs whose first byte leaves n - 1 when divided by t (at most 256): t runs read all packs, each once
//   p%, SIZE packs at random, at least one
//   errors   usage, saying what would be right

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "holdfast/base/id.hpp"
#include "holdfast/base/result.hpp"

namespace holdfast::vault {

struct PackSubset {
    unsigned bucket = 0, buckets = 0;    // 1 … buckets
    double percent = 0;
    std::uint64_t bytes = 0;
    // Exactly one of buckets, percent and bytes is not 0.
};
/// "3/7", "2.5%", "50G" (K, M, G, T; powers of 1024).
Result<PackSubset> parse_pack_subset(std::string_view text);

struct SizedPack {
    Id id;
    std::uint64_t size = 0;
};
/// The places in `packs` of those that are read. The same choice for the same seed.
std::vector<std::size_t> chosen_packs(std::span<const SizedPack> packs, const PackSubset& subset, std::uint64_t seed);

}    // namespace holdfast::vault
