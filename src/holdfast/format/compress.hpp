#pragma once
// zstd, with contexts that are reused. One Compressor or Decompressor per thread.

#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "holdfast/base/bytes.hpp"
#include "holdfast/base/result.hpp"
#include "holdfast/format/sha256.hpp"
#include "holdfast/format/text_pieces.hpp"

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
    /// The same of text that comes in pieces, `size` bytes together: begin, add each, end. For documents: the reader needs
    /// a window of 128 KiB only.
    void begin(std::size_t size, Bytes& to);
    void add(ByteView piece, Bytes& to);
    void end(Bytes& to);

private:
    void stream(ByteView piece, bool last, Bytes& to);
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
    friend class FramePieces;
    struct State;
    std::unique_ptr<State> state_;
};

/// What frames hold, piece by piece, hashed on the way. Only frames with a small window, as Compressor::begin() writes them:
/// of others nothing comes. Then, or when whole() is false, nothing of what came counts.
class FramePieces final : public TextPieces {
public:
    /// `frames` hold `size` bytes, if they are what they should be. Both must outlive this.
    FramePieces(Decompressor& decompressor, ByteView frames, std::size_t size);
    /// Frames that come in pieces themselves, `first` and then what `next` gives until that is empty. Each lives until the next.
    using Next = std::function<ByteView()>;
    FramePieces(Decompressor& decompressor, ByteView first, Next next, std::size_t size);
    ~FramePieces() override;
    std::string_view more(std::string_view rest) override;
    std::size_t left() const override { return size_ - produced_; }
    /// All frames were read to their end, and held exactly `size` bytes.
    bool whole() const { return ended_ && produced_ == size_; }
    Id sum() { return sum_.finish(); }

private:
    Decompressor& decompressor_;
    ByteView frames_;    // the piece in work
    const Next next_;
    const std::size_t size_;
    std::size_t produced_ = 0;
    bool ended_ = false, failed_ = false;
    Bytes window_;
    Sha256 sum_;
};

/// Unpacked files (index, snapshot, lock): 0x02 + one frame, or bare JSON. Content, not envelope.
Bytes encode_unpacked(std::string_view json, Compressor& compressor);
Result<Bytes> decode_unpacked(ByteView plain, Decompressor& decompressor);
/// The frames of an unpacked file, and how much they say to hold: nothing for other forms.
std::optional<std::pair<ByteView, std::size_t>> unpacked_frames(ByteView plain);

}    // namespace holdfast::format
