#pragma once
// Two versions of a configuration file, line by line. Pure.

#include <string>
#include <string_view>

namespace holdfast::keep {

/// A unified diff with three lines around each change, as `diff -u` writes it and `patch` takes it; empty when the texts are
/// equal. Long texts that differ in very many lines are shown as taken out and put in whole.
std::string line_diff(std::string_view before, std::string_view after, std::string_view before_name,
                      std::string_view after_name);

}    // namespace holdfast::keep
