#pragma once
// The two hashes that the canonical digest of a Redis data set is made of.
//
//   shape    RdbHash: SHA-256 over fields, each with its length before it, so that "ab","c" differs from "a","bc".
//            RdbSum: four 64-bit sums of such hashes: the same whatever order they come in
//   threads  one object, one thread

#include <array>
#include <cstdint>
#include <string_view>

#include "holdfast/base/bytes.hpp"
#include "holdfast/base/id.hpp"
#include "holdfast/format/sha256.hpp"

namespace holdfast::db {

class RdbHash {
public:
    RdbHash() = default;
    /// One that costs nothing and hashes nothing: every hash is zero.
    static RdbHash none() {
        RdbHash hash;
        hash.off_ = true;
        return hash;
    }
    bool off() const { return off_; }

    void number(std::uint64_t value);
    void text(std::string_view field) {
        number(field.size());
        raw(as_bytes(field));
    }
    void id(const Id& id) { raw(id.bytes); }
    /// Part of a field whose length was given by number().
    void raw(ByteView bytes);
    /// The hash; starts anew.
    Id finish();

private:
    format::Sha256 sum_;
    // Most elements are short: gathered here, they cost one call instead of five.
    std::array<std::byte, 256> gathered_;
    std::size_t gathered_size_ = 0;
    bool off_ = false;
};

class RdbSum {
public:
    void add(const Id& hash) {
        for (std::size_t i = 0; i < 4; ++i) lanes_[i] += load_le<std::uint64_t>(hash.bytes.data() + 8 * i);
    }
    Id value() const {
        Id id;
        for (std::size_t i = 0; i < 4; ++i) store_le(id.bytes.data() + 8 * i, lanes_[i]);
        return id;
    }
    bool operator==(const RdbSum&) const = default;

private:
    std::array<std::uint64_t, 4> lanes_{};
};

}    // namespace holdfast::db
