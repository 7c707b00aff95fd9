#pragma once
// Exclude patterns as restic understands them.
//
//   *  ?  [a-z]   inside one part of the path          **   any number of parts
//   a pattern that starts with '/' fits from the root; any other fits at any depth ("*.tmp", "cache/*.db")

#include <string>
#include <string_view>
#include <vector>

namespace holdfast::vault {

class GlobSet {
public:
    enum class Case { sensitive, ignored };

    explicit GlobSet(const std::vector<std::string>& patterns, Case letters = Case::sensitive);
    bool empty() const { return patterns_.empty(); }
    /// Whether a pattern fits the whole of this absolute path. What lies below a folder that fits is not asked about:
    /// a walk does not go there.
    bool matches(std::string_view path) const;
    /// Whether a pattern could fit something below this folder, which itself fits none.
    bool may_match_below(std::string_view folder) const;

private:
    std::vector<std::vector<std::string>> patterns_;    // parts; one that is not anchored starts with "**"
    Case letters_;
};

}    // namespace holdfast::vault
