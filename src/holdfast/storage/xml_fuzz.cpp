#include "holdfast/storage/xml.hpp"

#include <cstddef>
#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto root = holdfast::storage::parse_xml({reinterpret_cast<const char*>(data), size});
    // What was read is written and read again.
    if (root)
        HF_ASSERT(holdfast::storage::parse_xml("<a>" + holdfast::storage::xml_escaped(root->text) + "</a>")->text ==
                  root->text);
    return 0;
}
