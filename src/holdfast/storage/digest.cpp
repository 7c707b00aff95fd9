#include "holdfast/storage/digest.hpp"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>

namespace holdfast::storage {
namespace {

constexpr std::size_t k_piece = 256 << 10;

template <std::size_t size>
Result<std::array<std::byte, size>> digest_of(const EVP_MD* kind, HttpBody& body, std::uint64_t offset,
                                              std::uint64_t length) {
    const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
    HF_ASSERT(context && EVP_DigestInit_ex(context.get(), kind, nullptr) == 1);
    Bytes piece(static_cast<std::size_t>(std::min<std::uint64_t>(k_piece, length)));
    for (std::uint64_t done = 0; done < length;) {
        const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(piece.size(), length - done));
        HF_DO(body.read(offset + done, ByteSpan(piece).first(n)));
        HF_ASSERT(EVP_DigestUpdate(context.get(), piece.data(), n) == 1);
        done += n;
    }
    std::array<std::byte, size> digest;
    unsigned got = 0;
    HF_ASSERT(EVP_DigestFinal_ex(context.get(), reinterpret_cast<unsigned char*>(digest.data()), &got) == 1);
    HF_ASSERT(got == size);
    return digest;
}

}    // namespace

std::array<std::byte, 32> hmac_sha256(ByteView key, ByteView message) {
    std::array<std::byte, 32> mac;
    unsigned size = 0;
    const auto* made = HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
                            reinterpret_cast<const unsigned char*>(message.data()), message.size(),
                            reinterpret_cast<unsigned char*>(mac.data()), &size);
    HF_ASSERT(made != nullptr && size == mac.size());
    return mac;
}

Result<std::array<std::byte, 32>> sha256_of(HttpBody& body, std::uint64_t offset, std::uint64_t size) {
    return digest_of<32>(EVP_sha256(), body, offset, size);
}

Result<std::array<std::byte, 16>> md5_of(HttpBody& body, std::uint64_t offset, std::uint64_t size) {
    return digest_of<16>(EVP_md5(), body, offset, size);
}

}    // namespace holdfast::storage
