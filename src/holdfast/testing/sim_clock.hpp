#pragma once
// A clock of a test: it stands still but for sleep(), which takes no time and moves it.

#include <atomic>

#include "holdfast/base/clock.hpp"

namespace holdfast::testing {

/// threads: any; sleeps of several threads add up, as if they came one after the other.
class SimClock final : public Clock {
public:
    Timestamp now() const override { return {k_start + elapsed_.load()}; }
    Instant instant() const override { return {elapsed_.load()}; }
    void sleep(Duration d) override {
        if (d > Duration::zero()) elapsed_ += d.count();
    }
    Duration elapsed() const { return Duration(elapsed_.load()); }

private:
    static constexpr std::int64_t k_start = 1'795'000'000'000'000'000;    // some day in November 2026
    std::atomic<std::int64_t> elapsed_ = 0;
};

}    // namespace holdfast::testing
