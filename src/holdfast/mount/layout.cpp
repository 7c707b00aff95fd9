#include "holdfast/mount/layout.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <ctime>
#include <utility>

namespace holdfast::mount {
namespace {

// One part of a path: what a host or a tag is called must not decide where it goes.
std::string harmless(std::string name) {
    std::replace(name.begin(), name.end(), '/', '_');
    std::replace(name.begin(), name.end(), '\0', '_');
    if (name.empty() || name == "." || name == "..") name += '_';
    return name;
}

std::vector<std::string> parts_of(std::string_view path) {
    std::vector<std::string> parts;
    for (std::size_t at = 0; at < path.size();) {
        const std::size_t end = std::min(path.find('/', at), path.size());
        if (end > at) parts.emplace_back(path.substr(at, end - at));
        at = end + 1;
    }
    return parts;
}

Status check_template(std::string_view text) {
    bool any = false;
    for (std::size_t at = text.find('%'); at != std::string_view::npos; at = text.find('%', at + 2)) {
        if (at + 1 == text.size() || std::string_view("iIuhtT").find(text[at + 1]) == std::string_view::npos)
            return fail(ErrorCode::usage, fmt::format("\"{}\" holds a placeholder that does not exist", text),
                        "use %i, %I, %h, %u, %t and %T");
        any = true;
    }
    if (!any || parts_of(text).empty())
        return fail(ErrorCode::usage, fmt::format("\"{}\" tells no snapshot from another", text),
                    "use %i, %I, %h, %u, %t or %T in it");
    for (const std::string& part : parts_of(text))
        if (part == "." || part == "..") return fail(ErrorCode::usage, fmt::format("\"{}\" climbs", text), "");
    return {};
}

std::string fill(std::string_view part, const vault::SnapshotEntry& entry, const std::string& tag,
                 const Templates& templates) {
    std::string name;
    for (std::size_t i = 0; i < part.size(); ++i) {
        if (part[i] != '%') {
            name += part[i];
            continue;
        }
        switch (part[++i]) {
            case 'i':
                name += entry.id.brief();
                break;
            case 'I':
                name += entry.id.hex();
                break;
            case 'h':
                name += entry.snapshot.hostname;
                break;
            case 'u':
                name += entry.snapshot.username;
                break;
            case 't':
                name += tag;
                break;
            default:
                name += format_time(entry.snapshot.time, templates.time);
        }
    }
    return harmless(std::move(name));
}

void put(LayoutFolder& root, const std::vector<std::string>& path, std::size_t entry, bool by_time) {
    LayoutFolder* at = &root;
    for (std::size_t i = 0; i + 1 < path.size(); ++i) {
        // A snapshot stands where a folder has to be: two templates that do not go together.
        std::string name = path[i];
        while (at->snapshots.contains(name)) name += '_';
        at = &at->folders[name];
    }
    std::string name = path.back();
    for (int n = 1; at->snapshots.contains(name) || at->folders.contains(name) || name == "latest"; ++n)
        name = fmt::format("{}-{}", path.back(), n);
    at->snapshots.emplace(name, entry);
    if (by_time) at->latest = name;    // entries come oldest first
}

}    // namespace

std::string format_time(Timestamp time, std::string_view go_layout) {
    constexpr std::int64_t second = 1'000'000'000;
    const auto seconds = static_cast<std::time_t>(time.nanoseconds / second - (time.nanoseconds % second < 0 ? 1 : 0));
    std::tm local{};
    ::localtime_r(&seconds, &local);
    const long offset = local.tm_gmtoff / 60;
    const auto zone = [&](bool colon) {
        return fmt::format("{}{:02}{}{:02}", offset < 0 ? '-' : '+', std::abs(offset) / 60, colon ? ":" : "",
                           std::abs(offset) % 60);
    };
    const std::pair<std::string_view, std::string> words[] = {
        {"2006", fmt::format("{:04}", local.tm_year + 1900)},
        {"Z07:00", offset == 0 ? "Z" : zone(true)},
        {"-07:00", zone(true)},
        {"-0700", zone(false)},
        {"01", fmt::format("{:02}", local.tm_mon + 1)},
        {"02", fmt::format("{:02}", local.tm_mday)},
        {"15", fmt::format("{:02}", local.tm_hour)},
        {"04", fmt::format("{:02}", local.tm_min)},
        {"05", fmt::format("{:02}", local.tm_sec)},
    };
    std::string text;
    while (!go_layout.empty()) {
        const auto word = std::ranges::find_if(words, [&](const auto& w) { return go_layout.starts_with(w.first); });
        if (word == std::end(words)) {
            text += go_layout.front();
            go_layout.remove_prefix(1);
        } else {
            text += word->second;
            go_layout.remove_prefix(word->first.size());
        }
    }
    return text;
}

Result<LayoutFolder> lay_out(const std::vector<vault::SnapshotEntry>& entries, const Templates& templates) {
    LayoutFolder root;
    for (const std::string& text : templates.paths) {
        HF_DO(check_template(text));
        const std::vector<std::string> parts = parts_of(text);
        const bool by_tag = text.find("%t") != std::string::npos;
        const bool by_time = parts.back().find("%T") != std::string::npos;
        // The fixed folders are there even when no snapshot is.
        LayoutFolder* fixed = &root;
        for (std::size_t i = 0; i + 1 < parts.size() && parts[i].find('%') == std::string::npos; ++i)
            fixed = &fixed->folders[parts[i]];
        for (std::size_t i = 0; i < entries.size(); ++i) {
            const std::vector<std::string> once{""};
            for (const std::string& tag : by_tag ? entries[i].snapshot.tags : once) {
                std::vector<std::string> path;
                for (const std::string& part : parts) path.push_back(fill(part, entries[i], tag, templates));
                put(root, path, i, by_time);
            }
        }
    }
    return root;
}

}    // namespace holdfast::mount
