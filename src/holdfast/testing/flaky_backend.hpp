#pragma once
// A Backend that is behind a bad line: calls fail before anything happened, or after it did and only the answer was lost.
//
//   threads   as Backend; `fate` is called by any of them

#include <functional>
#include <memory>
#include <optional>
#include <string_view>

#include "holdfast/storage/backend.hpp"

namespace holdfast::testing {

struct Fate {
    enum class When { before, after } when = When::before;
    ErrorCode code = ErrorCode::unreachable;
};
/// What happens to the next call: "put", "commit", "read", "read_at", "size", "list", "remove", "sync", "start",
/// "create_layout". nullopt: it works. A list fails half-way when it fails after.
using Fates = std::function<std::optional<Fate>(std::string_view call)>;

std::unique_ptr<storage::Backend> flaky_backend(std::unique_ptr<storage::Backend> below, Fates fates);

}    // namespace holdfast::testing
