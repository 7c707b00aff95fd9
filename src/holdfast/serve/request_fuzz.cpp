// Requests from anybody: no crash, and no route leads out of the server's folder.

#include "holdfast/http/head.hpp"
#include "holdfast/serve/route.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace holdfast::serve;
    const auto head = holdfast::http::parse_request_head(std::string_view(reinterpret_cast<const char*>(data), size));
    if (!head) return 0;
    static_cast<void>(
        holdfast::http::parse_basic_authorization(head->header("authorization").value_or("")).has_value());
    const auto route = parse_route(head->path);
    if (!route) return 0;
    HF_ASSERT(route->folders.size() <= 8);
    for (const std::string& folder : route->folders)
        HF_ASSERT(!folder.empty() && folder[0] != '.' && folder.find('/') == std::string::npos &&
                  folder.find('\0') == std::string::npos);
    return 0;
}
