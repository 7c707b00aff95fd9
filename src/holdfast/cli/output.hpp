#pragma once
// What people and programs read: tables, one JSON document, errors. Results go to standard output, all else to stderr.
// Colour only on a terminal and without NO_COLOR.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "holdfast/base/clock.hpp"
#include "holdfast/base/json.hpp"
#include "holdfast/base/result.hpp"

namespace holdfast::cli {

enum class Colour { none, red, green, yellow, bold, dim };

/// fd 1 or 2; whether it is a terminal that a person watches.
bool is_terminal(int fd);
/// The text in colour when `fd` shows colours, else as it is.
std::string painted(int fd, Colour colour, std::string_view text);

/// Columns as wide as their widest cell; numbers (columns in `right`) to the right.
class Table {
public:
    explicit Table(std::vector<std::string> headers, std::vector<bool> right = {});
    void row(std::vector<std::string> cells);
    /// The header line is bold on a terminal.
    std::string text(int fd) const;

private:
    std::vector<std::vector<std::string>> rows_;
    std::vector<bool> right_;
};

void print(std::string_view text);    // standard output
void print_note(std::string_view text);    // stderr
void print_json(const json::Value& value);

/// "holdfast: message" and the hint below it; or, with `as_json`, {"error": {...}} on standard output.
/// Returns the exit status.
int report_error(const Error& error, bool as_json);
json::Value error_json(const Error& error);

std::string human_duration(double seconds);    // "42 ms", "3.1 s", "2:05 min", "1:02:03 h"
std::string human_age(Duration age);    // "5 minutes", "3 days"
std::string local_time(Timestamp time);    // "2026-11-20 18:42:22", in the machine's zone
/// Control characters and bytes that are not UTF-8 would let a name in a snapshot play with the terminal.
std::string printable(std::string_view raw);

}    // namespace holdfast::cli
