#pragma once
// What --help teaches below the options: examples, exit codes, environment. Text only.

#include <string_view>

namespace holdfast::cli {

std::string_view general_footer();
/// Examples for one command; empty for unknown ones.
std::string_view footer_of(std::string_view command);

}    // namespace holdfast::cli
