#include "holdfast/cli/progress.hpp"

#include <fmt/core.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cmath>

#include "holdfast/base/bytes.hpp"
#include "holdfast/cli/output.hpp"

namespace holdfast::cli {

using namespace std::chrono_literals;

std::string progress_text(const ProgressState& state, double rate) {
    const auto amount = [&](std::uint64_t n) {
        return state.unit.empty() ? human_size(n) : fmt::format("{} {}", n, state.unit);
    };
    std::string text;
    if (state.total >= state.done && state.total > 0) {
        text =
            fmt::format("{} of {}  {} %", state.unit.empty() ? human_size(state.done) : fmt::format("{}", state.done),
                        amount(state.total),
                        static_cast<int>(100.0 * static_cast<double>(state.done) / static_cast<double>(state.total)));
    } else {
        text = amount(state.done);
    }
    if (rate >= 1) {
        text += fmt::format("  {}/s", amount(static_cast<std::uint64_t>(rate)));
        if (state.total > state.done)
            text += fmt::format("  {} left",
                                human_duration(std::ceil(static_cast<double>(state.total - state.done) / rate)));
    }
    if (!state.extra.empty()) text += "  " + state.extra;
    return text;
}

double RateMeter::update(Instant now, std::uint64_t done) {
    if (!started_) {
        started_ = true;
        last_ = now;
        last_done_ = done;
        return 0;
    }
    const double passed = seconds(now - last_);
    if (passed < 0.25) return rate_;
    const double current = done >= last_done_ ? static_cast<double>(done - last_done_) / passed : 0;
    const double keep = rate_ == 0 ? 0 : std::exp2(-passed / 5);
    rate_ = keep * rate_ + (1 - keep) * current;
    last_ = now;
    last_done_ = done;
    return rate_;
}

namespace {
// The line on the screen: there is one terminal.
std::mutex g_shown_mutex;
ProgressLine* g_shown = nullptr;
}    // namespace

ProgressLine::ProgressLine(const Clock& clock, bool enabled) : clock_(clock), enabled_(enabled) {
    if (!enabled_) return;
    const std::lock_guard guard(g_shown_mutex);
    g_shown = this;
}

ProgressLine::~ProgressLine() {
    clear();
    const std::lock_guard guard(g_shown_mutex);
    if (g_shown == this) g_shown = nullptr;
}

void print_log_line(std::string_view line) {
    const std::lock_guard guard(g_shown_mutex);
    if (!g_shown) return print_note(line);
    if (line.ends_with('\n')) line.remove_suffix(1);
    g_shown->above(line);
}

void ProgressLine::show(const ProgressState& state) {
    if (!enabled_) return;
    const std::lock_guard guard(mutex_);
    const Instant now = clock_.instant();
    const double rate = meter_.update(now, state.done);
    if (!line_.empty() && now - drawn_at_ < 200ms) return;
    drawn_at_ = now;
    draw(progress_text(state, rate));
}

void ProgressLine::above(std::string_view line) {
    const std::lock_guard guard(mutex_);
    if (!line_.empty()) print_note("\r\x1b[K");
    print_note(fmt::format("{}\n", line));
    if (!line_.empty()) print_note(line_);
}

void ProgressLine::clear() {
    const std::lock_guard guard(mutex_);
    if (!line_.empty()) print_note("\r\x1b[K");
    line_.clear();
}

void ProgressLine::draw(const std::string& line) {
    winsize size{};
    const std::size_t columns = ::ioctl(2, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col - 1u : 79u;
    line_ = line.substr(0, columns);
    print_note("\r\x1b[K" + line_);
}

}    // namespace holdfast::cli
