#pragma once
// Indexes and trees as restic and holdfast write them: no spaces, no escapes, known fields only. Read in one pass, straight
// into what they mean; the general parser (go_json.hpp) needs about ten times the text's size, and the list of a
// large file's blobs is megabytes. Private to format/.
//
//   Every function returns false, or nothing, for anything else, be it legal or damaged: then the general parser reads all
//   from the start, and says what is wrong. What is accepted here means the same there (index_fuzz, tree_fuzz).
//   Text is not checked to be UTF-8.
//   A text in pieces is read on at the beginning of a list's items only: an item's own strings may not be longer than
//   k_ahead, and those that object() hands out are gone with the next list.

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string_view>

#include "holdfast/base/bytes.hpp"
#include "holdfast/base/id.hpp"
#include "holdfast/format/text_pieces.hpp"

namespace holdfast::format {

class JsonScan {
public:
    static constexpr std::size_t k_ahead = 128u << 10;

    explicit JsonScan(std::string_view json) : at_(json.data()), end_(json.data() + json.size()) {}
    explicit JsonScan(TextPieces& pieces) : JsonScan(std::string_view()) {
        pieces_ = &pieces;
        read_on();
    }

    bool take(std::string_view literal) {
        if (!std::string_view(at_, end_).starts_with(literal)) return false;
        at_ += literal.size();
        return true;
    }
    /// The whole document was read, but for a line's end.
    bool done() {
        read_on();
        take("\n");
        return at_ == end_;
    }
    bool string(std::string_view& to) {
        if (!take("\"")) return false;
        const char* const begin = at_;
        for (; at_ != end_ && *at_ != '"'; ++at_)
            if (*at_ == '\\' || static_cast<unsigned char>(*at_) < 0x20) return false;
        to = {begin, at_};
        return take("\"");
    }
    template <class Number>
    bool number(Number& to) {
        const char* const begin = at_;
        std::uint64_t value = 0;
        for (; at_ != end_ && *at_ >= '0' && *at_ <= '9'; ++at_) {
            const auto digit = static_cast<std::uint64_t>(*at_ - '0');
            if (value > (std::numeric_limits<Number>::max() - digit) / 10) return false;
            value = value * 10 + digit;
        }
        to = static_cast<Number>(value);
        return at_ != begin && (*begin != '0' || at_ - begin == 1);
    }
    bool id(Id& to) {
        constexpr std::ptrdiff_t k_digits = 2 * sizeof(Id::bytes);
        if (end_ - at_ < k_digits + 2 || *at_ != '"' || at_[k_digits + 1] != '"' ||
            !from_hex({at_ + 1, k_digits}, to.bytes))
            return false;
        at_ += k_digits + 2;
        return true;
    }
    /// `field(key)` reads one value.
    template <class Field>
    bool object(Field field) {
        if (!take("{")) return false;
        if (take("}")) return true;
        do {
            std::string_view key;
            if (!string(key) || !take(":") || !field(key)) return false;
        } while (take(","));
        return take("}");
    }
    /// `item()` reads one value.
    template <class Item>
    bool array(Item item) {
        if (!take("[")) return false;
        if (take("]")) return true;
        do {
            read_on();
            if (!item()) return false;
        } while (take(","));
        return take("]");
    }
    /// How many characters stand before the next `c`, or the end; of what is not read yet, all.
    std::size_t distance_to(char c) const {
        const std::size_t found = std::string_view(at_, end_).find(c);
        return found != std::string_view::npos ? found : std::size_t(end_ - at_) + (pieces_ ? pieces_->left() : 0);
    }

private:
    void read_on() {
        if (pieces_ == nullptr || std::size_t(end_ - at_) >= k_ahead) return;
        const std::size_t rest = std::size_t(end_ - at_);
        const std::string_view text = pieces_->more({at_, end_});
        at_ = text.data();
        end_ = text.data() + text.size();
        if (text.size() == rest) pieces_ = nullptr;
    }

    TextPieces* pieces_ = nullptr;
    const char* at_;
    const char* end_;
};

}    // namespace holdfast::format
