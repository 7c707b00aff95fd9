// Every adapter that speaks to another host passes the suite that all adapters share, bare and with its decorators.

#include <fmt/core.h>

#include "holdfast/os/host.hpp"
#include "holdfast/storage/limits.hpp"
#include "holdfast/storage/retry.hpp"
#include "holdfast/testing/backend_suite.hpp"
#include "rest_server.hpp"

namespace holdfast::testing {
namespace {

std::unique_ptr<storage::Backend> sftp(const std::string& folder) {
    return storage::open_backend(ssh().location(folder), sftp_options()).value();
}

std::unique_ptr<storage::Backend> guarded(std::unique_ptr<storage::Backend> below) {
    auto limited = storage::limited_backend(std::move(below), {.upload = 1 << 30, .download = 1 << 30, .calls = 2},
                                            system_clock());
    return storage::retrying_backend(std::move(limited), {}, system_clock());
}

std::unique_ptr<storage::Backend> rest(const std::string&) {
    static RestServer server;
    static int count = 0;
    return server.backend(fmt::format("bob/repo-{}", ++count));
}

}    // namespace

INSTANTIATE_TEST_SUITE_P(Sftp, BackendSuite, ::testing::Values(BackendMaker(sftp)));
INSTANTIATE_TEST_SUITE_P(SftpGuarded, BackendSuite, ::testing::Values(BackendMaker([](const std::string& folder) {
                             return guarded(sftp(folder));
                         })));
// NS-06: another host over SSH, by the user's own ssh.
INSTANTIATE_TEST_SUITE_P(SftpCommand, BackendSuite, ::testing::Values(BackendMaker([](const std::string& folder) {
                             storage::BackendOptions options;
                             options.extended = {
                                 {"sftp.command",
                                  fmt::format("ssh -F none -p {} -i {} -o IdentitiesOnly=yes -o UserKnownHostsFile={} "
                                              "-o StrictHostKeyChecking=yes {}@127.0.0.1 -s sftp",
                                              ssh().port(), ssh().identity(), ssh().known_hosts(), os::user_name())}};
                             return storage::open_backend(ssh().location(folder), options).value();
                         })));
// TLS, users and private repositories.
INSTANTIATE_TEST_SUITE_P(Rest, BackendSuite, ::testing::Values(BackendMaker(rest)));
INSTANTIATE_TEST_SUITE_P(RestGuarded, BackendSuite, ::testing::Values(BackendMaker([](const std::string& folder) {
                             return guarded(rest(folder));
                         })));

}    // namespace holdfast::testing
