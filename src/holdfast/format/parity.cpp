#include "holdfast/format/parity.hpp"

#include <isa-l.h>

#include <algorithm>

#include "holdfast/format/crypto.hpp"

namespace holdfast::format {
namespace {

constexpr std::string_view k_magic = "HFPARITY";
constexpr std::uint32_t k_version = 1;
constexpr std::size_t k_fixed = 80, k_member_fixed = 48, k_digest = 32;
constexpr std::size_t k_header_max = std::size_t(1) << 30;
constexpr std::uint32_t k_block_max = 16u << 20;
constexpr std::uint64_t k_shard_max = std::uint64_t(1) << 40;

std::uint64_t blocks_of(std::uint64_t size, std::uint32_t block_size) { return (size + block_size - 1) / block_size; }

auto bad(std::string_view why) {
    return fail(ErrorCode::corrupt, "a parity header is damaged: " + std::string(why), "run `holdfast parity repair`");
}

// ISA-L takes plain pointers everywhere, also to what it only reads.
unsigned char* raw(const std::byte* bytes) {
    return const_cast<unsigned char*>(reinterpret_cast<const unsigned char*>(bytes));
}

}    // namespace

std::size_t parity_header_size(const ParityGroup& group) {
    std::size_t size = k_fixed + k_digest + group.parity_sums.size() * group.block_count() * 8;
    for (const ParityMember& member : group.members)
        size += k_member_fixed + blocks_of(member.size, group.block_size) * 8;
    return size;
}

Bytes encode_parity_header(const ParityGroup& group) {
    Bytes to;
    append(to, as_bytes(k_magic));
    append_le(to, k_version);
    append_le(to, static_cast<std::uint32_t>(parity_header_size(group)));
    append(to, group.id);
    append(to, group.repository.bytes);
    append_le(to, group.block_size);
    append_le(to, static_cast<std::uint16_t>(group.members.size()));
    append_le(to, static_cast<std::uint16_t>(group.parity_sums.size()));
    append_le(to, group.shard_size);
    for (const ParityMember& member : group.members) {
        append_le(to, static_cast<std::uint64_t>(member.kind));
        append_le(to, member.size);
        append(to, member.sha256.bytes);
        HF_ASSERT(member.sums.size() == blocks_of(member.size, group.block_size));
        for (const std::uint64_t sum : member.sums) append_le(to, sum);
    }
    for (const auto& sums : group.parity_sums) {
        HF_ASSERT(sums.size() == group.block_count());
        for (const std::uint64_t sum : sums) append_le(to, sum);
    }
    append(to, sha256(to).bytes);
    return to;
}

Result<std::size_t> parity_header_size(ByteView start) {
    if (start.size() < k_parity_header_start || as_text(start.first(k_magic.size())) != k_magic)
        return bad("it does not begin as one");
    if (load_le<std::uint32_t>(start.data() + 8) != k_version)
        return fail(ErrorCode::unsupported, "a parity file has a version that this program does not know");
    const std::size_t size = load_le<std::uint32_t>(start.data() + 12);
    if (size < k_fixed + k_digest || size > k_header_max) return bad("its size makes no sense");
    return size;
}

Result<ParityGroup> decode_parity_header(ByteView header) {
    HF_TRY(const std::size_t size, parity_header_size(header));
    if (header.size() != size) return bad("it ends early");
    const ByteView content = header.first(size - k_digest);
    const Id digest = sha256(content);
    if (!std::ranges::equal(digest.bytes, header.last(k_digest))) return bad("its digest does not match");
    ParityGroup group;
    std::ranges::copy(content.subspan(16, 16), group.id.begin());
    std::ranges::copy(content.subspan(32, 32), group.repository.bytes.begin());
    group.block_size = load_le<std::uint32_t>(content.data() + 64);
    const std::size_t members = load_le<std::uint16_t>(content.data() + 68);
    const std::size_t parity = load_le<std::uint16_t>(content.data() + 70);
    group.shard_size = load_le<std::uint64_t>(content.data() + 72);
    if (group.block_size == 0 || group.block_size > k_block_max) return bad("its block size makes no sense");
    if (members == 0 || members > k_parity_members_max || parity == 0 || parity > k_parity_shards_max)
        return bad("its counts make no sense");
    if (group.shard_size == 0 || group.shard_size > k_shard_max) return bad("its shard size makes no sense");
    std::size_t at = k_fixed;
    const auto sums = [&](std::uint64_t count, std::vector<std::uint64_t>& to) {
        if (count > (content.size() - at) / 8) return false;
        for (std::uint64_t i = 0; i < count; ++i, at += 8) to.push_back(load_le<std::uint64_t>(content.data() + at));
        return true;
    };
    std::uint64_t longest = 0;
    for (std::size_t i = 0; i < members; ++i) {
        if (content.size() - at < k_member_fixed) return bad("its table ends early");
        ParityMember member;
        const auto kind = load_le<std::uint64_t>(content.data() + at);
        if (kind > static_cast<std::uint64_t>(ParityMemberKind::snapshot)) return bad("it names an unknown kind");
        member.kind = static_cast<ParityMemberKind>(kind);
        member.size = load_le<std::uint64_t>(content.data() + at + 8);
        std::ranges::copy(content.subspan(at + 16, 32), member.sha256.bytes.begin());
        at += k_member_fixed;
        if (member.size == 0 || member.size > group.shard_size) return bad("a member's size makes no sense");
        longest = std::max(longest, member.size);
        if (!sums(blocks_of(member.size, group.block_size), member.sums)) return bad("its table ends early");
        group.members.push_back(std::move(member));
    }
    if (longest != group.shard_size) return bad("its shard size is not its longest member's");
    for (std::size_t i = 0; i < parity; ++i)
        if (!sums(group.block_count(), group.parity_sums.emplace_back())) return bad("its table ends early");
    if (at != content.size()) return bad("something follows its table");
    return group;
}

std::uint64_t parity_sum(ByteView block) { return crc64_ecma_refl(0, raw(block.data()), block.size()); }

ParityCode::ParityCode(std::size_t members, std::size_t parity)
    : k_(members), m_(parity), matrix_((members + parity) * members), tables_(32 * members * parity) {
    HF_ASSERT(k_ > 0 && m_ > 0 && k_ + m_ <= 255);
    // Cauchy: every square part of it can be inverted, so any k rows serve.
    gf_gen_cauchy1_matrix(matrix_.data(), static_cast<int>(k_ + m_), static_cast<int>(k_));
    ec_init_tables(static_cast<int>(k_), static_cast<int>(m_), matrix_.data() + k_ * k_, tables_.data());
}

void ParityCode::encode(std::size_t length, const std::vector<const std::byte*>& data,
                        const std::vector<std::byte*>& parity) const {
    HF_ASSERT(data.size() == k_ && parity.size() == m_);
    std::vector<unsigned char*> from, to;
    for (const std::byte* block : data) from.push_back(raw(block));
    for (std::byte* block : parity) to.push_back(raw(block));
    ec_encode_data(static_cast<int>(length), static_cast<int>(k_), static_cast<int>(m_),
                   const_cast<unsigned char*>(tables_.data()), from.data(), to.data());
}

void ParityCode::recover(std::size_t length, const std::vector<std::size_t>& rows,
                         const std::vector<const std::byte*>& blocks, std::size_t wanted, std::byte* to) const {
    HF_ASSERT(rows.size() == k_ && blocks.size() == k_ && wanted < k_);
    std::vector<unsigned char> part(k_ * k_), inverse(k_ * k_), tables(32 * k_);
    for (std::size_t i = 0; i < k_; ++i)
        std::copy_n(matrix_.begin() + static_cast<std::ptrdiff_t>(rows[i] * k_), k_,
                    part.begin() + static_cast<std::ptrdiff_t>(i * k_));
    HF_ASSERT(gf_invert_matrix(part.data(), inverse.data(), static_cast<int>(k_)) == 0);
    ec_init_tables(static_cast<int>(k_), 1, inverse.data() + wanted * k_, tables.data());
    std::vector<unsigned char*> from;
    from.reserve(blocks.size());
    for (const std::byte* block : blocks) from.push_back(raw(block));
    unsigned char* target = raw(to);
    ec_encode_data(static_cast<int>(length), static_cast<int>(k_), 1, tables.data(), from.data(), &target);
}

}    // namespace holdfast::format
