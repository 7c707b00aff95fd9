#include "holdfast/trade/result_feed.hpp"

#include <algorithm>

namespace holdfast::trade {

void ResultFeed::publish(ledger::Sequence sequence, ledger::Order order) {
    const std::scoped_lock lock(mutex_);
    changes_.push_back({sequence, std::move(order)});
    if (changes_.size() > size_max_) {
        forgotten_ = changes_.front().sequence;
        changes_.pop_front();
    }
    news_.notify_all();
}

ResultPage ResultFeed::read(ledger::Sequence after, std::size_t max, Duration wait) const {
    std::unique_lock lock(mutex_);
    const auto has_news = [&] { return closed_ || (!changes_.empty() && changes_.back().sequence > after); };
    if (wait > Duration::zero()) news_.wait_for(lock, wait, has_news);
    ResultPage page{{}, std::max(after, forgotten_), after < forgotten_};
    auto at = std::ranges::upper_bound(changes_, after, {}, &OrderChange::sequence);
    // Changes of one fact stay together: a reader goes on after a sequence.
    for (; at != changes_.end() && (page.changes.size() < max || at->sequence == page.next); ++at) {
        page.changes.push_back(*at);
        page.next = at->sequence;
    }
    return page;
}

ledger::Sequence ResultFeed::last() const {
    const std::scoped_lock lock(mutex_);
    return changes_.empty() ? forgotten_ : changes_.back().sequence;
}

void ResultFeed::close() {
    const std::scoped_lock lock(mutex_);
    closed_ = true;
    news_.notify_all();
}

}    // namespace holdfast::trade
