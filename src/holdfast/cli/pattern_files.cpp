#include "holdfast/cli/pattern_files.hpp"

#include <string_view>

#include "holdfast/os/file.hpp"

namespace holdfast::cli {

Status read_pattern_files(const std::vector<std::string>& files, std::vector<std::string>& to) {
    constexpr std::string_view k_blanks = " \t\r";
    for (const std::string& file : files) {
        auto text = os::read_text(file);
        if (!text) return fail(std::move(text).error().within("reading patterns"));
        for (std::string_view rest = *text; !rest.empty();) {
            const std::size_t end = rest.find('\n');
            std::string_view line = rest.substr(0, end);
            rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
            const std::size_t first = line.find_first_not_of(k_blanks);
            if (first == std::string_view::npos || line[first] == '#') continue;
            to.emplace_back(line.substr(first, line.find_last_not_of(k_blanks) - first + 1));
        }
    }
    return {};
}

}    // namespace holdfast::cli
