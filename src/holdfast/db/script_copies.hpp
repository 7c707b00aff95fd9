#pragma once
// The COPY statements of a script that pg_dump or pg_restore wrote, found while it goes by: they name the columns of each table's rows in
// the order of the table that was dumped, which a child table made again does not have. Pure.
//
//   shape    "-- Data for Name: …", then a line "COPY schema.table (columns) FROM stdin;", rows, "\."; other lines that look like it
//            are text of a function or a row. Of two statements for one table the later one counts
//   limits   a statement over 256 KiB, or over several lines (a name with a line feed), is not found
//   source   pg_dump of 15, plain format

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "holdfast/base/bytes.hpp"
#include "holdfast/db/postgres_archive.hpp"

namespace holdfast::db {

class ScriptCopies {
public:
    /// The next bytes of the script, however they are cut.
    void add(ByteView bytes);
    /// Of this table, by its plain name.
    std::optional<CopyParts> find(std::string_view schema, std::string_view name) const;
    std::size_t size() const { return columns_.size(); }

private:
    void take_line();

    std::string line_;    // its beginning, as far as it can be of use
    bool too_long_ = false, in_rows_ = false;
    bool of_rows_ = false;    // the last comment of pg_dump said that rows follow
    std::map<std::string, std::string, std::less<>> columns_;    // by the table as the script writes it
};

}    // namespace holdfast::db
