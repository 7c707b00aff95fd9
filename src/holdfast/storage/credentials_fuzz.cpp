// Files that a user wrote by hand: names and values as they stand there, or a clear refusal that quotes no secret.

#include "holdfast/storage/aws_credentials.hpp"
#include "holdfast/storage/credentials_text.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace holdfast;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const auto lines = storage::parse_credentials(text, "fuzz");
    if (lines) {
        std::string written;
        for (const auto& [name, value] : *lines) {
            HF_ASSERT(!name.empty() && !name.contains('=') && !name.contains('\n') && !value.contains('\n'));
            written += name + '=' + value + '\n';
        }
        const auto again = storage::parse_credentials(written, "fuzz");
        // A value that ended in a carriage return's twin loses one more.
        HF_ASSERT(again && again->size() == lines->size());
    } else {
        HF_ASSERT(lines.error().code == ErrorCode::config);
    }
    const auto keys = storage::parse_aws_credentials(text, "default");
    if (keys)
        HF_ASSERT(!keys->access_key.empty() && !keys->secret_key.empty());
    else
        HF_ASSERT(keys.error().code == ErrorCode::config || keys.error().code == ErrorCode::not_found);
    return 0;
}
