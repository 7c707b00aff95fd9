#include "holdfast/cli/completion.hpp"

#include <fmt/core.h>

#include <set>

namespace holdfast::cli {
namespace {

std::string joined(const std::vector<std::string>& words, const char* with) {
    std::string all;
    for (const std::string& word : words) all += (all.empty() ? "" : with) + word;
    return all;
}

// 'it'\''s' : one word for every shell.
std::string quoted(std::string_view text) {
    std::string out = "'";
    for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
    return out + "'";
}

std::string bash(const std::vector<CommandShape>& commands) {
    std::vector<std::string> names;
    std::string cases;
    std::set<std::string> values;    // a name means the same for every command that has it
    for (const CommandShape& command : commands) {
        names.push_back(command.name);
        std::vector<std::string> words = command.words;
        for (const OptionShape& option : command.options) {
            words.push_back(option.name);
            if (option.takes_value) values.insert(option.name);
        }
        cases += fmt::format("        {}) words={} ;;\n", command.name, quoted(joined(words, " ")));
    }
    return fmt::format(R"(# bash completion for holdfast: source <(holdfast completion bash)
_holdfast() {{
    local current=${{COMP_WORDS[COMP_CWORD]}} command='' words='' i
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${{COMP_WORDS[i]}} in -*) ;; *) command=${{COMP_WORDS[i]}}; break ;; esac
    done
    if [[ -z $command ]]; then
        COMPREPLY=($(compgen -W {} -- "$current"))
        return
    fi
    case ${{COMP_WORDS[COMP_CWORD-1]}} in
        {}) COMPREPLY=($(compgen -f -- "$current")); return ;;
    esac
    case $command in
{}    esac
    COMPREPLY=($(compgen -W "$words" -- "$current"))
    [[ ${{#COMPREPLY[@]}} == 0 && $current != -* ]] && COMPREPLY=($(compgen -f -- "$current"))
    return 0
}}
complete -o filenames -F _holdfast holdfast
)",
                       quoted(joined(names, " ")), joined({values.begin(), values.end()}, "|"), cases);
}

std::string zsh(const std::vector<CommandShape>& commands) {
    std::string list, cases;
    // _describe takes "name:help"; a colon in either would end the name.
    const auto item = [](std::string_view name, std::string_view help) {
        std::string text;
        for (const char c : help) text += c == ':' ? std::string("\\:") : std::string(1, c);
        return quoted(fmt::format("{}:{}", name, text));
    };
    for (const CommandShape& command : commands) {
        list += fmt::format("        {}\n", item(command.name, command.help));
        std::string words;
        for (const std::string& word : command.words) words += " " + item(word, "");
        for (const OptionShape& option : command.options) words += " " + item(option.name, option.help);
        cases += fmt::format("        {}) choices=({} ) ;;\n", command.name, words);
    }
    return fmt::format(R"(#compdef holdfast
# zsh completion for holdfast: holdfast completion zsh > "${{fpath[1]}}/_holdfast"
_holdfast() {{
    local -a commands choices
    commands=(
{}    )
    if (( CURRENT == 2 )); then
        _describe command commands
        return
    fi
    case $words[2] in
{}    esac
    _describe option choices || _files
}}
)",
                       list, cases);
}

std::string fish(const std::vector<CommandShape>& commands) {
    std::string all =
        "# fish completion for holdfast: holdfast completion fish > ~/.config/fish/completions/holdfast.fish\n";
    for (const CommandShape& command : commands)
        all += fmt::format("complete -c holdfast -n __fish_use_subcommand -f -a {} -d {}\n", command.name,
                           quoted(command.help));
    for (const CommandShape& command : commands) {
        const std::string when = quoted("__fish_seen_subcommand_from " + command.name);
        for (const std::string& word : command.words)
            all += fmt::format("complete -c holdfast -n {} -a {}\n", when, word);
        for (const OptionShape& option : command.options) {
            const bool brief = !option.name.starts_with("--");
            all += fmt::format("complete -c holdfast -n {} -{} {}{} -d {}\n", when, brief ? 's' : 'l',
                               option.name.substr(brief ? 1 : 2), option.takes_value ? " -r" : "", quoted(option.help));
        }
    }
    return all;
}

}    // namespace

Result<std::string> completion_script(std::string_view shell, const std::vector<CommandShape>& commands) {
    if (shell == "bash") return bash(commands);
    if (shell == "zsh") return zsh(commands);
    if (shell == "fish") return fish(commands);
    return fail(ErrorCode::usage, fmt::format("no completion for the shell '{}'", shell), "take bash, zsh or fish");
}

}    // namespace holdfast::cli
