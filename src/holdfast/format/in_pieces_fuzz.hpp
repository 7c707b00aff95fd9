#pragma once
// A text in pieces, for the fuzz targets of what is read so: each call hands back what is left over with twice as much behind it.

#include <algorithm>
#include <string>

#include "holdfast/format/text_pieces.hpp"

namespace holdfast::format {

class InPieces final : public TextPieces {
public:
    explicit InPieces(std::string_view text) : text_(text) {}
    std::string_view more(std::string_view rest) override {
        const std::size_t step = std::min(text_.size() - at_, 2 * rest.size() + 1);
        window_ = std::string(rest) + std::string(text_.substr(at_, step));
        at_ += step;
        return window_;
    }
    std::size_t left() const override { return text_.size() - at_; }

private:
    std::string_view text_;
    std::size_t at_ = 0;
    std::string window_;
};

}    // namespace holdfast::format
