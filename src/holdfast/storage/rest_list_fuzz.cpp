// Lists of a broken or hostile REST server: no crash, no more entries than the text has room for.

#include "holdfast/storage/rest.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto list = holdfast::storage::parse_rest_list(std::string_view(reinterpret_cast<const char*>(data), size));
    if (list) HF_ASSERT(list->size() * 66 <= size);
    return 0;
}
