#pragma once
// Requests to one container: signed or with a SAS, sent, and their failures understood. Only 2xx answers come back.

#include "holdfast/storage/azure_location.hpp"

namespace holdfast::storage {

struct AzureCall {
    std::string method = "GET";
    std::string blob{};    // with the prefix, not encoded; empty: the container itself
    Query query{};
    std::vector<HttpHeader> headers{};
    HttpBody* body = nullptr;
    std::string what{};
    std::function<Status(ByteView)> sink{};
    std::uint64_t body_max = std::uint64_t(16) << 20;
};

class AzureClient {
public:
    AzureClient(AzureLocation location, AzureCredentials credentials, HttpOptions http);
    Result<HttpResponse> send(const AzureCall& call);
    const AzureLocation& location() const { return location_; }

private:
    Error error_of(const HttpResponse& response, const std::string& what) const;

    const AzureLocation location_;
    const AzureCredentials credentials_;
    std::string origin_, base_path_;    // "https://host", "" or "/account"
    HttpClient http_;
};

}    // namespace holdfast::storage
