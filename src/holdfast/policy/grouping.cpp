#include "holdfast/policy/grouping.hpp"

#include <fmt/core.h>

#include <algorithm>

namespace holdfast::policy {

Result<Grouping> parse_grouping(std::string_view text) {
    Grouping grouping{false, false, false};
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = std::min(text.find(',', at), text.size());
        const std::string_view word = text.substr(at, end - at);
        at = end + 1;
        if (word == "host" || word == "hosts")
            grouping.host = true;
        else if (word == "paths" || word == "path")
            grouping.paths = true;
        else if (word == "tags" || word == "tag")
            grouping.tags = true;
        else if (!word.empty())
            return fail(ErrorCode::usage, fmt::format("snapshots cannot be grouped by \"{}\"", word),
                        "give host, paths, tags, some of them with commas between, or '' for one group");
    }
    return grouping;
}

GroupKey group_key(const Grouping& grouping, std::string_view host, std::vector<std::string> paths,
                   std::vector<std::string> tags) {
    GroupKey key;
    if (grouping.host) key.host = host;
    if (grouping.paths) key.paths = std::move(paths);
    if (grouping.tags) key.tags = std::move(tags);
    std::ranges::sort(key.paths);
    std::ranges::sort(key.tags);
    return key;
}

}    // namespace holdfast::policy
