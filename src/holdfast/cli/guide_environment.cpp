#include "holdfast/cli/guide_environment.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>

#include "holdfast/os/host.hpp"

namespace holdfast::cli {
namespace {

std::string_view group_of(std::string_view kind) {
    if (kind == "redis") return "REDIS";
    if (kind == "files") return "CONFIG";
    if (kind == "logs") return "LOGS";
    return "DATABASE";
}

Result<std::optional<std::string>> days(const char* name) {
    const auto text = os::environment(name);
    if (!text) return std::optional<std::string>();
    unsigned number = 0;
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), number);
    if (error != std::errc() || end != text->data() + text->size() || number < 1 || number > 36'500)
        return fail(ErrorCode::usage, fmt::format("{} is no number of days: \"{}\"", name, *text),
                    fmt::format("set it to 1 or more, as {}=7, or unset it", name));
    return std::optional(fmt::format("{}d", number));
}

}    // namespace

std::string_view environment_help() {
    return R"(Environment variables

Where the repository and its password come from: `holdfast help`, at its end. Those below are the ones of backup.sh and restore.sh
of the backup guide, so that cron lines and deploy scripts that set them go on to work. Options say more and go first; where
a variable and an option cannot both be meant, holdfast says so and does nothing.

  Variable             Default   Command   What it does
  BACKUP_ROOT          none      all       the repository is $BACKUP_ROOT/vault if nothing else names one; `export` makes its
                                           folders in $BACKUP_ROOT without --target
  BACKUP_DATABASE      true      backup    false leaves out PostgreSQL, DuckDB, ClickHouse and journals
  BACKUP_REDIS         true      backup    false leaves out Redis
  BACKUP_CONFIG        true      backup    false leaves out [[files]]
  BACKUP_LOGS          true      backup    false leaves out [[logs]]
  BACKUP_TYPE          full      backup    a tag: pre-deployment, incremental, daily, weekly, monthly
  RETENTION_DAILY      7         forget    days in which one snapshot a day stays (--keep-within-daily)
  RETENTION_WEEKLY     30        forget    days in which one a week stays (--keep-within-weekly)
  RETENTION_MONTHLY    90        forget    days in which one a month stays (--keep-within-monthly)
  RESTORE_DATABASE     true      restore   false leaves out PostgreSQL, DuckDB, ClickHouse and journals
  RESTORE_REDIS        true      restore   false leaves out Redis
  RESTORE_CONFIG       true      restore   false leaves out [[files]]
  DRY_RUN              false     restore,  true shows what would be done, and changes nothing
                                 forget

true, 1, yes, on and false, 0, no, off are understood. RETENTION_*: one of them is enough, the others are then as above, and one
snapshot an hour stays for 24 hours; with a --keep option none of them counts. Snapshots before a deployment stay longer with
`--keep-tag pre-deployment`.

Examples
  BACKUP_REDIS=false BACKUP_CONFIG=false BACKUP_LOGS=false holdfast backup     databases only
  BACKUP_TYPE=pre-deployment holdfast backup
  RESTORE_DATABASE=false RESTORE_CONFIG=false DRY_RUN=true holdfast restore latest
  RETENTION_DAILY=3 holdfast forget --prune
)";
}

Result<bool> guide_flag(const char* name, bool otherwise) {
    auto text = os::environment(name);
    if (!text) return otherwise;
    std::ranges::transform(*text, text->begin(), [](unsigned char c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; });
    for (const char* yes : {"true", "1", "yes", "on"})
        if (*text == yes) return true;
    for (const char* no : {"false", "0", "no", "off"})
        if (*text == no) return false;
    return fail(ErrorCode::usage, fmt::format("{} is neither true nor false: \"{}\"", name, *text),
                "`holdfast help environment` explains it; unset it if it is meant for another program");
}

std::vector<Component> components_of(const policy::Config& config) {
    std::vector<Component> all;
    const auto add = [&](const auto& list, const char* kind) {
        for (const auto& one : list) all.push_back({one.name, kind});
    };
    add(config.postgres, "postgres");
    add(config.duckdb, "duckdb");
    add(config.clickhouse, "clickhouse");
    add(config.journals, "journal");
    add(config.redis, "redis");
    add(config.files, "files");
    add(config.logs, "logs");
    return all;
}

std::vector<Component> components_of(const json::Value& manifest) {
    std::vector<Component> all;
    for (const json::Value& one : manifest["components"].items())
        all.push_back({one["name"].text(), one["kind"].text()});
    return all;
}

Result<std::vector<std::string>> left_out_by_guide(const std::string& prefix, const std::vector<Component>& components,
                                                   const std::vector<std::string>& only) {
    std::vector<std::string> names;
    for (const char* group : {"DATABASE", "REDIS", "CONFIG", "LOGS"}) {
        if (prefix == "RESTORE" && std::string_view(group) == "LOGS")
            continue;    // the guide does not restore them at all
        const std::string variable = prefix + "_" + group;
        HF_TRY(const bool wanted, guide_flag(variable.c_str(), true));
        if (wanted) continue;
        for (const Component& one : components) {
            if (group_of(one.kind) != group) continue;
            if (std::ranges::find(only, one.name) != only.end() || std::ranges::find(only, one.kind) != only.end())
                return fail(ErrorCode::usage,
                            fmt::format("{}=false leaves out {}, and --only names it", variable, one.name),
                            fmt::format("unset {}, or leave --only out", variable));
            names.push_back(one.name);
        }
    }
    return names;
}

Result<std::optional<std::string>> guide_tag() {
    const auto type = os::environment("BACKUP_TYPE");
    if (!type || *type == "full") return std::optional<std::string>();
    for (const char* known : {"pre-deployment", "incremental", "daily", "weekly", "monthly"})
        if (*type == known) return std::optional<std::string>(known);
    return fail(ErrorCode::usage, fmt::format("BACKUP_TYPE is not known: \"{}\"", *type),
                "full, pre-deployment, incremental, daily, weekly or monthly; --tag takes any word");
}

Result<std::optional<GuideRetention>> guide_retention() {
    HF_TRY(const auto daily, days("RETENTION_DAILY"));
    HF_TRY(const auto weekly, days("RETENTION_WEEKLY"));
    HF_TRY(const auto monthly, days("RETENTION_MONTHLY"));
    if (!daily && !weekly && !monthly) return std::optional<GuideRetention>();
    return std::optional(GuideRetention{daily.value_or("7d"), weekly.value_or("30d"), monthly.value_or("90d")});
}

}    // namespace holdfast::cli
