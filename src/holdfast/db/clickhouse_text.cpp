#include "holdfast/db/clickhouse_text.hpp"

#include <fmt/core.h>

#include <charconv>
#include <utility>

namespace holdfast::db::clickhouse {

namespace {

std::string quoted(std::string_view text, char quote) {
    std::string out(1, quote);
    for (const char c : text) {
        switch (c) {
            case '\\':
                out += "\\\\";
                break;
            case '\n':
                out += "\\n";
                break;
            case '\t':
                out += "\\t";
                break;
            case '\r':
                out += "\\r";
                break;
            case '\0':
                out += "\\0";
                break;
            default:
                if (c == quote) out += '\\';
                out += c;
        }
    }
    out += quote;
    return out;
}

char unescaped(char c) {
    switch (c) {
        case 'n':
            return '\n';
        case 't':
            return '\t';
        case 'r':
            return '\r';
        case 'b':
            return '\b';
        case 'f':
            return '\f';
        case '0':
            return '\0';
        default:
            return c;
    }
}

int code_in(std::string_view text) {
    const std::size_t at = text.find("Code: ");
    if (at == std::string_view::npos) return 0;
    int code = 0;
    std::from_chars(text.data() + at + 6, text.data() + text.size(), code);
    return code;
}

// "Code: 60, e.displayText() = DB::Exception: Table t.x doesn't exist., e.what() = DB::Exception" → the sentence in it.
std::string sentence_of(std::string_view text) {
    if (const auto at = text.find("DB::Exception: "); at != std::string_view::npos) text.remove_prefix(at + 15);
    for (const std::string_view tail : {", e.what() = ", " (version ", "\n"}) text = text.substr(0, text.find(tail));
    while (!text.empty() && (text.back() == '.' || text.back() == ' ')) text.remove_suffix(1);
    return std::string(text.substr(0, 400));
}

ErrorCode kind_of(long http_status, int code) {
    switch (code) {
        case 60:
        case 81:
        case 218:
        case 390:
            return ErrorCode::
                not_found;    // UNKNOWN_TABLE, UNKNOWN_DATABASE, TABLE_IS_DROPPED, no CREATE of it any more
        case 57:
        case 82:
            return ErrorCode::exists;    // TABLE_, DATABASE_ALREADY_EXISTS
        case 164:
        case 192:
        case 193:
        case 194:
        case 291:
        case 497:
        case 516:
            return ErrorCode::
                denied;    // READONLY, UNKNOWN_USER, WRONG_PASSWORD, REQUIRED_PASSWORD, ACCESS_DENIED (2), …
        case 243:
            return ErrorCode::disk_full;    // NOT_ENOUGH_SPACE
        case 0:
            return http_status == 401 || http_status == 403 ? ErrorCode::denied : ErrorCode::store;
        default:
            return ErrorCode::store;
    }
}

}    // namespace

std::string quoted_name(std::string_view name) { return quoted(name, '`'); }
std::string quoted_name(std::string_view database, std::string_view table) {
    return quoted_name(database) + "." + quoted_name(table);
}
std::string quoted_text(std::string_view text) { return quoted(text, '\''); }

std::string file_name_of(std::string_view name) {
    std::string out;
    for (const char c : name) {
        const bool plain =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
        if (plain) {
            out += c;
        } else {
            out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
        }
    }
    return out.empty() ? "%" : out;
}

std::string server_folder_of(std::string_view name) {
    std::string out;
    for (const char c : file_name_of(name)) {
        if (c == '-')
            out += "%2D";
        else
            out += c;
    }
    return out;
}

std::vector<std::vector<std::string>> parse_rows(std::string_view tsv) {
    std::vector<std::vector<std::string>> rows;
    std::vector<std::string> row;
    std::string field;
    for (std::size_t i = 0; i < tsv.size(); ++i) {
        const char c = tsv[i];
        if (c == '\t' || c == '\n') {
            row.push_back(std::exchange(field, {}));
            if (c == '\n') rows.push_back(std::exchange(row, {}));
        } else if (c == '\\' && i + 1 < tsv.size()) {
            const char next = tsv[++i];
            if (next == 'N') {
                field += "\\N";
            } else {
                field += unescaped(next);
            }
        } else {
            field += c;
        }
    }
    if (!field.empty() || !row.empty()) {
        row.push_back(std::move(field));
        rows.push_back(std::move(row));
    }
    return rows;
}

Error server_error(long http_status, int code, std::string_view text) {
    if (code == 0) code = code_in(text);
    // A failing write(2) has no code of its own (75 is CANNOT_WRITE_TO_FILE_DESCRIPTOR, whatever the cause).
    const bool full = text.find("No space left on device") != text.npos;
    const ErrorCode kind = full ? ErrorCode::disk_full : kind_of(http_status, code);
    std::string message = code != 0 ? fmt::format("ClickHouse says: {} (code {})", sentence_of(text), code)
                                    : fmt::format("ClickHouse answered HTTP {}: {}", http_status, sentence_of(text));
    std::string hint;
    if (code == 164) {
        hint = "the user is read-only: give it the profile setting readonly=2 for backups, 0 for restores";
    } else if (kind == ErrorCode::denied) {
        hint = "check `user` and `password_file` of [[clickhouse]], and what that user may do";
    } else if (kind == ErrorCode::disk_full) {
        hint = "free space on the server's disk and start again";
    } else if (code == 241) {
        hint = "raise max_memory_usage of the user's profile";
    }
    return Error{kind, std::move(message), std::move(hint)};
}

}    // namespace holdfast::db::clickhouse
