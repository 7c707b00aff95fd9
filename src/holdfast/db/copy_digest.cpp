#include "holdfast/db/copy_digest.hpp"

#include <fmt/core.h>

#include <cstring>

#include "holdfast/base/xxh64.hpp"

namespace holdfast::db {
namespace {

constexpr std::string_view k_tag = "copy:", k_end = "\\.";

}    // namespace

void CopyDigest::add(ByteView text) {
    while (!text.empty() && !ended_) {
        const void* const found = std::memchr(text.data(), '\n', text.size());
        if (!found) return append(open_, text);
        const auto length = static_cast<std::size_t>(static_cast<const std::byte*>(found) - text.data());
        if (open_.empty()) {
            add_row(text.first(length));
        } else {
            append(open_, text.first(length));
            add_row(open_);
            open_.clear();
        }
        text = text.subspan(length + 1);
    }
}

void CopyDigest::add_row(ByteView row) {
    if (as_text(row) == k_end) {
        ended_ = true;
        return;
    }
    ++rows_;
    const std::uint64_t hash = xxh64(row);
    first_ += hash;
    second_ += hash * hash;
}

std::string CopyDigest::text() const { return fmt::format("{}{:016x}:{:016x}", k_tag, first_, second_); }

bool is_copy_digest(std::string_view text) { return text.starts_with(k_tag); }

}    // namespace holdfast::db
