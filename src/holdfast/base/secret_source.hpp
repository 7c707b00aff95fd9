#pragma once
// Where a password comes from. At most one of the places is set; none: no password.

#include <string>

namespace holdfast {

struct SecretSource {
    std::string file{};
    std::string command{};    // run by /bin/sh, first line of its output
    std::string keyring{};    // name of a "user" key in the kernel's key ring
    std::string credential{};    // name of a file in $CREDENTIALS_DIRECTORY, put there by the service manager
    bool empty() const { return file.empty() && command.empty() && keyring.empty() && credential.empty(); }
    int count() const { return !file.empty() + !command.empty() + !keyring.empty() + !credential.empty(); }
};

}    // namespace holdfast
