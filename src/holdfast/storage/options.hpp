#pragma once
// How a location is to be used: what --option, --limit-upload and their like said. The same for every kind of storage;
// each takes what concerns it.
//
//   source   docs/formats/locations.md; names and units are restic's

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "holdfast/base/clock.hpp"
#include "holdfast/base/result.hpp"
#include "holdfast/storage/pace.hpp"

namespace holdfast::storage {

struct BackendOptions {
    std::vector<std::pair<std::string, std::string>>
        extended{};    // {"s3.region", "eu-central-1"}; the last one counts
    std::string ca_file{};    // PEM; instead of the system's certificates
    std::string client_certificate{};    // PEM with its key
    Duration first_contact_max = std::chrono::seconds(25);    // of a network that never answered; zero: one attempt
    std::uint64_t upload_max = 0, download_max = 0;    // bytes per second; 0: no limit
    Paces pace{};    // made of these two by open_backend(), for adapters with a line of their own

    /// The value of "s3.region"; nullopt when it was not given.
    std::optional<std::string> find(std::string_view key) const;
    /// usage outside min…max.
    Result<unsigned> number(std::string_view key, unsigned fallback, unsigned min, unsigned max) const;
    Result<bool> flag(std::string_view key, bool fallback) const;    // true, false, 1, 0, yes, no
};

/// "s3.region=eu-central-1" as --option gives it.
Result<std::pair<std::string, std::string>> parse_option(std::string_view text);

}    // namespace holdfast::storage
