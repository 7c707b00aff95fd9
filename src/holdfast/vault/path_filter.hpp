#pragma once
// Which paths of a snapshot are wanted: exact paths and patterns, as --include and --exclude give them. Pure.
//
//   include   a path is wanted when a pattern fits it or a folder above it; without includes everything is
//   exclude   wins over include, with everything below
//   paths     "/etc/nginx": from the root of what is walked, parts joined by '/', no "." and ".."

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "holdfast/vault/glob.hpp"

namespace holdfast::vault {

/// As restic's options of these names; the i ones do not care for large and small letters.
struct PathPatterns {
    std::vector<std::string> include, iinclude, exclude, iexclude;
    bool empty() const { return include.empty() && iinclude.empty() && exclude.empty() && iexclude.empty(); }
};

class PathFilter {
public:
    /// `paths`: exact ones, not patterns; empty: all. A path is wanted when both `paths` and `patterns` want it.
    PathFilter(const std::vector<std::string>& paths, const PathPatterns& patterns);

    /// How a path stands, given how the folder above it stands.
    struct Standing {
        bool excluded = false;
        bool named = false, matched = false;    // by a path, by a pattern; of this or of a folder above
        bool below = false;    // something below may be wanted
        bool wanted() const { return named && matched && !excluded; }
        bool worth_a_walk() const { return !excluded && (wanted() || below); }
    };
    Standing root() const;
    Standing judge(std::string_view path, const Standing& above) const;
    /// Without includes and excludes: everything is wanted.
    bool wants_all() const { return paths_.empty() && all_matched_ && exclude_.empty() && iexclude_.empty(); }

private:
    std::set<std::string, std::less<>> paths_;
    GlobSet include_, iinclude_, exclude_, iexclude_;
    bool all_named_, all_matched_;
};

}    // namespace holdfast::vault
