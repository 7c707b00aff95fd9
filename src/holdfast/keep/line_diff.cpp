#include "holdfast/keep/line_diff.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace holdfast::keep {
namespace {

using Lines = std::vector<std::string_view>;

Lines lines_of(std::string_view text) {
    Lines lines;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = std::min(text.find('\n', at), text.size() - 1) + 1;
        lines.push_back(text.substr(at, end - at));
        at = end;
    }
    return lines;
}

struct Edit {
    char kind;    // ' ', '-', '+'
    std::string_view line;
};

// The longest common subsequence of what differs, by the table of its lengths.
std::vector<Edit> edits_between(const Lines& a, const Lines& b) {
    std::size_t begin = 0, end = 0;
    while (begin < a.size() && begin < b.size() && a[begin] == b[begin]) ++begin;
    while (end < a.size() - begin && end < b.size() - begin && a[a.size() - 1 - end] == b[b.size() - 1 - end]) ++end;
    const std::size_t n = a.size() - begin - end, m = b.size() - begin - end;
    constexpr std::size_t k_cells_max = 4'000'000;
    const bool whole = n > 0 && m > 0 && n > k_cells_max / m;
    std::vector<std::uint32_t> common(whole ? 0 : (n + 1) * (m + 1), 0);
    const auto cell = [&](std::size_t i, std::size_t j) -> std::uint32_t& { return common[i * (m + 1) + j]; };
    if (!whole)
        for (std::size_t i = n; i-- > 0;)
            for (std::size_t j = m; j-- > 0;)
                cell(i, j) =
                    a[begin + i] == b[begin + j] ? cell(i + 1, j + 1) + 1 : std::max(cell(i + 1, j), cell(i, j + 1));
    std::vector<Edit> edits;
    for (std::size_t i = 0; i < begin; ++i) edits.push_back({' ', a[i]});
    std::size_t i = 0, j = 0;
    while (i < n || j < m) {
        if (!whole && i < n && j < m && a[begin + i] == b[begin + j]) {
            edits.push_back({' ', a[begin + i]});
            ++i, ++j;
        } else if (i < n && (whole || j == m || cell(i + 1, j) >= cell(i, j + 1))) {
            edits.push_back({'-', a[begin + i++]});
        } else {
            edits.push_back({'+', b[begin + j++]});
        }
    }
    for (std::size_t k = a.size() - end; k < a.size(); ++k) edits.push_back({' ', a[k]});
    return edits;
}

}    // namespace

std::string line_diff(std::string_view before, std::string_view after, std::string_view before_name,
                      std::string_view after_name) {
    if (before == after) return {};
    const std::vector<Edit> edits = edits_between(lines_of(before), lines_of(after));
    constexpr std::size_t k_around = 3;
    std::string text = fmt::format("--- {}\n+++ {}\n", before_name, after_name);
    std::size_t old_line = 1, new_line = 1;
    for (std::size_t at = 0; at < edits.size();) {
        if (edits[at].kind == ' ') {
            ++at, ++old_line, ++new_line;
            continue;
        }
        const std::size_t from = at - std::min(k_around, at);
        // Changes that are no further apart than their surroundings share one hunk.
        std::size_t last = at;
        for (std::size_t i = at; i < edits.size() && i - last <= 2 * k_around; ++i)
            if (edits[i].kind != ' ') last = i;
        const std::size_t to = std::min(last + k_around + 1, edits.size());
        const std::size_t lead = at - from;
        std::size_t olds = 0, news = 0;
        std::string hunk;
        for (std::size_t i = from; i < to; ++i) {
            olds += edits[i].kind != '+';
            news += edits[i].kind != '-';
            hunk += edits[i].kind;
            hunk += edits[i].line;
            if (!edits[i].line.ends_with('\n')) hunk += "\n\\ No newline at end of file\n";
        }
        const std::size_t first_old = old_line - lead, first_new = new_line - lead;
        text += fmt::format("@@ -{},{} +{},{} @@\n{}", olds == 0 ? first_old - 1 : first_old, olds,
                            news == 0 ? first_new - 1 : first_new, news, hunk);
        old_line = first_old + olds;
        new_line = first_new + news;
        at = to;
    }
    return text;
}

}    // namespace holdfast::keep
