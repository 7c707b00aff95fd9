// The only source that includes CLI11 (its headers cost more compile time than all other sources of this module).

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>

#include "holdfast/cli/completion.hpp"
#include "holdfast/cli/help.hpp"
#include "holdfast/cli/invocation.hpp"
#include "holdfast/policy/config.hpp"

namespace holdfast::cli {
namespace {

void add_globals(CLI::App& app, GlobalOptions& global) {
    const auto group = [](CLI::Option* option) { option->group("Options of every command"); };
    group(app.add_option("-r,--repo", global.repository, "repository: a folder")->type_name("PLACE"));
    group(
        app.add_option("-p,--password-file", global.password_file, "file whose first line is the repository's password")
            ->type_name("FILE"));
    group(app.add_option("--password-command", global.password_command, "shell command that prints the password")
              ->type_name("COMMAND"));
    group(app.add_option("-c,--config", global.config, "configuration file (init: where to write it)")
              ->type_name("FILE"));
    group(app.add_flag("--json", global.json, "the result as one JSON document on standard output"));
    group(app.add_flag("-q,--quiet", global.quiet, "only results and errors"));
    group(app.add_flag("-v,--verbose", global.verbose, "say more (-vv: debugging)"));
}

void add_filter(CLI::App& app, FilterArguments& filter) {
    app.add_option("-H,--host", filter.host, "only snapshots of this host")->type_name("HOST");
    app.add_option("--tag", filter.tags, "only snapshots with this tag (again: and this one)")
        ->type_name("TAG")
        ->allow_extra_args(false);
    app.add_option("--path", filter.paths, "only snapshots of exactly these paths")
        ->type_name("PATH")
        ->allow_extra_args(false);
}

CLI::Option* add_list(CLI::App& app, const char* name, std::vector<std::string>& to, const char* help,
                      const char* type) {
    return app.add_option(name, to, help)->type_name(type)->allow_extra_args(false);
}

// One level: `holdfast COMMAND`. Sub-sub-commands exist only below `internal`, which parses its own.
struct Tree {
    Invocation invocation;
    std::string completion_shell, help_topic;
    CLI::App app{
        "Backs up and restores Redis, PostgreSQL, DuckDB, ClickHouse, configuration and logs: one encrypted,\n"
        "deduplicated vault that restic can read, too.",
        "holdfast"};
    bool version = false;

    CLI::App& command(const char* name, const char* help) {
        CLI::App& sub = *app.add_subcommand(name, help);
        sub.allow_extras();    // so that we can say more than "not expected"
        sub.footer(std::string(footer_of(name)));
        return sub;
    }

    Tree() {
        app.allow_extras();
        app.require_subcommand(0, 1);
        app.footer(std::string(general_footer()));
        app.get_formatter()->column_width(34);
        app.get_formatter()->label("REQUIRED", "");
        app.add_flag("-V,--version", version, "print the version");
        add_globals(app, invocation.global);

        auto& init = command("init", "look what runs here, write holdfast.toml, make the repository");
        init.add_option("--stack", invocation.init.stack, "name of the stack (default: the host's name)")
            ->type_name("NAME");
        add_list(init, "--search", invocation.init.search, "look for DuckDB files below this folder, too", "FOLDER");
        init.add_flag("--generate-password", invocation.init.generate_password,
                      "make the --password-file with a random password");
        init.add_flag("--no-detect", invocation.init.no_detect, "write a configuration without looking for stores");

        auto& backup = command("backup", "save the stack (or plain paths) as one snapshot");
        backup.add_option("PATH", invocation.backup.paths, "plain files and folders instead of the configured stack");
        add_list(backup, "--only", invocation.backup.only, "only this component, by name or kind", "COMPONENT");
        add_list(backup, "--without", invocation.backup.without, "all but this component", "COMPONENT");
        add_list(backup, "--tag", invocation.backup.tags, "mark the snapshot", "TAG");
        add_list(backup, "-e,--exclude", invocation.backup.exclude, "leave out what fits this pattern", "PATTERN");
        backup.add_flag("-x,--one-file-system", invocation.backup.one_file_system, "do not enter other file systems");
        backup.add_option("-H,--host", invocation.backup.host, "host name to write into the snapshot")
            ->type_name("HOST");
        backup
            .add_option("--parent", invocation.backup.parent,
                        "snapshot to compare with (default: the newest of these paths)")
            ->type_name("SNAPSHOT");
        backup.add_flag("-f,--force", invocation.backup.force, "read every file, also unchanged ones");

        auto& snapshots = command("snapshots", "list snapshots");
        add_filter(snapshots, invocation.snapshots.filter);
        snapshots.add_option("--latest", invocation.snapshots.latest, "only the newest N")->type_name("N");

        auto& ls = command("ls", "list the files of a snapshot");
        ls.add_option("SNAPSHOT", invocation.ls.snapshot, "ID or latest")->required();
        ls.add_option("PATH", invocation.ls.path, "only what lies here and below");
        ls.add_flag("-l,--long", invocation.ls.long_form, "mode, owner, size and time");
        add_filter(ls, invocation.ls.filter);

        auto& restore = command("restore", "bring a snapshot back, into the stores or as plain files");
        restore.add_option("SNAPSHOT", invocation.restore.snapshot, "ID or latest")->required();
        add_list(restore, "--only", invocation.restore.only, "only this component, by name or kind", "COMPONENT");
        restore
            .add_option("-t,--target", invocation.restore.target,
                        "lay plain files out below this folder; touch no store")
            ->type_name("FOLDER");
        add_list(restore, "-i,--include", invocation.restore.include, "with --target: only this path", "PATH");
        restore.add_flag("-n,--dry-run", invocation.restore.dry_run, "say what would be done, and stop");
        restore.add_flag("-y,--yes", invocation.restore.yes, "do not ask");
        restore.add_flag("--replace", invocation.restore.replace,
                         "put live stores and files aside and take their place");
        restore.add_flag("--overwrite", invocation.restore.overwrite,
                         "with --target: replace files that are in the way");
        add_filter(restore, invocation.restore.filter);

        auto& check = command("check", "is everything that the snapshots need there and whole?");
        check.add_flag("--read-data", invocation.check.read_data, "read, decrypt and hash every blob");

        command("version", "print the version");
        auto& completion = command("completion", "print a completion script");
        completion.add_option("SHELL", completion_shell, "bash, zsh or fish")->required();
        auto& help = command("help", "print help, general or on a command");
        help.add_option("COMMAND", help_topic, "a command");

        for (CLI::App* sub : app.get_subcommands(nullptr)) add_globals(*sub, invocation.global);
        command("internal", "for tests and for holdfast itself").group("")->prefix_command();
    }

    std::vector<CommandShape> shapes() const {
        std::vector<CommandShape> all;
        for (const CLI::App* sub : app.get_subcommands([](const CLI::App* s) { return !s->get_group().empty(); })) {
            CommandShape shape{sub->get_name(), sub->get_description(), {}, {}};
            for (const CLI::Option* option : sub->get_options()) {
                if (option->get_positional()) {
                    if (option->get_name() == "SNAPSHOT") shape.words = {"latest"};
                    if (option->get_name() == "SHELL") shape.words = {"bash", "zsh", "fish"};
                    continue;
                }
                for (const std::string& name : option->get_lnames())
                    shape.options.push_back(
                        {"--" + name, option->get_description(), option->get_items_expected_max() > 0});
                for (const std::string& name : option->get_snames())
                    shape.options.push_back(
                        {"-" + name, option->get_description(), option->get_items_expected_max() > 0});
            }
            all.push_back(std::move(shape));
        }
        for (CommandShape& shape : all)
            if (shape.name == "help")
                for (const CommandShape& other : all) shape.words.push_back(other.name);
        return all;
    }

    std::vector<std::string> command_names() const {
        std::vector<std::string> names;
        for (const CommandShape& shape : shapes()) names.push_back(shape.name);
        return names;
    }
};

std::vector<std::string_view> views(const std::vector<std::string>& words) { return {words.begin(), words.end()}; }

std::unexpected<Error> unknown_command(const Tree& tree, const std::string& word) {
    const std::vector<std::string> names = tree.command_names();
    const std::string close = policy::suggest(word, views(names));
    return fail(ErrorCode::usage,
                close.empty() ? fmt::format("unknown command '{}'", word)
                              : fmt::format("unknown command '{}'; did you mean '{}'?", word, close),
                "`holdfast help` lists the commands");
}

// What was left over: an option that no one knows, or a word too many.
std::unexpected<Error> unexpected_word(const Tree& tree, const CLI::App& at, const std::string& word) {
    if (&at == &tree.app && !word.starts_with('-')) return unknown_command(tree, word);
    const std::string hint = &at == &tree.app ? "`holdfast help` lists the options"
                                              : fmt::format("`holdfast {} --help` lists the options", at.get_name());
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

Result<Invocation> finish(Tree& tree) {
    Invocation& invocation = tree.invocation;
    if (tree.version) {
        invocation.text = version_text();
        return std::move(invocation);
    }
    const std::vector<CLI::App*> chosen = tree.app.get_subcommands();
    if (!chosen.empty() && chosen[0]->get_name() == "internal") {
        invocation.command = Invocation::Command::internal;
        invocation.internal = chosen[0]->remaining();
        return std::move(invocation);
    }
    if (const auto left = leftovers(tree.app); !left.empty()) return unexpected_word(tree, tree.app, left[0]);
    if (chosen.empty()) {
        return fail(ErrorCode::usage, "no command was given",
                    "`holdfast help` lists the commands; `holdfast init` is the first");
    }
    const CLI::App& sub = *chosen[0];
    if (const auto left = leftovers(sub); !left.empty()) return unexpected_word(tree, sub, left[0]);

    using Command = Invocation::Command;
    static constexpr std::array<std::pair<std::string_view, Command>, 6> k_commands{{{"init", Command::init},
                                                                                     {"backup", Command::backup},
                                                                                     {"snapshots", Command::snapshots},
                                                                                     {"ls", Command::ls},
                                                                                     {"restore", Command::restore},
                                                                                     {"check", Command::check}}};
    for (const auto& [name, command] : k_commands)
        if (sub.get_name() == name) invocation.command = command;
    if (sub.get_name() == "version") invocation.text = version_text();
    if (sub.get_name() == "completion") {
        HF_TRY(invocation.text, completion_script(tree.completion_shell, tree.shapes()));
    }
    if (sub.get_name() == "help") {
        if (tree.help_topic.empty()) {
            invocation.text = Tree().app.help();    // a tree that has parsed nothing: else it is the help of `help`
        } else {
            const std::vector<std::string> names = tree.command_names();
            if (std::ranges::find(names, tree.help_topic) == names.end()) return unknown_command(tree, tree.help_topic);
            invocation.text = tree.app.get_subcommand(tree.help_topic)->help("holdfast");
        }
    }
    if (invocation.command == Command::restore && invocation.restore.target.empty() &&
        (invocation.restore.overwrite || !invocation.restore.include.empty()))
        return fail(ErrorCode::usage, "--include and --overwrite go with --target",
                    "add --target FOLDER to lay out plain files, or use --only and --replace for the stores");
    return std::move(invocation);
}

}    // namespace

Result<Invocation> parse_arguments(std::vector<std::string> arguments, bool& json) {
    json = std::ranges::find(arguments, "--json") != arguments.end();
    Tree tree;
    std::ranges::reverse(arguments);    // CLI11 takes them from the back
    // CLI11 throws, for help as well; its exceptions end here.
    try {
        tree.app.parse(arguments);
        return finish(tree);
    } catch (const CLI::CallForHelp&) {
        tree.invocation.command = Invocation::Command::print;
        tree.invocation.text = tree.app.help();
        return std::move(tree.invocation);
    } catch (const CLI::ParseError& error) {
        std::string message = error.what();
        while (message.ends_with('\n') || message.ends_with('.')) message.pop_back();
        return fail(ErrorCode::usage, std::move(message), "`holdfast help` explains the commands and their options");
    }
}

}    // namespace holdfast::cli
