#include "holdfast/cli/session.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <termios.h>

#include "holdfast/cli/output.hpp"
#include "holdfast/db/secrets.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"

namespace holdfast::cli {
namespace {

std::string first_of(std::initializer_list<const char*> names) {
    for (const char* name : names)
        if (const auto value = os::environment(name)) return *value;
    return {};
}

std::vector<std::string> usual_config_places() {
    std::vector<std::string> places{os::absolute_path("holdfast.toml")};
    if (const auto home = os::environment("HOME")) places.push_back(*home + "/.config/holdfast/holdfast.toml");
    places.push_back("/etc/holdfast/holdfast.toml");
    return places;
}

// Switches the echo off while it lives.
class Silence {
public:
    explicit Silence(int fd) : fd_(fd) {
        if (::tcgetattr(fd, &before_) != 0) return;
        termios silent = before_;
        silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
        ::tcsetattr(fd, TCSAFLUSH, &silent);
        changed_ = true;
    }
    ~Silence() {
        if (changed_) ::tcsetattr(fd_, TCSAFLUSH, &before_);
    }
    Silence(const Silence&) = delete;

private:
    int fd_;
    termios before_{};
    bool changed_ = false;
};

Result<Secret> ask_once(int tty, std::string_view prompt) {
    std::string line;
    line.reserve(1024);    // so that growing leaves no copies behind
    {
        // Before the prompt: switching drops what was typed by then, which must not be the answer to it.
        const Silence silence(tty);
        HF_DO(os::write_all(tty, as_bytes(prompt)));
        char c = 0;
        while (line.size() < 1023) {
            const ssize_t got = ::read(tty, &c, 1);
            if (got < 0 && errno == EINTR && !os::stop_requested()) continue;
            if (got <= 0 || c == '\n') break;
            line += c;
        }
    }
    HF_DO(os::write_all(tty, as_bytes("\n")));
    if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped at the password prompt");
    return Secret(std::move(line));
}

}    // namespace

std::optional<std::string> find_config(const GlobalOptions& global) {
    if (!global.config.empty()) return os::absolute_path(global.config);
    if (const auto named = os::environment("HOLDFAST_CONFIG")) return os::absolute_path(*named);
    for (const std::string& place : usual_config_places())
        if (os::exists(place)) return place;
    return std::nullopt;
}

Result<LoadedConfig> load_config(const GlobalOptions& global) {
    const std::optional<std::string> file = find_config(global);
    if (!file) {
        std::string places;
        for (const std::string& place : usual_config_places()) places += (places.empty() ? "" : ", ") + place;
        return fail(ErrorCode::usage, fmt::format("there is no configuration (looked for {})", places),
                    "`holdfast init` writes one; --config FILE names one; paths can be backed up without");
    }
    auto text = os::read_text(*file);
    if (!text) {
        Error error = std::move(text).error().within("the configuration");
        error.code = ErrorCode::config;
        error.hint = "`holdfast init --config FILE` writes one";
        return fail(std::move(error));
    }
    HF_TRY(policy::Config config, policy::parse_config(*text, *file));
    return LoadedConfig{std::move(config), *file};
}

Result<std::optional<LoadedConfig>> load_config_if_needed(const GlobalOptions& global) {
    const bool named = !global.config.empty() || os::environment("HOLDFAST_CONFIG");
    const bool repository_named =
        !global.repository.empty() || !first_of({"HOLDFAST_REPOSITORY", "HOLDFAST_REPO"}).empty();
    if (!named && (repository_named || !find_config(global))) return std::nullopt;
    HF_TRY(LoadedConfig config, load_config(global));
    return config;
}

std::string repository_location(const GlobalOptions& global, const policy::Config* config) {
    if (!global.repository.empty()) return global.repository;
    if (std::string ours = first_of({"HOLDFAST_REPOSITORY", "HOLDFAST_REPO"}); !ours.empty()) return ours;
    if (config && !config->repository.location.empty()) return config->repository.location;
    if (std::string restics = first_of({"RESTIC_REPOSITORY"}); !restics.empty()) return restics;
    // NS-18. Exports lie beside it, as TIME folders.
    const std::string root = first_of({"BACKUP_ROOT"});
    return root.empty() ? root : os::absolute_path(root + "/vault");
}

Result<Secret> read_password(const SecretSource& source) {
    auto secret = db::read_secret(source);
    if (!secret && secret.error().code == ErrorCode::not_found && secret.error().hint.empty())
        return fail(ErrorCode::not_found, secret.error().message,
                    "name a file that is there; for a new repository, `holdfast init --generate-key FILE` makes one");
    return secret;
}

Result<Secret> repository_password(const GlobalOptions& global, const policy::Config* config, Ask ask) {
    const SecretSource named{global.password_file, global.password_command, global.password_keyring,
                             global.password_credential};
    if (named.count() > 1)
        return fail(
            ErrorCode::usage,
            "several of --password-file, --password-command, --password-keyring, --password-credential were given",
            "keep one of them");
    if (!named.empty()) return read_password(named);
    if (auto file = os::environment("HOLDFAST_PASSWORD_FILE")) return read_password({.file = *std::move(file)});
    if (auto line = os::environment("HOLDFAST_PASSWORD_COMMAND")) return read_password({.command = *std::move(line)});
    if (auto name = os::environment("HOLDFAST_PASSWORD_KEYRING")) return read_password({.keyring = *std::move(name)});
    if (auto name = os::environment("HOLDFAST_PASSWORD_CREDENTIAL"))
        return read_password({.credential = *std::move(name)});
    if (auto text = os::environment("HOLDFAST_PASSWORD")) return Secret(*std::move(text));
    if (config && !config->repository.password.empty()) return read_password(config->repository.password);
    if (auto file = os::environment("RESTIC_PASSWORD_FILE")) return read_password({.file = *std::move(file)});
    if (auto line = os::environment("RESTIC_PASSWORD_COMMAND")) return read_password({.command = *std::move(line)});
    if (auto text = os::environment("RESTIC_PASSWORD")) return Secret(*std::move(text));
    return ask_password(ask);
}

Result<Secret> ask_password(Ask ask) {
    Result<os::Fd> tty = fail(ErrorCode::unsupported, "no terminal");
    if (is_terminal(0)) tty = os::open_file("/dev/tty", O_RDWR | O_NOCTTY);
    if (!tty)
        return fail(ErrorCode::usage, "no password was given, and there is no terminal to ask on",
                    "use --password-file, --password-command or HOLDFAST_PASSWORD_FILE");
    HF_TRY(Secret password,
           ask_once(tty->get(), ask == Ask::once ? "repository password: " : "new repository password: "));
    if (password.empty()) return fail(ErrorCode::usage, "the password is empty", "type one, or use --password-file");
    if (ask == Ask::twice) {
        HF_TRY(const Secret again, ask_once(tty->get(), "the same again: "));
        if (again.reveal() != password.reveal()) return fail(ErrorCode::usage, "the two passwords differ", "try again");
    }
    return password;
}

Result<storage::BackendOptions> storage_options_of(const Session& session, const policy::Config* config) {
    const GlobalOptions& global = session.global;
    const policy::RepositoryConfig defaults = config ? config->repository : policy::RepositoryConfig();
    storage::BackendOptions options;
    for (const auto* texts : {&defaults.options, &global.storage_options})
        for (const std::string& text : *texts) {
            HF_TRY(auto option, storage::parse_option(text));
            options.extended.push_back(std::move(option));
        }
    const auto first = [](const std::string& a, const std::string& b) { return a.empty() ? b : a; };
    options.ca_file = first(first(global.ca_file, defaults.ca_file), first_of({"RESTIC_CACERT"}));
    options.client_certificate = first(global.client_certificate, first_of({"RESTIC_TLS_CLIENT_CERT"}));
    const auto limit = [](std::int64_t said, std::uint32_t otherwise) {
        return static_cast<std::uint64_t>(said > 0 ? said : otherwise) << 10;
    };
    options.upload_max = limit(global.limit_upload_kib, defaults.limit_upload_kib);
    options.download_max = limit(global.limit_download_kib, defaults.limit_download_kib);
    options.first_contact_max =
        std::chrono::seconds(global.first_contact_max_seconds >= 0 ? global.first_contact_max_seconds
                                                                   : std::int64_t(defaults.first_contact_max_seconds));
    return options;
}

Result<std::unique_ptr<storage::Backend>> open_storage(const Session& session, const std::string& location,
                                                       const policy::Config* config) {
    HF_TRY(const storage::BackendOptions options, storage_options_of(session, config));
    return storage::open_backend(location, options, session.clock);
}

Result<std::unique_ptr<vault::Repository>> open_repository(const Session& session, const policy::Config* config) {
    const std::string location = repository_location(session.global, config);
    if (location.empty())
        return fail(ErrorCode::usage, "no repository was named",
                    "use --repo, HOLDFAST_REPOSITORY or location = in [repository] of holdfast.toml");
    HF_TRY(auto backend, open_storage(session, location, config));
    // Asked before the password is: a wrong place should not cost a prompt.
    HF_TRY(const Secret password, [&]() -> Result<Secret> {
        const auto there = backend->size({storage::FileKind::config, {}});
        if (!there && there.error().code == ErrorCode::not_found)
            return fail(ErrorCode::no_repository, fmt::format("there is no repository at {}", backend->location()),
                        "check the place, or make one there with `holdfast init`");
        if (!there) return fail(there.error());    // a password would not help
        return repository_password(session.global, config, Ask::once);
    }());
    return vault::Repository::open(std::move(backend), password, session.clock);
}

Result<std::unique_ptr<vault::Repository>> open_repository(const Session& session) {
    HF_TRY(const auto loaded, load_config_if_needed(session.global));
    return open_repository(session, loaded ? &loaded->config : nullptr);
}

vault::SnapshotFilter snapshot_filter(const FilterArguments& arguments) {
    return {arguments.host, arguments.paths, arguments.tags};
}

Result<std::unique_ptr<vault::RepositoryLock>> lock_for_reading(vault::Repository& repository, bool no_lock) {
    if (no_lock) return nullptr;
    return repository.lock(vault::LockMode::shared);
}

}    // namespace holdfast::cli
