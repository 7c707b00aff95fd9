#include "holdfast/db/secrets.hpp"

#include <fmt/core.h>
#include <string.h>

#include "holdfast/base/log.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/os/keyring.hpp"
#include "holdfast/os/process.hpp"

namespace holdfast::db {
namespace {

constexpr std::size_t k_size_max = 65536;

Secret first_line(std::string& text) {
    std::string line = text.substr(0, text.find('\n'));
    if (!line.empty() && line.back() == '\r') line.pop_back();
    ::explicit_bzero(text.data(), text.size());
    return Secret(std::move(line));
}

Result<Secret> read_from_file(const std::string& file) {
    HF_TRY(const auto status, os::status_of(file));
    if ((status.st_mode & 077) != 0 && S_ISREG(status.st_mode))
        log_warning("a password file can be read by others", {{"file", file}, {"remedy", "chmod 600 " + file}});
    HF_TRY(std::string text, os::read_text(file, k_size_max));
    Secret secret = first_line(text);
    if (secret.empty())
        return fail(ErrorCode::config, fmt::format("the password file {} has an empty first line", file),
                    "write the password into its first line");
    return secret;
}

Result<Secret> read_from_command(const std::string& command) {
    os::Command shell;
    shell.arguments = {"/bin/sh", "-c", command};
    shell.errors = os::Stream::inherit;
    auto finished = os::run(std::move(shell), {}, std::chrono::minutes(2), k_size_max);
    // The command's own line may hold a secret by mistake, so that only its first word is told.
    const std::string word = command.substr(0, command.find(' '));
    if (!finished) return fail(std::move(finished).error().within("the password command " + word));
    if (!finished->status.ok())
        return fail(ErrorCode::config, fmt::format("the password command {} failed: {}", word, finished->status.text()),
                    "run it by hand to see why");
    Secret secret = first_line(finished->output);
    if (secret.empty())
        return fail(ErrorCode::config, fmt::format("the password command {} printed nothing", word),
                    "it must print the password in its first line");
    return secret;
}

Result<Secret> read_from_keyring(const std::string& name) {
    HF_TRY(const Secret whole, os::read_from_keyring(name));
    std::string text = whole.reveal();
    Secret secret = first_line(text);
    if (secret.empty())
        return fail(ErrorCode::config, fmt::format("the key {} in the kernel's key ring has an empty first line", name),
                    "store the password again");
    return secret;
}

// systemd puts each LoadCredential= into a folder that only the service can read.
Result<Secret> read_from_credential(const std::string& name) {
    if (name.find('/') != std::string::npos || name == "." || name == "..")
        return fail(ErrorCode::config, fmt::format("\"{}\" is no name of a credential", name),
                    "give the name that stands before the colon in LoadCredential=");
    const auto folder = os::environment("CREDENTIALS_DIRECTORY");
    if (!folder)
        return fail(ErrorCode::config,
                    fmt::format("the credential {} cannot be read: CREDENTIALS_DIRECTORY is not set", name),
                    fmt::format("start it as a service with LoadCredential={}:/path/of/the/file", name));
    auto secret = read_from_file(*folder + "/" + name);
    if (!secret && secret.error().code == ErrorCode::not_found)
        return fail(ErrorCode::not_found, fmt::format("the service manager gave no credential {}", name),
                    fmt::format("add LoadCredential={}:/path/of/the/file to the unit", name));
    return secret;
}

}    // namespace

Result<Secret> read_secret(const SecretSource& source) {
    if (!source.file.empty()) {
        auto secret = read_from_file(source.file);
        if (!secret) return fail(std::move(secret).error().within("reading a password file"));
        return secret;
    }
    if (!source.command.empty()) return read_from_command(source.command);
    if (!source.keyring.empty()) return read_from_keyring(source.keyring);
    if (!source.credential.empty()) return read_from_credential(source.credential);
    return Secret();
}

}    // namespace holdfast::db
