#include "holdfast/db/clickhouse_ddl.hpp"

#include <cctype>
#include <optional>
#include <utility>

#include "holdfast/db/clickhouse_text.hpp"

namespace holdfast::db::clickhouse {

namespace {

struct Token {
    enum class Kind { word, name, text, other } kind = Kind::other;
    std::size_t begin = 0, end = 0;    // in the statement
    std::string value;    // words in upper case, names and texts unquoted
    std::string original;    // words as written
};

bool is_word(char c) {
    const auto u = static_cast<unsigned char>(c);
    return std::isalnum(u) || c == '_' || u >= 0x80;
}

class Reader {
public:
    explicit Reader(std::string_view text, std::size_t at = 0) : text_(text), at_(at) {}

    /// nullopt at the end, or at a quote that does not close (then broken() is true).
    std::optional<Token> next() {
        while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_]))) ++at_;
        if (at_ >= text_.size()) return std::nullopt;
        Token token;
        token.begin = at_;
        const char c = text_[at_];
        if (c == '`' || c == '"' || c == '\'') {
            token.kind = c == '\'' ? Token::Kind::text : Token::Kind::name;
            if (!read_quoted(c, token.value)) return std::nullopt;
        } else if (is_word(c)) {
            token.kind = Token::Kind::word;
            while (at_ < text_.size() && is_word(text_[at_])) ++at_;
            token.original = text_.substr(token.begin, at_ - token.begin);
            for (const char w : token.original)
                token.value += static_cast<char>(std::toupper(static_cast<unsigned char>(w)));
        } else {
            token.value = c;
            ++at_;
        }
        token.end = at_;
        return token;
    }
    bool broken() const { return broken_; }

private:
    bool read_quoted(char quote, std::string& value) {
        for (++at_; at_ < text_.size(); ++at_) {
            const char c = text_[at_];
            if (c == '\\' && at_ + 1 < text_.size()) {
                const char escaped = text_[++at_];
                const std::string_view from = "ntrbf0", to("\n\t\r\b\f\0", 6);
                const auto known = from.find(escaped);
                value += known == std::string_view::npos ? escaped : to[known];
            } else if (c == quote) {
                if (at_ + 1 < text_.size() && text_[at_ + 1] == quote) {
                    value += text_[++at_];    // '' inside '…'
                    continue;
                }
                ++at_;
                return true;
            } else {
                value += c;
            }
        }
        broken_ = true;
        return false;
    }

    std::string_view text_;
    std::size_t at_;
    bool broken_ = false;
};

bool is(const std::optional<Token>& token, std::string_view word) {
    return token && (token->kind == Token::Kind::word || token->kind == Token::Kind::other) && token->value == word;
}

std::string name_in(const Token& token) { return token.kind == Token::Kind::word ? token.original : token.value; }
bool names(const std::optional<Token>& token) {
    return token && (token->kind == Token::Kind::word || token->kind == Token::Kind::name);
}

Result<Create> refuse(std::string_view ddl) {
    return fail(ErrorCode::unsupported, "cannot read the statement: " + std::string(ddl.substr(0, 120)),
                "restore this table by hand from its .sql and .native files");
}

}    // namespace

Result<Create> parse_create(std::string_view ddl) {
    Reader reader(ddl);
    auto token = reader.next();
    if (!is(token, "CREATE") && !is(token, "ATTACH")) return refuse(ddl);
    Create create;
    for (token = reader.next(); token && token->kind == Token::Kind::word; token = reader.next()) {
        if (!create.kind.empty()) create.kind += ' ';
        create.kind += token->value;
        if (token->value == "TABLE" || token->value == "VIEW" || token->value == "DICTIONARY") break;
        if (create.kind.size() > 40) return refuse(ddl);
    }
    if (!token || token->kind != Token::Kind::word) return refuse(ddl);

    token = reader.next();
    if (is(token, "IF")) {    // IF NOT EXISTS; a table named `if` is printed in quotes
        reader.next();
        reader.next();
        token = reader.next();
    }
    if (!names(token)) return refuse(ddl);
    create.name = name_in(*token);
    std::size_t rest = token->end;
    token = reader.next();
    if (is(token, ".")) {
        token = reader.next();
        if (!names(token)) return refuse(ddl);
        create.database = std::exchange(create.name, name_in(*token));
        rest = token->end;
        token = reader.next();
    }
    // What only holds on the server it came from. `rest` ends up behind the last such clause.
    for (;; token = reader.next()) {
        if (is(token, "UUID")) {
            token = reader.next();
        } else if (is(token, "ON")) {    // ON CLUSTER name
            reader.next();
            token = reader.next();
        } else if (is(token, "TO") && create.kind == "MATERIALIZED VIEW") {
            const auto target = reader.next();
            if (!is(target, "INNER")) {
                create.with_target = true;
                break;
            }
            reader.next();
            token = reader.next();
        } else {
            break;
        }
        if (!token) break;
        rest = token->end;
    }
    if (reader.broken()) return refuse(ddl);
    create.rest = ddl.substr(rest);
    return create;
}

std::string create_as(const Create& create, std::string_view database, std::string_view name) {
    return "CREATE " + create.kind + " " + quoted_name(database, name) + create.rest;
}

std::string with_insertable_columns(std::string_view rest) {
    std::string out;
    std::size_t copied = 0;
    int depth = 0;
    bool first = true, decided = false;    // in the current column: at its name, and its kind has been named
    Reader reader(rest);
    for (auto token = reader.next(); token; token = reader.next()) {
        if (is(token, "(")) {
            ++depth;
            if (depth == 1) first = true;
            continue;
        }
        if (is(token, ")")) {
            if (--depth == 0) break;    // the column list is the first bracket; what follows is the engine's
            continue;
        }
        if (depth == 0) break;    // no column list at all
        if (depth > 1) continue;
        if (is(token, ",")) {
            first = true;
            decided = false;
            continue;
        }
        if (!first && !decided && token->kind == Token::Kind::word) {
            if (token->value == "MATERIALIZED") {
                out += rest.substr(copied, token->begin - copied);
                out += "DEFAULT";
                copied = token->end;
            }
            decided = token->value == "MATERIALIZED" || token->value == "DEFAULT" || token->value == "ALIAS" ||
                      token->value == "EPHEMERAL" || token->value == "CODEC" || token->value == "COMMENT";
        }
        first = false;
    }
    out += rest.substr(copied);
    return out;
}

Unreplicated without_replication(std::string_view rest) {
    Unreplicated result{std::string(rest), false};
    Reader reader(rest);
    int depth = 0;
    for (auto token = reader.next(); token; token = reader.next()) {
        if (is(token, "(")) ++depth;
        if (is(token, ")")) --depth;
        if (depth != 0 || !is(token, "ENGINE")) continue;
        token = reader.next();
        if (is(token, "=")) token = reader.next();
        constexpr std::string_view k_word = "REPLICATED";
        if (!token || token->kind != Token::Kind::word || !token->value.starts_with(k_word)) return result;
        std::string out(rest.substr(0, token->begin));
        out += token->original.substr(k_word.size());
        std::size_t copied = token->end;
        token = reader.next();
        if (is(token, "(")) {
            // 'path', 'replica' or nothing; what stands behind them are the engine's own arguments.
            copied = token->end;
            for (int texts = 0; texts < 2; ++texts) {
                token = reader.next();
                if (!token || token->kind != Token::Kind::text) break;
                copied = token->end;
                token = reader.next();
                if (!is(token, ",")) break;
                copied = token->end;
            }
            while (copied < rest.size() && rest[copied] == ' ') ++copied;
            out += '(';
        }
        if (reader.broken()) return result;
        out += rest.substr(copied);
        return {std::move(out), true};
    }
    return result;
}

}    // namespace holdfast::db::clickhouse
