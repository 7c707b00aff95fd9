#pragma once
// The content of a configuration file, changed at once or not at all. Through symbolic links: the file they lead to is changed,
// the links stay. Mode and owner stay what they were; a new file is 0600.
//
//   errors   those of the disk; changed (put_over only)

#include <string>
#include <string_view>

#include "holdfast/base/id.hpp"
#include "holdfast/base/result.hpp"

namespace holdfast::keep {

/// Write beside it, fsync, rename, fsync the folder. Whatever was there is replaced.
Status put(const std::string& path, std::string_view content);

/// The same, but only over content with the hash `present`: whoever writes meanwhile wins. `changed` then, and his content is
/// where it was.
Status put_over(const std::string& path, std::string_view content, const Id& present);

/// What a put_over() that was killed may have left beside `path` is read; empty: nothing. The caller keeps the content, then
/// calls remove_left_over().
Result<std::string> left_over(const std::string& path);
void remove_left_over(const std::string& path);

}    // namespace holdfast::keep
