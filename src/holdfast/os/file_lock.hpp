#pragma once
// flock on an open file or folder, against a second run of ourselves.

#include "holdfast/base/result.hpp"

namespace holdfast::os {

/// Takes it for as long as `file` is open, or fails with locked and this message and hint. A process that was killed may seem to hold it
/// for an instant more: a child of it that has not begun its program yet. So this is tried for half a second.
Status lock_alone(int file, const std::string& message, const std::string& hint);

}    // namespace holdfast::os
