#pragma once
// The compact encodings that an RDB carries as one string each: listpack, ziplist, intset, zipmap. Pure.
//
//   contract  each calls `found` for every element in order, integers as decimal text; a map's elements alternate
//   errors    corrupt: any length, count or end that does not fit. Every byte is checked before it is read
//   source    listpack.c, ziplist.c, intset.c, zipmap.c of Redis 7.0

#include <cstdint>
#include <functional>
#include <string_view>

#include "holdfast/base/result.hpp"

namespace holdfast::db {

/// The view lives as long as the call.
using PackedElement = std::function<Status(std::string_view)>;

Status each_of_listpack(std::string_view packed, const PackedElement& found);
Status each_of_ziplist(std::string_view packed, const PackedElement& found);
Status each_of_intset(std::string_view packed, const PackedElement& found);
Status each_of_zipmap(std::string_view packed, const PackedElement& found);

}    // namespace holdfast::db
