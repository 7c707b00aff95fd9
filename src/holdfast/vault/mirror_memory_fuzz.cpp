// What a mirror remembers, read from a file that anybody may have changed: it survives being written and read.

#include "holdfast/vault/mirror_plan.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace holdfast;
    const auto memory = vault::decode_mirror_memory({reinterpret_cast<const char*>(data), size}, "fuzz");
    if (!memory) {
        HF_ASSERT(memory.error().code == ErrorCode::corrupt);
        return 0;
    }
    const std::string written = vault::encode(*memory);
    const auto again = vault::decode_mirror_memory(written, "again");
    HF_ASSERT(again && vault::encode(*again) == written);
    return 0;
}
