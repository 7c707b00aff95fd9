#include "holdfast/db/script_copies.hpp"

#include <algorithm>
#include <vector>

#include "holdfast/db/postgres.hpp"

namespace holdfast::db {
namespace {

constexpr std::size_t k_line_max = 256 << 10;    // 1,600 columns with names of 63 bytes, quoted

// pg_dump writes a name as it is where it may, else in quotes.
std::vector<std::string> spellings(std::string_view name) {
    std::vector<std::string> all{quote_identifier(name)};
    if (std::ranges::all_of(name, [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; }))
        all.emplace_back(name);
    return all;
}

}    // namespace

void ScriptCopies::take_line() {
    if (in_rows_) {
        in_rows_ = line_ != "\\.\n" || too_long_;
        return;
    }
    if (line_.starts_with("-- Data for Name: ")) of_rows_ = true;
    if (line_.starts_with("-- Name: ")) of_rows_ = false;
    if (too_long_ || !of_rows_) return;
    if (auto parts = split_copy(line_)) {
        columns_.insert_or_assign(std::move(parts->table), std::move(parts->columns));
        in_rows_ = true;
        of_rows_ = false;
    }
}

void ScriptCopies::add(ByteView bytes) {
    std::string_view text = as_text(bytes);
    while (!text.empty()) {
        const std::size_t end = text.find('\n');
        const std::string_view piece = text.substr(0, end == std::string_view::npos ? text.size() : end + 1);
        // A row is of no use: three bytes say whether it is the end of them.
        const std::size_t room = (in_rows_ ? 3 : k_line_max) - line_.size();
        line_.append(piece.substr(0, room));
        too_long_ = too_long_ || piece.size() > room;
        text.remove_prefix(piece.size());
        if (end == std::string_view::npos) return;
        take_line();
        line_.clear();
        too_long_ = false;
    }
}

std::optional<CopyParts> ScriptCopies::find(std::string_view schema, std::string_view name) const {
    for (const std::string& first : spellings(schema))
        for (const std::string& second : spellings(name))
            if (const auto found = columns_.find(first + "." + second); found != columns_.end())
                return CopyParts{found->first, found->second};
    return std::nullopt;
}

}    // namespace holdfast::db
