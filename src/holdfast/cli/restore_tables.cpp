// `holdfast restore SNAPSHOT --only clickhouse --table PATTERN`: some tables, some partition, other names.

#include <fmt/core.h>

#include <algorithm>

#include "holdfast/cli/restore.hpp"

namespace holdfast::cli {

Result<std::optional<recovery::TableChoice>> chosen_tables(RestoreArguments& arguments, const policy::Config& config) {
    if (arguments.tables.empty() && arguments.partition.empty() && arguments.renames.empty())
        return std::optional<recovery::TableChoice>();
    // Without it --partition would touch each table that has such a partition.
    if (arguments.tables.empty())
        return fail(ErrorCode::usage, "--partition and --rename go with --table",
                    "say which tables are meant: --table 'trading.*'");
    const policy::ClickHouseConfig* found = nullptr;
    for (const policy::ClickHouseConfig& one : config.clickhouse) {
        if (!arguments.only.empty() &&
            (arguments.only.size() != 1 || (arguments.only[0] != one.name && arguments.only[0] != "clickhouse")))
            continue;
        if (found)
            return fail(ErrorCode::usage, "--table is about one ClickHouse, and the configuration names more",
                        "say which with --only NAME");
        found = &one;
    }
    if (!found)
        return fail(ErrorCode::usage, "--table is about a [[clickhouse]] of the configuration, and none fits",
                    "name it with --only NAME");
    recovery::TableChoice choice{arguments.tables, arguments.partition, {}};
    for (const std::string& rename : arguments.renames) {
        const auto equals = rename.find('=');
        if (equals == 0 || equals == std::string::npos || equals + 1 == rename.size())
            return fail(ErrorCode::usage, fmt::format("--rename {} is not FROM=TO", rename),
                        "write --rename trading.fills=trading.fills_back, or --rename trading=trading_back");
        choice.renames.emplace_back(rename.substr(0, equals), rename.substr(equals + 1));
    }
    arguments.only = {found->name};
    return std::optional(std::move(choice));
}

}    // namespace holdfast::cli
