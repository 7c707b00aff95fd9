#include <algorithm>
#include <numeric>
#include <vector>

#include "holdfast/policy/config.hpp"

namespace holdfast::policy {
namespace {

// Edit distance in which two neighbours that changed places count once: the commonest slip of a hand.
std::size_t distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
    std::iota(last.begin(), last.end(), std::size_t(0));
    for (std::size_t i = 1; i <= a.size(); ++i) {
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = std::min(row[j], before[j - 2] + 1);
        }
        before.swap(last);
        last.swap(row);
    }
    return last[b.size()];
}

}    // namespace

std::string suggest(std::string_view word, const std::vector<std::string_view>& known) {
    // Two slips in a long word are one word; in "pg" they are another. A long word may have a third of it wrong.
    const std::size_t most = word.size() <= 2 ? 1 : std::max<std::size_t>(2, word.size() / 3);
    std::string_view best;
    std::size_t least = most + 1;
    for (const std::string_view candidate : known) {
        const std::size_t d = distance(word, candidate);
        if (d < least && d < candidate.size()) {
            least = d;
            best = candidate;
        }
    }
    return std::string(best);
}

}    // namespace holdfast::policy
