#pragma once
// The upper part of a snapshot while a run fills it: components come, are replaced and dropped; folders on the way to
// them stay open until the end. What was read from disk hangs in it as finished nodes.
//
//   threads  any
//   errors   usage: something was put inside a folder that is finished, or below a file

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "holdfast/vault/pipeline.hpp"

namespace holdfast::vault {

/// "a//b/" gives {"a", "b"}; usage for "." and ".." parts.
Result<std::vector<std::string>> snapshot_path(std::string_view path);

class SnapshotTree {
public:
    /// `time` and the owner of folders that nobody describes.
    explicit SnapshotTree(Timestamp time) : time_(time) {}

    /// Puts `node` at `path` (the last part becomes its name), replacing what is there. `folders[i]`, where given, tells
    /// what the i-th folder on the way looks like.
    Status put(const std::vector<std::string>& path, format::Node node, const std::vector<format::Node>& folders = {});
    /// An open folder that looks like `node`; what lies in it stays.
    Status put_folder(const std::vector<std::string>& path, format::Node node);
    void remove(const std::vector<std::string>& path);
    /// Stores all open folders; the root's ID.
    Result<Id> store(Pipeline& pipeline) const;

private:
    struct Item {
        format::Node node;
        bool open = false;    // a folder whose content is `items`
        std::map<std::string, Item> items;
    };
    Result<Id> store_folder(const Item& folder, Pipeline& pipeline) const;
    format::Node plain_folder(const std::string& name) const;

    const Timestamp time_;
    mutable std::mutex mutex_;
    Item root_{.node = {}, .open = true, .items = {}};
};

}    // namespace holdfast::vault
