#pragma once
// The parts of a table as files: ALTER TABLE … FREEZE makes hard links of all that are active at one instant; they are read, then
// removed. Only where the server's data folder is this machine's and may be read (and written, to remove the links).
//
//   leftovers   links of a backup that was killed are named holdfast_<machine>_<pid>_…; the next one removes those of this machine whose process is gone
//   source      18.16 and 26.5: <root>/shadow/<name>/(data/<db>/<table>|store/<3 digits>/<uuid>)/<part>

#include <string>
#include <vector>

#include "holdfast/source/clickhouse_catalog.hpp"

namespace holdfast::source::clickhouse {

/// The links, or copies, of one table; gone with this.
class Frozen {
public:
    Frozen(std::string shadow, std::string folder) : shadow_(std::move(shadow)), folder_(std::move(folder)) {}
    Frozen(Frozen&& other) noexcept;
    Frozen& operator=(Frozen&&) = delete;
    ~Frozen();
    const std::string& folder() const { return folder_; }    // holds one folder a part

private:
    std::string shadow_, folder_;
};

/// `parts` is a listing of the table, not empty. Errors: unsupported, with the reason in plain words, when its files cannot be reached
/// or lie on several disks: read it over HTTP then.
Result<Frozen> freeze(db::clickhouse::Client& client, const Table& table, const std::vector<Part>& parts);

/// A name for the folder of one such set, <prefix><pid>_<n>; the prefix is "holdfast_<machine>_".
std::string unused_link_name();
std::string link_prefix();
/// Removes what killed backups left below `folder` (ends with '/').
void remove_leftovers(const std::string& folder);

/// Rows of the part in this folder, as the server wrote them down beside it; nullopt without that file.
std::optional<std::uint64_t> rows_in_part(const std::string& folder);

}    // namespace holdfast::source::clickhouse
