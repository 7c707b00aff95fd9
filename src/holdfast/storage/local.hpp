#pragma once
// A repository in a folder of this machine (or of a mounted file system), laid out exactly as restic does it.
//
//   shape       <root>/config, data/<2 digits>/<id>, keys/, index/, snapshots/, locks/; folders 0700, files 0400
//   durability  a file gets its name only after fsync of its bytes; the folder's fsync is remembered and done by sync().
//               Locks are not synced: they mean nothing after a power failure.
//   leftovers   none, even after kill -9: files are unnamed (O_TMPFILE) until they are whole. Where the file system
//               cannot do that, the temporary name is "<random>-tmp-<random>", which every reader skips.

#include <memory>
#include <string>

#include "holdfast/storage/backend.hpp"

namespace holdfast::storage {

struct LocalOptions {
    bool unnamed_files = true;    // false: always named temporary files (tests, odd file systems)
};

std::unique_ptr<Backend> local_backend(const std::string& root, LocalOptions options = {});

}    // namespace holdfast::storage
