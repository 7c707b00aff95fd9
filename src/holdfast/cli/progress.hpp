#pragma once
// One line on stderr that is drawn again and again: how much is done, how fast, how long it will take. Nothing at all
// when stderr is no terminal, or with --quiet or --json.
//
//   threads   show(), above() and clear() from any thread

#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>

#include "holdfast/base/clock.hpp"

namespace holdfast::cli {

struct ProgressState {
    std::uint64_t done = 0, total = 0;    // bytes, or `unit`s; total 0: not known
    std::string_view unit;    // empty: bytes
    std::string extra;    // "312 files, 2 errors"
};

/// "12.5 MiB of 1.00 GiB  1 %  55 MiB/s  18 s left  312 files". Pure.
std::string progress_text(const ProgressState& state, double rate);

/// A rate that forgets: half of it comes from the last five seconds. Pure.
class RateMeter {
public:
    /// Units per second; 0 until a quarter of a second has been seen.
    double update(Instant now, std::uint64_t done);

private:
    Instant last_;
    std::uint64_t last_done_ = 0;
    double rate_ = 0;
    bool started_ = false;
};

class ProgressLine {
public:
    ProgressLine(const Clock& clock, bool enabled);
    ~ProgressLine();
    ProgressLine(const ProgressLine&) = delete;

    void show(const ProgressState& state);
    /// A line that stays, printed above the moving one (or alone, when there is none).
    void above(std::string_view line);
    void clear();

private:
    void draw(const std::string& line);

    const Clock& clock_;
    const bool enabled_;
    std::mutex mutex_;
    RateMeter meter_;
    Instant drawn_at_;
    std::string line_;
};

/// A line of the log, on stderr: above the moving line while there is one, so that neither breaks the other. What waits
/// for a storage says so here.
void print_log_line(std::string_view line);

}    // namespace holdfast::cli
