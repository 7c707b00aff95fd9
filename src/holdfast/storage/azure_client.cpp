#include "holdfast/storage/azure_client.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "holdfast/os/host.hpp"
#include "holdfast/storage/url.hpp"
#include "holdfast/storage/xml.hpp"

namespace holdfast::storage {
namespace {

constexpr const char* k_version = "2021-08-06";

bool one_of(std::string_view code, std::initializer_list<std::string_view> codes) {
    return std::find(codes.begin(), codes.end(), code) != codes.end();
}

}    // namespace

AzureClient::AzureClient(AzureLocation location, AzureCredentials credentials, HttpOptions http)
    : location_(std::move(location)), credentials_(std::move(credentials)), http_(std::move(http)) {
    const std::size_t path = location_.endpoint.find('/', location_.endpoint.find("://") + 3);
    origin_ = location_.endpoint.substr(0, path);
    if (path != std::string::npos) base_path_ = location_.endpoint.substr(path);
}

Result<HttpResponse> AzureClient::send(const AzureCall& call) {
    AzureRequest request{.method = call.method,
                         .path = fmt::format("{}/{}", base_path_, location_.container),
                         .query = call.query,
                         .headers = call.headers,
                         .content_length = call.body ? call.body->size() : 0};
    if (!call.blob.empty()) request.path += "/" + percent_encoded(call.blob, "/");
    request.headers.push_back({"x-ms-date", http_date(os::SystemClock().now())});
    request.headers.push_back({"x-ms-version", k_version});
    HttpRequest http;
    http.method = call.method;
    http.url = origin_ + request.path;
    std::string query = canonical_query(call.query);
    if (!credentials_.key.empty()) {
        request.headers.push_back({"Authorization", azure_authorization(request, credentials_)});
    } else {
        query += (query.empty() ? "" : "&") + credentials_.sas.reveal();
    }
    if (!query.empty()) http.url += "?" + query;
    http.headers = std::move(request.headers);
    http.body = call.body;
    http.what = call.what;
    http.sink = call.sink;
    http.body_max = call.body_max;
    HF_TRY(HttpResponse response, http_.send(http));
    if (response.ok()) return response;
    return fail(error_of(response, call.what));
}

Error AzureClient::error_of(const HttpResponse& response, const std::string& what) const {
    std::string code(response.header("x-ms-error-code").value_or("")), message;
    if (const auto root = parse_xml(as_text(response.body)); root && root->name == "Error") {
        if (code.empty()) code = root->text_of("Code");
        message = root->text_of("Message");
        message = message.substr(0, message.find('\n'));    // then come the request's number and time
    }
    Error error = http_error(response.status, what, message.empty() ? code : fmt::format("{}: {}", code, message));
    if (one_of(code, {"BlobImmutableDueToPolicy", "LeaseIdMissing", "BlobArchived"})) {
        error.code = ErrorCode::denied;
        error.hint = code == "BlobArchived" ? "it lies in the archive tier: rehydrate it first"
                                            : "a lease, a legal hold or an immutability policy protects it";
    } else if (code == "AuthenticationFailed") {
        error.hint =
            "check AZURE_ACCOUNT_NAME, AZURE_ACCOUNT_KEY or AZURE_ACCOUNT_SAS (has it run out?), and this machine's "
            "clock: Azure refuses what is 15 minutes off";
    } else if (error.code == ErrorCode::denied) {
        error.hint =
            fmt::format("may this key or SAS do that in the container {}? a SAS needs read, write, list and delete",
                        location_.container);
    } else if (one_of(code, {"Md5Mismatch", "IncompleteBody"})) {
        error.code = ErrorCode::unreachable;    // damaged on its way: another attempt can help
        error.hint = "what arrived was not what was sent: is the memory of this machine, is the network sound?";
    } else if (one_of(code, {"ContainerBeingDeleted", "OperationTimedOut", "ServerBusy"})) {
        error.code = ErrorCode::unreachable;
    } else if (code == "ContainerNotFound") {
        error.hint = fmt::format("is {} the container's name? `holdfast init` makes it", location_.container);
    }
    return error;
}

}    // namespace holdfast::storage
