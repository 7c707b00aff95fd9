#include "holdfast/serve/route.hpp"

#include <algorithm>
#include <array>
#include <optional>

#include "holdfast/storage/layout.hpp"
#include "holdfast/storage/url.hpp"

namespace holdfast::serve {
namespace {

using storage::FileKind;

constexpr std::size_t k_depth_max = 8, k_name_max = 100;
constexpr std::array k_kinds = {FileKind::pack, FileKind::key, FileKind::lock, FileKind::snapshot, FileKind::index};

std::optional<FileKind> kind_of(std::string_view name) {
    for (const FileKind kind : k_kinds)
        if (kind_name(kind) == name) return kind;
    return std::nullopt;
}

bool is_folder_name(std::string_view name) {
    if (name.empty() || name.size() > k_name_max || name.front() == '.' || name == "config") return false;
    return std::all_of(name.begin(), name.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               std::string_view("._-@+").find(c) != std::string_view::npos;
    });
}

}    // namespace

std::string_view kind_name(FileKind kind) { return kind == FileKind::config ? "config" : storage::folder_of(kind); }

std::string Route::repository() const {
    std::string text;
    for (const std::string& folder : folders) text += (text.empty() ? "" : "/") + folder;
    return text;
}

Result<Route> parse_route(std::string_view path) {
    // Decoded before it is taken apart: an encoded slash or dot is then as harmless as a plain one.
    HF_TRY(const std::string decoded, storage::percent_decoded(path));
    std::string_view rest = decoded;
    if (!rest.starts_with('/')) return fail(ErrorCode::usage, "the path does not begin with a slash");
    rest.remove_prefix(1);
    std::vector<std::string_view> parts;
    while (!rest.empty()) {
        const std::size_t slash = rest.find('/');
        parts.push_back(rest.substr(0, slash));
        rest.remove_prefix(slash == std::string_view::npos ? rest.size() : slash + 1);
        if (parts.size() > k_depth_max + 2) return fail(ErrorCode::usage, "the path is too deep");
    }
    Route route;
    const bool ends_with_slash = decoded.ends_with('/');
    if (!parts.empty() && parts.back() == "config" && !ends_with_slash) {
        route.target = Route::Target::file;
        parts.pop_back();
    } else if (const auto kind = parts.empty() ? std::nullopt : kind_of(parts.back())) {
        route.target = Route::Target::list;
        route.kind = *kind;
        parts.pop_back();
    } else if (parts.size() >= 2 && kind_of(parts[parts.size() - 2])) {
        const auto id = Id::parse(parts.back());
        if (!id || ends_with_slash) return fail(ErrorCode::usage, "a file's name is 64 lower-case hex digits");
        route.target = Route::Target::file;
        route.kind = *kind_of(parts[parts.size() - 2]);
        route.id = *id;
        parts.resize(parts.size() - 2);
    }
    if (parts.size() > k_depth_max) return fail(ErrorCode::usage, "the path is too deep");
    for (const std::string_view part : parts) {
        if (!is_folder_name(part) || kind_of(part))
            return fail(ErrorCode::usage,
                        "a folder's name has letters, digits and . _ - @ + only, and no dot in front");
        route.folders.emplace_back(part);
    }
    return route;
}

}    // namespace holdfast::serve
