#include "holdfast/format/parity.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>

namespace holdfast::format {
namespace {

ParityGroup sample_group() {
    ParityGroup group;
    group.id.fill(std::byte(7));
    group.repository.bytes.fill(std::byte(9));
    group.block_size = 64;
    group.shard_size = 200;
    for (unsigned i = 0; i < 3; ++i) {
        ParityMember member{ParityMemberKind(i), {}, 200 - i * 70, {}};
        member.sha256.bytes.fill(std::byte(i));
        member.sums.assign((member.size + 63) / 64, 1000 + i);
        group.members.push_back(member);
    }
    group.parity_sums.assign(2, {1, 2, 3, 4});
    return group;
}

TEST(Parity, AHeaderComesBackAsItWas) {
    const ParityGroup group = sample_group();
    const Bytes header = encode_parity_header(group);
    EXPECT_EQ(header.size(), parity_header_size(group));
    const auto again = decode_parity_header(header);
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_TRUE(*again == group);
}

TEST(Parity, AHeaderWithAnyBitFlippedOrCutIsRefused) {
    const Bytes header = encode_parity_header(sample_group());
    for (std::size_t bit = 0; bit < header.size() * 8; ++bit) {
        Bytes bad = header;
        bad[bit / 8] ^= std::byte(1 << (bit % 8));
        EXPECT_FALSE(decode_parity_header(bad)) << bit;
    }
    for (std::size_t size = 0; size < header.size(); ++size)
        EXPECT_FALSE(decode_parity_header(ByteView(header).first(size)));
}

TEST(Parity, AnyLossOfUpToMShardsComesBack) {
    std::mt19937_64 random(11);
    for (const auto& [k, m] : {std::pair<std::size_t, std::size_t>{1, 1}, {3, 2}, {10, 2}, {50, 5}, {200, 55}}) {
        constexpr std::size_t k_length = 1000;
        std::vector<Bytes> shards(k + m, Bytes(k_length));
        for (std::size_t i = 0; i < k; ++i)
            for (std::byte& b : shards[i]) b = std::byte(random());
        std::vector<const std::byte*> data;
        std::vector<std::byte*> parity;
        for (std::size_t i = 0; i < k; ++i) data.push_back(shards[i].data());
        for (std::size_t i = 0; i < m; ++i) parity.push_back(shards[k + i].data());
        const ParityCode code(k, m);
        code.encode(k_length, data, parity);
        for (int round = 0; round < 20; ++round) {
            // Any k of the k + m.
            std::vector<std::size_t> rows(k + m);
            std::iota(rows.begin(), rows.end(), std::size_t(0));
            std::shuffle(rows.begin(), rows.end(), random);
            rows.resize(k);
            std::vector<const std::byte*> blocks;
            for (const std::size_t row : rows) blocks.push_back(shards[row].data());
            for (std::size_t wanted = 0; wanted < k; wanted += 1 + k / 7) {
                Bytes got(k_length);
                code.recover(k_length, rows, blocks, wanted, got.data());
                ASSERT_TRUE(got == shards[wanted]);
            }
        }
    }
}

TEST(Parity, TheSumIsCrc64Ecma) {
    // The check value of CRC-64/XZ.
    EXPECT_EQ(parity_sum(as_bytes("123456789")), 0x995dc9bbdf1939faull);
}

}    // namespace
}    // namespace holdfast::format
