#include "holdfast/capi/holdfast_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <string>
#include <thread>

#include "holdfast/keep/versions.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/process.hpp"

namespace holdfast {
namespace {

using ::testing::HasSubstr;

class ConfigLibrary : public ::testing::Test {
protected:
    hfc_code write(std::string_view text) { return hfc_write(path_.c_str(), text.data(), text.size(), &options_); }
    std::string load() {
        hfc_loaded loaded{};
        loaded.size = sizeof loaded;
        const hfc_code code = hfc_load(path_.c_str(), &options_, &loaded);
        if (code != HFC_OK) return hfc_code_name(code);
        std::string text(loaded.data, loaded.length);
        version_ = loaded.version;
        hfc_free(loaded.data);
        return text;
    }
    os::TempFolder scratch_ = os::TempFolder::create("hf-config").value();
    std::string path_ = scratch_.path() + "/ea.json";
    hfc_options options_{
        .size = sizeof(hfc_options), .format = nullptr, .versions_folder = nullptr, .versions = 3, .size_max = 10240};
    std::uint64_t version_ = 0;
};

TEST_F(ConfigLibrary, WhatIsWrittenIsThereAndKept) {    // EA-03
    for (int i = 0; i < 5; ++i) ASSERT_EQ(write("{\"lots\": " + std::to_string(i) + "}"), HFC_OK) << hfc_last_error();
    EXPECT_EQ(os::read_text(path_).value(), "{\"lots\": 4}");
    EXPECT_EQ(os::status_of(path_)->st_mode & 07777, 0600u);
    EXPECT_EQ(load(), "{\"lots\": 4}");
    EXPECT_EQ(version_, 0u);
    EXPECT_EQ(keep::Versions(keep::versions_folder(path_), path_).list()->size(), 3u);
}

TEST_F(ConfigLibrary, ABadContentIsRefusedWithItsPlace) {
    ASSERT_EQ(write("{\"lots\": 1}"), HFC_OK);
    EXPECT_EQ(write("{\n\"lots\" 1}"), HFC_INVALID);
    EXPECT_THAT(hfc_last_error(), HasSubstr("ea.json:2:8: ':' is expected here"));
    EXPECT_EQ(write("\"" + std::string(10240, 'x') + "\""), HFC_TOO_LONG);
    EXPECT_EQ(load(), "{\"lots\": 1}");
    EXPECT_EQ(hfc_write("/x.yml", "a", 1, nullptr), HFC_USAGE);
    EXPECT_EQ(hfc_write(nullptr, "a", 1, nullptr), HFC_USAGE);
    EXPECT_EQ(hfc_write(path_.c_str(), nullptr, 1, nullptr), HFC_USAGE);
    EXPECT_EQ(hfc_load(path_.c_str(), nullptr, nullptr), HFC_USAGE);
    EXPECT_EQ(hfc_write("/proc/nowhere/a.json", "{}", 2, nullptr), HFC_IO);
    EXPECT_STREQ(hfc_code_name(HFC_IO), "HFC_IO");
}

TEST_F(ConfigLibrary, LoadsTheNewestGoodVersionWhenTheFileIsBad) {    // EA-15: else the last backup
    EXPECT_EQ(load(), "HFC_NOT_FOUND");
    ASSERT_EQ(write("{\"lots\": 1}"), HFC_OK);
    ASSERT_EQ(write("{\"lots\": 2}"), HFC_OK);
    ASSERT_TRUE(os::write_file(path_, as_bytes("{\"lots\": ")));
    EXPECT_EQ(load(), "{\"lots\": 2}");
    EXPECT_EQ(version_, 2u);
    EXPECT_THAT(hfc_last_error(), HasSubstr("ea.json:1:10: the file ends inside the object"));
    EXPECT_EQ(os::read_text(path_).value(), "{\"lots\": ");    // loading changes nothing
    ASSERT_EQ(::unlink(path_.c_str()), 0);
    EXPECT_EQ(load(), "{\"lots\": 2}");
}

TEST_F(ConfigLibrary, ManyWritersLeaveAWholeFile) {
    {
        std::vector<std::jthread> writers;
        for (int w = 0; w < 4; ++w)
            writers.emplace_back([this, w] {
                for (int i = 0; i < 10; ++i)
                    EXPECT_EQ(write("{\"writer\": " + std::to_string(w) + ", \"round\": " + std::to_string(i) + "}"),
                              HFC_OK)
                        << hfc_last_error();
            });
    }
    EXPECT_THAT(load(), HasSubstr("\"round\": 9"));
    EXPECT_EQ(version_, 0u);
    EXPECT_EQ(keep::Versions(keep::versions_folder(path_), path_).list()->size(), 3u);
}

TEST_F(ConfigLibrary, TheExampleWritesAndLoads) {
    const auto run = [&](std::vector<std::string> words) {
        os::Command command;
        command.arguments = std::move(words);
        command.arguments.insert(command.arguments.begin(), HF_CONFIG_EXAMPLE);
        return os::run(std::move(command)).value();
    };
    EXPECT_EQ(run({path_, "{\"lots\": 0.2}"}).status.code, 0);
    EXPECT_EQ(run({path_, "{\"lots\": 0.2"}).status.code, 1);
    EXPECT_EQ(run({path_}).output, "{\"lots\": 0.2}");
}

}    // namespace
}    // namespace holdfast
