#pragma once
// Parity over a group of a repository's files: Reed-Solomon, block by block, and the header that says what it covers.
//
//   shape    header | shard | header | u64 size of the header. The header is the same in every parity file of a group;
//            which shard a file holds stands in its name. Each member is a data shard (padded with zeros to the longest); m parity shards stand beside k
//            members, and any k blocks of the k + m at one place give the others back
//   sums     CRC-64 (ECMA-182, reflected) of each block of each shard: they tell which blocks are damaged. What is put
//            together again must then match the member's SHA-256
//   errors   corrupt for a header that is damaged or makes no sense; nothing is believed before its SHA-256 matches
//   source   docs/formats/parity.md, version 1

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "holdfast/base/bytes.hpp"
#include "holdfast/base/id.hpp"
#include "holdfast/base/result.hpp"

namespace holdfast::format {

inline constexpr std::size_t k_parity_members_max = 200, k_parity_shards_max = 55;    // together at most 255
inline constexpr std::size_t k_parity_header_start = 16;    // bytes that tell the size of the rest

enum class ParityMemberKind : std::uint8_t { config, key, pack, index, snapshot };

struct ParityMember {
    ParityMemberKind kind = ParityMemberKind::pack;
    Id sha256;    // of its bytes; its name, but for config
    std::uint64_t size = 0;
    std::vector<std::uint64_t> sums;    // one a block
    bool operator==(const ParityMember&) const = default;
};

struct ParityGroup {
    std::array<std::byte, 16> id{};
    Id repository;
    std::uint32_t block_size = 0;
    std::uint64_t shard_size = 0;    // of the longest member
    std::vector<ParityMember> members;
    std::vector<std::vector<std::uint64_t>> parity_sums;    // [shard][block]
    bool operator==(const ParityGroup&) const = default;

    std::uint64_t block_count() const { return (shard_size + block_size - 1) / block_size; }
    /// Of the n-th block of a shard with `size` bytes; 0 behind its end.
    std::size_t block_length(std::uint64_t size, std::uint64_t n) const {
        const std::uint64_t at = n * block_size;
        return at >= size ? 0 : static_cast<std::size_t>(std::min<std::uint64_t>(block_size, size - at));
    }
};

/// The whole header's size for such a group (sums may be empty still).
std::size_t parity_header_size(const ParityGroup& group);
Bytes encode_parity_header(const ParityGroup& group);
/// The size that the first k_parity_header_start bytes promise; corrupt if they are no header's.
Result<std::size_t> parity_header_size(ByteView start);
Result<ParityGroup> decode_parity_header(ByteView header);

std::uint64_t parity_sum(ByteView block);

/// The code for k members and m parity shards. Values only; const calls from any thread.
class ParityCode {
public:
    ParityCode(std::size_t members, std::size_t parity);
    /// All blocks have `length` bytes. `data` has k, `parity` m of them.
    void encode(std::size_t length, const std::vector<const std::byte*>& data,
                const std::vector<std::byte*>& parity) const;
    /// `rows` names k good shards (0 … k-1 members, then parity), `blocks` are theirs; gives member `wanted`'s block.
    void recover(std::size_t length, const std::vector<std::size_t>& rows, const std::vector<const std::byte*>& blocks,
                 std::size_t wanted, std::byte* to) const;

private:
    std::size_t k_, m_;
    std::vector<unsigned char> matrix_, tables_;
};

}    // namespace holdfast::format
