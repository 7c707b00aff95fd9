#pragma once
// What a file, folder, link or device of this machine looks like as a node of a tree.

#include <sys/stat.h>

#include <string>

#include "holdfast/format/tree.hpp"

namespace holdfast::vault {

/// Everything but content and subtree. `folder` is an open descriptor (O_PATH will do) of the folder that holds `name`,
/// so that paths of any length work. xattrs and link targets are read; a kind of file system without xattrs is no error.
Result<format::Node> node_from_disk(int folder, const std::string& name, const struct stat& st, bool with_atime);

/// Whether the parent snapshot's node stands for the same, unchanged file: type, size, mtime, ctime and inode.
bool is_unchanged(const format::Node& before, const struct stat& st);

Timestamp timestamp_of(const timespec& t);

}    // namespace holdfast::vault
