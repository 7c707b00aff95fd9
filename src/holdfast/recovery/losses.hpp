#pragma once
// What a person wants to know before a restore: how much the snapshot holds of each component, how much is there now, and so what
// will at least be lost. Cheap: counters that the stores keep anyway, no table is read. Never an error: what cannot be asked is not
// told.

#include <optional>
#include <string>

#include "holdfast/base/clock.hpp"
#include "holdfast/base/json.hpp"
#include "holdfast/policy/config.hpp"

namespace holdfast::recovery {

struct Holding {
    std::string unit;    // "rows", "keys", "files", "bytes"
    std::optional<std::uint64_t> saved, now;
    bool estimated = false;    // `now` is the store's own estimate
    std::optional<std::uint64_t> changed;    // of files: changed since the snapshot

    /// How much more is there now than in the snapshot.
    std::uint64_t lost() const { return saved && now && *now > *saved ? *now - *saved : 0; }
};

/// `facts` of the manifest; nullopt: a kind that counts nothing.
std::optional<Holding> look_at_holding(const policy::Config& config, const std::string& name, const std::string& kind,
                                       const json::Value& facts, Timestamp snapshot_time);

}    // namespace holdfast::recovery
