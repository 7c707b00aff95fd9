#include "holdfast/recovery/replacement.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "holdfast/os/file.hpp"

namespace holdfast::recovery {
namespace {

constexpr std::array<std::string_view, 10> k_kinds{"path",  "cluster", "duckdb",    "redis",    "database",
                                                   "table", "view",    "partition", "relation", "schema"};
constexpr std::array<std::string_view, 3> k_stages{"aside", "back", "gone"};

}    // namespace

json::Value to_json(const Replacement& one) {
    auto value = json::Value::object({{"what", one.what}, {"place", one.place}, {"aside", one.aside}});
    if (!one.identity.empty()) value.set("identity", one.identity);
    if (!one.definition.empty()) value.set("definition", one.definition);
    if (!one.database.empty()) value.set("database", one.database);
    if (!one.undone.empty()) value.set("undone", one.undone);
    value.set("stage", k_stages[static_cast<std::size_t>(one.stage)]);
    return value;
}

Result<Replacement> replacement_from(const json::Value& value) {
    Replacement one{
        value["what"].text(),       value["place"].text(),    value["aside"].text(),  value["identity"].text(),
        value["definition"].text(), value["database"].text(), value["undone"].text(), {}};
    const std::string stage = value["stage"].text();
    const auto kind = std::ranges::find(k_kinds, one.what);
    const auto at = std::ranges::find(k_stages, stage);
    const bool is_path = one.is_path();
    const auto absolute = [](const std::string& path) { return path.empty() || path.starts_with('/'); };
    if (kind == k_kinds.end() || at == k_stages.end() || one.place.empty() ||
        (is_path == !one.database.empty() && one.what != "database") ||
        (is_path && (!absolute(one.place) || !absolute(one.aside) || !absolute(one.undone))))
        return fail(
            ErrorCode::corrupt,
            fmt::format("it tells of '{}' at '{}', which is nothing that a restore replaces", one.what, one.place));
    one.stage = static_cast<ReplacementStage>(at - k_stages.begin());
    return one;
}

std::string file_identity(const std::string& path) {
    const auto status = os::status_of(path, false);
    return status ? fmt::format("{}:{}", status->st_dev, status->st_ino) : std::string();
}

}    // namespace holdfast::recovery
