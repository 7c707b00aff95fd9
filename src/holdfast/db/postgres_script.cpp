#include "holdfast/db/postgres_script.hpp"

#include <fmt/core.h>

namespace holdfast::db {
namespace {

bool is_space(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

// The index behind the quote that closes the one at `at`, npos if there is none. Doubled quotes go on.
std::size_t behind_quoted(std::string_view text, std::size_t at, bool backslashes) {
    const char quote = text[at];
    for (++at; at < text.size(); ++at) {
        if (backslashes && text[at] == '\\') {
            ++at;
        } else if (text[at] == quote) {
            if (at + 1 == text.size() || text[at + 1] != quote) return at + 1;
            ++at;
        }
    }
    return text.npos;
}

// Takes the next word ("quoted" or bare) off the front.
std::string take_word(std::string_view& text) {
    while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
    std::string word;
    if (!text.empty() && text.front() == '"') {
        const std::size_t end = std::min(behind_quoted(text, 0, false), text.size());
        for (std::size_t i = 1; i + 1 < end; ++i) {
            word += text[i];
            if (text[i] == '"') ++i;
        }
        text.remove_prefix(end);
        return word;
    }
    std::size_t end = 0;
    while (end < text.size() && !is_space(text[end]) && text[end] != ';') ++end;
    word = text.substr(0, end);
    text.remove_prefix(end);
    return word;
}

bool take(std::string_view& text, std::string_view words) {
    if (!text.starts_with(words)) return false;
    text.remove_prefix(words.size());
    return true;
}

}    // namespace

Result<std::vector<std::string>> split_script(std::string_view script) {
    std::vector<std::string> statements;
    std::size_t start = script.npos;    // of the statement; npos between statements
    for (std::size_t at = 0; at < script.size();) {
        const char c = script[at];
        if (c == '-' && script.substr(at).starts_with("--")) {
            at = std::min(script.find('\n', at), script.size());
            continue;
        }
        if (start == script.npos) {
            if (is_space(c)) {
                ++at;
                continue;
            }
            if (script.substr(at).starts_with("\\restrict ") || script.substr(at).starts_with("\\unrestrict ")) {
                at = std::min(script.find('\n', at), script.size());
                continue;
            }
            if (c == '\\') return fail(ErrorCode::corrupt, fmt::format("a psql command at byte {} of a script", at));
            start = at;
        }
        if (c == '\'' || c == '"') {
            const bool escapes =
                c == '\'' && at > start && (script[at - 1] == 'E' || script[at - 1] == 'e') &&
                (at - 1 == start || is_space(script[at - 2]) || script[at - 2] == '(' || script[at - 2] == ',');
            const std::size_t end = behind_quoted(script, at, escapes);
            if (end == script.npos)
                return fail(ErrorCode::corrupt, fmt::format("a quote at byte {} of a script does not end", at));
            at = end;
            continue;
        }
        ++at;
        if (c == ';') {
            statements.emplace_back(script.substr(start, at - start));
            start = script.npos;
        }
    }
    if (start != script.npos) return fail(ErrorCode::corrupt, "a script ends inside a statement");
    return statements;
}

GlobalStatement classify_global(std::string_view statement) {
    using Kind = GlobalStatement::Kind;
    std::string_view rest = statement;
    if (take(rest, "CREATE ROLE ")) return {Kind::create_role, take_word(rest)};
    if (take(rest, "ALTER ROLE ") || take(rest, "COMMENT ON ROLE ")) return {Kind::about_role, take_word(rest)};
    if (take(rest, "CREATE TABLESPACE ")) return {Kind::create_tablespace, take_word(rest)};
    if (take(rest, "ALTER TABLESPACE ") || take(rest, "COMMENT ON TABLESPACE "))
        return {Kind::about_tablespace, take_word(rest)};
    const bool grant = rest.starts_with("GRANT ");
    if (!grant && !rest.starts_with("REVOKE ")) return {Kind::other, {}};
    // GRANT CREATE ON TABLESPACE t TO r; GRANT a TO b: a role named ON would come quoted.
    while (!rest.empty()) {
        const bool quoted = rest.front() == ' ' && rest.size() > 1 && rest[1] == '"';
        const std::string word = take_word(rest);
        if (word.empty() && !quoted) break;
        if (!quoted && word == "ON" && take(rest, " TABLESPACE ")) return {Kind::about_tablespace, take_word(rest)};
    }
    return {Kind::membership, {}};
}

}    // namespace holdfast::db
