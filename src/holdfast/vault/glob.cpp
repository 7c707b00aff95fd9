#include "holdfast/vault/glob.hpp"

#include <fnmatch.h>

namespace holdfast::vault {
namespace {

std::vector<std::string> parts_of(std::string_view path) {
    std::vector<std::string> parts;
    for (std::size_t at = 0; at < path.size();) {
        const std::size_t end = std::min(path.find('/', at), path.size());
        if (end > at) parts.emplace_back(path.substr(at, end - at));
        at = end + 1;
    }
    return parts;
}

// Row by row as for a regular expression without alternatives: reachable[i] says that the first i parts of the path fit
// what was read of the pattern. Patterns with many "**" stay cheap. `each_row` sees the row after every part but the last.
template <class EachRow>
bool fits(const std::vector<std::string>& pattern, const std::vector<std::string>& path, int flags,
          EachRow&& each_row) {
    std::vector<char> reachable(path.size() + 1, 0);
    reachable[0] = 1;
    for (const std::string& part : pattern) {
        if (&part != &pattern.front()) each_row(reachable);
        if (part == "**") {
            for (std::size_t i = 1; i <= path.size(); ++i) reachable[i] |= reachable[i - 1];
            continue;
        }
        for (std::size_t i = path.size(); i > 0; --i)
            reachable[i] = reachable[i - 1] && ::fnmatch(part.c_str(), path[i - 1].c_str(), flags) == 0;
        reachable[0] = 0;
    }
    return reachable.back() != 0;
}

int flags_of(GlobSet::Case letters) { return letters == GlobSet::Case::ignored ? FNM_CASEFOLD : 0; }

}    // namespace

GlobSet::GlobSet(const std::vector<std::string>& patterns, Case letters) : letters_(letters) {
    for (const std::string& pattern : patterns) {
        auto parts = parts_of(pattern);
        if (parts.empty()) continue;
        if (pattern.front() != '/') parts.insert(parts.begin(), "**");
        patterns_.push_back(std::move(parts));
    }
}

bool GlobSet::matches(std::string_view path) const {
    if (patterns_.empty()) return false;
    const auto parts = parts_of(path);
    for (const auto& pattern : patterns_)
        if (fits(pattern, parts, flags_of(letters_), [](const auto&) {})) return true;
    return false;
}

bool GlobSet::may_match_below(std::string_view folder) const {
    if (patterns_.empty()) return false;
    const auto parts = parts_of(folder);
    for (const auto& pattern : patterns_) {
        // The folder used up a beginning of the pattern, and something of the pattern is left for what lies below. A
        // pattern that begins with "**" is never used up.
        bool left = pattern.front() == "**" || parts.empty();
        fits(pattern, parts, flags_of(letters_), [&](const std::vector<char>& row) { left = left || row.back() != 0; });
        if (left) return true;
    }
    return false;
}

}    // namespace holdfast::vault
