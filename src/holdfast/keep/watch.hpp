#pragma once
// Keeper and FolderWatch together, for as long as wanted.

#include <functional>

#include "holdfast/keep/keeper.hpp"

namespace holdfast::keep {

struct WatchOptions {
    Duration poll = std::chrono::seconds(2);    // how often to look where changes are not told
    Duration look_again = std::chrono::seconds(60);    // how often to look at all in any case
    std::function<void(const std::vector<std::string>& polled)> ready;    // once, after the first look
    std::function<void(const Happening&)> tell;
    std::function<bool()> stop;    // asked at least twice a second
};

/// Ends when `stop` says so, or with an error of the system. Troubles with single files are told and gone on from.
Status watch(Keeper& keeper, Clock& clock, const WatchOptions& options);

}    // namespace holdfast::keep
