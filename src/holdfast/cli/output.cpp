#include "holdfast/cli/output.hpp"

#include <fmt/core.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "holdfast/os/host.hpp"

namespace holdfast::cli {
namespace {

// Code points, near enough to columns for what we print.
std::size_t width(std::string_view text) {
    return static_cast<std::size_t>(
        std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

// The length of the UTF-8 sequence at the front, 0 when there is none.
std::size_t utf8_length(std::string_view text) {
    const auto lead = static_cast<unsigned char>(text[0]);
    const std::size_t length = lead < 0x80                   ? 1
                               : lead >= 0xc2 && lead < 0xe0 ? 2
                               : lead >= 0xe0 && lead < 0xf0 ? 3
                               : lead >= 0xf0 && lead < 0xf5 ? 4
                                                             : 0;
    if (length == 0 || length > text.size()) return 0;
    for (std::size_t i = 1; i < length; ++i)
        if ((static_cast<unsigned char>(text[i]) & 0xc0) != 0x80) return 0;
    // 0xc2 0x80 to 0xc2 0x9f are control characters, too (C1): some terminals obey them.
    if (length == 2 && lead == 0xc2 && static_cast<unsigned char>(text[1]) < 0xa0) return 0;
    return length;
}

}    // namespace

bool is_terminal(int fd) { return ::isatty(fd) == 1; }

std::string painted(int fd, Colour colour, std::string_view text) {
    const std::optional<std::string> term = os::environment("TERM");
    if (colour == Colour::none || !is_terminal(fd) || os::environment("NO_COLOR") || !term || *term == "dumb")
        return std::string(text);
    const int code = colour == Colour::red      ? 31
                     : colour == Colour::green  ? 32
                     : colour == Colour::yellow ? 33
                     : colour == Colour::bold   ? 1
                                                : 2;
    return fmt::format("\x1b[{}m{}\x1b[0m", code, text);
}

Table::Table(std::vector<std::string> headers, std::vector<bool> right) : right_(std::move(right)) {
    right_.resize(headers.size());
    rows_.push_back(std::move(headers));
}

void Table::row(std::vector<std::string> cells) {
    cells.resize(rows_[0].size());
    rows_.push_back(std::move(cells));
}

std::string Table::text(int fd) const {
    std::vector<std::size_t> widths(rows_[0].size());
    for (const auto& row : rows_)
        for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width(row[i]));
    std::string out;
    for (const auto& row : rows_) {
        std::string line;
        for (std::size_t i = 0; i < row.size(); ++i) {
            const std::string pad(widths[i] - width(row[i]), ' ');
            line += (i ? "  " : "") + (right_[i] ? pad + row[i] : row[i] + pad);
        }
        while (line.ends_with(' ')) line.pop_back();
        out += (&row == &rows_[0] ? painted(fd, Colour::bold, line) : line) + "\n";
    }
    return out;
}

void print(std::string_view text) { std::fwrite(text.data(), 1, text.size(), stdout); }
void print_note(std::string_view text) { std::fwrite(text.data(), 1, text.size(), stderr); }
void print_json(const json::Value& value) { print(json::dump(value, 2) + "\n"); }

json::Value error_json(const Error& error) {
    const ErrorFacts known = facts(error.code);
    return json::Value::object({{"code", known.name},
                                {"message", error.message},
                                {"hint", error.hint},
                                {"exit", known.exit_status},
                                {"retryable", known.retryable}});
}

int report_error(const Error& error, bool as_json) {
    if (as_json) {
        print_json(json::Value::object({{"error", error_json(error)}}));
    } else {
        print_note(fmt::format("{} {}\n", painted(2, Colour::red, "holdfast:"), error.message));
        if (!error.hint.empty()) print_note(fmt::format("          {}\n", error.hint));
    }
    return facts(error.code).exit_status;
}

std::string human_duration(double seconds) {
    if (seconds < 1) return fmt::format("{:.0f} ms", seconds * 1000);
    if (seconds < 60) return fmt::format("{:.1f} s", seconds);
    const auto whole = static_cast<std::uint64_t>(seconds);
    if (whole < 3600) return fmt::format("{}:{:02} min", whole / 60, whole % 60);
    return fmt::format("{}:{:02}:{:02} h", whole / 3600, whole / 60 % 60, whole % 60);
}

std::string human_age(Duration age) {
    const auto minutes = std::chrono::duration_cast<std::chrono::minutes>(age).count();
    const auto of = [](std::int64_t n, std::string_view unit) {
        return fmt::format("{} {}{}", n, unit, n == 1 ? "" : "s");
    };
    if (minutes < 1) return "less than a minute";
    if (minutes < 120) return of(minutes, "minute");
    if (minutes < 48L * 60) return of(minutes / 60, "hour");
    return of(minutes / (24L * 60), "day");
}

std::string local_time(Timestamp time) {
    const std::time_t whole =
        static_cast<std::time_t>(std::chrono::floor<std::chrono::seconds>(Duration(time.nanoseconds)).count());
    std::tm parts{};
    char text[64];
    if (!::localtime_r(&whole, &parts) || std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &parts) == 0)
        return to_rfc3339(time);
    return text;
}

std::string printable(std::string_view raw) {
    std::string out;
    while (!raw.empty()) {
        const std::size_t length = utf8_length(raw);
        const auto byte = static_cast<unsigned char>(raw[0]);
        if (length == 0 || byte < 0x20 || byte == 0x7f) {
            out += fmt::format("\\x{:02x}", byte);
            raw.remove_prefix(1);
        } else {
            out += raw.substr(0, length);
            raw.remove_prefix(length);
        }
    }
    return out;
}

}    // namespace holdfast::cli
