#pragma once
// One node of a snapshot as ls and find show it.

#include <string>
#include <string_view>

#include "holdfast/base/json.hpp"
#include "holdfast/format/tree.hpp"

namespace holdfast::cli {

std::string_view type_name(format::NodeType type);
std::string mode_text(const format::Node& node);    // "drwxr-xr-x"
/// Mode, owner, group, size, time, path and link target in one line.
std::string long_line(const format::Node& node, const std::string& path, bool human_readable);
json::Value node_json(const format::Node& node, const std::string& path);

}    // namespace holdfast::cli
