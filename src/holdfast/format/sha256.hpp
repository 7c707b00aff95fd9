#pragma once
// SHA-256: the name of everything in a repository.
//
//   One sum is a chain in which each step waits for the one before: the SHA instructions of a core stand idle half of the
//   time. Two sums side by side take no longer than one (EPYC, one core: one 1,800 MB/s, two 3,580 together, three no
//   more). So whoever has several pieces of data at hand gives them to update_together().
//
//   threads  one at a time for each sum
//   source   FIPS 180-4; without the SHA instructions: OpenSSL's

#include <array>
#include <memory>
#include <span>

#include "holdfast/base/bytes.hpp"
#include "holdfast/base/id.hpp"

namespace holdfast::format {

class Sha256 {
public:
    /// `portable` runs everywhere, and one sum at a time.
    enum class Kind { fastest, portable };
    explicit Sha256(Kind kind = Kind::fastest);
    Sha256(Sha256&&) noexcept;
    Sha256& operator=(Sha256&&) noexcept;
    ~Sha256();
    void update(ByteView bytes);
    Id finish();    // and starts anew

private:
    friend void update_together(std::span<const struct HashWork> work);
    struct State;
    std::unique_ptr<State> state_;
};

/// What one sum is to take in; empty bytes are allowed.
struct HashWork {
    Sha256* sum;
    ByteView bytes;
};
/// sum->update(bytes) for each, in about half the time. No sum may occur twice.
void update_together(std::span<const HashWork> work);

Id sha256(ByteView bytes);
/// The sums of two pieces, side by side.
std::array<Id, 2> sha256_of_two(ByteView a, ByteView b);

}    // namespace holdfast::format
