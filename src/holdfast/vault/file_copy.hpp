#pragma once
// One repository file from one place to another, hashed on its way: names are hashes, so a damaged file is noticed
// before it gets its name at the other end. Streams; memory is one slice, whatever the file's size.
//
//   errors   of the place that is written to; what is wrong with the file itself is in the answer

#include <functional>
#include <map>
#include <optional>

#include "holdfast/storage/backend.hpp"

namespace holdfast::vault {

/// All files of a repository but its locks, with their sizes.
using Listing = std::map<storage::FileName, std::uint64_t>;

/// Snapshots are listed first and packs last: what a listed snapshot needs is listed, too, while others only add.
Result<Listing> list_repository(storage::Backend& backend);

/// Feeds the file to `sink` in slices and returns the SHA-256 of what was read; an error of `sink` ends it.
Result<Id> read_through(storage::Backend& from, const storage::FileName& name, std::uint64_t size,
                        const std::function<Status(ByteView)>& sink);

/// What is wrong with a file (missing, other size, other content); nullopt: whole. Not for config, which is not named by
/// its content.
std::optional<Error> find_damage(storage::Backend& at, const storage::FileName& name,
                                 std::optional<std::uint64_t> size = {});

/// What kept a file from being copied when the fault lies with the copy that was read; nullopt: it is there now.
using SourceFault = std::optional<Error>;

/// Copies a file that is named by its content. `to` holds it whole or not at all.
Result<SourceFault> copy_file(storage::Backend& from, storage::Backend& to, const storage::FileName& name,
                              std::uint64_t size);

/// "pack 1a2b3c4d", "the config": for messages.
std::string describe(const storage::FileName& name);

}    // namespace holdfast::vault
