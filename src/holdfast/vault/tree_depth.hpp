#pragma once
// How deep folders may lie in one another. Trees are named by their content, so they cannot go round in circles, but a
// chain of a hundred thousand of them takes some ten megabytes to store and would overflow the stack of a walk that
// calls itself. No path that a system call takes is longer than 4,096 bytes: 2,048 folders.

#include "holdfast/base/result.hpp"

namespace holdfast::vault {

inline constexpr unsigned k_tree_depth_max = 2048;

inline Status check_tree_depth(unsigned depth) {
    if (depth <= k_tree_depth_max) return {};
    return fail(ErrorCode::corrupt, "folders lie deeper in one another than any file system can show (2,048 levels)",
                "no backup makes such a snapshot: name the part that is wanted, or forget the snapshot");
}

/// One level of a walk that calls itself: counts on the way down and back on the way up.
class TreeLevel {
public:
    explicit TreeLevel(unsigned& depth) : depth_(depth) { ++depth_; }
    ~TreeLevel() { --depth_; }
    TreeLevel(const TreeLevel&) = delete;
    TreeLevel& operator=(const TreeLevel&) = delete;
    Status check() const { return check_tree_depth(depth_); }

private:
    unsigned& depth_;
};

}    // namespace holdfast::vault
