#include "holdfast/policy/kept_states.hpp"

#include <algorithm>
#include <optional>

namespace holdfast::policy {

std::vector<std::uint32_t> expired_states(const std::vector<KeptStates>& kept, Timestamp now,
                                          const KeepStatesRule& rule) {
    std::vector<std::uint32_t> expired;
    std::optional<Timestamp> ended;
    std::uint64_t newer_moments = 0, newer_verified = 0;
    for (auto one = kept.rbegin(); one != kept.rend(); ++one) {
        const bool stays = !ended || now - *ended < rule.age || newer_moments < rule.moments ||
                           (one->verified && newer_verified < rule.verified);
        ended = one->begun;
        newer_moments += one->moments;
        newer_verified += one->verified;
        if (!stays) expired.push_back(one->generation);
    }
    std::ranges::reverse(expired);
    return expired;
}

Duration trust_after_verification(std::uint32_t verify_every_minutes) {
    return std::chrono::minutes(std::max<std::uint64_t>(15, std::uint64_t(3) * verify_every_minutes));
}

}    // namespace holdfast::policy
