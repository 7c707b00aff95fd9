#include "holdfast/keep/watch.hpp"

#include <algorithm>
#include <set>

namespace holdfast::keep {

using namespace std::chrono_literals;

Status watch(Keeper& keeper, Clock& clock, const WatchOptions& options) {
    auto folders = os::FolderWatch::open();    // without inotify: only by looking
    std::set<std::string> watched;
    std::vector<std::string> polled;
    // true: a folder is new, so what happened there until now was not told.
    const auto follow = [&]() -> bool {
        bool fresh = false;
        std::set<std::string> now;
        polled.clear();
        for (std::string& folder : keeper.folders()) {
            fresh |= !watched.contains(folder);
            const auto told = folders ? folders->add(folder) : Result<bool>(false);
            if (!told || !*told) polled.push_back(folder);
            now.insert(std::move(folder));
        }
        watched = std::move(now);
        return fresh;
    };
    const auto tell = [&](const std::vector<Happening>& happenings) {
        for (const Happening& happening : happenings) options.tell(happening);
    };
    const auto look_at_all = [&] {
        follow();
        tell(keeper.look_at_all());
        // A look may lead to other folders, through links that were swapped meanwhile.
        for (int i = 0; i < 8 && follow(); ++i) tell(keeper.look_at_all());
    };
    look_at_all();
    if (options.ready) options.ready(polled);
    Instant looked = clock.instant();
    while (!options.stop()) {
        const Instant now = clock.instant();
        const Duration often = polled.empty() ? options.look_again : std::min(options.poll, options.look_again);
        Duration longest = std::min<Duration>(500ms, looked + often - now);
        if (const auto due = keeper.due()) longest = std::min(longest, *due - now);
        std::vector<os::FolderChange> changes;
        if (folders) {
            HF_TRY(changes, folders->wait(longest));
        } else {
            clock.sleep(std::max<Duration>(longest, 1ms));
        }
        const bool lost = std::ranges::any_of(changes, &os::FolderChange::lost);
        if (lost || clock.instant() - looked >= often) {
            look_at_all();
            looked = clock.instant();
            continue;
        }
        tell(keeper.look(changes));
        if (!changes.empty() && follow()) look_at_all();
    }
    return {};
}

}    // namespace holdfast::keep
