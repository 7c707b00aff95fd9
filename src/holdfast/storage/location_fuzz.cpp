// Locations, options and files of keys as a user may mistype them: no crash, no part of a path that leads up, and what is
// taken apart goes together again.

#include "holdfast/storage/aws_credentials.hpp"
#include "holdfast/storage/azure_location.hpp"
#include "holdfast/storage/s3_location.hpp"
#include "holdfast/storage/url.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace holdfast;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const auto leads_up = [](const std::string& prefix) { return ("/" + prefix).find("/../") != std::string::npos; };
    if (const auto url = storage::parse_url(text)) {
        HF_ASSERT(!url->host.empty() && (url->path.empty() || url->path.front() == '/'));
        const auto again = storage::parse_url(url->origin() + url->path);
        HF_ASSERT(again && again->host == url->host && again->port == url->port && again->path == url->path);
    }
    const auto decoded = storage::percent_decoded(storage::percent_encoded(text));
    HF_ASSERT(decoded && *decoded == text);
    static_cast<void>(storage::percent_decoded(text).has_value());
    if (const auto place = storage::parse_s3_location(std::string(text), {}))
        HF_ASSERT(!place->bucket.empty() && !leads_up(place->prefix));
    if (const auto place = storage::parse_azure_location(std::string(text), "account", {}))
        HF_ASSERT(!place->container.empty() && !leads_up(place->prefix));
    if (const auto option = storage::parse_option(text)) HF_ASSERT(!option->first.empty());
    if (const auto keys = storage::parse_aws_credentials(text, "default"))
        HF_ASSERT(!keys->access_key.empty() && !keys->secret_key.empty());
    return 0;
}
