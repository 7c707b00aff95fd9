#include "holdfast/storage/backend.hpp"

#include <fmt/core.h>

#include "holdfast/storage/local.hpp"

namespace holdfast::storage {

std::string relative_path(const FileName& name) {
    const auto below = [&](const char* folder) { return fmt::format("{}/{}", folder, name.id.hex()); };
    switch (name.kind) {
        case FileKind::config:
            return "config";
        case FileKind::key:
            return below("keys");
        case FileKind::index:
            return below("index");
        case FileKind::snapshot:
            return below("snapshots");
        case FileKind::lock:
            return below("locks");
        case FileKind::pack:
            break;
    }
    const std::string hex = name.id.hex();
    return fmt::format("data/{}/{}", std::string_view(hex).substr(0, 2), hex);
}

Result<std::unique_ptr<Backend>> open_backend(const std::string& location) {
    if (location.empty()) return fail(ErrorCode::usage, "no repository was named", "give its path");
    if (location.starts_with("local:")) return local_backend(location.substr(6));
    // "scheme:rest" is another kind of storage; a path with a colon further back ("/a/b:c", "./x:y") is a path.
    const std::size_t colon = location.find(':');
    const std::size_t slash = location.find('/');
    if (colon != std::string::npos && colon > 0 && (slash == std::string::npos || colon < slash))
        return fail(ErrorCode::unsupported,
                    fmt::format("storage of the kind \"{}\" is not known", location.substr(0, colon)),
                    "known are a path and local:<path>; write ./ before a path that holds a colon");
    return local_backend(location);
}

}    // namespace holdfast::storage
