#pragma once
// Indexes and trees as restic and holdfast write them: no spaces, no escapes, known fields only. Read in one pass, straight
// into what they mean; the general parser (go_json.hpp) needs about ten times the text's size, and the list of a
// large file's blobs is megabytes. Private to format/.
//
//   Every function returns false, or nothing, for anything else, be it legal or damaged: then the general parser reads all
//   from the start, and says what is wrong. What is accepted here means the same there (index_fuzz, tree_fuzz).
//   Text is not checked to be UTF-8.

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string_view>

#include "holdfast/base/bytes.hpp"
#include "holdfast/base/id.hpp"

namespace holdfast::format {

class JsonScan {
public:
    explicit JsonScan(std::string_view json) : at_(json.data()), end_(json.data() + json.size()) {}

    bool take(std::string_view literal) {
        if (!std::string_view(at_, end_).starts_with(literal)) return false;
        at_ += literal.size();
        return true;
    }
    /// The whole document was read, but for a line's end.
    bool done() {
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
            if (!item()) return false;
        } while (take(","));
        return take("]");
    }
    /// How many characters stand before the next `c`, or the end.
    std::size_t distance_to(char c) const {
        return std::min(std::string_view(at_, end_).find(c), std::size_t(end_ - at_));
    }

private:
    const char* at_;
    const char* end_;
};

}    // namespace holdfast::format
