#include "holdfast/base/log.hpp"

#include <array>
#include <cstdio>
#include <mutex>

#include "holdfast/base/json.hpp"

namespace holdfast {
namespace {

std::mutex g_mutex;
LogOptions g_options;

constexpr std::array<std::string_view, 4> k_names = {"debug", "info", "warning", "error"};

}    // namespace

void set_log(LogOptions options) {
    const std::scoped_lock lock(g_mutex);
    g_options = std::move(options);
}

void log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields) {
    const std::scoped_lock lock(g_mutex);
    if (level < g_options.level) return;
    const std::string_view name = k_names[static_cast<std::size_t>(level)];
    std::string line;
    if (g_options.json) {
        json::Value value;
        if (g_options.timestamp) value.set("time", g_options.timestamp());
        value.set("level", name).set("message", message);
        for (const LogField& field : fields) value.set(field.key, field.value);
        line = json::dump(value);
    } else {
        if (g_options.timestamp) line += g_options.timestamp() + ' ';
        line += "holdfast: ";
        if (level != LogLevel::info) line.append(name).append(": ");
        line += message;
        for (const LogField& field : fields) line.append(" ").append(field.key).append("=").append(field.value);
    }
    line += '\n';
    if (g_options.sink)
        g_options.sink(line);
    else
        std::fwrite(line.data(), 1, line.size(), stderr);
}

}    // namespace holdfast
