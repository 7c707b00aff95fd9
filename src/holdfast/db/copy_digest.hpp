#pragma once
// What the rows of a table are, as COPY tells them, whatever their order: their number, and the sums of their hashes and of the squares of these.
//
//   rows      each line of COPY's text format without its '\n' (a line break inside a value is written \n)
//   sums      of XXH64 and of its squares, modulo 2^64: lost, doubled and changed rows show. Against
//             accidents, not against forgery
//   same      only where both sides were told under equal settings and with the same columns: source/postgres_content.hpp
//   threads   one

#include <string>

#include "holdfast/base/bytes.hpp"

namespace holdfast::db {

class CopyDigest {
public:
    /// Any piece of the text; a row may begin in one and end in another. The line "\." ends the rows: no row looks like
    /// that, and what follows is not looked at.
    void add(ByteView text);

    std::uint64_t rows() const { return rows_; }
    /// Was there a "\."?
    bool ended() const { return ended_; }
    /// "copy:0123456789abcdef:0123456789abcdef"
    std::string text() const;

private:
    void add_row(ByteView row);

    std::uint64_t rows_ = 0, first_ = 0, second_ = 0;
    bool ended_ = false;
    Bytes open_;    // the beginning of a row
};

/// Is this the text of such a digest? (Before them the server summed up hashtextextended(): "123:-456".)
bool is_copy_digest(std::string_view text);

}    // namespace holdfast::db
