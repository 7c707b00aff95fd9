#pragma once
// One server of each kind for all network stories of a program, and what a machine needs to know to use them.

#include <fmt/core.h>

#include "holdfast/base/bytes.hpp"
#include "holdfast/storage/backend.hpp"
#include "holdfast/testing/azurite_server.hpp"
#include "holdfast/testing/rados_gateway.hpp"
#include "holdfast/testing/ssh_server.hpp"
#include "scenario.hpp"

namespace holdfast::scenario {

template <class Server>
Server& the_server() {
    static Result<Server> started = Server::start();
    if (!started) ADD_FAILURE() << started.error().message << " " << started.error().hint;
    HF_ASSERT(started.has_value());
    return *started;
}
inline testing::SshServer& ssh() { return the_server<testing::SshServer>(); }
inline testing::RadosGateway& gateway() { return the_server<testing::RadosGateway>(); }
inline testing::AzuriteServer& azurite() { return the_server<testing::AzuriteServer>(); }

/// A bucket or container that no other story has.
inline std::string new_bucket() {
    static int number = 0;
    return fmt::format("story-{}", ++number);
}

inline const Environment& s3_keys() {
    static const Environment keys = {{"AWS_ACCESS_KEY_ID", "AKTEST"}, {"AWS_SECRET_ACCESS_KEY", "sk/test+1"}};
    return keys;
}
inline Environment azure_keys() {
    return {{"AZURE_ACCOUNT_NAME", "hfaccount"}, {"AZURE_ACCOUNT_KEY", to_base64(azurite().credentials().key)}};
}
inline std::vector<std::string> sftp_options() {
    return {"sftp.identity=" + ssh().identity(), "sftp.known-hosts=" + ssh().known_hosts()};
}

}    // namespace holdfast::scenario
