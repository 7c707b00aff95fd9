#pragma once
// ClickHouse's text: names and strings as SQL, answers in TSV, names as files, and the errors of its servers.
// Pure; for versions 18.16 to 26.

#include <string>
#include <string_view>
#include <vector>

#include "holdfast/base/result.hpp"

namespace holdfast::db::clickhouse {

/// `a``b` in backticks, with backslash escapes: right for every name.
std::string quoted_name(std::string_view name);
/// "`database`.`table`"
std::string quoted_name(std::string_view database, std::string_view table);
/// 'text' with backslash escapes.
std::string quoted_text(std::string_view text);

/// A name for our files: everything but letters, digits, '_' and '-' becomes %XX. Never empty, "." or
/// "..", and never with a dot or a slash in it.
std::string file_name_of(std::string_view name);
/// As the server names folders of its own ('-' is escaped, too).
std::string server_folder_of(std::string_view name);

/// One answer in TabSeparated: rows of unescaped fields. NULL stays "\N".
std::vector<std::vector<std::string>> parse_rows(std::string_view tsv);

/// The Error for an answer that is not 200. `code` comes from X-ClickHouse-Exception-Code (0 without one, then it is read
/// from the text: "Code: 60, e.displayText() = DB::Exception: …" or "Code: 60. DB::Exception: …").
Error server_error(long http_status, int code, std::string_view text);

}    // namespace holdfast::db::clickhouse
