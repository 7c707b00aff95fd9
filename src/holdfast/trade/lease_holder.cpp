#include "holdfast/trade/lease_holder.hpp"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "holdfast/base/log.hpp"

namespace holdfast::trade {

struct LeaseHolder::State {
    State(std::unique_ptr<LeaseStore> s, watch::LeaseMargins margins, std::optional<FencingToken> o, Clock& c,
          std::function<void(const LeaseView&)> f)
        : store(std::move(s)), keeper(margins), own(o), clock(c), changed(std::move(f)) {}

    void say(LeaseView view) {
        {
            const std::scoped_lock lock(mutex);
            status.view = view;
        }
        changed(view);
    }

    void ask(std::optional<FencingToken> token) {
        const Instant asked_at = clock.instant();
        auto answer = token ? store->renew(*token) : store->acquire(own);
        const Instant now = clock.instant();
        std::string holder, trouble;
        Instant holder_until;
        if (!answer) {
            keeper.failed(now);
            trouble = answer.error().message;
        } else if (const auto* grant = std::get_if<LeaseGrant>(&*answer)) {
            own.reset();
            keeper.granted(grant->token, asked_at, grant->ttl);
            if (!token) previous = grant->previous;
            if (const auto held = keeper.token(now)) granted = LeaseView{true, *held, *keeper.not_after(), previous};
        } else {
            const auto& held = std::get<LeaseHeld>(*answer);
            holder = held.holder;
            holder_until = now + held.left;
            if (token)
                keeper.lost(*token, now);
            else
                keeper.held_elsewhere(now, held.left);
        }
        const std::scoped_lock lock(mutex);
        if (!trouble.empty() && status.trouble.empty())
            log_warning("the lease cannot be asked for", {{"store", store->name()}, {"why", trouble}});
        status.holder = std::move(holder);
        status.holder_until = holder_until;
        status.trouble = std::move(trouble);
    }

    void run() {
        std::unique_lock lock(stop_mutex);
        while (!stopping) {
            lock.unlock();
            const auto action = keeper.next(clock.instant());
            Duration wait{};
            if (const auto* demote = std::get_if<watch::LeaseKeeper::Demote>(&action)) {
                log_warning("the lease is over: no more orders leave from here",
                            {{"token", std::to_string(demote->token)}});
                current.reset();
                say({false, demote->token, {}, {}});
            } else if (const auto* asked = std::get_if<watch::LeaseKeeper::Ask>(&action)) {
                ask(asked->token);
            } else {
                // What was granted is said only now: a demotion that was due went before it.
                if (granted) current = std::exchange(granted, std::nullopt);
                if (current && keeper.token(clock.instant()) == current->token) say(*current);
                // Not longer than a second: this clock stands still while the machine is suspended, the lease's does not.
                wait = std::min<Duration>(std::get<watch::LeaseKeeper::Wait>(action).until - clock.instant(),
                                          std::chrono::seconds(1));
            }
            lock.lock();
            if (wait > Duration::zero()) wake.wait_for(lock, wait, [&] { return stopping; });
        }
        lock.unlock();
        if (granted) current = granted;
        if (!current) return;
        const FencingToken token = current->token;
        say({false, token, {}, {}});
        if (const auto released = store->release(token); !released)
            log_warning("the lease could not be given back; it ends by itself", {{"why", released.error().message}});
    }

    const std::unique_ptr<LeaseStore> store;
    watch::LeaseKeeper keeper;
    std::optional<FencingToken> own;
    Clock& clock;
    const std::function<void(const LeaseView&)> changed;
    std::optional<FencingToken> previous;    // of the lease that we have
    std::optional<LeaseView> granted, current;    // to be said; as said

    mutable std::mutex mutex;
    LeaseStatus status;
    std::mutex stop_mutex;
    std::condition_variable wake;
    bool stopping = false;
    std::thread thread;
};

LeaseHolder::LeaseHolder(std::unique_ptr<LeaseStore> store, watch::LeaseMargins margins,
                         std::optional<FencingToken> own, Clock& clock, std::function<void(const LeaseView&)> changed)
    : state_(std::make_unique<State>(std::move(store), margins, own, clock, std::move(changed))) {
    state_->thread = std::thread([state = state_.get()] { state->run(); });
}

LeaseHolder::~LeaseHolder() { stop(); }

LeaseStatus LeaseHolder::status() const {
    const std::scoped_lock lock(state_->mutex);
    return state_->status;
}

void LeaseHolder::stop() {
    {
        const std::scoped_lock lock(state_->stop_mutex);
        state_->stopping = true;
    }
    state_->wake.notify_all();
    if (state_->thread.joinable()) state_->thread.join();
}

}    // namespace holdfast::trade
