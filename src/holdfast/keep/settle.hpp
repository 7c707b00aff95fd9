#pragma once
// When is a change of a file done? Pure: what was seen and the time come in, what to do comes out.
//
//   An editor that truncates and writes leaves, for a moment, half a file. So what is not well-formed counts only when the
//   same bytes are there `settle` later. What is well-formed counts at once if its writer has finished (closed it, renamed it
//   to this name), else after the same time: half a file may be well-formed, too. Each content is told once.

#include <optional>

#include "holdfast/base/clock.hpp"
#include "holdfast/base/id.hpp"

namespace holdfast::keep {

/// What was found at one look.
struct Seen {
    std::optional<Id> content;    // nullopt: no file is there
    bool good = false;
    bool finished = false;    // the writer of this content has closed it

    bool same(const Seen& other) const { return content == other.content && good == other.good; }
};

class Settler {
public:
    explicit Settler(Duration settle) : settle_(settle) {}

    /// true: `seen` counts now, for the first time.
    bool look(Instant now, const Seen& seen) {
        if (told_ && told_->same(seen)) {
            pending_.reset();
            return false;
        }
        if (!pending_ || !pending_->same(seen)) {
            pending_ = seen;
            due_ = now + settle_;
        }
        if (!(seen.good && seen.finished) && now < due_) return false;
        told_ = seen;
        pending_.reset();
        return true;
    }
    /// When to look again even if nothing is heard; nullopt: no need.
    std::optional<Instant> due() const { return pending_ ? std::optional(due_) : std::nullopt; }
    /// The next look counts as the first one, and settles anew.
    void forget() { told_.reset(), pending_.reset(); }

private:
    Duration settle_;
    std::optional<Seen> told_, pending_;
    Instant due_;
};

}    // namespace holdfast::keep
