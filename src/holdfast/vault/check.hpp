#pragma once
// Is everything that the snapshots need there and whole?

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "holdfast/vault/pack_subset.hpp"
#include "holdfast/vault/repository.hpp"

namespace holdfast::vault {

struct CheckOptions {
    bool read_data = false;    // read, decrypt, decompress and hash every blob of every pack
    std::function<void(std::uint64_t done, std::uint64_t total)> progress;    // packs (read_data) or trees
    std::optional<PackSubset> subset{};    // with read_data: only these packs are read
    bool lock = true;    // false: where no lock can be written. What others write meanwhile may look like damage
};

struct CheckReport {
    std::vector<std::string> errors;    // each names the object and what is wrong with it
    std::vector<std::string> hints;    // harmless: orphan packs, blobs stored twice, mixed packs
    std::uint64_t snapshots = 0, trees = 0, packs = 0, blobs = 0, bytes_read = 0;
    bool ok() const { return errors.empty(); }
};

/// Section 15 of the format. Takes the exclusive lock, unless told not to. Only failures to look at all are errors of the call; what is
/// found is in the report.
Result<CheckReport> check(Repository& repository, const CheckOptions& options = {});

}    // namespace holdfast::vault
