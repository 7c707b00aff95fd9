#pragma once
// A text that is read piece by piece: the list of a huge file's blobs is megabytes, and need not be in memory as text.

#include <cstddef>
#include <string_view>

namespace holdfast::format {

class TextPieces {
public:
    virtual ~TextPieces() = default;
    /// `rest`, the end of what was given last, with more behind it. No longer than `rest`: nothing more will come. What was
    /// given before is gone.
    virtual std::string_view more(std::string_view rest) = 0;
    /// How many characters are still to come, at most.
    virtual std::size_t left() const = 0;
};

}    // namespace holdfast::format
