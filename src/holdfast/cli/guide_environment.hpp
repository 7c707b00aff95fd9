#pragma once
// The environment variables of the backup guide's scripts (NS-18): cron lines and deploy scripts that set them go on to work.
//
//   errors   usage, for a value that is neither true nor false, for no number of days, and where a variable and an option say the
//            opposite. What an option says goes before what a variable says wherever both can be true

#include <optional>
#include <string>
#include <vector>

#include "holdfast/base/json.hpp"
#include "holdfast/base/result.hpp"
#include "holdfast/policy/config.hpp"

namespace holdfast::cli {

/// `holdfast help environment`.
std::string_view environment_help();

/// true, 1, yes, on; false, 0, no, off; in any case. Not set: `otherwise`.
Result<bool> guide_flag(const char* name, bool otherwise);

/// A component and what it is, as in the configuration or a manifest.
struct Component {
    std::string name, kind;
};
std::vector<Component> components_of(const policy::Config& config);
std::vector<Component> components_of(const json::Value& manifest);

/// Those that BACKUP_DATABASE, _REDIS, _CONFIG, _LOGS (prefix "BACKUP") leave out, by name; DATABASE is every store but Redis.
/// `only`: what --only names.
Result<std::vector<std::string>> left_out_by_guide(const std::string& prefix, const std::vector<Component>& components,
                                                   const std::vector<std::string>& only);

/// BACKUP_TYPE as a tag; nothing for "full".
Result<std::optional<std::string>> guide_tag();

/// RETENTION_DAILY, _WEEKLY, _MONTHLY in days; nothing if none is set, else those that are not set as in the guide (7, 30, 90).
struct GuideRetention {
    std::string daily, weekly, monthly;    // "7d"
};
Result<std::optional<GuideRetention>> guide_retention();

}    // namespace holdfast::cli
