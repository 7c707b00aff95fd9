#include "holdfast/storage/layout.hpp"

namespace holdfast::storage {

std::string_view folder_of(FileKind kind) {
    switch (kind) {
        case FileKind::config:
            return "";
        case FileKind::key:
            return "keys";
        case FileKind::pack:
            return "data";
        case FileKind::index:
            return "index";
        case FileKind::snapshot:
            return "snapshots";
        case FileKind::lock:
            return "locks";
    }
    return "";
}

}    // namespace holdfast::storage
