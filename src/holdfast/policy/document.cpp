#include "holdfast/policy/document.hpp"

#include <fmt/core.h>
#include <toml++/toml.h>

#include <charconv>
#include <cmath>
#include <cstdlib>

#include "holdfast/base/json.hpp"

namespace holdfast::policy {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_blank(char c) { return c == ' ' || c == '\t'; }
bool is_continuation(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

Fault fault_at(std::string_view text, std::size_t at, std::string reason) {
    at = std::min(at, text.size());
    Fault fault{1, 1, std::move(reason)};
    for (std::size_t i = 0; i < at; ++i) {
        if (text[i] == '\n') {
            ++fault.line;
            fault.column = 1;
        } else if (!is_continuation(text[i])) {
            ++fault.column;
        }
    }
    return fault;
}

// The first byte that is not UTF-8.
std::size_t utf8_ends_at(std::string_view text) {
    if (json::as_utf8(text) == text) return text.size();
    // Rare, so it may be slow: character by character, as long as its first byte claims.
    for (std::size_t i = 0; i < text.size();) {
        const unsigned char c = static_cast<unsigned char>(text[i]);
        const std::size_t length = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
        const std::string_view one = text.substr(i, length);
        if (one.size() < length || json::as_utf8(one) != one) return i;
        i += length;
    }
    return text.size();
}

std::string shown(std::string_view text, std::size_t at) {
    if (at >= text.size()) return "the end of the file";
    const unsigned char c = static_cast<unsigned char>(text[at]);
    if (c == '\n') return "the end of the line";
    if (c < 0x20 || c == 0x7f) return fmt::format("a control character (0x{:02x})", c);
    std::size_t end = at + 1;
    while (end < text.size() && is_continuation(text[end])) ++end;
    return fmt::format("'{}'", json::as_utf8(text.substr(at, end - at)));
}

// Says where base/json's parser gave up: that one gives no place. It is the judge; this follows its rules (the fuzzer holds
// them together), and never decides alone.
class JsonScanner {
public:
    explicit JsonScanner(std::string_view text) : text_(text) {}

    std::optional<Fault> run() {
        space();
        if (value(0)) {
            space();
            if (at_ < text_.size()) stop(at_, fmt::format("{} after the end of the document", shown(text_, at_)));
        }
        return std::move(fault_);
    }

private:
    bool stop(std::size_t at, std::string reason) {
        fault_ = fault_at(text_, at, std::move(reason));
        return false;
    }
    bool ended(std::size_t opened, std::string_view what) {
        const Fault begin = fault_at(text_, opened, "");
        return stop(text_.size(), fmt::format("the file ends inside the {} that begins in line {}, column {}", what,
                                              begin.line, begin.column));
    }
    char here() const { return at_ < text_.size() ? text_[at_] : '\0'; }
    void space() {
        while (at_ < text_.size() && (is_blank(text_[at_]) || text_[at_] == '\n' || text_[at_] == '\r')) ++at_;
    }

    bool value(int depth) {
        if (depth > 200) return stop(at_, "nested more than 200 levels deep");
        if (at_ >= text_.size()) return stop(at_, "a value is missing at the end of the file");
        const char c = text_[at_];
        if (c == '{') return object(depth);
        if (c == '[') return array(depth);
        if (c == '"') return string();
        if (c == '-' || is_digit(c)) return number();
        for (const std::string_view word : {"true", "false", "null"})
            if (text_.substr(at_).starts_with(word)) {
                const std::size_t end = at_ + word.size();
                if (end < text_.size() && (is_letter(text_[end]) || is_digit(text_[end]) || text_[end] == '_')) break;
                at_ = end;
                return true;
            }
        if (c == '\'') return stop(at_, "texts stand in double quotes");
        return stop(at_, fmt::format("a value is expected here, not {}", shown(text_, at_)));
    }

    bool object(int depth) {
        const std::size_t opened = at_++;
        space();
        if (here() == '}') return ++at_, true;
        for (;;) {
            if (at_ >= text_.size()) return ended(opened, "object");
            if (here() != '"')
                return stop(at_, fmt::format("a name in double quotes is expected here, not {}", shown(text_, at_)));
            if (!string()) return false;
            space();
            if (at_ >= text_.size()) return ended(opened, "object");
            if (here() != ':') return stop(at_, fmt::format("':' is expected here, not {}", shown(text_, at_)));
            ++at_;
            space();
            if (at_ >= text_.size()) return ended(opened, "object");
            if (!value(depth + 1)) return false;
            space();
            if (here() == '}' && at_ < text_.size()) return ++at_, true;
            if (!comma(opened, "object", '}')) return false;
        }
    }

    bool array(int depth) {
        const std::size_t opened = at_++;
        space();
        if (here() == ']') return ++at_, true;
        for (;;) {
            if (at_ >= text_.size()) return ended(opened, "array");
            if (!value(depth + 1)) return false;
            space();
            if (here() == ']') return ++at_, true;
            if (!comma(opened, "array", ']')) return false;
        }
    }

    bool comma(std::size_t opened, std::string_view what, char close) {
        if (at_ >= text_.size()) return ended(opened, what);
        if (here() != ',')
            return stop(at_, fmt::format("',' or '{}' is expected here, not {}", close, shown(text_, at_)));
        const std::size_t comma_at = at_++;
        space();
        if (here() == close) return stop(comma_at, fmt::format("a comma before the closing '{}'", close));
        return true;
    }

    bool string() {
        const std::size_t opened = at_++;
        while (at_ < text_.size()) {
            const char c = text_[at_];
            if (c == '"') return ++at_, true;
            if (static_cast<unsigned char>(c) < 0x20)
                return stop(at_, c == '\n' ? "the text in quotes does not end in its line"
                                           : fmt::format("{} inside a text", shown(text_, at_)));
            if (c == '\\') {
                if (!escape()) return false;
            } else {
                ++at_;
            }
        }
        return ended(opened, "text");
    }

    int hex4(std::size_t at) const {
        unsigned number = 0;
        if (at + 4 > text_.size()) return -1;
        const auto [end, error] = std::from_chars(text_.data() + at, text_.data() + at + 4, number, 16);
        return error == std::errc() && end == text_.data() + at + 4 ? static_cast<int>(number) : -1;
    }

    bool escape() {
        const std::size_t begin = at_;
        const char c = begin + 1 < text_.size() ? text_[begin + 1] : '\0';
        if (c == 'u') {
            const int first = hex4(begin + 2);
            if (first < 0) return stop(begin, "\\u needs four hexadecimal digits");
            at_ = begin + 6;
            if (first >= 0xd800 && first < 0xdc00) {
                const int second = text_.substr(at_).starts_with("\\u") ? hex4(at_ + 2) : -1;
                if (second < 0xdc00 || second > 0xdfff) return stop(begin, "half of a surrogate pair");
                at_ += 6;
            } else if (first >= 0xdc00 && first <= 0xdfff) {
                return stop(begin, "half of a surrogate pair");
            }
            return true;
        }
        if (c == '\0' || std::string_view("\"\\/bfnrt").find(c) == std::string_view::npos)
            return stop(begin, fmt::format("no such escape: \\ before {}", shown(text_, begin + 1)));
        at_ += 2;
        return true;
    }

    bool number() {
        const std::size_t begin = at_;
        const auto digits = [&] {
            const std::size_t from = at_;
            while (is_digit(here())) ++at_;
            return at_ > from;
        };
        if (here() == '-') ++at_;
        const std::size_t first = at_;
        if (!digits()) return stop(at_, fmt::format("a digit is expected here, not {}", shown(text_, at_)));
        if (text_[first] == '0' && at_ > first + 1) return stop(begin, "a number with a leading zero");
        bool whole = true;
        if (here() == '.') {
            whole = false;
            ++at_;
            if (!digits()) return stop(at_, fmt::format("a digit is expected here, not {}", shown(text_, at_)));
        }
        if (here() == 'e' || here() == 'E') {
            whole = false;
            ++at_;
            if (here() == '+' || here() == '-') ++at_;
            if (!digits()) return stop(at_, fmt::format("a digit is expected here, not {}", shown(text_, at_)));
        }
        if (at_ < text_.size() && (is_letter(here()) || here() == '_' || here() == '.'))
            return stop(at_, fmt::format("{} inside a number", shown(text_, at_)));
        const std::string_view literal = text_.substr(begin, at_ - begin);
        if (whole) {
            std::int64_t negative = 0;
            std::uint64_t positive = 0;
            const auto error = literal[0] == '-'
                                   ? std::from_chars(literal.data(), literal.data() + literal.size(), negative).ec
                                   : std::from_chars(literal.data(), literal.data() + literal.size(), positive).ec;
            if (error != std::errc()) return stop(begin, "a number beyond 64 bits");
        } else if (!std::isfinite(std::strtod(std::string(literal).c_str(), nullptr))) {
            return stop(begin, "a number beyond the range of a double");
        }
        return true;
    }

    std::string_view text_;
    std::size_t at_ = 0;
    std::optional<Fault> fault_;
};

std::optional<Fault> json_fault(std::string_view text) {
    // Editors on Windows write it; most readers skip it.
    if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
    const auto parsed = json::parse(text, "document");
    if (parsed) return std::nullopt;
    if (auto fault = JsonScanner(text).run()) return fault;
    return Fault{1, 1, parsed.error().message};
}

std::optional<Fault> toml_fault(std::string_view text) {
    // toml++ throws, as Debian builds it; its exceptions end here.
    try {
        static_cast<void>(toml::parse(text));
        return std::nullopt;
    } catch (const toml::parse_error& error) {
        const auto at = error.source().begin;
        return Fault{std::max<unsigned>(at.line, 1), std::max<unsigned>(at.column, 1),
                     std::string(error.description())};
    }
}

std::optional<Fault> env_fault(std::string_view text) {
    std::size_t at = text.starts_with("\xef\xbb\xbf") ? 3 : 0;
    const auto here = [&] { return at < text.size() ? text[at] : '\n'; };
    const auto blanks = [&] {
        while (is_blank(here())) ++at;
    };
    // A carriage return counts as the line's end only before the newline.
    const auto line_ends = [&] { return here() == '\n' || (here() == '\r' && text.substr(at).starts_with("\r\n")); };
    const auto to_line_end = [&] { at = std::min(text.find('\n', at), text.size()); };
    for (; at < text.size(); ++at) {
        blanks();
        if (here() == '#') to_line_end();
        if (line_ends() || at >= text.size()) {
            to_line_end();
            continue;
        }
        if (text.substr(at).starts_with("export ") || text.substr(at).starts_with("export\t")) {
            at += 7;
            blanks();
        }
        const std::size_t key = at;
        while (is_letter(here()) || here() == '_' || (at > key && (is_digit(here()) || here() == '.' || here() == '-')))
            ++at;
        if (at == key) return fault_at(text, at, fmt::format("a name is expected here, not {}", shown(text, at)));
        const std::string_view name = text.substr(key, at - key);
        blanks();
        if (here() != '=' || at >= text.size())
            return fault_at(text, at, fmt::format("'=' is expected after {}, not {}", name, shown(text, at)));
        ++at;
        blanks();
        if (here() == '\'' || here() == '"') {
            const char quote = here();
            const std::size_t opened = at++;
            while (at < text.size() && text[at] != quote) at += quote == '"' && text[at] == '\\' ? 2 : 1;
            if (at >= text.size()) return fault_at(text, opened, fmt::format("the quote of {} is never closed", name));
            ++at;
            blanks();
            if (here() == '#') to_line_end();
            if (!line_ends())
                return fault_at(text, at, fmt::format("{} after the closing quote of {}", shown(text, at), name));
        }
        to_line_end();
    }
    return std::nullopt;
}

}    // namespace

std::string_view to_text(DocumentFormat format) {
    switch (format) {
        case DocumentFormat::json:
            return "json";
        case DocumentFormat::toml:
            return "toml";
        case DocumentFormat::env:
            return "env";
        case DocumentFormat::text:
            return "text";
    }
    return "";
}

std::optional<DocumentFormat> document_format(std::string_view path) {
    const std::string_view name = path.substr(path.rfind('/') + 1);
    if (name.ends_with(".json")) return DocumentFormat::json;
    if (name.ends_with(".toml")) return DocumentFormat::toml;
    if (name.ends_with(".env") || name.starts_with(".env.")) return DocumentFormat::env;
    return std::nullopt;
}

std::string fault_text(std::string_view file, const Fault& fault) {
    return fmt::format("{}:{}:{}: {}", file, fault.line, fault.column, fault.reason);
}

std::optional<Fault> find_fault(std::string_view text, DocumentFormat format) {
    if (text.find_first_not_of(" \t\r\n") == std::string_view::npos) return Fault{1, 1, "the file is empty"};
    if (const std::size_t nul = text.find('\0'); nul != std::string_view::npos)
        return fault_at(text, nul, "a NUL byte: the file was cut by a crash, or is no text");
    if (const std::size_t bad = utf8_ends_at(text); bad < text.size()) return fault_at(text, bad, "not UTF-8");
    switch (format) {
        case DocumentFormat::json:
            return json_fault(text);
        case DocumentFormat::toml:
            return toml_fault(text);
        case DocumentFormat::env:
            return env_fault(text);
        case DocumentFormat::text:
            return std::nullopt;
    }
    return std::nullopt;
}

}    // namespace holdfast::policy
