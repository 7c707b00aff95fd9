#pragma once
// gzip (RFC 1952), as a stream in each direction.
//
//   errors   the sink's or source's own; corrupt: no gzip, a wrong checksum, an end before the end, something behind it
//   memory   a few hundred KiB, whatever the size
//   threads  one at a time for each object

#include <functional>
#include <memory>

#include "holdfast/base/bytes.hpp"
#include "holdfast/base/result.hpp"

namespace holdfast::plain {

class Gzip {
public:
    explicit Gzip(std::function<Status(ByteView)> sink);
    ~Gzip();
    Status write(ByteView bytes);
    /// The end and the checksum; nothing may be written after it.
    Status finish();

private:
    struct State;
    Status push(ByteView bytes, bool last);
    std::unique_ptr<State> state_;
};

/// Fills `to` with at least one byte; 0 only at the end.
using ByteSource = std::function<Result<std::size_t>(ByteSpan to)>;

class Gunzip {
public:
    explicit Gunzip(ByteSource source);
    ~Gunzip();
    /// As a ByteSource. Files of several members (cat a.gz b.gz) are one stream.
    Result<std::size_t> read(ByteSpan to);

private:
    struct State;
    std::unique_ptr<State> state_;
};

}    // namespace holdfast::plain
