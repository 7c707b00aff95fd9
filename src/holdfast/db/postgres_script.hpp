#pragma once
// The statements of a script that pg_dumpall wrote. Pure.
//
//   shape     statements end with ';' outside of 'text', E'text', "names" and comments; comments and blank lines between
//             statements are dropped; a statement keeps its inner bytes
//   psql      the lines "\restrict <key>" and "\unrestrict <key>", which 15.14 and later write around it, are dropped; they
//             keep psql from running other commands, and we know none
//   errors    corrupt: a text or name that does not end, a statement without ';', any other psql command ("\connect")
//   source    pg_dumpall --globals-only of 15 (standard_conforming_strings on: no backslash escapes outside E'')

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "holdfast/base/result.hpp"

namespace holdfast::db {

Result<std::vector<std::string>> split_script(std::string_view script);

/// What a statement of the globals is about.
struct GlobalStatement {
    enum class Kind {
        create_role,    // CREATE ROLE name;
        about_role,    // ALTER ROLE name …, COMMENT ON ROLE name …
        create_tablespace,
        about_tablespace,    // ALTER, COMMENT ON, GRANT ON, REVOKE ON TABLESPACE name
        membership,    // GRANT role TO role …
        other    // SET …
    } kind = Kind::other;
    std::string name;    // of the role or tablespace, unquoted; empty for membership and other
};
GlobalStatement classify_global(std::string_view statement);

}    // namespace holdfast::db
