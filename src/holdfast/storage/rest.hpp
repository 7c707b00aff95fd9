#pragma once
// A repository behind restic's REST protocol, version 2: rest-server, `holdfast serve`, rclone. `rest:https://host:port/path/`.
//
//   durability  a file that was answered with 200 is on the server's disk; sync() has nothing left to do
//   login       in the URL, else RESTIC_REST_USERNAME and RESTIC_REST_PASSWORD; shown as ***
//   options     rest.connections (5), rest.timeout (seconds of silence, 120); --cacert, --tls-client-cert
//   errors      as Backend and storage/http_client.hpp. 403 for a file that is there with our length is success: an earlier
//               attempt came through. disk_full: the server's quota or disk
//   source      docs of restic, "REST backend"; rest-server 0.14

#include <optional>
#include <vector>

#include "holdfast/storage/backend.hpp"

namespace holdfast::storage {

/// `rest` is what follows "rest:". Nothing is connected yet.
Result<std::unique_ptr<Backend>> open_rest(const std::string& rest, const BackendOptions& options);

struct RestEntry {
    Id id;
    std::optional<std::uint64_t> size;    // absent in version 1
};
/// A list as the server sends it, of version 1 (names) or 2 (objects); other names are skipped. Pure.
Result<std::vector<RestEntry>> parse_rest_list(std::string_view text);

}    // namespace holdfast::storage
