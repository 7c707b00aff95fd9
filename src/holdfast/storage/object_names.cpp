#include "holdfast/storage/object_names.hpp"

#include <fmt/core.h>

#include <charconv>

namespace holdfast::storage {

Result<std::string> clean_prefix(std::string_view text) {
    std::string out;
    while (!text.empty()) {
        const std::string_view part = text.substr(0, text.find('/'));
        text.remove_prefix(std::min(text.size(), part.size() + 1));
        if (part.empty() || part == ".") continue;
        if (part == "..") return fail(ErrorCode::usage, "the folder in a bucket or container has a .. in it");
        out.append(part).append("/");
    }
    return out;
}

std::optional<Id> id_of_key(std::string_view key, std::string_view prefix, FileKind kind) {
    const std::size_t slash = key.rfind('/');
    if (slash == std::string_view::npos) return std::nullopt;
    const auto id = Id::parse(key.substr(slash + 1));
    if (!id || key != std::string(prefix) + relative_path({kind, *id})) return std::nullopt;
    return *id;
}

Result<std::uint64_t> parse_size(std::string_view text, std::string_view what) {
    std::uint64_t size = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), size);
    if (text.empty() || error != std::errc() || end != text.data() + text.size())
        return fail(ErrorCode::corrupt, fmt::format("{}: the answer gives no size", what));
    return size;
}

Result<std::uint64_t> content_length(const HttpResponse& response, std::string_view what) {
    return parse_size(response.header("Content-Length").value_or(""), what);
}

std::string RangeSink::header() const { return fmt::format("bytes={}-{}", offset_, offset_ + to_.size() - 1); }

Status RangeSink::take(ByteView bytes) {
    if (bytes.size() > to_.size() - filled_)
        return fail(ErrorCode::corrupt,
                    fmt::format("{}: more came than the {} bytes from offset {} that were asked for", what_, to_.size(),
                                offset_));
    std::copy(bytes.begin(), bytes.end(), to_.begin() + static_cast<std::ptrdiff_t>(filled_));
    filled_ += bytes.size();
    return {};
}

Status RangeSink::finish(const HttpResponse& response) const {
    // 200 is the whole file: right only when that was asked for.
    if (response.status != 206 && offset_ != 0)
        return fail(ErrorCode::unsupported, what_ + ": the server cannot send a part of a file");
    if (const auto range = response.header("Content-Range");
        range && !range->starts_with(fmt::format("bytes {}-", offset_)))
        return fail(ErrorCode::corrupt,
                    fmt::format("{}: another part came than the one from offset {}", what_, offset_));
    if (filled_ < to_.size())
        return fail(ErrorCode::corrupt, fmt::format("{}: it ends early: {} bytes were wanted from offset {}, {} came",
                                                    what_, to_.size(), offset_, filled_));
    return {};
}

}    // namespace holdfast::storage
