#pragma once
// Where a repository's files lie. Files are written once, named by the SHA-256 of their bytes (except `config`), and
// never change. Every adapter passes the same suite (testing/backend_suite.hpp).
//
//   threads     all calls but those on one Upload may come from any thread at once
//   durability  put() and Upload::commit() return when the bytes are safe; the name may need sync() to be safe, too:
//               sync() returns when everything committed before the call would survive a power failure
//   errors      not_found for a file that is not there; exists only when a second `config` would replace the first:
//               other equal names mean equal content and are no error
//   source      the layout is restic's (docs/formats/vault.md)

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "holdfast/base/bytes.hpp"
#include "holdfast/base/clock.hpp"
#include "holdfast/base/id.hpp"
#include "holdfast/base/result.hpp"
#include "holdfast/storage/options.hpp"

namespace holdfast::storage {

enum class FileKind { config, key, pack, index, snapshot, lock };

struct FileName {
    FileKind kind = FileKind::config;
    Id id;    // of no meaning for config
    auto operator<=>(const FileName&) const = default;
};
/// "config", "data/ab/ab12…", "keys/…": the path below the repository's root, the same in every backend.
std::string relative_path(const FileName& name);

/// The largest file of a kind that read() hands out: what is longer was never written by any program of this format, and
/// must not fill the memory of one that looks at it. Longer packs are read piece by piece.
std::uint64_t read_size_max(FileKind kind);

/// How many files of a kind a list of a server may have (packs of 16 MiB: 256 TiB): one that never ends must not fill the
/// memory of who reads it.
inline constexpr std::uint64_t k_listed_max = std::uint64_t(1) << 24;

/// A file on its way; its name (a hash) is known only at the end. Leaving without commit() abandons it.
class Upload {
public:
    virtual ~Upload() = default;
    virtual Status write(ByteView bytes) = 0;
    /// After an error that is retryable it may be called again.
    virtual Status commit(const Id& id) = 0;
};

class Backend {
public:
    virtual ~Backend() = default;
    /// Makes what the layout needs before the first file. Existing folders are no error.
    virtual Status create_layout() = 0;
    virtual Result<std::unique_ptr<Upload>> start(FileKind kind) = 0;
    /// A small file at once.
    virtual Status put(const FileName& name, ByteView bytes) = 0;
    /// corrupt when it is longer than read_size_max(), without having been read.
    virtual Result<Bytes> read(const FileName& name) = 0;
    /// Exactly to.size() bytes from `offset`; fewer there: corrupt.
    virtual Status read_at(const FileName& name, std::uint64_t offset, ByteSpan to) = 0;
    virtual Result<std::uint64_t> size(const FileName& name) = 0;
    /// Calls `found` for every file of the kind, in no order; names that are not 64 hex digits are skipped.
    virtual Status list(FileKind kind, const std::function<void(const Id& id, std::uint64_t size)>& found) = 0;
    /// not_found for what is not there.
    virtual Status remove(const FileName& name) = 0;
    /// Removes all that it can, without looking first; tells `gone` of each that is not there any more (what never was
    /// counts), also when the answer is an error: then of the first one that could not be removed. Without an override:
    /// remove() for each, which is right everywhere.
    virtual Status remove_many(std::span<const FileName> names, const std::function<void(const FileName&)>& gone);
    /// How many names in one remove_many() cost it no more than one.
    virtual std::size_t removes_at_once() const { return 1; }
    virtual Status sync() = 0;
    /// Removes what killed uploads left behind under names that readers skip, last written before `before`; returns how many
    /// there were. Uploads that are alive are younger. Storages that leave nothing have nothing to do.
    virtual Result<std::uint64_t> remove_leftovers(Timestamp /*before*/) { return 0; }
    /// Whether a file is in every list() that starts after its put() returned. Locks then need no waiting time.
    virtual bool lists_at_once() const { return false; }
    /// How many uploads and reads at once make good use of it. More are safe; they wait.
    virtual unsigned connections() const { return 1; }
    /// For people: the location as they gave it, without secrets.
    virtual std::string location() const = 0;
};

/// Opens what a --repo argument names: a path, or `scheme:…` as docs/formats/locations.md lists them. Does not look
/// whether a repository is there. Errors: unsupported (unknown scheme; the known ones are in the hint), usage (a location
/// or an option that is not understood), denied (credentials are missing).
Result<std::unique_ptr<Backend>> open_backend(const std::string& location, const BackendOptions& options = {});
/// The same made fit for work: with the limits of the options, and behind a network with new attempts (storage/retry.hpp).
Result<std::unique_ptr<Backend>> open_backend(const std::string& location, const BackendOptions& options, Clock& clock);

}    // namespace holdfast::storage
