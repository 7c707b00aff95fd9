#pragma once
// Reads a password from where the configuration says it lies.

#include "holdfast/base/result.hpp"
#include "holdfast/base/secret.hpp"

namespace holdfast::db {

/// `file` or `command` (run by /bin/sh); the first line counts, without its line end. Both empty: an empty secret.
/// A file that others may read is a warning in the log. Errors name the file or command, never the content.
Result<Secret> read_secret(const std::string& file, const std::string& command);

}    // namespace holdfast::db
