#include "holdfast/testing/azurite_server.hpp"

#include <fmt/core.h>

#include "holdfast/os/host.hpp"
#include "holdfast/os/socket.hpp"
#include "holdfast/storage/digest.hpp"
#include "holdfast/storage/url.hpp"

namespace holdfast::testing {

Result<AzuriteServer> AzuriteServer::start() {
    const std::string engines =
        os::environment("HF_ENGINES").value_or(os::environment("HOME").value_or("/root") + "/.cache/holdfast");
    const std::string program = engines + "/azurite/node_modules/azurite/dist/src/blob/main.js";
    if (!os::exists(program) || os::find_program("node").empty())
        return fail(ErrorCode::not_found, "azurite or node is not there: " + program,
                    "scripts/fetch-engines.sh --with-azurite, apt-get install nodejs");
    HF_TRY(auto servers, ServerSet::create("azurite"));
    HF_TRY(const auto port, os::free_port());
    Bytes key(64);
    os::random_bytes(key);
    HF_DO(servers.start("azurite",
                        {"node", program, "--blobHost", "127.0.0.1", "--blobPort", std::to_string(port), "--location",
                         servers.folder(), "--silent", "--disableTelemetry", "--skipApiVersionCheck"},
                        {{"AZURITE_ACCOUNTS", "hfaccount:" + to_base64(key)}}));
    HF_DO(servers.wait_for_answer(fmt::format("http://127.0.0.1:{}/", port)));
    return AzuriteServer(std::move(servers), port, std::move(key));
}

std::string AzuriteServer::endpoint() const { return fmt::format("http://127.0.0.1:{}/hfaccount", port_); }

storage::AzureCredentials AzuriteServer::credentials() const { return {.account = "hfaccount", .key = key_}; }

storage::AzureCredentials AzuriteServer::sas(const std::string& container, const std::string& rights) const {
    const std::string end = "2099-01-01T00:00:00Z", version = "2021-08-06";
    // sp, st, se, resource, si, sip, spr, sv, sr, snapshot time, encryption scope, rscc, rscd, rsce, rscl, rsct.
    const std::string text =
        fmt::format("{}\n\n{}\n/blob/hfaccount/{}\n\n\n\n{}\nc\n\n\n\n\n\n\n", rights, end, container, version);
    const std::string signature = to_base64(storage::hmac_sha256(key_, as_bytes(text)));
    return {.account = "hfaccount",
            .sas = Secret(fmt::format("sv={}&sr=c&sp={}&se={}&sig={}", version, rights, storage::percent_encoded(end),
                                      storage::percent_encoded(signature)))};
}

}    // namespace holdfast::testing
