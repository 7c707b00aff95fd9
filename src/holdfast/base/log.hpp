#pragma once
// One structured log line an event: a level, a sentence, fields. Text for people, JSON lines for machines; always on
// stderr (or where set_log says). Thread-safe. Never hand a secret to it.

#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace holdfast {

enum class LogLevel { debug, info, warning, error };

struct LogField {
    std::string_view key;
    std::string value;
};

struct LogOptions {
    LogLevel level = LogLevel::warning;
    bool json = false;
    std::function<std::string()> timestamp;    // RFC 3339; empty: no time is written
    std::function<void(std::string_view line)> sink;    // empty: stderr
};
void set_log(LogOptions options);

void log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields = {});
inline void log_debug(std::string_view m, std::initializer_list<LogField> f = {}) { log(LogLevel::debug, m, f); }
inline void log_info(std::string_view m, std::initializer_list<LogField> f = {}) { log(LogLevel::info, m, f); }
inline void log_warning(std::string_view m, std::initializer_list<LogField> f = {}) { log(LogLevel::warning, m, f); }
inline void log_error(std::string_view m, std::initializer_list<LogField> f = {}) { log(LogLevel::error, m, f); }

}    // namespace holdfast
