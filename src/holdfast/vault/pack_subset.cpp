#include "holdfast/vault/pack_subset.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <random>

namespace holdfast::vault {
namespace {

template <class Number>
bool parse_number(std::string_view text, Number& to) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), to);
    return error == std::errc() && end == text.data() + text.size() && !text.empty();
}

}    // namespace

Result<PackSubset> parse_pack_subset(std::string_view text) {
    const auto wrong = [&] {
        return fail(ErrorCode::usage, fmt::format("\"{}\" is no part of the data", text),
                    "write n/t (1/7 … 7/7, t at most 256), a share as 5% or 2.5%, or an amount as 500M or 10G");
    };
    PackSubset subset;
    if (const std::size_t slash = text.find('/'); slash != std::string_view::npos) {
        if (!parse_number(text.substr(0, slash), subset.bucket) ||
            !parse_number(text.substr(slash + 1), subset.buckets) || subset.bucket == 0 || subset.buckets == 0 ||
            subset.bucket > subset.buckets || subset.buckets > 256)
            return wrong();
        return subset;
    }
    if (text.ends_with('%')) {
        text.remove_suffix(1);
        if (!parse_number(text, subset.percent) || !(subset.percent > 0) || subset.percent > 100) return wrong();
        return subset;
    }
    std::string_view digits = text;
    unsigned shift = 0;
    if (!digits.empty()) {
        static constexpr std::string_view k_units = "KMGT";
        const char last = digits.back() >= 'a' ? static_cast<char>(digits.back() - 'a' + 'A') : digits.back();
        if (const std::size_t unit = k_units.find(last); unit != std::string_view::npos) {
            shift = 10 * (static_cast<unsigned>(unit) + 1);
            digits.remove_suffix(1);
        }
    }
    if (!parse_number(digits, subset.bytes) || subset.bytes == 0 || subset.bytes > (~std::uint64_t(0) >> shift))
        return wrong();
    subset.bytes <<= shift;
    return subset;
}

std::vector<std::size_t> chosen_packs(std::span<const SizedPack> packs, const PackSubset& subset, std::uint64_t seed) {
    std::vector<std::size_t> order(packs.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    if (subset.buckets > 0) {
        std::erase_if(order, [&](std::size_t i) {
            return static_cast<unsigned>(packs[i].id.bytes[0]) % subset.buckets != subset.bucket - 1;
        });
        return order;
    }
    std::shuffle(order.begin(), order.end(), std::mt19937_64(seed));
    const auto count = static_cast<std::size_t>(std::ceil(static_cast<double>(packs.size()) * subset.percent / 100));
    std::uint64_t bytes = 0;
    std::size_t chosen = 0;
    for (; chosen < order.size() && (subset.bytes > 0 ? bytes < subset.bytes : chosen < count); ++chosen)
        bytes += packs[order[chosen]].size;
    order.resize(chosen);
    return order;
}

}    // namespace holdfast::vault
