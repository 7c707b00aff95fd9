#pragma once
// The kept versions of one configuration file: a folder of plain files, so that `cp` brings one back with no holdfast at hand.
//
//   names     NUMBER-TIME-SHA256.EXT: "00000012-20261127T170509.123Z-<64 digits>.json"; numbers only grow, and are the order
//   writes    written beside, fsync, rename, fsync of the folder; 0600 in a folder of 0700. Only then are older ones pruned
//   reads     a version whose bytes do not have the hash in its name is corrupt and never given out
//   aside     "rejected/": what a restore took out of the way; never pruned
//   errors    those of the disk; a name that is no version's is left alone
//   threads   any, also several processes (a lock file)
//   source    docs/formats/configuration-versions.md

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "holdfast/base/clock.hpp"
#include "holdfast/base/id.hpp"
#include "holdfast/base/result.hpp"
#include "holdfast/policy/document.hpp"

namespace holdfast::keep {

struct Version {
    std::uint64_t number = 0;
    Timestamp at;    // when it was kept
    Id content;    // its SHA-256
    std::uint64_t size = 0;
    std::string file;    // where it lies
};

/// Files longer than this are no configuration.
constexpr std::uint64_t k_document_size_max = 16u << 20;

/// Where the versions of `path` (absolute) lie: "FOLDER/.holdfast/NAME" beside it; with `root`, "ROOT/NAME-HASH", by the
/// path's hash, so that files of one name do not meet.
std::string versions_folder(std::string_view path, std::string_view root = {});

class Versions {
public:
    /// Nothing is made before the first version is kept. `name`: the file's, whose extension the versions get.
    Versions(std::string folder, std::string_view name);

    const std::string& folder() const { return folder_; }
    /// Oldest first.
    Result<std::vector<Version>> list() const;
    Result<std::string> read(const Version& version) const;
    /// Keeps `content` unless the newest version is equal, and then only the `count` newest ones. nullopt: it was equal.
    Result<std::optional<Version>> keep(std::string_view content, Timestamp now, unsigned count) const;

    struct Loaded {
        Version version;
        std::string content;
        unsigned skipped = 0;    // newer ones that are damaged
    };
    /// The newest version whose bytes are what was kept, and well-formed. nullopt: there is none.
    Result<std::optional<Loaded>> newest_valid(policy::DocumentFormat format) const;
    /// Keeps bad content for its owner; where. The same content is kept once.
    Result<std::string> set_aside(std::string_view content, Timestamp now) const;

private:
    std::string folder_, extension_;
};

}    // namespace holdfast::keep
