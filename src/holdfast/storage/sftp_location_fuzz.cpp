// Locations as a user may mistype them: no crash, and what is accepted says where.

#include "holdfast/storage/sftp_location.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto place =
        holdfast::storage::parse_sftp_location(std::string_view(reinterpret_cast<const char*>(data), size));
    if (!place) return 0;
    HF_ASSERT(!place->host.empty() && place->host.front() != '-' && !place->path.empty() && place->port != 0);
    HF_ASSERT(place->user.empty() || place->user.front() != '-');
    return 0;
}
