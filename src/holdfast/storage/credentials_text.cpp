#include "holdfast/storage/credentials_text.hpp"

#include <fmt/core.h>

#include <algorithm>

namespace holdfast::storage {

Result<std::vector<std::pair<std::string, std::string>>> parse_credentials(std::string_view text,
                                                                           std::string_view file) {
    std::vector<std::pair<std::string, std::string>> found;
    for (unsigned number = 1; !text.empty(); ++number) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        std::string_view line = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        if (line.ends_with('\r')) line.remove_suffix(1);
        if (line.empty() || line[0] == '#') continue;
        const std::size_t equals = line.find('=');
        // A NUL would end the name or the value where they become environment variables.
        if (equals == std::string_view::npos || equals == 0 || line.contains('\0'))
            return fail(ErrorCode::config, fmt::format("{}:{} is not NAME=value", file, number),
                        "write lines as AWS_ACCESS_KEY_ID=…");
        found.emplace_back(line.substr(0, equals), line.substr(equals + 1));
    }
    return found;
}

}    // namespace holdfast::storage
