#pragma once
// Where to cut a stream into chunks. Pure: bytes in, cut points out.
//
//   Rabin fingerprint over GF(2), window 64 bytes, as restic cuts: equal data gives equal chunks in both.
//   source   docs/formats/vault.md section 13; vectors in tests/golden/vault/chunker.json

#include <cstdint>
#include <optional>

#include "holdfast/base/bytes.hpp"
#include "holdfast/format/polynomial.hpp"
#include "holdfast/format/strip_search.hpp"

namespace holdfast::format {

struct ChunkSizes {
    std::uint32_t min = 512 << 10, max = 8 << 20;
    std::uint32_t average_bits = 20;    // a cut needs this many zero bits
};
/// restic's sizes: for files.
inline constexpr ChunkSizes k_chunks_of_files{};
/// For dumps, logs and other streams whose small edits should cost little.
inline constexpr ChunkSizes k_chunks_of_streams{64 << 10, 2 << 20, 17};

/// Content-defined cuts. The digest at a place depends on the 64 bytes before it only, so several lanes run side by side.
class Chunker {
public:
    /// Both give the same cuts; `portable` is what runs on CPUs without GFNI.
    enum class Search { fastest, portable };
    explicit Chunker(Polynomial p, ChunkSizes sizes = k_chunks_of_files, Search search = Search::fastest);
    ChunkSizes sizes() const { return sizes_; }

    /// `data` starts at a chunk's start. Returns the length of the first chunk when its end is certain, else nullopt:
    /// call again with more data (from the same start), or take all of it as the last chunk when there is no more.
    /// Never more than sizes().max; data.size() >= sizes().max always gives an answer. `seen` is how many bytes of
    /// `data` were already searched in the previous call (0 at a new chunk), so that nothing is searched twice.
    std::optional<std::size_t> cut(ByteView data, std::size_t seen = 0) const;

private:
    std::uint64_t roll(std::uint64_t digest, std::byte entering) const;
    std::uint64_t roll(std::uint64_t digest, std::byte entering, std::byte leaving) const;
    std::uint64_t digest_before(const std::byte* at) const;
    std::size_t search_one(const std::byte* data, std::size_t first, std::size_t last) const;
    std::size_t search_two(const std::byte* data, std::size_t first, std::size_t last) const;
    std::size_t search(const std::byte* data, std::size_t first, std::size_t last) const;

    ChunkSizes sizes_;
    std::uint64_t mask_;
    std::uint64_t out_[256];
    std::uint64_t mod_[256];
    std::optional<StripSearch> strips_;
};

}    // namespace holdfast::format
