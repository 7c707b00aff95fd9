#include <fmt/core.h>
#include <unistd.h>

#include "holdfast/cli/commands.hpp"
#include "holdfast/cli/init_text.hpp"
#include "holdfast/cli/output.hpp"
#include "holdfast/cli/password_options.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/source/detect.hpp"

namespace holdfast::cli {
namespace {

struct InitArguments {
    std::string stack;
    std::vector<std::string> search;    // further folders in which DuckDB files are looked for
    std::string generate_key;    // the file to be made
    bool copy_chunker_params = false;
    FromArguments from;
    bool no_detect = false;
};

Status refuse_existing(const std::string& path) {
    if (!os::exists(path)) return {};
    return fail(ErrorCode::exists, fmt::format("{} is there already", path),
                "nothing was changed; choose another name");
}

struct Made {
    std::string id;
    bool was_there = false;
    std::string location;    // without a password
};

Result<bool> repository_is_there(const Session& session, const std::string& location) {
    HF_TRY(const auto backend, open_storage(session, location, nullptr));
    const auto size = backend->size({storage::FileKind::config, {}});
    if (!size && size.error().code != ErrorCode::not_found) return fail(size.error());
    return size.has_value();
}

Result<Made> make_repository(const Session& session, const std::string& location, const Secret& password,
                             const policy::Config* config = nullptr, const vault::InitOptions& options = {}) {
    HF_TRY(auto backend, open_storage(session, location, config));
    auto repository = vault::Repository::init(std::move(backend), password, session.clock, options);
    if (!repository && repository.error().code == ErrorCode::exists)
        return fail(ErrorCode::exists, repository.error().message,
                    "use it as it is; `holdfast init --config FILE` writes a configuration for it");
    HF_TRY(const auto made, std::move(repository));
    return Made{made->config().id.hex(), false, made->backend().location()};
}

// A configuration may be written for a repository that is there, if the password opens it.
Result<Made> make_or_open_repository(const Session& session, const std::string& location, const Secret& password,
                                     const vault::InitOptions& options) {
    HF_TRY(const bool there, repository_is_there(session, location));
    if (!there) return make_repository(session, location, password, nullptr, options);
    HF_TRY(auto backend, open_storage(session, location, nullptr));
    HF_TRY(const auto repository, vault::Repository::open(std::move(backend), password, session.clock));
    return Made{repository->config().id.hex(), true, repository->backend().location()};
}

void report(const Session& session, const Made& made, const std::string& config, const std::string& password_file,
            const source::Detected& found) {
    if (session.global.json) {
        json::Value value = json::Value::object(
            {{"repository",
              json::Value::object({{"id", made.id}, {"location", made.location}, {"new", !made.was_there}})}});
        if (!config.empty()) {
            value.set("config", config);
            value.set("found", json::Value::object({{"postgres", found.postgres.size()},
                                                    {"redis", found.redis.size()},
                                                    {"clickhouse", found.clickhouse.size()},
                                                    {"duckdb", found.duckdb.size()}}));
        }
        if (!password_file.empty()) value.set("password_file", password_file);
        print_json(value);
        return;
    }
    if (session.global.quiet) return;
    print(fmt::format("repository {} {} {}\n", made.id.substr(0, 8),
                      made.was_there ? "is there already: the one at" : "made at", made.location));
    if (!config.empty()) {
        print(fmt::format("configuration written to {}: {} PostgreSQL, {} Redis, {} ClickHouse, {} DuckDB\n", config,
                          found.postgres.size(), found.redis.size(), found.clickhouse.size(), found.duckdb.size()));
        for (const std::string& note : found.notes) print(fmt::format("  {}\n", note));
    }
    if (!password_file.empty())
        print(
            fmt::format("{} the new repository's machine key lies in {}\n"
                        "     copy it to a safe place away from this machine: without it nobody can read the vault\n",
                        painted(1, Colour::yellow, "key:"), password_file));
    if (!config.empty()) print(fmt::format("next: look through {}, then `holdfast backup`\n", config));
}

// A key that the next command does not look for would open nothing.
Status refuse_other_password(const GlobalOptions& global, const policy::Config* config, const std::string& key_file) {
    if (!global.password_file.empty() || !global.password_command.empty() || !global.password_keyring.empty() ||
        !global.password_credential.empty())
        return fail(ErrorCode::usage, "--generate-key and a password were given", "keep one of them");
    if (!config || config->repository.password.empty()) return {};
    const std::string& named = config->repository.password.file;
    if (!named.empty() && os::absolute_path(named) == key_file) return {};
    return fail(ErrorCode::usage,
                fmt::format("the configuration takes the password from {}, not from {}",
                            named.empty() ? "elsewhere" : named, key_file),
                named.empty() ? "write password_file = \"" + key_file + "\" into its [repository]"
                              : "use --generate-key " + named + ", or change the configuration");
}

Error already_a_repository(const std::string& location) {
    return Error{ErrorCode::exists, location + " is a repository already",
                 "a machine key is added to it with `holdfast key add --generate-key FILE`"};
}

// After an error the repository may be there in spite of it (a disk that fails in the last sync): then the key stays.
Result<Made> keep_if_needed(const Session& session, const std::string& location, Result<Made> made,
                            const std::string& path, ProvisionalFile& key) {
    if (made) key.keep();
    if (made || path.empty() || !repository_is_there(session, location).value_or(true)) return made;
    key.keep();
    Error error = std::move(made).error();
    error.hint +=
        fmt::format("{}the key stays in {}: the repository may need it", error.hint.empty() ? "" : "; ", path);
    return fail(std::move(error));
}

// --repo without a configuration: the repository and nothing else.
Result<int> init_repository(const Session& session, const InitArguments& arguments, const policy::Config* config) {
    const std::string location = repository_location(session.global, config);
    const std::string generated = arguments.generate_key.empty() ? "" : os::absolute_path(arguments.generate_key);
    if (!generated.empty()) {
        HF_DO(refuse_other_password(session.global, config, generated));
        HF_TRY(const bool there, repository_is_there(session, location));
        if (there) return fail(already_a_repository(location));
    }
    vault::InitOptions options;
    if (arguments.copy_chunker_params) {
        HF_TRY(const auto from, open_from_repository(session, arguments.from));
        options.polynomial = from->config().polynomial;
    }
    if (generated.empty()) {
        HF_TRY(const Secret password, repository_password(session.global, config, Ask::twice));
        HF_TRY(const Made made, make_repository(session, location, password, config, options));
        report(session, made, "", "", {});
        return 0;
    }
    HF_TRY(GeneratedKey generated_key, generate_key(generated));
    options.cost = vault::MachineKey::k_cost;
    HF_TRY(
        const Made made,
        keep_if_needed(session, location, make_repository(session, location, generated_key.key.text(), config, options),
                       generated, generated_key.file));
    report(session, made, "", generated, {});
    return 0;
}

std::string home_of_data() {
    if (::geteuid() == 0) return "/var/lib/holdfast/vault";
    return os::environment("HOME").value_or("/var/tmp") + "/.local/share/holdfast/vault";
}

source::Detected look_around(const InitArguments& arguments) {
    if (arguments.no_detect) return {};
    source::DetectOptions options;
    options.search = arguments.search;
    options.search.push_back(os::absolute_path("."));
    for (const char* usual : {"/srv", "/data", "/opt", "/var/lib"}) options.search.push_back(usual);
    if (const auto home = os::environment("HOME")) options.search.push_back(*home);
    return source::detect(options);
}

bool has_password_elsewhere(const GlobalOptions& global) {
    if (!global.password_file.empty() || !global.password_command.empty() || !global.password_keyring.empty() ||
        !global.password_credential.empty())
        return true;
    for (const char* name : {"HOLDFAST_PASSWORD_FILE", "HOLDFAST_PASSWORD_COMMAND", "HOLDFAST_PASSWORD_KEYRING",
                             "HOLDFAST_PASSWORD_CREDENTIAL", "HOLDFAST_PASSWORD", "RESTIC_PASSWORD_FILE",
                             "RESTIC_PASSWORD_COMMAND", "RESTIC_PASSWORD"})
        if (os::environment(name)) return true;
    return false;
}

// The repository, the configuration and, unless a password comes from elsewhere, a file with a new one.
Result<int> init_everything(const Session& session, const InitArguments& arguments, const std::string& file) {
    InitText text;
    text.stack = arguments.stack.empty() ? os::host_name() : arguments.stack;
    const std::string given = repository_location(session.global, nullptr);
    text.location = given.empty()                          ? home_of_data()
                    : given.find(':') == std::string::npos ? os::absolute_path(given)
                                                           : given;
    HF_TRY(const bool there, repository_is_there(session, text.location));
    GlobalOptions global = session.global;
    std::string generated;
    if (!arguments.generate_key.empty()) {
        generated = os::absolute_path(arguments.generate_key);
        HF_DO(refuse_other_password(global, nullptr, generated));
        if (there) return fail(already_a_repository(text.location));
        global.password_file = generated;
    } else if (!has_password_elsewhere(global) && !there) {
        generated = os::parent_folder(file) + "/holdfast.password";
        global.password_file = generated;
    }    // else it comes from where it was said, or is asked for on the terminal
    text.password_file =
        global.password_file.empty() ? os::environment("HOLDFAST_PASSWORD_FILE").value_or("") : global.password_file;
    if (!text.password_file.empty()) text.password_file = os::absolute_path(text.password_file);
    text.password_command = global.password_command;
    if (text.password_file.empty() && text.password_command.empty())
        text.password_command = os::environment("HOLDFAST_PASSWORD_COMMAND").value_or("");
    text.password_keyring = global.password_keyring;
    text.password_credential = global.password_credential;
    text.found = look_around(arguments);

    const std::string content = init_text(text);
    // What init writes must be what backup reads.
    if (const auto parsed = policy::parse_config(content, file); !parsed)
        return fail(ErrorCode::internal, "the new configuration does not read back: " + parsed.error().message);
    HF_DO(refuse_existing(file));
    // Without a configuration beside it, a password in the place of ours is what an init that was killed left: it is
    // taken, or every further init would stop here. Whose it is nobody knows any more, so it costs what a password costs.
    const bool left = !generated.empty() && arguments.generate_key.empty() && os::exists(generated);
    ProvisionalFile key_file;
    vault::InitOptions options;
    HF_TRY(const Secret secret, [&]() -> Result<Secret> {
        if (generated.empty() || left)
            return repository_password(global, nullptr, there || left ? Ask::once : Ask::twice);
        HF_TRY(GeneratedKey made, generate_key(generated));
        key_file = std::move(made.file);
        options.cost = vault::MachineKey::k_cost;
        return made.key.text().clone();
    }());
    HF_TRY(ProvisionalFile config, ProvisionalFile::write(file, content));
    HF_TRY(const Made made,
           keep_if_needed(session, text.location, make_or_open_repository(session, text.location, secret, options),
                          left ? "" : generated, key_file));
    config.keep();
    report(session, made, file, generated, text.found);
    return 0;
}

Result<int> run_init(const Session& session, const InitArguments& arguments) {
    if (!arguments.copy_chunker_params && !arguments.from.repository.empty())
        return fail(ErrorCode::usage, "--from-repo is given, but nothing is to be taken from it",
                    "add --copy-chunker-params: then both repositories cut files in the same places");
    const bool named = !session.global.config.empty() || os::environment("HOLDFAST_CONFIG");
    if (!named && !repository_location(session.global, nullptr).empty())
        return init_repository(session, arguments, nullptr);
    const std::string file = named ? *find_config(session.global) : os::absolute_path("holdfast.toml");
    if (!os::exists(file) && arguments.copy_chunker_params)
        return fail(ErrorCode::usage, "--copy-chunker-params needs the place of the new repository",
                    "use --repo PLACE");
    if (!os::exists(file)) return init_everything(session, arguments, file);
    GlobalOptions at_file;
    at_file.config = file;
    HF_TRY(const LoadedConfig loaded, load_config(at_file));
    if (repository_location(session.global, &loaded.config).empty())
        return fail(ErrorCode::exists, fmt::format("{} is there already, and names no repository", file),
                    "write location = \"/path\" into its [repository], or use --repo");
    return init_repository(session, arguments, &loaded.config);
}

class InitCommand final : public Command {
    std::string_view name() const override { return "init"; }
    std::string_view help() const override { return "look what runs here, write holdfast.toml, make the repository"; }
    std::string_view examples() const override {
        return R"(Examples
  holdfast init                                    ./holdfast.toml, ./holdfast.password and a vault, all made for you
  holdfast init --config /etc/holdfast/holdfast.toml --repo /srv/vault
  holdfast init --repo /srv/vault                  only the repository; the password is asked for twice
  holdfast init --repo /srv/vault --generate-key /etc/holdfast/machine.key

Nothing that exists is overwritten. If holdfast.toml is already there, the repository that it names is made.
A machine key is a password that is drawn here for runs that nobody attends: no guess reaches it, so opening costs
next to nothing. It is for --password-file, here and in restic; what you choose yourself is always made dear to guess.
Keep a copy of key or password away from this machine: without it nobody can read the vault.
)";
    }
    void declare(Options& options) override {
        options.value("--stack", arguments_.stack, "NAME", "name of the stack (default: the host's name)");
        options.list("--search", arguments_.search, "FOLDER", "look for DuckDB files below this folder, too");
        options.value("--generate-key", arguments_.generate_key, "FILE",
                      "draw a machine key, write it to this new file, and open the repository with it");
        options.flag("--copy-chunker-params", arguments_.copy_chunker_params,
                     "cut files as the repository at --from-repo does, so that copies share chunks");
        declare_from(options, arguments_.from);
        options.flag("--no-detect", arguments_.no_detect, "write a configuration without looking for stores");
    }
    Result<int> run(const Session& session) override { return run_init(session, arguments_); }

    InitArguments arguments_;
};

}    // namespace

std::unique_ptr<Command> init_command() { return std::make_unique<InitCommand>(); }

}    // namespace holdfast::cli
