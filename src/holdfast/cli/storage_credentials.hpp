#pragma once
// Storage with keys of its own: mirrors, and the repository that copy takes from. Their keys lie in a file of NAME=value
// lines, as AWS_ACCESS_KEY_ID=…, spelled as the environment variables that the storage would be asked for.
//
//   keys      only those of the file count: the environment's own are out of sight meanwhile, so that halves of two pairs
//             never mix. Other variables (proxies, PATH) stay
//   errors    denied: others may read or change the file; config: a line that is not NAME=value (the line is not shown)
//   threads   changes the environment while it runs: before others are started
//   source    docs/formats/configuration.md, [[mirror]]

#include "holdfast/storage/backend.hpp"

namespace holdfast::cli {

/// storage::open_backend with limits and new attempts. An empty `credentials_file`: the environment's keys, as always.
Result<std::unique_ptr<storage::Backend>> open_with_credentials(const std::string& location,
                                                                const storage::BackendOptions& options,
                                                                const std::string& credentials_file, Clock& clock);

}    // namespace holdfast::cli
