#pragma once
// zstd, with contexts that are reused. One Compressor or Decompressor per thread.

#include <memory>

#include "holdfast/base/bytes.hpp"
#include "holdfast/base/result.hpp"

namespace holdfast::format {

class Compressor {
public:
    /// zstd level; 1 is our default (on trading data better and faster than 3: docs/decisions).
    explicit Compressor(int level);
    Compressor(Compressor&&) noexcept;
    Compressor& operator=(Compressor&&) noexcept;
    ~Compressor();
    /// Replaces `to` by one frame with the content size in it.
    void compress(ByteView plain, Bytes& to);

private:
    struct State;
    std::unique_ptr<State> state_;
};

class Decompressor {
public:
    Decompressor();
    Decompressor(Decompressor&&) noexcept;
    Decompressor& operator=(Decompressor&&) noexcept;
    ~Decompressor();
    /// Replaces `to` by the content of all frames; it must have exactly `size` bytes (known from the index). corrupt else.
    Status decompress(ByteView frames, std::size_t size, Bytes& to);
    /// Fills `to`, exactly. corrupt else, and then `to` holds anything.
    Status decompress_into(ByteView frames, ByteSpan to);
    /// False when no frames of `frames_size` bytes give `size` bytes: a lie, to be refused before memory is taken for it.
    static bool may_hold(std::size_t frames_size, std::size_t size);
    /// Size unknown: grows up to size_max, then corrupt. The frame's own content size is not believed.
    Status decompress_unknown(ByteView frames, std::size_t size_max, Bytes& to);

private:
    struct State;
    std::unique_ptr<State> state_;
};

/// Unpacked files (index, snapshot, lock): 0x02 + one frame, or bare JSON. Content, not envelope.
Bytes encode_unpacked(std::string_view json, Compressor& compressor);
Result<Bytes> decode_unpacked(ByteView plain, Decompressor& decompressor);

}    // namespace holdfast::format
