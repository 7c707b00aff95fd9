#include "holdfast/os/local_zone.hpp"

#include <time.h>

namespace holdfast::os {

std::chrono::seconds utc_offset(Timestamp time) {
    const auto since_epoch = std::chrono::floor<std::chrono::seconds>(Duration(time.nanoseconds));
    const auto seconds = static_cast<std::time_t>(since_epoch.count());
    std::tm local{};
    if (!::localtime_r(&seconds, &local)) return {};
    return std::chrono::seconds(local.tm_gmtoff);
}

}    // namespace holdfast::os
