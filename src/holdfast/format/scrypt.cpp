#include "holdfast/format/scrypt.hpp"

#include <openssl/crypto.h>
#include <sys/mman.h>

#include <algorithm>

#include "holdfast/base/result.hpp"

namespace holdfast::format {

#if defined(__x86_64__)

namespace {

// What the rows that are kept may take; beyond it fewer are.
constexpr std::uint64_t k_memory_wanted = 20u << 20;
constexpr std::uint64_t k_stride_max = 8;
constexpr std::size_t k_lanes = 5;

using Single = std::uint32_t __attribute__((vector_size(16), may_alias));
using Pair = std::uint32_t __attribute__((vector_size(32), may_alias));

// One step of every lane: the sum of two rows is mixed into a third.
struct Steps {
    const Single *from[k_lanes], *with[k_lanes];
    Single* to[k_lanes];
};

#define HF_TARGET __attribute__((target("avx2")))
namespace avx2 {
#include "holdfast/format/scrypt_mixer.inc"
}
#undef HF_TARGET
// Rotations in one instruction, and twice the registers. (Four lanes in 512 bits are slower than in twice 256.)
#define HF_TARGET __attribute__((target("avx512vl")))
namespace avx512 {
#include "holdfast/format/scrypt_mixer.inc"
}
#undef HF_TARGET

struct Mapping {
    explicit Mapping(std::size_t n) : size(n) {
        void* mapped = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (mapped == MAP_FAILED) return;
        bytes = static_cast<std::byte*>(mapped);
        ::madvise(mapped, size, MADV_HUGEPAGE);    // rows are looked up at random: a fifth faster
    }
    ~Mapping() {
        if (!bytes) return;
        OPENSSL_cleanse(bytes, size);
        ::munmap(bytes, size);
    }
    Mapping(const Mapping&) = delete;
    Mapping& operator=(const Mapping&) = delete;
    std::byte* bytes = nullptr;
    std::size_t size;
};

// scryptROMix of up to five lanes. They step together but are not at the same place: while one makes a row again that was
// not kept, another looks its next one up, and none waits for those that have further to go.
class Mixer {
public:
    Mixer(std::size_t lanes, std::uint64_t n, std::size_t r, ScryptLanes::Kind kind)
        : lanes_(lanes), n_(n), r_(r), fast_(kind == ScryptLanes::Kind::fastest && __builtin_cpu_supports("avx512vl")) {
        while (stride_ < k_stride_max && stride_ < n && lanes * (n / stride_) * row_size() > k_memory_wanted)
            stride_ *= 2;
    }

    bool run(std::byte* lanes) {
        const std::size_t rows = lanes_ * (n_ / stride_);
        // Behind the rows a row of zeros, and three for each lane: those that are missing have some to work on, too.
        const Mapping memory((rows + 1 + 3 * k_lanes) * row_size());
        if (!memory.bytes) return false;
        kept_ = reinterpret_cast<Single*>(memory.bytes);
        zeros_ = kept_ + rows * row_words();
        for (std::size_t lane = 0; lane < k_lanes; ++lane) {
            for (std::size_t i = 0; i < 3; ++i) spare_[lane][i] = zeros_ + (1 + 3 * lane + i) * row_words();
            steps_.from[lane] = steps_.with[lane] = zeros_;
            steps_.to[lane] = spare_[lane][0];
        }
        fill(lanes);
        look_up();
        for (std::size_t lane = 0; lane < lanes_; ++lane) copy_words(spare_[lane][2], lanes + lane * row_size(), false);
        return true;
    }

private:
    std::size_t row_size() const { return 128 * r_; }
    std::size_t row_words() const { return 8 * r_; }    // by fours
    Single* kept(std::size_t lane, std::uint64_t row) const {
        return kept_ + (lane * (n_ / stride_) + row / stride_) * row_words();
    }

    // Along the diagonals: place i of a block takes word 5i.
    void copy_words(Single* row, std::byte* lane, bool in) const {
        auto* const words = reinterpret_cast<std::byte*>(row);
        for (std::size_t i = 0; i < row_size() / 4; ++i) {
            std::byte* const word = lane + i / 16 * 64 + i * 5 % 16 * 4;
            in ? std::copy_n(word, 4, words + i * 4) : std::copy_n(words + i * 4, 4, word);
        }
    }

    void mix() {
        if (fast_)
            avx512::mix_rows(steps_, r_);
        else
            avx2::mix_rows(steps_, r_);
    }

    // Every lane's rows, each made from the one before; what is to be kept is made where it stays.
    void fill(std::byte* lanes) {
        for (std::size_t lane = 0; lane < lanes_; ++lane) {
            copy_words(kept(lane, 0), lanes + lane * row_size(), true);
            steps_.from[lane] = kept(lane, 0);
        }
        for (std::uint64_t i = 1; i <= n_; ++i) {
            for (std::size_t lane = 0; lane < lanes_; ++lane)
                steps_.to[lane] = i < n_ && i % stride_ == 0 ? kept(lane, i) : spare_[lane][i % 2];
            mix();
            for (std::size_t lane = 0; lane < lanes_; ++lane) steps_.from[lane] = steps_.to[lane];
        }
    }

    void look_up() {
        std::size_t at_work = lanes_;
        for (std::size_t lane = 0; lane < lanes_; ++lane) look_next_up(lane);
        while (at_work > 0) {
            mix();
            for (std::size_t lane = 0; lane < lanes_; ++lane) {
                if (done_[lane] == n_) continue;
                if (missing_[lane] == 0) {
                    look_next_up(lane);
                    if (++done_[lane] == n_) --at_work;
                    continue;
                }
                std::swap(spare_[lane][0], spare_[lane][1]);
                steps_.from[lane] = spare_[lane][1];
                steps_.to[lane] = spare_[lane][0];
                if (--missing_[lane] == 0) steps_.with[lane] = spare_[lane][2];
            }
        }
    }

    // What the lane has come to (it lies where it was told to go) is put aside, to be added to the row that it names
    // (Integerify: the low word of the last block). That row is made from the last one before it that was kept.
    void look_next_up(std::size_t lane) {
        Single* const sum = steps_.to[lane];
        spare_[lane][0] = spare_[lane][2];
        spare_[lane][2] = sum;
        const std::uint64_t row = sum[row_words() - 4][0] & (n_ - 1);
        missing_[lane] = row % stride_;
        steps_.from[lane] = kept(lane, row);
        // Most of it arrives while the first blocks are mixed: a fifteenth of the time.
        for (std::size_t i = 0; i < row_words(); i += 4) __builtin_prefetch(steps_.from[lane] + i);
        steps_.with[lane] = missing_[lane] == 0 ? sum : zeros_;
        steps_.to[lane] = spare_[lane][0];
    }

    const std::size_t lanes_;
    const std::uint64_t n_;
    const std::size_t r_;
    const bool fast_;
    std::uint64_t stride_ = 1;    // of so many rows one is kept
    Single *kept_ = nullptr, *zeros_ = nullptr;
    Steps steps_;
    // Of each lane: the row that comes next, the one before it, and what is put aside.
    Single* spare_[k_lanes][3];
    std::uint64_t missing_[k_lanes] = {}, done_[k_lanes] = {};
};

}    // namespace

bool ScryptLanes::available() { return __builtin_cpu_supports("avx2"); }

bool ScryptLanes::mix(ByteSpan lanes, std::uint64_t n, std::uint32_t r, Kind kind) {
    HF_ASSERT(n > 1 && n < std::uint64_t(1) << 32 && r > 0);
    const std::size_t lane_size = std::size_t(128) * r;
    HF_ASSERT(lanes.size() % lane_size == 0);
    while (!lanes.empty()) {
        const std::size_t count = std::min(lanes.size() / lane_size, k_lanes);
        if (!Mixer(count, n, r, kind).run(lanes.data())) return false;
        lanes = lanes.subspan(count * lane_size);
    }
    return true;
}

#else

bool ScryptLanes::available() { return false; }
bool ScryptLanes::mix(ByteSpan, std::uint64_t, std::uint32_t, Kind) { return false; }

#endif

}    // namespace holdfast::format
