#include "holdfast/storage/object_list.hpp"

#include <fmt/core.h>

#include "holdfast/storage/object_names.hpp"
#include "holdfast/storage/xml.hpp"

namespace holdfast::storage {

Result<ObjectPage> parse_s3_page(std::string_view xml, std::string_view what) {
    const auto parsed = parse_xml(xml);
    if (!parsed) return fail(parsed.error().within(what));
    const XmlElement& root = *parsed;
    if (root.name != "ListBucketResult")
        return fail(ErrorCode::corrupt, fmt::format("{}: the answer is no list", what), "is this an S3 server?");
    ObjectPage page;
    for (const XmlElement& entry : root.children) {
        if (entry.name != "Contents") continue;
        HF_TRY(const std::uint64_t size, parse_size(entry.text_of("Size"), what));
        page.objects.emplace_back(entry.text_of("Key"), size);
    }
    if (root.text_of("IsTruncated") != "true") return page;
    page.next = root.text_of("NextContinuationToken");
    if (page.next.empty())
        return fail(ErrorCode::corrupt, fmt::format("{}: the list goes on, but the server does not say where", what));
    return page;
}

Result<ObjectPage> parse_azure_page(std::string_view xml, std::string_view what) {
    const auto parsed = parse_xml(xml);
    if (!parsed) return fail(parsed.error().within(what));
    const XmlElement& root = *parsed;
    const XmlElement* blobs = root.child("Blobs");
    if (root.name != "EnumerationResults" || !blobs)
        return fail(ErrorCode::corrupt, fmt::format("{}: the answer is no list", what),
                    "is this an Azure Blob server?");
    ObjectPage page;
    for (const XmlElement& entry : blobs->children) {
        const XmlElement* properties = entry.child("Properties");
        if (entry.name != "Blob" || !properties) continue;
        HF_TRY(const std::uint64_t size, parse_size(properties->text_of("Content-Length"), what));
        page.objects.emplace_back(entry.text_of("Name"), size);
    }
    page.next = root.text_of("NextMarker");
    return page;
}

Status list_objects(FileKind kind, std::string_view prefix, std::string_view what,
                    const std::function<Result<ObjectPage>(const std::string& page)>& fetch,
                    const std::function<void(const Id&, std::uint64_t)>& found, ListBounds bounds) {
    std::uint64_t files = 0, pages = 0, empty_pages = 0;
    // Brent's way to find a circle with one name remembered: it is exchanged after 1, 2, 4, 8 … pages.
    std::string remembered;
    std::uint64_t exchange_at = 1;
    for (std::string at;;) {
        HF_TRY(ObjectPage page, fetch(at));
        for (const auto& [key, size] : page.objects)
            if (const auto id = id_of_key(key, prefix, kind)) found(*id, size);
        if (page.next.empty()) return {};
        files += page.objects.size();
        empty_pages += page.objects.empty() ? 1 : 0;
        if (page.next == at || page.next == remembered)
            return fail(ErrorCode::corrupt, fmt::format("{}: the server lists in a circle", what));
        if (files > bounds.files || empty_pages > bounds.empty_pages)
            return fail(ErrorCode::corrupt, fmt::format("{}: the list does not end", what));
        if (++pages == exchange_at) {
            remembered = page.next;
            exchange_at *= 2;
        }
        at = std::move(page.next);
    }
}

}    // namespace holdfast::storage
