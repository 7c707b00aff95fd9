// `holdfast key list|add|remove|passwd|store-in-keyring`.

#include <fmt/core.h>

#include "holdfast/base/log.hpp"
#include "holdfast/cli/commands.hpp"
#include "holdfast/cli/output.hpp"
#include "holdfast/cli/password_options.hpp"
#include "holdfast/os/keyring.hpp"
#include "holdfast/policy/password_age.hpp"
#include "holdfast/vault/key_change.hpp"

namespace holdfast::cli {
namespace {

std::string_view state_name(policy::PasswordState state) {
    switch (state) {
        case policy::PasswordState::fresh:
            return "fresh";
        case policy::PasswordState::due_soon:
            return "due soon";
        case policy::PasswordState::due:
            break;
    }
    return "due";
}

std::string due_text(const policy::PasswordVerdict& verdict, std::uint32_t max_age_days) {
    if (max_age_days == 0) return "never";
    switch (verdict.state) {
        case policy::PasswordState::fresh:
            return "in " + human_age(verdict.left);
        case policy::PasswordState::due_soon:
            return painted(1, Colour::yellow, "in " + human_age(verdict.left));
        case policy::PasswordState::due:
            break;
    }
    return painted(1, Colour::red, "now");
}

class KeyListCommand final : public Command {
    std::string_view name() const override { return "key list"; }
    std::string_view help() const override { return "list the passwords' keys and their age"; }
    std::string_view examples() const override {
        return R"(Each password has a key file; all of them open the same repository. `*` marks the key in use. A password is due for a
change after 90 days, or password_max_age_days in [repository] of holdfast.toml. Kind: `machine` for a key that
--generate-key drew, which costs next to nothing to open; `password` for all others.

Examples
  holdfast key list
  holdfast key list --json | jq '.keys[] | select(.due)'
)";
    }
    void declare(Options&) override {}
    Result<int> run(const Session& session) override {
        HF_TRY(const auto loaded, load_config_if_needed(session.global));
        const std::uint32_t max_age =
            loaded ? loaded->config.repository.password_max_age_days : policy::k_password_max_age_days;
        HF_TRY(const auto repository, open_repository(session, loaded ? &loaded->config : nullptr));
        bool damaged = false;
        HF_TRY(const auto keys, vault::list_keys(*repository, [&](const Id& id, const Error& error) {
                   damaged = true;
                   log_error("a key file cannot be read", {{"key", id.brief()}, {"why", error.message}});
               }));
        json::Value list = json::Value::array();
        Table table({" ", "ID", "Kind", "User", "Host", "Created", "Age", "Due"});
        for (const vault::KeyEntry& key : keys) {
            const auto verdict = policy::judge_password(key.created, session.clock.now(), max_age);
            const std::string kind = vault::is_machine_key_cost(key.cost) ? "machine" : "password";
            table.row({key.current ? "*" : " ", key.id.brief(), kind, printable(key.username), printable(key.hostname),
                       local_time(key.created), human_age(verdict.age), due_text(verdict, max_age)});
            list.push(json::Value::object({{"current", key.current},
                                           {"id", key.id.hex()},
                                           {"kind", kind},
                                           {"userName", key.username},
                                           {"hostName", key.hostname},
                                           {"created", to_rfc3339(key.created)},
                                           {"age_seconds", seconds(verdict.age)},
                                           {"state", state_name(verdict.state)},
                                           {"due", verdict.state == policy::PasswordState::due}}));
        }
        if (session.global.json)
            print_json(json::Value::object({{"password_max_age_days", max_age}, {"keys", std::move(list)}}));
        else
            print(table.text(1));
        return damaged ? facts(ErrorCode::incomplete).exit_status : 0;
    }
};

std::string where_it_lies(const NewSecret& secret) {
    if (secret.file.empty()) return {};
    return fmt::format("the machine key lies in {}; copy it to a safe place away from this machine\n", secret.file);
}

json::Value with_key_file(json::Value value, const NewSecret& secret) {
    if (!secret.file.empty()) value.set("key_file", secret.file);
    return value;
}

struct NewKeyArguments {
    NewSecretArguments secret;
    vault::KeyOwner owner;

    void declare(Options& options) {
        declare_new_secret(options, secret);
        options.value("--user", owner.username, "NAME", "user name that the key shows (default: yours)");
        options.value("--host", owner.hostname, "NAME", "host name that the key shows (default: this one's)");
    }
    vault::NewKey options(const NewSecret& made) const { return {owner, made.cost}; }
};

class KeyAddCommand final : public Command {
    std::string_view name() const override { return "key add"; }
    std::string_view help() const override { return "add a password to the repository"; }
    std::string_view examples() const override {
        return R"(The repository is opened with a password that it has; the new one is read from --new-password-… or asked for twice.

Examples
  holdfast key add
  holdfast key add --new-password-file /root/desk-password --user desk --host trading-2
  holdfast key add --generate-key /etc/holdfast/machine.key    for cron: opens in no time, and nobody can guess it
)";
    }
    void declare(Options& options) override { arguments_.declare(options); }
    Result<int> run(const Session& session) override {
        HF_TRY(const auto repository, open_repository(session));
        HF_TRY(const NewSecret secret, new_secret(arguments_.secret));
        auto added = vault::add_key(*repository, secret.text, arguments_.options(secret));
        if (!added) return fail(key_stays(std::move(added).error(), secret));
        if (session.global.json)
            print_json(with_key_file(json::Value::object({{"added", added->hex()}}), secret));
        else if (!session.global.quiet)
            print(fmt::format("added key {}; both passwords open the repository\n{}", added->brief(),
                              where_it_lies(secret)));
        return 0;
    }
    NewKeyArguments arguments_;
};

class KeyPasswdCommand final : public Command {
    std::string_view name() const override { return "key passwd"; }
    std::string_view help() const override { return "change the password that opens the repository now"; }
    std::string_view examples() const override {
        return R"(The master key is wrapped anew under the new password: no data is written again, and it takes seconds. The old key goes
after the new one is on disk and has been opened; killed between, both passwords work. Who has copied the old key file and
knows the old password can still read: then see `holdfast rekey`.

Examples
  holdfast key passwd
  holdfast key passwd --new-password-file /etc/holdfast/password.new
  holdfast key passwd --generate-key /etc/holdfast/machine.key.new
)";
    }
    void declare(Options& options) override { arguments_.declare(options); }
    Result<int> run(const Session& session) override {
        HF_TRY(const auto repository, open_repository(session));
        HF_TRY(const NewSecret secret, new_secret(arguments_.secret));
        auto change = vault::change_password(*repository, secret.text, arguments_.options(secret));
        if (!change) return fail(key_stays(std::move(change).error(), secret));
        if (session.global.json)
            print_json(with_key_file(
                json::Value::object({{"added", change->added.hex()}, {"removed", change->removed.hex()}}), secret));
        else if (!session.global.quiet)
            print(fmt::format("the password is changed: key {} took the place of {}\n{}", change->added.brief(),
                              change->removed.brief(), where_it_lies(secret)));
        return 0;
    }
    NewKeyArguments arguments_;
};

class KeyRemoveCommand final : public Command {
    std::string_view name() const override { return "key remove"; }
    std::string_view help() const override { return "take a password away"; }
    std::string_view examples() const override {
        return R"(The key in use never goes: open the repository with another password to remove it.

Examples
  holdfast key remove 1a2b3c4d
)";
    }
    void declare(Options& options) override {
        options.argument("ID", id_, Options::Need::required, "of a key, or its first digits");
    }
    Result<int> run(const Session& session) override {
        HF_TRY(const auto repository, open_repository(session));
        HF_TRY(const Id id, vault::remove_key(*repository, id_));
        if (session.global.json)
            print_json(json::Value::object({{"removed", id.hex()}}));
        else if (!session.global.quiet)
            print(fmt::format("removed key {}\n", id.brief()));
        return 0;
    }
    std::string id_;
};

class KeyStoreCommand final : public Command {
    std::string_view name() const override { return "key store-in-keyring"; }
    std::string_view help() const override { return "put the password into the kernel's key ring"; }
    std::string_view examples() const override {
        return R"(The password (from --password-file, the terminal, ...) must open the repository. It then lies in the key ring of this
user, in memory only: never on disk, gone after a restart or --timeout.

Examples
  holdfast key store-in-keyring holdfast:vault
  holdfast backup --password-keyring holdfast:vault /etc
  password_keyring = "holdfast:vault"              in [repository] of holdfast.toml
  holdfast key store-in-keyring --remove holdfast:vault
)";
    }
    void declare(Options& options) override {
        options.argument("NAME", name_, Options::Need::required, "of the key");
        options.number("--timeout", timeout_, 0, "SECONDS", "the kernel forgets it after this time (0: never)");
        options.flag("--remove", remove_, "take it out of the ring instead");
    }
    Result<int> run(const Session& session) override {
        if (remove_) {
            HF_DO(os::remove_from_keyring(name_));
        } else {
            HF_DO(store(session));
        }
        if (session.global.json)
            print_json(json::Value::object({{remove_ ? "removed" : "stored", name_}}));
        else if (!session.global.quiet)
            print(remove_ ? fmt::format("the key {} is gone from the key ring\n", printable(name_))
                          : fmt::format("the password lies in the key ring; use it with --password-keyring {}\n",
                                        printable(name_)));
        return 0;
    }
    Status store(const Session& session) const {
        HF_TRY(const auto loaded, load_config_if_needed(session.global));
        const policy::Config* config = loaded ? &loaded->config : nullptr;
        HF_TRY(const Secret password, repository_password(session.global, config, Ask::once));
        // A wrong one in the ring would fail the next backup at night.
        const std::string location = repository_location(session.global, config);
        if (location.empty())
            return fail(ErrorCode::usage, "no repository was named",
                        "use --repo or HOLDFAST_REPOSITORY: the password is tried before it is stored");
        HF_TRY(auto backend, open_storage(session, location, config));
        HF_TRY(const auto repository, vault::Repository::open(std::move(backend), password, session.clock));
        std::optional<Duration> timeout;
        if (timeout_ > 0) timeout = std::chrono::seconds(timeout_);
        return os::store_in_keyring(name_, password, timeout);
    }
    std::string name_;
    std::int64_t timeout_ = 0;
    bool remove_ = false;
};

}    // namespace

std::unique_ptr<Command> key_list_command() { return std::make_unique<KeyListCommand>(); }
std::unique_ptr<Command> key_add_command() { return std::make_unique<KeyAddCommand>(); }
std::unique_ptr<Command> key_passwd_command() { return std::make_unique<KeyPasswdCommand>(); }
std::unique_ptr<Command> key_remove_command() { return std::make_unique<KeyRemoveCommand>(); }
std::unique_ptr<Command> key_store_command() { return std::make_unique<KeyStoreCommand>(); }

}    // namespace holdfast::cli
