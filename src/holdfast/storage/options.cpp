#include "holdfast/storage/options.hpp"

#include <fmt/core.h>

#include <charconv>

namespace holdfast::storage {

std::optional<std::string> BackendOptions::find(std::string_view key) const {
    for (auto option = extended.rbegin(); option != extended.rend(); ++option)
        if (option->first == key) return option->second;
    return std::nullopt;
}

Result<unsigned> BackendOptions::number(std::string_view key, unsigned fallback, unsigned min, unsigned max) const {
    const auto text = find(key);
    if (!text) return fallback;
    unsigned value = 0;
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
    if (error != std::errc() || end != text->data() + text->size() || value < min || value > max)
        return fail(ErrorCode::usage,
                    fmt::format("the option {}={} is not a number from {} to {}", key, *text, min, max));
    return value;
}

Result<bool> BackendOptions::flag(std::string_view key, bool fallback) const {
    const auto text = find(key);
    if (!text) return fallback;
    if (*text == "true" || *text == "1" || *text == "yes") return true;
    if (*text == "false" || *text == "0" || *text == "no") return false;
    return fail(ErrorCode::usage, fmt::format("the option {}={} is neither true nor false", key, *text));
}

Result<std::pair<std::string, std::string>> parse_option(std::string_view text) {
    const std::size_t equals = text.find('=');
    const std::size_t dot = text.find('.');
    if (equals == std::string_view::npos || dot == std::string_view::npos || dot == 0 || dot + 1 >= equals)
        return fail(ErrorCode::usage,
                    fmt::format("the option \"{}\" is not written as scheme.key=value", text.substr(0, equals)),
                    "for example: -o s3.region=eu-central-1");
    return std::pair(std::string(text.substr(0, equals)), std::string(text.substr(equals + 1)));
}

}    // namespace holdfast::storage
