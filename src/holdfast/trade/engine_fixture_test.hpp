#pragma once
// The real rules behind an intake of a test, without a journal: what is answered is held only in memory.

#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <thread>
#include <vector>

#include "holdfast/ledger/engine.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/trade/intake.hpp"

namespace holdfast::trade {

class TestEngine {
public:
    /// It holds its account's lease for as long as it lives: without one nothing is taken.
    TestEngine() {
        ledger::Output out;
        const ledger::Now now{clock_.now(), clock_.instant()};
        engine_.step(ledger::LeaseChanged{true, 1, now.mono + std::chrono::hours(24), 0}, now, out);
    }

    Submit submit() {
        return [this](Submission submission) {
            const std::scoped_lock lock(mutex_);
            ++submissions_;
            if (is_away_) return submission.answer({Outcome::Verdict::unavailable, {}, "the journal's disk is full"});
            if (is_silent_) {
                held_.push_back(std::move(submission));
                return;
            }
            answer(submission);
        };
    }
    std::optional<ledger::Order> find(const ledger::Uuid& id) {
        const std::scoped_lock lock(mutex_);
        const ledger::Order* order = engine_.state().book().find(id);
        return order ? std::optional(*order) : std::nullopt;
    }
    /// Every signal that is taken is answered `unavailable`.
    void away(bool on) {
        const std::scoped_lock lock(mutex_);
        is_away_ = on;
    }
    /// Answers are held back; the end of it gives them all.
    void silent(bool on) {
        const std::scoped_lock lock(mutex_);
        is_silent_ = on;
        for (Submission& submission : std::exchange(held_, {})) answer(submission);
    }
    /// Gives the oldest of the answers that are held back.
    void answer_oldest() {
        const std::scoped_lock lock(mutex_);
        answer(held_.front());
        held_.erase(held_.begin());
    }
    std::size_t held() {
        const std::scoped_lock lock(mutex_);
        return held_.size();
    }
    std::size_t orders() {
        const std::scoped_lock lock(mutex_);
        return engine_.state().book().open().size();
    }
    std::size_t submissions() {
        const std::scoped_lock lock(mutex_);
        return submissions_;
    }

private:
    void answer(Submission& submission) {
        ledger::Output out;
        engine_.step(ledger::SignalArrived{submission.signal, 1}, {clock_.now(), clock_.instant()}, out);
        for (const ledger::Action& action : out.actions)
            if (const auto* said = std::get_if<ledger::Answer>(&action))
                submission.answer({static_cast<Outcome::Verdict>(said->verdict), said->order, said->text});
    }

    os::SystemClock clock_;
    std::mutex mutex_;
    ledger::Engine engine_{ledger::State(), ledger::Rules(), "test", false, {clock_.now(), clock_.instant()}};
    bool is_away_ = false, is_silent_ = false;
    std::vector<Submission> held_;
    std::size_t submissions_ = 0;
};

}    // namespace holdfast::trade
