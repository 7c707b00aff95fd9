#pragma once
// The machine's time zone: TZ, or /etc/localtime.

#include <chrono>

#include "holdfast/base/clock.hpp"

namespace holdfast::os {

/// How far local time is ahead of UTC at that instant. Any thread.
std::chrono::seconds utc_offset(Timestamp time);

}    // namespace holdfast::os
