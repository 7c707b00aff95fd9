#pragma once
// Reads a password from where the configuration says it lies.

#include "holdfast/base/result.hpp"
#include "holdfast/base/secret.hpp"
#include "holdfast/base/secret_source.hpp"

namespace holdfast::db {

/// The first line counts, without its line end. No place: an empty secret. A file that others may read is a warning in
/// the log. Errors name the file, command, key or credential, never the content.
///   config      an empty first line, a command that fails, no CREDENTIALS_DIRECTORY
///   not_found   the file, key or credential is not there
Result<Secret> read_secret(const SecretSource& source);

}    // namespace holdfast::db
