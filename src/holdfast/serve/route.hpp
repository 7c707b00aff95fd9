#pragma once
// What a request's path names: a repository of the server and a place in it. Pure; the path comes from the outside.
//
//   shape     /<folder>/…/config | /<folder>/…/<kind>/ | /<folder>/…/<kind>/<64 hex digits> | /<folder>/…/
//             kinds: data keys locks snapshots index; data has no two-digit folders in URLs
//   promise   a repository is at most 8 folders deep; each folder's name has 1 to 100 of A-Z a-z 0-9 . _ - @ + and does
//             not begin with a dot, so none leads out of the server's folder, and none is a kind
//   errors    usage: what is wrong, for a 400
//   source    restic's REST protocol, version 2

#include <string>
#include <string_view>
#include <vector>

#include "holdfast/base/id.hpp"
#include "holdfast/base/result.hpp"
#include "holdfast/storage/backend.hpp"

namespace holdfast::serve {

struct Route {
    enum class Target { repository, list, file };
    Target target = Target::repository;
    std::vector<std::string> folders;    // of the repository; none: the server's own folder
    storage::FileKind kind = storage::FileKind::config;
    Id id;    // of a file that is not config

    /// "alice/host1"
    std::string repository() const;
    storage::FileName file() const { return {kind, id}; }
};

/// `path` as it stands in the request line, still percent-encoded, without the query.
Result<Route> parse_route(std::string_view path);

/// "data", "keys", … as they stand in URLs.
std::string_view kind_name(storage::FileKind kind);

}    // namespace holdfast::serve
