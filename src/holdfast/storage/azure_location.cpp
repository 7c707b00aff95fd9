#include "holdfast/storage/azure_location.hpp"

#include <fmt/core.h>

#include "holdfast/os/host.hpp"
#include "holdfast/storage/object_names.hpp"
#include "holdfast/storage/url.hpp"

namespace holdfast::storage {

Result<AzureLocation> parse_azure_location(const std::string& rest, const std::string& account,
                                           const BackendOptions& options) {
    constexpr const char* k_form = "write it as azure:container:/folder";
    AzureLocation location;
    const std::size_t colon = rest.find(':');
    location.container = rest.substr(0, colon);
    if (location.container.size() < 3 || location.container.size() > 63 ||
        location.container.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-$") != std::string::npos)
        return fail(ErrorCode::usage,
                    fmt::format("\"{}\" is not a name that a container of Azure can have", location.container),
                    "it has 3 to 63 lower-case letters, digits and hyphens; " + std::string(k_form));
    if (colon != std::string::npos) {
        HF_TRY(location.prefix, clean_prefix(std::string_view(rest).substr(colon + 1)));
    }
    const auto endpoint = options.find("azure.endpoint");
    location.endpoint = endpoint ? *endpoint
                                 : fmt::format("https://{}.blob.{}", account,
                                               os::environment("AZURE_ENDPOINT_SUFFIX").value_or("core.windows.net"));
    while (location.endpoint.ends_with("/")) location.endpoint.pop_back();
    auto url = parse_url(location.endpoint);
    if (!url || !url->user.empty() || !url->password.empty())
        return fail(ErrorCode::usage, "the endpoint of Azure is not a URL that can be used",
                    "write it as https://account.blob.core.windows.net, without keys");
    location.access_tier = options.find("azure.access-tier").value_or("");
    HF_TRY(location.connections, options.number("azure.connections", 5, 1, 256));
    return location;
}

Result<AzureCredentials> find_azure_credentials() {
    AzureCredentials credentials;
    const auto account = os::environment("AZURE_ACCOUNT_NAME");
    const auto key = os::environment("AZURE_ACCOUNT_KEY");
    auto sas = os::environment("AZURE_ACCOUNT_SAS");
    if (!account || (!key && !sas))
        return fail(ErrorCode::denied, "there is no key for Azure in the environment",
                    "set AZURE_ACCOUNT_NAME, and AZURE_ACCOUNT_KEY or AZURE_ACCOUNT_SAS");
    credentials.account = *account;
    if (key) {
        if (!from_base64(*key, credentials.key))
            return fail(ErrorCode::denied, "AZURE_ACCOUNT_KEY is not in base64", "copy it as the portal shows it");
    } else {
        if (sas->starts_with("?")) sas->erase(0, 1);
        credentials.sas = Secret(*std::move(sas));
    }
    return credentials;
}

}    // namespace holdfast::storage
