// Patterns and paths of any bytes: the walk that skips folders finds exactly what the pattern fits.

#include "holdfast/vault/glob.hpp"
#include "holdfast/vault/pack_subset.hpp"
#include "holdfast/vault/path_filter.hpp"

// The first line is a pattern, the second one a path.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace holdfast;
    if (size > 4096) return 0;
    const std::string text(reinterpret_cast<const char*>(data), size);
    if (const auto subset = vault::parse_pack_subset(text))
        HF_ASSERT((subset->buckets != 0) + (subset->percent > 0) + (subset->bytes != 0) == 1);
    const std::size_t line = std::min(text.find('\n'), text.size());
    const std::string pattern = text.substr(0, line), path = "/" + text.substr(std::min(line + 1, text.size()));
    for (const auto letters : {vault::GlobSet::Case::sensitive, vault::GlobSet::Case::ignored}) {
        const vault::GlobSet set({pattern}, letters);
        if (!set.matches(path)) continue;
        for (std::size_t slash = path.find('/', 1); slash < path.size(); slash = path.find('/', slash + 1)) {
            // What lies below nothing is the path itself.
            if (path.find_first_not_of('/', slash) == std::string::npos) break;
            HF_ASSERT(set.matches(path.substr(0, slash)) || set.may_match_below(path.substr(0, slash)));
        }
    }
    vault::PathPatterns excludes;
    excludes.exclude = {pattern};
    const vault::PathFilter filter({}, excludes);
    HF_ASSERT(filter.judge(path, filter.root()).excluded == vault::GlobSet({pattern}).matches(path));
    return 0;
}
