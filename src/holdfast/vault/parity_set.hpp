#pragma once
// The parity files in a folder, read: which groups there are, and any covered file put together again from what is left.
//
//   shape    <folder>/<32 digits of the group>-<2 digits of the shard>[.old]; ".old" belongs to files of which some were
//            deleted since: kept for a while, used only to bring something back
//   errors   of reading the folder; a damaged parity file is not an error: the group's others tell what it held
//   threads  const calls from any thread
//   source   docs/formats/parity.md

#include <map>
#include <string>
#include <vector>

#include "holdfast/format/parity.hpp"
#include "holdfast/vault/file_source.hpp"

namespace holdfast::vault {

/// Behind the second header: its size, u64.
inline constexpr std::size_t k_parity_trailer = 8;

/// A member's name in the repository, and back.
storage::FileName name_of(const format::ParityMember& member);
format::ParityMemberKind kind_of(storage::FileKind kind);

/// One group as it lies on disk.
struct ParityFiles {
    format::ParityGroup group;
    std::size_t header_size = 0;
    std::vector<std::string> paths;    // of shard i; empty: not there
    std::vector<bool> whole;    // shard i is there with both headers good and the right size
    bool old = false;
    Timestamp made;    // modification time of its files

    bool intact() const;
};

class ParitySet {
public:
    /// An absent folder holds nothing. Files of other repositories are left out.
    static Result<ParitySet> load(const std::string& folder, const Id* repository);

    const std::vector<ParityFiles>& groups() const { return groups_; }
    /// Files of which neither header can be read, of groups that no other file describes.
    const std::vector<std::string>& unreadable() const { return unreadable_; }
    std::uint64_t bytes() const { return bytes_; }

private:
    std::vector<ParityFiles> groups_;
    std::vector<std::string> unreadable_;
    std::uint64_t bytes_ = 0;
};

/// Blocks of one group, each checked against its sum.
class ParityReader {
public:
    ParityReader(storage::Backend& backend, const ParityFiles& files);
    /// Member i's n-th block, padded with zeros to the stripe's length; false: missing or damaged.
    bool read_member(std::size_t member, std::uint64_t block, Bytes& to);
    bool read_parity(std::size_t shard, std::uint64_t block, Bytes& to);
    /// From itself when it is whole there, else from the others. corrupt: too much is damaged.
    Status rebuild(std::size_t member, std::uint64_t block, Bytes& to);
    /// How many blocks at this place are damaged, members' and parity's.
    std::size_t count_damaged(std::uint64_t block);

private:
    std::size_t stripe_length(std::uint64_t block) const {
        return files_.group.block_length(files_.group.shard_size, block);
    }
    storage::Backend& backend_;
    const ParityFiles& files_;
    format::ParityCode code_;
    std::vector<bool> missing_;    // members that are not there at all need no second try
};

/// What parity can bring back, for a healing. `backend` must outlive it.
Result<std::unique_ptr<FileSource>> parity_source(storage::Backend& backend, const std::string& folder);

}    // namespace holdfast::vault
