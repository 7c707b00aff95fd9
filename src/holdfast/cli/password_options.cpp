#include "holdfast/cli/password_options.hpp"

#include <fmt/core.h>

#include "holdfast/cli/storage_credentials.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"

namespace holdfast::cli {
namespace {

Status only_one(const SecretSource& source, std::string_view prefix) {
    if (source.count() <= 1) return {};
    return fail(ErrorCode::usage, fmt::format("several of the options {}-password-… were given", prefix),
                "keep one of them");
}

std::string environment_of(std::initializer_list<const char*> names) {
    for (const char* name : names)
        if (auto value = os::environment(name)) return *std::move(value);
    return {};
}

}    // namespace

void declare_new_secret(Options& options, NewSecretArguments& arguments) {
    SecretSource& to = arguments.password;
    options.value("--new-password-file", to.file, "FILE", "file whose first line is the new password");
    options.value("--new-password-command", to.command, "COMMAND", "shell command that prints the new password");
    options.value("--new-password-keyring", to.keyring, "NAME", "key in the kernel's key ring with the new password");
    options.value("--generate-key", arguments.generate_key, "FILE",
                  "draw a machine key instead, and write it to this new file");
}

Result<GeneratedKey> generate_key(const std::string& path) {
    vault::MachineKey key = vault::MachineKey::draw();
    const Secret line(key.text().reveal() + "\n");
    auto written = ProvisionalFile::write(path, line.reveal());
    if (!written && written.error().code == ErrorCode::exists)
        return fail(ErrorCode::exists, fmt::format("{} is there already, and a key never overwrites anything", path),
                    "name another file. If no key of any repository lies in it (a command was stopped), remove it");
    if (!written) return fail(std::move(written).error().within("writing the machine key"));
    return GeneratedKey{std::move(key), *std::move(written)};
}

Result<NewSecret> new_secret(const NewSecretArguments& arguments) {
    HF_DO(only_one(arguments.password, "--new"));
    if (!arguments.generate_key.empty()) {
        if (!arguments.password.empty())
            return fail(ErrorCode::usage, "--generate-key and a new password were given", "keep one of them");
        const std::string path = os::absolute_path(arguments.generate_key);
        HF_TRY(GeneratedKey made, generate_key(path));
        made.file.keep();
        return NewSecret{made.key.text().clone(), vault::MachineKey::k_cost, path};
    }
    HF_TRY(Secret password, arguments.password.empty() ? ask_password(Ask::twice) : read_password(arguments.password));
    return NewSecret{std::move(password), {}, {}};
}

Error key_stays(Error error, const NewSecret& secret) {
    if (secret.file.empty()) return error;
    // It may be in the repository in spite of the error: a file too many is better than a key that nobody has.
    error.hint += fmt::format("{}the machine key stays in {}: if `holdfast key list` does not show it, remove the file",
                              error.hint.empty() ? "" : "; ", secret.file);
    return error;
}

void declare_from(Options& options, FromArguments& to) {
    options.value("--from-repo", to.repository, "PLACE", "the repository to take from");
    options.value("--from-password-file", to.password.file, "FILE", "file whose first line is its password");
    options.value("--from-password-command", to.password.command, "COMMAND", "shell command that prints its password");
    options.value("--from-password-keyring", to.password.keyring, "NAME",
                  "key in the kernel's key ring with its password");
    options.list("--from-option", to.storage_options, "KEY=VALUE", "option of its storage, as s3.region=eu-central-1");
    options.value("--from-credentials-file", to.credentials_file, "FILE",
                  "NAME=value lines: its storage's keys, where they are not those of the environment");
    options.value("--from-cacert", to.ca_file, "FILE", "certificate authorities to trust for it (PEM)");
}

Result<std::unique_ptr<vault::Repository>> open_from_repository(const Session& session,
                                                                const FromArguments& arguments) {
    HF_DO(only_one(arguments.password, "--from"));
    std::string location = arguments.repository;
    if (location.empty()) location = environment_of({"HOLDFAST_FROM_REPOSITORY", "RESTIC_FROM_REPOSITORY"});
    if (location.empty())
        return fail(ErrorCode::usage, "the repository to take from was not named",
                    "use --from-repo or HOLDFAST_FROM_REPOSITORY");
    HF_TRY(storage::BackendOptions storage_options, storage_options_of(session, nullptr));
    for (const std::string& text : arguments.storage_options) {
        HF_TRY(auto option, storage::parse_option(text));
        storage_options.extended.push_back(std::move(option));
    }
    if (!arguments.ca_file.empty()) storage_options.ca_file = arguments.ca_file;
    std::string credentials_file = arguments.credentials_file;
    if (credentials_file.empty()) credentials_file = environment_of({"HOLDFAST_FROM_CREDENTIALS_FILE"});
    HF_TRY(auto backend, open_with_credentials(location, storage_options, credentials_file, session.clock));
    const auto there = backend->size({storage::FileKind::config, {}});
    if (!there && there.error().code == ErrorCode::not_found)
        return fail(ErrorCode::no_repository, fmt::format("there is no repository at {}", backend->location()),
                    "check what stands behind --from-repo");
    if (!there) return fail(Error(there.error()).within("the repository to take from"));
    SecretSource source = arguments.password;
    if (source.empty()) source.file = environment_of({"HOLDFAST_FROM_PASSWORD_FILE", "RESTIC_FROM_PASSWORD_FILE"});
    if (source.empty())
        source.command = environment_of({"HOLDFAST_FROM_PASSWORD_COMMAND", "RESTIC_FROM_PASSWORD_COMMAND"});
    HF_TRY(const Secret password, [&]() -> Result<Secret> {
        if (!source.empty()) return read_password(source);
        if (auto text = environment_of({"HOLDFAST_FROM_PASSWORD", "RESTIC_FROM_PASSWORD"}); !text.empty())
            return Secret(std::move(text));
        return ask_password(Ask::once);
    }());
    auto opened = vault::Repository::open(std::move(backend), password, session.clock);
    if (!opened) return fail(std::move(opened).error().within("the repository to take from"));
    return opened;
}

}    // namespace holdfast::cli
