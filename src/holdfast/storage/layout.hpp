#pragma once
// The folders of a repository, the same in every backend and in the REST protocol.

#include <string_view>

#include "holdfast/storage/backend.hpp"

namespace holdfast::storage {

/// "keys", "data", … ; "" for config.
std::string_view folder_of(FileKind kind);

}    // namespace holdfast::storage
