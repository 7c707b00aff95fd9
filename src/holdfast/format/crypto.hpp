#pragma once
// The envelope around everything that is stored, and the key derivation.
//
//   shape    nonce(16) | AES-256-CTR(ciphertext) | Poly1305-AES tag(16) over the ciphertext; 32 bytes of overhead
//   errors   corrupt when the tag does not match (nothing is decrypted then), or the envelope is shorter than 32 bytes
//   threads  Cipher: one per thread (it keeps OpenSSL contexts); everything else is values
//   source   docs/formats/vault.md sections 3 and 4; vectors in tests/golden/vault/envelope.json

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "holdfast/base/bytes.hpp"
#include "holdfast/base/id.hpp"
#include "holdfast/base/result.hpp"
#include "holdfast/base/secret.hpp"
#include "holdfast/format/sha256.hpp"

namespace holdfast::format {

inline constexpr std::size_t k_envelope_overhead = 32;

/// A user key or the master key. Wiped when it goes.
struct Key {
    std::array<std::byte, 32> encrypt{};
    std::array<std::byte, 16> mac_k{};
    std::array<std::byte, 16> mac_r{};    // clamped or raw: both give the same tag
    ~Key();
};

/// Seals and opens envelopes under one key. Reuses its contexts: make one per thread.
class Cipher {
public:
    explicit Cipher(const Key& key);
    Cipher(Cipher&&) noexcept;
    Cipher& operator=(Cipher&&) noexcept;
    ~Cipher();

    /// Appends the envelope to `to`. The nonce comes in: 16 fresh random bytes, not all zero.
    void seal(ByteView plain, const std::array<std::byte, 16>& nonce, Bytes& to);
    /// Replaces `plain` by the content. Tag first, in constant time.
    Status open(ByteView envelope, Bytes& plain);
    /// The same, where there is room for exactly the content.
    Status open_into(ByteView envelope, ByteSpan plain);
    /// Decrypts in place inside `envelope`; returns the view of the plain bytes in it.
    Result<ByteSpan> open_in_place(ByteSpan envelope);

private:
    struct State;
    std::unique_ptr<State> state_;
};

/// Cost of scrypt. The default takes about 0.2 s and 32 MiB times p=5 runs, as restic calibrates.
struct KdfCost {
    std::uint64_t n = 32768;
    std::uint32_t r = 8, p = 5;
};
/// unsupported for parameters that are no power of two, or would take more than 1 GiB.
Result<Key> derive_key(const Secret& password, ByteView salt, KdfCost cost);

}    // namespace holdfast::format
