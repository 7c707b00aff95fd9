#include "holdfast/source/stack_manifest.hpp"

#include <gtest/gtest.h>

namespace holdfast::source {
namespace {

StackReport report_of_two() {
    StackReport report;
    ComponentReport good, bad;
    good.name = "config";
    good.kind = "files";
    good.complete = good.saved = true;
    good.artefacts = {"config"};
    good.bytes = 7;
    good.facts = json::Value::object({{"files", 1}});
    bad.name = "redis";
    bad.kind = "redis";
    bad.error = Error{ErrorCode::unreachable, "redis at 127.0.0.1:1 refuses", "start it"};
    bad.facts = json::Value::object({{"left", "over"}});
    report.components = {good, bad};
    return report;
}

TEST(Manifest, TellsEachComponentsStatusAndWhy) {
    const json::Value manifest =
        make_manifest({"desk", "host", "holdfast 1", Timestamp{0}, Timestamp{1'000'000'000}}, report_of_two());
    EXPECT_TRUE(check_manifest(manifest, "m"));
    EXPECT_FALSE(manifest["complete"].boolean(true));
    EXPECT_EQ(manifest["started"].text(), "1970-01-01T00:00:00Z");
    const json::Value& good = manifest["components"].items()[0];
    EXPECT_EQ(good["status"].text(), "complete");
    EXPECT_EQ(good["facts"]["files"].integer(), 1);
    EXPECT_TRUE(good["why"].is_null());
    const json::Value& bad = manifest["components"].items()[1];
    EXPECT_EQ(bad["status"].text(), "failed");
    EXPECT_EQ(bad["code"].text(), "unreachable");
    EXPECT_EQ(bad["why"].text(), "redis at 127.0.0.1:1 refuses");
    EXPECT_TRUE(bad["facts"].members().empty());    // nothing partial passes for whole
    EXPECT_TRUE(bad["artefacts"].items().empty());
}

TEST(Manifest, OfALaterProgramIsRefusedWithTheRemedy) {
    const auto refused = check_manifest(json::parse(R"({"manifest_version": 2, "components": []})", "m").value(), "m");
    EXPECT_EQ(refused.error().code, ErrorCode::unsupported);
    EXPECT_FALSE(refused.error().hint.empty());
}

TEST(Manifest, WithoutVersionOrComponentsIsCorrupt) {
    for (const char* text :
         {"{}", "[]", "7", R"({"manifest_version": 1})", R"({"manifest_version": "1", "components": []})",
          R"({"manifest_version": 0, "components": []})", R"({"manifest_version": 1, "components": {}})"})
        EXPECT_EQ(check_manifest(json::parse(text, "m").value(), "m").error().code, ErrorCode::corrupt) << text;
}

}    // namespace
}    // namespace holdfast::source
