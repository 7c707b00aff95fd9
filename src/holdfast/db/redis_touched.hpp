#pragma once
// Which keys the commands of a Redis log can have to do with: those that are named in them. Every argument of every command is
// remembered (by a hash), whether it is a key or a value, so that no table of which argument is a key is needed: too many keys
// may seem touched, never too few.
//
//   known    only commands that touch no key but those they name; anything else (FLUSHALL, SWAPDB, scripts, SORT by a pattern,
//            modules) makes names_all() false
//   memory   about 40 bytes an argument, 1,000,000 of them at most: beyond that names_all() is false

#include <string_view>
#include <unordered_set>

#include "holdfast/base/bytes.hpp"

namespace holdfast::db {

class RedisTouched {
public:
    /// A command's name in upper case, before its arguments; then each argument, in pieces.
    void command(std::string_view name);
    void argument_bytes(std::string_view piece) { hash_ = mix(hash_, piece); }
    void end_argument();

    bool names_all() const { return names_all_; }
    std::size_t names() const { return names_.size(); }
    bool may_touch(std::string_view key) const { return names_.contains(mix(k_start, key)); }

private:
    // FNV-1a. Names that collide are touched together: more work and nothing wrong.
    static constexpr std::uint64_t k_start = 0xcbf29ce484222325;
    static std::uint64_t mix(std::uint64_t hash, std::string_view piece) {
        for (const char c : piece) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
        return hash;
    }

    std::unordered_set<std::uint64_t> names_;
    std::uint64_t hash_ = k_start;
    bool names_all_ = true;
};

}    // namespace holdfast::db
