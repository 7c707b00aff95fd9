#include "holdfast/policy/password_age.hpp"

#include <algorithm>

namespace holdfast::policy {

PasswordVerdict judge_password(Timestamp created, Timestamp now, std::uint32_t max_age_days) {
    using days = std::chrono::days;
    PasswordVerdict verdict;
    verdict.age = std::max(now - created, Duration::zero());
    if (max_age_days == 0) return verdict;
    const Duration life = days(max_age_days);
    verdict.left = life - verdict.age;
    const Duration soon = std::min<Duration>(days(14), life / 5);
    verdict.state = verdict.left <= Duration::zero() ? PasswordState::due
                    : verdict.left < soon            ? PasswordState::due_soon
                                                     : PasswordState::fresh;
    return verdict;
}

}    // namespace holdfast::policy
