#pragma once
// What a component's restore tells, in one line. Results differ by store and say it in the same words: "rows", "keys",
// "files"; "proof", "digests_compared", "equal"; "kept_as", "old_one_is_at", "kept".

#include <string>
#include <vector>

#include "holdfast/base/json.hpp"

namespace holdfast::cli {

struct OutcomeText {
    std::string restored;    // "12000 rows", "3 files"
    std::string compared;    // "digests equal", "counts equal", "not compared"
    std::vector<std::string> kept;    // where the old ones are
};

OutcomeText outcome_text(const json::Value& result);

}    // namespace holdfast::cli
