#pragma once
// The holdfast.toml that `init` writes: what was found, each key with a word on what it does. Pure.

#include <string>

#include "holdfast/source/detect.hpp"

namespace holdfast::cli {

struct InitText {
    std::string stack;
    std::string location;
    // At most one is set; none: the environment or the terminal gives the password.
    std::string password_file, password_command, password_keyring, password_credential;
    source::Detected found;
};

std::string init_text(const InitText& what);

}    // namespace holdfast::cli
