#pragma once
// What "azure:…" and its options say.
//
//   form     azure:container:/folder, as restic
//   options  azure.connections, azure.access-tier (of packs: Hot, Cool, Cold), azure.endpoint (the whole URL of the account,
//            for other clouds and test servers)
//   keys     AZURE_ACCOUNT_NAME with AZURE_ACCOUNT_KEY or AZURE_ACCOUNT_SAS; AZURE_ENDPOINT_SUFFIX (core.windows.net)
//   errors   usage, denied (no account or key)

#include "holdfast/storage/azure_signature.hpp"
#include "holdfast/storage/options.hpp"

namespace holdfast::storage {

struct AzureLocation {
    std::string endpoint;    // "https://account.blob.core.windows.net" or "http://127.0.0.1:10000/account"
    std::string container;
    std::string prefix;    // "" or "a/b/"
    std::string access_tier;
    unsigned connections = 5;
};

/// `rest` is what stands behind "azure:"; `account` makes the usual endpoint.
Result<AzureLocation> parse_azure_location(const std::string& rest, const std::string& account,
                                           const BackendOptions& options);
Result<AzureCredentials> find_azure_credentials();

}    // namespace holdfast::storage
