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
    explicit GlobSet(const std::vector<std::string>& patterns);
    bool empty() const { return patterns_.empty(); }
    /// Whether a pattern fits the whole of this absolute path. What lies below a folder that fits is not asked about:
    /// a walk does not go there.
    bool matches(std::string_view path) const;

private:
    std::vector<std::vector<std::string>> patterns_;    // parts; one that is not anchored starts with "**"
};

}    // namespace holdfast::vault
