#pragma once
// What the tests of storage on other hosts share: one server of each kind for the whole program.

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "holdfast/base/log.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/storage/backend.hpp"
#include "holdfast/testing/ssh_server.hpp"

namespace holdfast::testing {

inline std::string error_text(const Error& e) {
    return std::string(facts(e.code).name) + ": " + e.message + (e.hint.empty() ? "" : " | " + e.hint);
}
#define HF_OK(...)                                                            \
    do {                                                                      \
        const auto& hf_ok = (__VA_ARGS__);                                    \
        ASSERT_TRUE(hf_ok) << ::holdfast::testing::error_text(hf_ok.error()); \
    } while (false)

inline SshServer& ssh() {
    static SshServer server = [] {
        auto started = SshServer::start();
        if (!started) ADD_FAILURE() << error_text(started.error());
        return std::move(started).value();
    }();
    return server;
}

inline storage::BackendOptions sftp_options(const SshServer& server = ssh()) {
    storage::BackendOptions options;
    options.extended = {{"sftp.identity", server.identity()}, {"sftp.known-hosts", server.known_hosts()}};
    return options;
}

/// Bytes that do not compress; the same for a seed.
inline std::string noise(std::size_t size, std::uint64_t seed = 1) {
    std::mt19937_64 random(seed);
    std::string bytes(size, '\0');
    for (char& c : bytes) c = static_cast<char>(random());
    return bytes;
}

}    // namespace holdfast::testing
