#include "holdfast/cli/outcome_text.hpp"

#include <fmt/core.h>

#include <array>
#include <optional>

namespace holdfast::cli {
namespace {

// The counts that stand highest: a database's rows, not those of each of its tables once more.
std::optional<std::uint64_t> total(const json::Value& value, std::string_view key) {
    if (!value[key].is_null() && !value[key].is_array()) return value[key].natural();
    std::optional<std::uint64_t> sum;
    const auto add = [&](const json::Value& inner) {
        if (const auto found = total(inner, key)) sum = sum.value_or(0) + *found;
    };
    for (const auto& [name, member] : value.members()) add(member);
    for (const json::Value& item : value.items()) add(item);
    return sum;
}

struct Proofs {
    bool digest = false, count = false;
};

void look_for_proofs(const json::Value& value, Proofs& found) {
    const std::string proof = value["proof"].text();
    if (proof == "digest" || value["digests_compared"].boolean() || value["equal"].boolean()) found.digest = true;
    if (proof == "count") found.count = true;
    for (const auto& [name, member] : value.members()) look_for_proofs(member, found);
    for (const json::Value& item : value.items()) look_for_proofs(item, found);
}

void look_for_kept(const json::Value& value, std::vector<std::string>& found) {
    static constexpr std::array<std::string_view, 3> k_words{"kept_as", "old_one_is_at", "kept"};
    for (const std::string_view word : k_words) {
        if (value[word].is_string()) found.push_back(value[word].text());
        for (const json::Value& path : value[word].items()) found.push_back(path.text());
    }
    for (const auto& [name, member] : value.members()) look_for_kept(member, found);
    for (const json::Value& item : value.items()) look_for_kept(item, found);
}

}    // namespace

OutcomeText outcome_text(const json::Value& result) {
    OutcomeText text;
    for (const char* unit : {"rows", "keys", "files"})
        if (const auto count = total(result, unit))
            text.restored += fmt::format("{}{} {}", text.restored.empty() ? "" : ", ", *count, unit);
    Proofs proofs;
    look_for_proofs(result, proofs);
    // A difference would have been an error: what was compared is equal.
    text.compared = proofs.digest ? "digests equal" : proofs.count ? "counts equal" : "not compared";
    look_for_kept(result, text.kept);
    return text;
}

}    // namespace holdfast::cli
