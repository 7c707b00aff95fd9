#pragma once
// What --help teaches below the options of the program itself. Commands bring their own examples. Text only.

#include <string_view>

namespace holdfast::cli {

std::string_view general_footer();
std::string_view completion_footer();

}    // namespace holdfast::cli
