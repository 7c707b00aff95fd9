#pragma once
// How snapshots are laid out in a mounted repository: names made from templates, as restic's. Pure.
//
//   templates  %i short ID, %I whole ID, %h host, %u user, %t each tag, %T the time; '/' makes folders
//   time       Go's reference time: 2006-01-02T15:04:05Z07:00
//   shape      folders hold folders, snapshots, and `latest` where the names of one folder are times

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "holdfast/vault/repository.hpp"

namespace holdfast::mount {

struct Templates {
    std::vector<std::string> paths = {"ids/%i", "snapshots/%T", "hosts/%h/%T", "tags/%t/%T"};
    std::string time = "2006-01-02T15:04:05Z07:00";
};

struct LayoutFolder {
    std::map<std::string, LayoutFolder, std::less<>> folders;
    std::map<std::string, std::size_t, std::less<>> snapshots;    // the entry of the list that it was made from
    std::string latest;    // the name in `snapshots` that the link `latest` leads to; empty: no link
};

/// `entries` oldest first. Two snapshots of one name get "-1", "-2" behind it. Names that would climb or hide ("..", with
/// a '/' in a tag) are made harmless. usage for a template without a placeholder or with an unknown one.
Result<LayoutFolder> lay_out(const std::vector<vault::SnapshotEntry>& entries, const Templates& templates);

/// The time in the machine's zone.
std::string format_time(Timestamp time, std::string_view go_layout);

}    // namespace holdfast::mount
