// Lists of a broken or hostile object store: no crash, and no name comes out of them that is not a file's.

#include "holdfast/storage/object_list.hpp"
#include "holdfast/storage/object_names.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace holdfast;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    for (const auto parse : {storage::parse_s3_page, storage::parse_azure_page}) {
        const auto first = parse(text, "fuzz");
        if (!first) {
            HF_ASSERT(first.error().code == ErrorCode::corrupt);
            continue;
        }
        HF_ASSERT(first->objects.size() < size);
        std::uint64_t pages = 0;
        const auto listed = storage::list_objects(
            storage::FileKind::pack, "desk/", "fuzz",
            [&](const std::string&) -> Result<storage::ObjectPage> {
                ++pages;
                return first;
            },
            [](const Id& id, std::uint64_t) {
                HF_ASSERT(storage::relative_path({storage::FileKind::pack, id}).size() == 72);
            });
        // The same page again and again is either the last one or a circle.
        HF_ASSERT(listed.has_value() == first->next.empty() && pages <= 2);
    }
    static_cast<void>(storage::clean_prefix(text).has_value());
    return 0;
}
