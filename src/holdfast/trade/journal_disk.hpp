#pragma once
// What the journal needs of a folder, and nothing more: so that the same journal runs on a simulated disk that forgets what
// was not synced.
//
//   errors    disk_full from write and reserve: nothing is lost, the same call may succeed later; what sync refused stays
//             refused (the kernel forgets a failed page, so a second fsync that succeeds proves nothing)
//   threads   a folder: any; a file: reads from any thread, the rest from one

#include <memory>
#include <string>
#include <vector>

#include "holdfast/base/bytes.hpp"
#include "holdfast/base/result.hpp"
#include "holdfast/os/fd.hpp"

namespace holdfast::trade {

class JournalFile {
public:
    virtual ~JournalFile() = default;
    /// Fills `to`; less only where the file ends.
    virtual Result<std::size_t> read(ByteSpan to, std::uint64_t offset) const = 0;
    virtual Status write(ByteView bytes, std::uint64_t offset) = 0;
    /// All that was written is durable.
    virtual Status sync() = 0;
    /// Makes the file `size` bytes long, new ones zero, with room on the disk for each of them.
    virtual Status reserve(std::uint64_t size) = 0;
    virtual Status truncate(std::uint64_t size) = 0;
    virtual Result<std::uint64_t> size() const = 0;
};

class JournalDisk {
public:
    virtual ~JournalDisk() = default;
    /// Names, sorted.
    virtual Result<std::vector<std::string>> list() const = 0;
    /// not_found when there is none.
    virtual Result<std::unique_ptr<JournalFile>> open(const std::string& name, bool writable) const = 0;
    /// A new empty file; one that is there is emptied.
    virtual Result<std::unique_ptr<JournalFile>> create(const std::string& name) = 0;
    virtual Status rename(const std::string& from, const std::string& to) = 0;
    virtual Status remove(const std::string& name) = 0;
    /// Names made, changed and removed are durable.
    virtual Status sync_names() = 0;
};

/// A real folder.
class JournalFolder final : public JournalDisk {
public:
    /// For one writer: makes the folder (0700) and locks it. locked: another process writes this journal.
    static Result<std::unique_ptr<JournalFolder>> lock(const std::string& path);
    /// For readers, also beside a writer. not_found when it is no folder.
    static Result<std::unique_ptr<JournalFolder>> look(const std::string& path);
    /// Whether a writer has it now. Asks without getting in its way.
    Result<bool> in_use() const;

    Result<std::vector<std::string>> list() const override;
    Result<std::unique_ptr<JournalFile>> open(const std::string& name, bool writable) const override;
    Result<std::unique_ptr<JournalFile>> create(const std::string& name) override;
    Status rename(const std::string& from, const std::string& to) override;
    Status remove(const std::string& name) override;
    Status sync_names() override;

private:
    JournalFolder(std::string path, os::Fd lock) : path_(std::move(path)), lock_(std::move(lock)) {}
    std::string path_;
    os::Fd lock_;
};

}    // namespace holdfast::trade
