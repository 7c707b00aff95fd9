#pragma once
// When a repository's password is due for a change: 90 days after its key was made (DD-06). Pure: the time comes in.
//
//   source   the age is that of the key file, which `holdfast key passwd` replaces; a clock that was set back makes no
//            negative ages

#include <cstdint>

#include "holdfast/base/clock.hpp"

namespace holdfast::policy {

inline constexpr std::uint32_t k_password_max_age_days = 90;

enum class PasswordState { fresh, due_soon, due };    // due_soon: less than 14 days (or a fifth of the time) are left

struct PasswordVerdict {
    PasswordState state = PasswordState::fresh;
    Duration age{};
    Duration left{};    // until it is due; negative: since then. Zero when it is never due
};

/// max_age_days 0: never due.
PasswordVerdict judge_password(Timestamp created, Timestamp now, std::uint32_t max_age_days);

}    // namespace holdfast::policy
