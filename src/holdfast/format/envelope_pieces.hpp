#pragma once
// Envelopes in pieces. To read: an index file, or the tree of a folder with huge files, is megabytes, and is needed once.
// What holds it is read twice, first for the tag: nothing that does not match is handed out.
//
//   errors   corrupt, as Cipher's, and when it changed between the two times; the reader's own
//   threads  one

#include <array>
#include <functional>
#include <memory>

#include "holdfast/format/crypto.hpp"

namespace holdfast::format {

/// Seals what comes in pieces.
class PieceSealer {
public:
    /// Appends to `to`, as do the others; what is in it may go meanwhile.
    PieceSealer(const Key& key, const std::array<std::byte, 16>& nonce, Bytes& to);
    ~PieceSealer();
    void add(ByteView plain, Bytes& to);
    void end(Bytes& to);

private:
    struct State;
    std::unique_ptr<State> state_;
};

class EnvelopePieces {
public:
    /// Fills `to` with what lies at `offset` in the envelope.
    using ReadAt = std::function<Status(std::uint64_t offset, ByteSpan to)>;
    EnvelopePieces(const Key& key, std::uint64_t envelope_size, ReadAt read_at);
    ~EnvelopePieces();

    /// The first time through, before next(). `sum`: of the whole envelope, if it is wanted.
    Status verify(Id* sum = nullptr);
    /// The next piece of the content, or nothing at its end or after an error. It lives until the next call.
    ByteView next();
    /// The rest is read. Unless it says yes, nothing that came from next() counts.
    Status end();

private:
    Result<ByteSpan> read_piece();
    Status check_tag();
    struct State;
    std::unique_ptr<State> state_;
};

}    // namespace holdfast::format
