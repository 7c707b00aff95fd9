#include "holdfast/format/chunker.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include "holdfast/format/crypto.hpp"
#include "holdfast/format/golden_test.hpp"

namespace holdfast::format {
namespace {

Bytes splitmix64(std::uint64_t seed, std::size_t size) {
    Bytes out;
    out.reserve(size + 8);
    while (out.size() < size) {
        seed += 0x9E3779B97F4A7C15;
        std::uint64_t z = seed;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        append_le(out, z ^ (z >> 31));
    }
    out.resize(size);
    return out;
}

Bytes generate(const std::string& generator, std::uint64_t seed, std::size_t size) {
    if (generator == "splitmix64_bytes") return splitmix64(seed, size);
    Bytes out;
    out.assign(size, static_cast<std::byte>(seed));
    if (generator == "splitmix64_ab") {
        const Bytes bits = splitmix64(seed, (size + 7) / 8);
        for (std::size_t i = 0; i < size; ++i)
            out[i] = static_cast<std::byte>(0x61 + (std::to_integer<unsigned>(bits[i / 8]) >> i % 8 & 1));
    }
    return out;
}

std::vector<std::size_t> lengths(const Chunker& chunker, ByteView data) {
    std::vector<std::size_t> out;
    while (!data.empty()) {
        out.push_back(chunker.cut(data).value_or(data.size()));
        data = data.subspan(out.back());
    }
    return out;
}

const Polynomial k_polynomial{0x3da3358b4dc173};

TEST(Chunker, CutsTheVectorsWhereResticCuts) {
    const json::Value vectors = golden_json("chunker.json");
    ASSERT_EQ(vectors["cases"].items().size(), 27u);
    for (const json::Value& v : vectors["cases"].items()) {
        SCOPED_TRACE(v["name"].text() + ' ' + v["polynomial"].text());
        const Bytes data = generate(v["generator"].text(), v["seed"].natural(), v["size"].natural());
        ASSERT_EQ(sha256(data).hex(), v["sha256"].text());
        const auto polynomial = parse_polynomial(v["polynomial"].text());
        ASSERT_TRUE(polynomial);
        const std::vector<std::size_t> found = lengths(Chunker(*polynomial), data);
        EXPECT_EQ(lengths(Chunker(*polynomial, k_chunks_of_files, Chunker::Search::portable), data), found);
        std::size_t at = 0;
        ASSERT_EQ(found.size(), v["chunks"].items().size());
        for (std::size_t i = 0; i < found.size(); ++i) {
            const json::Array& chunk = v["chunks"].items()[i].items();
            EXPECT_EQ(at, chunk[0].natural());
            EXPECT_EQ(found[i], chunk[1].natural());
            EXPECT_EQ(sha256(ByteView(data).subspan(at, found[i])).hex(), chunk[2].text());
            at += found[i];
        }
    }
}

TEST(Chunker, CutsTheSameHoweverTheDataArrives) {
    const Bytes data = splitmix64(7, 3 << 20);
    for (const ChunkSizes sizes :
         {k_chunks_of_files, k_chunks_of_streams, ChunkSizes{64, 4096, 8}, ChunkSizes{64, 64, 0}}) {
        const Chunker chunker(k_polynomial, sizes);
        const std::vector<std::size_t> whole = lengths(chunker, data);
        for (const std::size_t step : {std::size_t{1000}, std::size_t{65'536}, std::size_t{1'000'003}}) {
            std::vector<std::size_t> pieces;
            std::size_t start = 0, have = std::min(step, data.size()), seen = 0;
            while (start < data.size()) {
                const auto cut = chunker.cut(ByteView(data).subspan(start, have - start), seen);
                if (!cut && have < data.size()) {
                    seen = have - start;
                    have = std::min(have + step, data.size());
                    continue;
                }
                pieces.push_back(cut.value_or(have - start));
                start += pieces.back();
                seen = 0;
            }
            EXPECT_EQ(pieces, whole);
        }
    }
}

TEST(Chunker, CutsTheSameInOneLaneInTwoAndInStrips) {
    // Short inputs go through one lane only, long ones through all: each prefix must agree with the whole.
    const Bytes data = splitmix64(9, 200'000);
    for (const std::uint32_t bits : {0u, 6u, 9u, 12u, 14u, 17u, 24u, 30u}) {
        const ChunkSizes sizes{64, 190'000, bits};
        const Chunker fastest(k_polynomial, sizes), portable(k_polynomial, sizes, Chunker::Search::portable);
        for (std::size_t start = 0; start + 190'000 < data.size(); start += 3001) {
            const ByteView view = ByteView(data).subspan(start);
            const auto cut = fastest.cut(view);
            ASSERT_TRUE(cut);
            EXPECT_EQ(portable.cut(view), cut);
            // One byte less and it is not there yet; in small steps it is found at the same place.
            EXPECT_EQ(fastest.cut(view.first(*cut - 1)), std::nullopt);
            std::size_t seen = *cut < 3000 ? 0 : *cut - 3000;
            while (!portable.cut(view.first(seen + 1000), seen)) seen += 1000;
            EXPECT_EQ(portable.cut(view.first(seen + 1000), seen), cut);
        }
    }
}

TEST(Chunker, NeverReadsBeforeOrBehindTheData) {
    // The pages before and behind the data cannot be read.
    constexpr std::size_t page = 4096, size = 32 * page;
    auto* map = static_cast<std::byte*>(mmap(nullptr, size + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    ASSERT_NE(map, MAP_FAILED);
    std::byte* const data = map + page;
    ASSERT_EQ(mprotect(data, size, PROT_READ | PROT_WRITE), 0);
    const Bytes random = splitmix64(13, size);
    std::copy(random.begin(), random.end(), data);
    for (const auto search : {Chunker::Search::fastest, Chunker::Search::portable}) {
        const Chunker chunker(k_polynomial, {64, 1 << 20, 24}, search);    // 24 bits: practically no cut
        const auto search_both_ends = [&](std::size_t length) {
            EXPECT_EQ(chunker.cut({data, length}), std::nullopt);
            EXPECT_EQ(chunker.cut({data + size - length, length}), std::nullopt);
        };
        for (std::size_t length = 64; length <= size; length += 1009) search_both_ends(length);
        // Around the lengths at which a pair of lanes, or a block of strips, is just filled.
        for (const std::size_t full :
             {std::size_t{8192}, std::size_t{16384}, std::size_t{16384 + 8192}, std::size_t{32768}})
            for (std::size_t length = full; length < full + 130; ++length) search_both_ends(length);
    }
    munmap(map, size + 2 * page);
}

TEST(Chunker, WaitsForMoreBelowTheMinimumAndNeverExceedsTheMaximum) {
    const Chunker chunker(k_polynomial);
    Bytes ones;
    ones.assign(9 << 20, std::byte{1});
    EXPECT_EQ(chunker.cut({}), std::nullopt);
    EXPECT_EQ(chunker.cut(ByteView(ones).first((512 << 10) - 1)), std::nullopt);
    EXPECT_EQ(chunker.cut(ByteView(ones).first((8 << 20) - 1)), std::nullopt);
    EXPECT_EQ(chunker.cut(ByteView(ones).first(8 << 20)), 8u << 20);
    EXPECT_EQ(chunker.cut(ones), 8u << 20);
    EXPECT_EQ(chunker.cut(ones, (8 << 20) - 1), 8u << 20);
    Bytes zeros;
    zeros.assign(1 << 20, std::byte{0});
    EXPECT_EQ(chunker.cut(zeros), 512u << 10);
    EXPECT_EQ(chunker.cut(ByteView(zeros).first(512 << 10)), 512u << 10);
}

TEST(Chunker, FindsTheSameCutsAgainAfterAnInsertion) {
    // A dump that gains a row keeps all but the chunks around it.
    Bytes before = splitmix64(11, 4 << 20), after = before;
    after.insert(after.begin() + (1 << 20), 100, std::byte{'x'});
    const Chunker chunker(k_polynomial, k_chunks_of_streams);
    const auto ids = [&](ByteView data) {
        std::vector<Id> out;
        for (const std::size_t length : lengths(chunker, data)) {
            out.push_back(sha256(data.first(length)));
            data = data.subspan(length);
        }
        return out;
    };
    const std::vector<Id> a = ids(before), b = ids(after);
    std::size_t shared = 0;
    for (const Id& id : b) shared += static_cast<std::size_t>(std::count(a.begin(), a.end(), id));
    EXPECT_GE(shared + 4, a.size());
    EXPECT_GT(a.size(), 12u);
}

}    // namespace
}    // namespace holdfast::format
