#pragma once
// Which snapshots belong together: those of one host and one set of paths, unless said otherwise. Pure.

#include <compare>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "holdfast/base/result.hpp"

namespace holdfast::policy {

struct Grouping {
    bool host = true, paths = true, tags = false;
};
/// "host,paths,tags", some of them, or "" for one group of all; usage else. "path" and "tag" are taken, too.
Result<Grouping> parse_grouping(std::string_view text);

struct GroupKey {
    std::string host;
    std::vector<std::string> paths, tags;    // sorted
    auto operator<=>(const GroupKey&) const = default;
};
/// What is not grouped by is left empty.
GroupKey group_key(const Grouping& grouping, std::string_view host, std::vector<std::string> paths,
                   std::vector<std::string> tags);

}    // namespace holdfast::policy
