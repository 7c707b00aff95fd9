#pragma once
// What S3 and Azure share about objects: names, sizes, and a part of one.

#include <optional>

#include "holdfast/storage/backend.hpp"
#include "holdfast/storage/http_client.hpp"
#include "holdfast/storage/layout.hpp"

namespace holdfast::storage {

/// "/a//b" becomes "a/b/", "/" becomes "": keys have one form. usage for "..".
Result<std::string> clean_prefix(std::string_view folder);
/// The file that lies under `key`, which is exactly prefix + relative_path(); nullopt for all else.
std::optional<Id> id_of_key(std::string_view key, std::string_view prefix, FileKind kind);
/// corrupt when it is no number.
Result<std::uint64_t> parse_size(std::string_view text, std::string_view what);
/// Of an answer to HEAD.
Result<std::uint64_t> content_length(const HttpResponse& response, std::string_view what);

/// Takes exactly the bytes offset … offset + to.size() - 1 out of an answer; fewer or more: corrupt. `to` is not empty.
class RangeSink {
public:
    RangeSink(std::uint64_t offset, ByteSpan to, std::string what) : offset_(offset), to_(to), what_(std::move(what)) {}
    std::string header() const;    // "bytes=7-10"
    Status take(ByteView bytes);
    Status finish(const HttpResponse& response) const;

private:
    const std::uint64_t offset_;
    const ByteSpan to_;
    const std::string what_;
    std::size_t filled_ = 0;
};

}    // namespace holdfast::storage
