// The only source that includes CLI11 (its headers cost more compile time than all other sources of this module).

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>

#include "holdfast/cli/commands.hpp"
#include "holdfast/cli/completion.hpp"
#include "holdfast/cli/guide_environment.hpp"
#include "holdfast/cli/help.hpp"
#include "holdfast/cli/invocation.hpp"
#include "holdfast/policy/config.hpp"

namespace holdfast::cli {
namespace {

// The parser's view of one command.
// CLI11's own range would name the largest 64-bit number.
CLI::Validator at_least(std::int64_t least) {
    return {[least](std::string& text) -> std::string {
                std::int64_t value = 0;
                if (CLI::detail::lexical_cast(text, value) && value >= least) return {};
                return fmt::format("{} is no whole number of at least {}", text, least);
            },
            ""};
}

class ParsedOptions final : public Options {
public:
    explicit ParsedOptions(CLI::App& app) : app_(app) {}

    void flag(const char* names, bool& to, const char* help) override { app_.add_flag(names, to, help); }
    void value(const char* names, std::string& to, const char* type, const char* help) override {
        app_.add_option(names, to, help)->type_name(type);
    }
    void list(const char* names, std::vector<std::string>& to, const char* type, const char* help) override {
        app_.add_option(names, to, help)->type_name(type)->allow_extra_args(false);
    }
    void number(const char* names, std::int64_t& to, std::int64_t least, const char* type, const char* help) override {
        app_.add_option(names, to, help)->check(at_least(least))->type_name(type);
    }
    void choice(const char* names, std::string& to, const std::vector<std::string>& words, const char* help) override {
        std::string type;
        for (const std::string& word : words) type += (type.empty() ? "" : "|") + word;
        app_.add_option(names, to, help)->check(CLI::IsMember(words).description(""))->type_name(type);
    }
    void argument(const char* name, std::string& to, Need need, const char* help) override {
        app_.add_option(name, to, help)->required(need == Need::required);
    }
    void arguments(const char* name, std::vector<std::string>& to, Need need, const char* help) override {
        app_.add_option(name, to, help)->required(need == Need::required);
    }

private:
    CLI::App& app_;
};

void add_globals(CLI::App& app, GlobalOptions& global) {
    const auto group = [](CLI::Option* option) { option->group("Options of every command"); };
    group(app.add_option("-r,--repo", global.repository, "repository: a folder, sftp:…, rest:…, s3:…, azure:…")
              ->type_name("PLACE"));
    group(
        app.add_option("-p,--password-file", global.password_file, "file whose first line is the repository's password")
            ->type_name("FILE"));
    group(app.add_option("--password-command", global.password_command, "shell command that prints the password")
              ->type_name("COMMAND"));
    group(
        app.add_option("--password-keyring", global.password_keyring, "key with the password in the kernel's key ring")
            ->type_name("NAME"));
    group(app.add_option("--password-credential", global.password_credential,
                         "credential with the password, from the service manager")
              ->type_name("NAME"));
    group(app.add_option("-c,--config", global.config, "configuration file (init: where to write it)")
              ->type_name("FILE"));
    group(app.add_option("-o,--option", global.storage_options, "option of a storage, as s3.region=eu-central-1")
              ->type_name("KEY=VALUE")
              ->allow_extra_args(false));
    group(app.add_option("--limit-upload", global.limit_upload_kib, "at most so many KiB a second to the repository")
              ->type_name("KIB")
              ->check(at_least(0)));
    group(app.add_option("--limit-download", global.limit_download_kib, "at most so many KiB a second from it")
              ->type_name("KIB")
              ->check(at_least(0)));
    group(app.add_option("--first-contact-max", global.first_contact_max_seconds,
                         "give a storage up that has not answered once in so many seconds (25)")
              ->type_name("SECONDS")
              ->check(CLI::Range(std::int64_t(0), std::int64_t(86'400)).description("")));
    group(app.add_option("--cacert", global.ca_file, "certificate authorities to trust instead of the system's (PEM)")
              ->type_name("FILE"));
    group(app.add_option("--tls-client-cert", global.client_certificate, "our certificate with its key (PEM)")
              ->type_name("FILE"));
    group(app.add_flag("--json", global.json, "the result as one JSON document on standard output"));
    group(app.add_flag("-q,--quiet", global.quiet, "only results and errors"));
    group(app.add_flag("-v,--verbose", global.verbose, "say more (-vv: debugging)"));
}

// `holdfast COMMAND` and `holdfast GROUP COMMAND`. `internal` parses its own words.
struct Tree {
    Invocation invocation;
    std::vector<std::unique_ptr<Command>> commands;
    std::map<const CLI::App*, std::size_t> command_of;    // the number in `commands`
    std::map<std::string, CLI::App*> groups;
    std::string completion_shell;
    std::vector<std::string> help_topic;
    CLI::App app{
        "Backs up and restores Redis, PostgreSQL, DuckDB, ClickHouse, configuration and logs: one encrypted,\n"
        "deduplicated vault that restic can read, too.",
        "holdfast"};
    bool version = false;

    CLI::App& add(CLI::App& above, const std::string& name, std::string_view help, std::string_view footer) {
        CLI::App& sub = *above.add_subcommand(name, std::string(help));
        sub.allow_extras();    // so that we can say more than "not expected"
        sub.footer(std::string(footer));
        add_globals(sub, invocation.global);
        return sub;
    }

    CLI::App& group(const std::string& name) {
        const auto [at, is_new] = groups.try_emplace(name);
        if (is_new) {
            at->second = &add(app, name, group_help(name), "");
            at->second->require_subcommand(0, 1);
        }
        return *at->second;
    }

    explicit Tree(std::vector<std::unique_ptr<Command>> all) : commands(std::move(all)) {
        app.allow_extras();
        app.require_subcommand(0, 1);
        app.footer(std::string(general_footer()));
        app.get_formatter()->column_width(34);
        app.get_formatter()->label("REQUIRED", "");
        app.add_flag("-V,--version", version, "print the version");
        add_globals(app, invocation.global);

        for (std::size_t i = 0; i < commands.size(); ++i) {
            Command& command = *commands[i];
            const std::string name(command.name());
            const std::size_t space = name.find(' ');
            CLI::App& above = space == std::string::npos ? app : group(name.substr(0, space));
            CLI::App& sub = add(above, name.substr(space + 1), command.help(), command.examples());
            ParsedOptions options(sub);
            command.declare(options);
            command_of[&sub] = i;
        }

        add(app, "version", "print the version", "");
        add(app, "completion", "print a completion script", completion_footer())
            .add_option("SHELL", completion_shell, "bash, zsh or fish")
            ->required();
        add(app, "help", "print help, general or on a command", "")
            .add_option("COMMAND", help_topic, "a command, or environment");
        CLI::App& internal = add(app, "internal", "for tests and for holdfast itself", "");
        internal.group("");
        internal.prefix_command();
    }

    static void add_shape(const CLI::App& from, CommandShape& to) {
        for (const CLI::Option* option : from.get_options()) {
            if (option->get_positional()) {
                if (option->get_name() == "SNAPSHOT") to.words.emplace_back("latest");
                if (option->get_name() == "SHELL") to.words = {"bash", "zsh", "fish"};
                continue;
            }
            const auto add_option = [&](std::string name) {
                const bool there = std::ranges::any_of(to.options, [&](const auto& o) { return o.name == name; });
                if (!there)
                    to.options.push_back(
                        {std::move(name), option->get_description(), option->get_items_expected_max() > 0});
            };
            for (const std::string& name : option->get_lnames()) add_option("--" + name);
            for (const std::string& name : option->get_snames()) add_option("-" + name);
        }
    }

    // A group takes the names of its commands, and the options of all of them.
    std::vector<CommandShape> shapes() const {
        std::vector<CommandShape> all;
        for (const CLI::App* sub : app.get_subcommands([](const CLI::App* s) { return !s->get_group().empty(); })) {
            CommandShape shape{sub->get_name(), sub->get_description(), {}, {}};
            add_shape(*sub, shape);
            for (const CLI::App* below : sub->get_subcommands([](const CLI::App*) { return true; })) {
                shape.words.push_back(below->get_name());
                add_shape(*below, shape);
            }
            all.push_back(std::move(shape));
        }
        for (CommandShape& shape : all)
            if (shape.name == "help")
                for (const CommandShape& other : all) shape.words.push_back(other.name);
        return all;
    }

    static std::vector<std::string> names_below(const CLI::App& app) {
        std::vector<std::string> names;
        for (const CLI::App* sub : app.get_subcommands([](const CLI::App* s) { return !s->get_group().empty(); }))
            names.push_back(sub->get_name());
        return names;
    }
};

std::vector<std::string_view> views(const std::vector<std::string>& words) { return {words.begin(), words.end()}; }

// `at` is the program or a group.
std::unexpected<Error> unknown_command(const CLI::App& at, const std::string& word) {
    const std::string before = at.get_parent() ? at.get_name() + " " : "";
    const std::vector<std::string> names = Tree::names_below(at);
    const std::string close = policy::suggest(word, views(names));
    return fail(ErrorCode::usage,
                close.empty() ? fmt::format("unknown command '{}{}'", before, word)
                              : fmt::format("unknown command '{0}{1}'; did you mean '{0}{2}'?", before, word, close),
                before.empty() ? "`holdfast help` lists the commands"
                               : fmt::format("`holdfast {}--help` lists the commands", before));
}

std::string full_name(const CLI::App& app) {
    return app.get_parent() && app.get_parent()->get_parent() ? app.get_parent()->get_name() + " " + app.get_name()
                                                              : app.get_name();
}

// What was left over: an option that no one knows, or a word too many.
std::unexpected<Error> unexpected_word(const CLI::App& at, const std::string& word) {
    if (!Tree::names_below(at).empty() && !word.starts_with('-')) return unknown_command(at, word);
    const std::string hint = !at.get_parent() ? "`holdfast help` lists the options"
                                              : fmt::format("`holdfast {} --help` lists the options", full_name(at));
    if (!word.starts_with('-')) return fail(ErrorCode::usage, fmt::format("unexpected argument '{}'", word), hint);
    const std::string name = word.substr(0, word.find('='));
    std::vector<std::string> known;
    for (const CLI::Option* option : at.get_options())
        for (const std::string& lname : option->get_lnames()) known.push_back("--" + lname);
    const std::string close = name.starts_with("--") ? policy::suggest(name, views(known)) : "";
    return fail(ErrorCode::usage,
                close.empty() ? fmt::format("unknown option '{}'", name)
                              : fmt::format("unknown option '{}'; did you mean '{}'?", name, close),
                hint);
}

// CLI11 counts the "--" itself among what it could not use.
std::vector<std::string> leftovers(const CLI::App& app) {
    std::vector<std::string> words = app.remaining();
    std::erase(words, "--");
    return words;
}

std::string version_text() { return fmt::format("holdfast {} (repository format: restic 2)\n", HF_VERSION); }

Result<std::string> help_text(Tree& tree) {
    if (tree.help_topic.empty()) return Tree(all_commands()).app.help();    // one that has parsed nothing
    if (tree.help_topic == std::vector<std::string>{"environment"}) return std::string(environment_help());
    CLI::App* at = &tree.app;
    std::string before = "holdfast";
    for (const std::string& word : tree.help_topic) {
        const std::vector<std::string> names = Tree::names_below(*at);
        if (std::ranges::find(names, word) == names.end()) return unknown_command(*at, word);
        if (at != &tree.app) before += " " + at->get_name();
        at = at->get_subcommand(word);
    }
    return at->help(before);
}

Result<Invocation> finish(Tree& tree) {
    Invocation& invocation = tree.invocation;
    if (tree.version) {
        invocation.text = version_text();
        return std::move(invocation);
    }
    CLI::App* at = &tree.app;
    for (;;) {
        const std::vector<CLI::App*> chosen = at->get_subcommands();
        if (!chosen.empty() && chosen[0]->get_name() == "internal") {
            invocation.internal = chosen[0]->remaining();
            return std::move(invocation);
        }
        if (const auto left = leftovers(*at); !left.empty()) return unexpected_word(*at, left[0]);
        if (chosen.empty()) break;
        at = chosen[0];
    }
    if (at == &tree.app)
        return fail(ErrorCode::usage, "no command was given",
                    "`holdfast help` lists the commands; `holdfast init` is the first");
    if (const auto found = tree.command_of.find(at); found != tree.command_of.end()) {
        invocation.command = std::move(tree.commands[found->second]);
    } else if (at->get_name() == "version") {
        invocation.text = version_text();
    } else if (at->get_name() == "completion") {
        HF_TRY(invocation.text, completion_script(tree.completion_shell, tree.shapes()));
    } else if (at->get_name() == "help") {
        HF_TRY(invocation.text, help_text(tree));
    } else {
        std::string known;
        for (const std::string& name : Tree::names_below(*at)) known += (known.empty() ? "" : ", ") + name;
        return fail(ErrorCode::usage, fmt::format("`holdfast {}` needs one of: {}", at->get_name(), known),
                    fmt::format("`holdfast {} --help` explains them", at->get_name()));
    }
    return std::move(invocation);
}

}    // namespace

Result<Invocation> parse_arguments(std::vector<std::string> arguments, std::vector<std::unique_ptr<Command>> commands,
                                   bool& json) {
    json = std::ranges::find(arguments, "--json") != arguments.end();
    Tree tree(std::move(commands));
    std::ranges::reverse(arguments);    // CLI11 takes them from the back
    // CLI11 throws, for help as well; its exceptions end here.
    try {
        tree.app.parse(arguments);
        return finish(tree);
    } catch (const CLI::CallForHelp&) {
        tree.invocation.text = tree.app.help();
        return std::move(tree.invocation);
    } catch (const CLI::ParseError& error) {
        std::string message = error.what();
        while (message.ends_with('\n') || message.ends_with('.')) message.pop_back();
        return fail(ErrorCode::usage, std::move(message), "`holdfast help` explains the commands and their options");
    }
}

Result<Invocation> parse_arguments(std::vector<std::string> arguments, bool& json) {
    auto invocation = parse_arguments(arguments, commands_named(arguments), json);
    if (invocation && (invocation->command || invocation->internal || invocation->text == version_text()))
        return invocation;
    // Help, completion, and what to say about a word that is wrong.
    return parse_arguments(std::move(arguments), all_commands(), json);
}

}    // namespace holdfast::cli
