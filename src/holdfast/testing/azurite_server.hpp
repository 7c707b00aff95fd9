#pragma once
// A real Azure Blob server for tests: azurite 3.35.0 (scripts/azurite), in a temporary folder on a free port of 127.0.0.1.
//
//   account  "hfaccount"; its key is made anew for each server
//   errors   store, with the end of its log, when it does not answer within three minutes
//   note     it writes its catalogue out every few seconds: never kill it to prove durability; it takes any clock

#include "holdfast/storage/azure_signature.hpp"
#include "holdfast/testing/server_set.hpp"

namespace holdfast::testing {

class AzuriteServer {
public:
    static Result<AzuriteServer> start();
    std::string endpoint() const;    // "http://127.0.0.1:port/hfaccount"
    storage::AzureCredentials credentials() const;
    /// For a container, as the portal makes it: `rights` of "rwdlac", until 2099.
    storage::AzureCredentials sas(const std::string& container, const std::string& rights = "rwdl") const;

private:
    AzuriteServer(ServerSet servers, std::uint16_t port, Bytes key)
        : servers_(std::move(servers)), port_(port), key_(std::move(key)) {}
    ServerSet servers_;
    std::uint16_t port_;
    Bytes key_;
};

}    // namespace holdfast::testing
