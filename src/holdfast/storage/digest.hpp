#pragma once
// What the signatures of object stores are made of. Pure.

#include <array>

#include "holdfast/base/bytes.hpp"
#include "holdfast/storage/http_client.hpp"

namespace holdfast::storage {

std::array<std::byte, 32> hmac_sha256(ByteView key, ByteView message);
/// Of a body's bytes from `offset` on, read once, in pieces.
Result<std::array<std::byte, 32>> sha256_of(HttpBody& body, std::uint64_t offset, std::uint64_t size);
Result<std::array<std::byte, 16>> md5_of(HttpBody& body, std::uint64_t offset, std::uint64_t size);

/// A part of another body; borrowed.
class PartOfBody final : public HttpBody {
public:
    PartOfBody(HttpBody& whole, std::uint64_t offset, std::uint64_t size)
        : whole_(whole), offset_(offset), size_(size) {}
    std::uint64_t size() const override { return size_; }
    Status read(std::uint64_t offset, ByteSpan to) override { return whole_.read(offset_ + offset, to); }

private:
    HttpBody& whole_;
    const std::uint64_t offset_, size_;
};

}    // namespace holdfast::storage
