#pragma once
// What the tests of this module share: the vectors in tests/golden/vault.

#include <gtest/gtest.h>

#include <cstdio>
#include <string>

#include "holdfast/base/json.hpp"

namespace holdfast::format {

inline std::string golden_file(const std::string& name) {
    const std::string path = std::string(HF_SOURCE_DIR) + "/tests/golden/vault/" + name;
    std::FILE* file = std::fopen(path.c_str(), "rb");
    EXPECT_NE(file, nullptr) << path;
    if (!file) return {};
    std::string text;
    char buffer[65536];
    while (const std::size_t n = std::fread(buffer, 1, sizeof buffer, file)) text.append(buffer, n);
    std::fclose(file);
    return text;
}

inline json::Value golden_json(const std::string& name) {
    std::string text = golden_file(name);
    // encoding.json tells a time of the year 1 in nanoseconds: beyond 64 bits, so its number becomes a string here.
    const std::string year_one = "-62135596800000000000";
    if (const auto at = text.find(year_one); at != std::string::npos)
        text.replace(at, year_one.size(), '"' + year_one + '"');
    auto value = json::parse(text, name);
    EXPECT_TRUE(value) << name;
    return value ? *std::move(value) : json::Value();
}

}    // namespace holdfast::format
