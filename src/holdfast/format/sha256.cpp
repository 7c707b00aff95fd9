#include "holdfast/format/sha256.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <vector>

#include "holdfast/base/result.hpp"
#include "holdfast/format/sha256_blocks.hpp"

namespace holdfast::format {
namespace {

constexpr std::size_t k_block = Sha256Blocks::k_block;
constexpr Sha256Blocks::Digest k_start{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                       0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
// When a third piece is as long as the second, they take turns in steps of this many blocks: 64 KiB.
constexpr std::size_t k_turn = 1024;

// Fetched once for the process and never freed: a fetch costs more than hashing a small blob.
const EVP_MD* openssl_sha_256() {
    static const EVP_MD* const digest = EVP_MD_fetch(nullptr, "SHA256", nullptr);
    return digest;
}

struct Free {
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};

}    // namespace

struct Sha256::State {
    std::unique_ptr<EVP_MD_CTX, Free> openssl;    // null: our own
    Sha256Blocks::Digest digest = k_start;
    std::array<std::byte, k_block> open;    // the block that is not full yet
    std::uint64_t length = 0;

    std::size_t open_size() const { return length % k_block; }

    // Copies up to the end of the open block; returns what is left, which then starts on a block or is empty.
    ByteView fill_open(ByteView bytes) {
        if (open_size() == 0) return bytes;
        const std::size_t n = std::min(bytes.size(), k_block - open_size());
        std::copy_n(bytes.begin(), n, open.begin() + static_cast<std::ptrdiff_t>(open_size()));
        length += n;
        if (open_size() == 0) Sha256Blocks::one(digest, open.data(), 1);
        return bytes.subspan(n);
    }
    void keep_open(ByteView rest) {
        std::copy(rest.begin(), rest.end(), open.begin());
        length += rest.size();
    }
};

Sha256::Sha256(Kind kind) : state_(std::make_unique<State>()) {
    if (kind == Kind::fastest && Sha256Blocks::available()) return;
    // OpenSSL's calls on a fetched algorithm fail only when memory is out: a bug for us, not an error.
    state_->openssl.reset(EVP_MD_CTX_new());
    HF_ASSERT(EVP_DigestInit_ex2(state_->openssl.get(), openssl_sha_256(), nullptr) == 1);
}
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;
Sha256::~Sha256() = default;

void Sha256::update(ByteView bytes) {
    const HashWork work{this, bytes};
    update_together({&work, 1});
}

void update_together(std::span<const HashWork> work) {
    struct Lane {
        Sha256::State* state;
        ByteView bytes;
        std::size_t blocks() const { return bytes.size() / k_block; }
        void done(std::size_t count) {
            bytes = bytes.subspan(count * k_block);
            state->length += count * k_block;
        }
    };
    constexpr std::size_t k_lanes_max = 32;
    HF_ASSERT(work.size() <= k_lanes_max);
    std::array<Lane, k_lanes_max> lanes;
    std::size_t count = 0;
    for (const auto& [sum, bytes] : work) {
        Sha256::State& state = *sum->state_;
        if (state.openssl)
            HF_ASSERT(EVP_DigestUpdate(state.openssl.get(), bytes.data(), bytes.size()) == 1);
        else
            lanes[count++] = {&state, state.fill_open(bytes)};
    }
    const std::span<Lane> mine(lanes.data(), count);
    // Brings the longest of those from `at` on to that place.
    const auto longest_to = [&](std::size_t at) {
        for (std::size_t i = at + 1; i < count; ++i)
            if (mine[i].blocks() > mine[at].blocks()) std::swap(mine[i], mine[at]);
    };
    while (count > 1) {
        // The two longest; one that is much longer than all others would else be left over at the end.
        for (std::size_t i = 0; i < std::min<std::size_t>(count, 3); ++i) longest_to(i);
        std::size_t step = mine[1].blocks();
        if (step == 0) break;
        if (count > 2) step = std::min(step, step - mine[2].blocks() + k_turn);
        Sha256Blocks::two(mine[0].state->digest, mine[0].bytes.data(), mine[1].state->digest, mine[1].bytes.data(),
                          step);
        mine[0].done(step);
        mine[1].done(step);
    }
    for (Lane& lane : mine) {
        if (const std::size_t blocks = lane.blocks(); blocks > 0) {
            Sha256Blocks::one(lane.state->digest, lane.bytes.data(), blocks);
            lane.done(blocks);
        }
        if (!lane.bytes.empty()) lane.state->keep_open(lane.bytes);
    }
}

Id Sha256::finish() {
    Id id;
    if (state_->openssl) {
        HF_ASSERT(
            EVP_DigestFinal_ex(state_->openssl.get(), reinterpret_cast<unsigned char*>(id.bytes.data()), nullptr) == 1);
        HF_ASSERT(EVP_DigestInit_ex2(state_->openssl.get(), openssl_sha_256(), nullptr) == 1);
        return id;
    }
    // 0x80, zeros, and the length in bits as the last eight bytes of a block.
    std::array<std::byte, 2 * k_block> end{};
    const std::size_t open = state_->open_size();
    std::copy_n(state_->open.begin(), open, end.begin());
    end[open] = std::byte{0x80};
    const std::size_t size = open + 9 <= k_block ? k_block : 2 * k_block;
    const std::uint64_t bits = state_->length * 8;
    for (std::size_t i = 0; i < 8; ++i) end[size - 1 - i] = static_cast<std::byte>(bits >> 8 * i);
    Sha256Blocks::one(state_->digest, end.data(), size / k_block);
    for (std::size_t i = 0; i < id.bytes.size(); ++i)
        id.bytes[i] = static_cast<std::byte>(state_->digest[i / 4] >> (24 - 8 * (i % 4)));
    state_->digest = k_start;
    state_->length = 0;
    return id;
}

Id sha256(ByteView bytes) {
    thread_local Sha256 sum;
    sum.update(bytes);
    return sum.finish();
}

std::array<Id, 2> sha256_of_two(ByteView a, ByteView b) {
    thread_local Sha256 first, second;
    const HashWork work[] = {{&first, a}, {&second, b}};
    update_together(work);
    return {first.finish(), second.finish()};
}

}    // namespace holdfast::format
