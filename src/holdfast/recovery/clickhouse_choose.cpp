// Some tables, some partition, other names: what a TableChoice leaves of a snapshot's items.

#include <fmt/core.h>
#include <fnmatch.h>

#include <algorithm>
#include <charconv>
#include <set>

#include "holdfast/recovery/clickhouse_items.hpp"

namespace holdfast::recovery::clickhouse {

namespace {

std::string joined(const std::set<std::string>& names) {
    constexpr std::size_t k_shown_max = 12;
    std::string text;
    std::size_t shown = 0;
    for (const std::string& name : names) {
        if (++shown > k_shown_max) return text + fmt::format(" and {} more", names.size() - k_shown_max);
        text += (text.empty() ? "" : ", ") + name;
    }
    return text;
}

Status keep_fitting(std::vector<Item>& items, const std::vector<std::string>& patterns) {
    if (patterns.empty()) return {};
    std::vector<bool> wanted(items.size());
    for (const std::string& pattern : patterns) {
        bool any = false;
        for (std::size_t i = 0; i < items.size(); ++i) {
            if (::fnmatch(pattern.c_str(), items[i].title().c_str(), 0) != 0) continue;
            any = wanted[i] = true;
        }
        if (any) continue;
        std::set<std::string> titles;
        for (const Item& item : items) titles.insert(item.title());
        return fail(ErrorCode::not_found, fmt::format("no table of the snapshot fits {}", pattern),
                    "write it as database.table; there are: " + joined(titles));
    }
    std::size_t i = 0;
    std::erase_if(items, [&](const Item&) { return !wanted[i++]; });
    return {};
}

// Parts add up: so do their digests.
Status keep_partition(std::vector<Item>& items, const std::string& partition) {
    if (partition.empty()) return {};
    std::set<std::string> there;
    for (Item& item : items) {
        if (item.kind != Kind::rows || !item.engine.ends_with("MergeTree")) continue;
        for (const RowsFile& file : item.files) there.insert(file.partition);
        std::erase_if(item.files, [&](const RowsFile& file) { return file.partition != partition; });
        item.partition = partition;
        item.rows = item.bytes = 0;
        std::uint64_t digest = 0;
        bool digested = !item.digest.empty();
        for (const RowsFile& file : item.files) {
            std::uint64_t one = 0;
            std::from_chars(file.digest.data(), file.digest.data() + file.digest.size(), one);
            digested = digested && !file.digest.empty();
            digest += one;
            item.rows += file.rows;
            item.bytes += file.bytes;
        }
        item.digest = digested ? std::to_string(digest) : "";
    }
    std::erase_if(items, [](const Item& item) { return item.partition.empty() || item.files.empty(); });
    if (!items.empty()) return {};
    return fail(ErrorCode::not_found,
                fmt::format("none of the chosen tables has a partition with the ID {}", partition),
                there.empty() ? "they have no partitions in this snapshot; leave out --partition"
                              : "in this snapshot there are: " + joined(there));
}

Status rename_one(std::vector<Item>& items, const std::string& from, const std::string& to) {
    bool any = false;
    for (Item& item : items) {
        if (!item.from.empty()) continue;    // an earlier one was about it
        const std::string title = item.title();
        if (title == from) {
            const auto dot = to.find('.');
            if (dot == 0 || dot == std::string::npos || dot + 1 == to.size())
                return fail(ErrorCode::usage, fmt::format("{} is no name of a table", to), "write --rename d.t=d2.t2");
            item.database = to.substr(0, dot);
            item.name = to.substr(dot + 1);
        } else if (item.database == from) {
            item.database = to;
        } else {
            continue;
        }
        // Beside the table of that path: one path is one table. A copy to look at has no replicas.
        if (item.replicated) {
            item.create.rest = db::clickhouse::without_replication(item.create.rest).rest;
            item.engine = item.engine.substr(std::string_view("Replicated").size());
            item.replicated = false;
        }
        item.from = title;
        any = true;
    }
    if (any) return {};
    return fail(ErrorCode::not_found, fmt::format("there is nothing to rename: no chosen table is or lies in {}", from),
                "--rename names a table (d.t=d2.t2) or a database (d=d2) of the snapshot");
}

}    // namespace

Status choose(std::vector<Item>& items, const TableChoice& choice) {
    HF_DO(keep_fitting(items, choice.patterns));
    HF_DO(keep_partition(items, choice.partition));
    for (const auto& [from, to] : choice.renames) HF_DO(rename_one(items, from, to));
    std::set<std::string> titles;
    for (const Item& item : items)
        if (!titles.insert(item.title()).second)
            return fail(ErrorCode::usage, fmt::format("two tables would be restored as {}", item.title()),
                        "give each a name of its own with --rename");
    return {};
}

}    // namespace holdfast::recovery::clickhouse
