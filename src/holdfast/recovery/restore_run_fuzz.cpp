// The record of a restore, read from a file that anybody may have changed: it survives being written and read.

#include "holdfast/recovery/restore_run.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace holdfast;
    const auto run = recovery::decode_restore_run({reinterpret_cast<const char*>(data), size}, "fuzz");
    if (!run) {
        HF_ASSERT(run.error().code == ErrorCode::corrupt);
        return 0;
    }
    const std::string written = recovery::encode(*run);
    const auto again = recovery::decode_restore_run(written, "again");
    HF_ASSERT(again && recovery::encode(*again) == written);
    return 0;
}
