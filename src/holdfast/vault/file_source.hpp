#pragma once
// Where a good copy of a repository's file may come from: a mirror, or parity. What it gives is believed only when its
// hash is its name.
//
//   threads  fetch() from one thread at a time

#include <memory>

#include "holdfast/vault/file_copy.hpp"

namespace holdfast::vault {

class FileSource {
public:
    virtual ~FileSource() = default;
    /// "mirror far", "parity": for reports.
    virtual std::string label() const = 0;
    /// What it may be able to give.
    virtual Result<Listing> list() = 0;
    /// Feeds the file's bytes to `sink`. not_found: it has no such file; corrupt: it has, but not whole.
    virtual Status fetch(const storage::FileName& name, const std::function<Status(ByteView)>& sink) = 0;
};

/// `backend` must outlive it.
std::unique_ptr<FileSource> mirror_source(const std::string& name, storage::Backend& backend);

/// The whole of a small file (config, key, index, snapshot), its hash checked but for config's.
Result<Bytes> fetch_small(FileSource& source, const storage::FileName& name);

/// Files that had to make room for a good copy: kept in a folder of this machine until the end of a healing that went
/// well, so that nothing is ever lost by it.
class SetAside {
public:
    /// The folder is made when the first file comes.
    explicit SetAside(std::string folder) : folder_(std::move(folder)) {}
    /// Copies what is there now; success when nothing is there.
    /// Between these two a file may be gone here: a note beside what was set aside outlives a kill, and the next run
    /// brings back what interrupted() names.
    Status begin_replacing(const storage::FileName& name);
    Status end_replacing(const storage::FileName& name);
    /// What earlier runs took away and did not replace, each with its note, which is removed once it is back.
    struct Interrupted {
        storage::FileName name;
        std::string note;
    };
    Result<std::vector<Interrupted>> interrupted() const;
    Status keep(storage::Backend& backend, const storage::FileName& name);
    /// Empty as long as nothing came.
    std::string folder() const;
    Status discard();

private:
    std::string folder_;
};

/// Puts a good copy in the place of what is there: fetched and hashed first, the old one set aside, removed, the new one
/// named, read back. `true`: the file is whole now; `false`: this source has no whole copy.
Result<bool> replace_file(storage::Backend& backend, const storage::FileName& name, FileSource& source,
                          SetAside& aside);

}    // namespace holdfast::vault
