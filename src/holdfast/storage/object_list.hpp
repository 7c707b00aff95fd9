#pragma once
// Listings of object stores: what S3 and Azure answer, and the way through all pages of it.
//
//   bounds   a server that turns in a circle, sends one empty page after the other, or never ends is told of as corrupt
//            before it has filled our memory
//   errors   corrupt, and those of fetching a page
//   source   AWS, ListObjectsV2; Microsoft, List Blobs

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "holdfast/storage/backend.hpp"

namespace holdfast::storage {

struct ObjectPage {
    std::vector<std::pair<std::string, std::uint64_t>> objects;    // key and size
    std::string next;    // names the next page; empty: this was the last one
};
/// Pure. `what` begins their messages.
Result<ObjectPage> parse_s3_page(std::string_view xml, std::string_view what);
Result<ObjectPage> parse_azure_page(std::string_view xml, std::string_view what);

struct ListBounds {
    std::uint64_t files = k_listed_max;
    std::uint64_t empty_pages = 10'000;    // Azure sends some where much was deleted
};
/// `fetch` gets "" for the first page, then what the page before named. `found` as in Backend::list(): keys other than
/// `prefix` and the path of a file of the kind are skipped.
Status list_objects(FileKind kind, std::string_view prefix, std::string_view what,
                    const std::function<Result<ObjectPage>(const std::string& page)>& fetch,
                    const std::function<void(const Id&, std::uint64_t)>& found, ListBounds bounds = {});

}    // namespace holdfast::storage
