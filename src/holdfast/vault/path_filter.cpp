#include "holdfast/vault/path_filter.hpp"

#include <algorithm>

namespace holdfast::vault {
namespace {

// "a//b/" as "/a/b"; the root as "".
std::string normal(std::string_view path) {
    std::string to;
    for (std::size_t at = 0; at < path.size();) {
        const std::size_t end = std::min(path.find('/', at), path.size());
        if (end > at) to.append("/").append(path.substr(at, end - at));
        at = end + 1;
    }
    return to;
}

}    // namespace

PathFilter::PathFilter(const std::vector<std::string>& paths, const PathPatterns& patterns)
    : include_(patterns.include),
      iinclude_(patterns.iinclude, GlobSet::Case::ignored),
      exclude_(patterns.exclude),
      iexclude_(patterns.iexclude, GlobSet::Case::ignored),
      all_matched_(patterns.include.empty() && patterns.iinclude.empty()) {
    for (const std::string& path : paths) paths_.insert(normal(path));
    all_named_ = paths.empty() || paths_.contains("");
}

PathFilter::Standing PathFilter::root() const {
    Standing standing;
    standing.named = all_named_;
    standing.matched = all_matched_;
    standing.below = !standing.wanted();
    return standing;
}

PathFilter::Standing PathFilter::judge(std::string_view path, const Standing& above) const {
    Standing standing;
    standing.excluded = above.excluded || exclude_.matches(path) || iexclude_.matches(path);
    if (standing.excluded) return standing;
    standing.named = above.named || paths_.contains(path);
    standing.matched = above.matched || include_.matches(path) || iinclude_.matches(path);
    if (standing.wanted()) return standing;
    bool named_below = standing.named;
    if (!named_below) {
        const std::string start = std::string(path) + '/';
        const auto next = paths_.lower_bound(start);
        named_below = next != paths_.end() && next->starts_with(start);
    }
    standing.below =
        named_below && (standing.matched || include_.may_match_below(path) || iinclude_.may_match_below(path));
    return standing;
}

}    // namespace holdfast::vault
