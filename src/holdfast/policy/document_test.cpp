#include "holdfast/policy/document.hpp"

#include <gtest/gtest.h>

namespace holdfast::policy {
namespace {

std::string fault(std::string_view text, DocumentFormat format) {
    const auto found = find_fault(text, format);
    return found ? fault_text("f", *found) : "";
}
std::string json(std::string_view text) { return fault(text, DocumentFormat::json); }
std::string env(std::string_view text) { return fault(text, DocumentFormat::env); }

TEST(Document, SaysLineColumnAndReasonOfBadJson) {    // EA-15: integrity checked
    EXPECT_EQ(json("{\"a\": [1, 2.5e3, true, null, \"\\u00e9\\n\"]}\n"), "");
    EXPECT_EQ(json("\xef\xbb\xbf{}"), "");    // as editors on Windows write it
    EXPECT_EQ(json("{\n  \"lots\": 1,\n  \"risk\": 2,\n}\n"), "f:3:12: a comma before the closing '}'");
    EXPECT_EQ(json("{\n  \"lots\": 1\n  \"risk\": 2\n}"), "f:3:3: ',' or '}' is expected here, not '\"'");
    EXPECT_EQ(json("{\"a\" 1}"), "f:1:6: ':' is expected here, not '1'");
    EXPECT_EQ(json("{a: 1}"), "f:1:2: a name in double quotes is expected here, not 'a'");
    EXPECT_EQ(json("{'a': 1}"), "f:1:2: a name in double quotes is expected here, not '''");
    EXPECT_EQ(json("[1, 'x']"), "f:1:5: texts stand in double quotes");
    EXPECT_EQ(json("[tru]"), "f:1:2: a value is expected here, not 't'");
    EXPECT_EQ(json("{} x"), "f:1:4: 'x' after the end of the document");
    EXPECT_EQ(json("[\"\\x\"]"), "f:1:3: no such escape: \\ before 'x'");
    EXPECT_EQ(json("[\"\\ud83d\"]"), "f:1:3: half of a surrogate pair");
    EXPECT_EQ(json("[01]"), "f:1:2: a number with a leading zero");
    EXPECT_EQ(json("[1.]"), "f:1:4: a digit is expected here, not ']'");
    EXPECT_EQ(json("[18446744073709551616]"), "f:1:2: a number beyond 64 bits");
    EXPECT_EQ(json("[1e999]"), "f:1:2: a number beyond the range of a double");
    // Columns count characters, as an editor shows them.
    EXPECT_EQ(json("[\"\xc3\xa9\", x]"), "f:1:7: a value is expected here, not 'x'");
}

TEST(Document, SaysWhatACutFileLacks) {
    EXPECT_EQ(json("{\"a\": {\"b\": 1"), "f:1:14: the file ends inside the object that begins in line 1, column 7");
    EXPECT_EQ(json("{\"a\": [1,\n"), "f:2:1: the file ends inside the array that begins in line 1, column 7");
    EXPECT_EQ(json("{\"a\": \"b"), "f:1:9: the file ends inside the text that begins in line 1, column 7");
    for (const auto format : {DocumentFormat::json, DocumentFormat::toml, DocumentFormat::env, DocumentFormat::text}) {
        EXPECT_EQ(fault("", format), "f:1:1: the file is empty");
        EXPECT_EQ(fault(" \n\t\n", format), "f:1:1: the file is empty");
        // What a journalling file system leaves after a power cut: the length is there, the content is not.
        EXPECT_EQ(fault(std::string_view("A=1\n\0\0", 6), format),
                  "f:2:1: a NUL byte: the file was cut by a crash, or is no text");
        EXPECT_EQ(fault("A=\xc3\xa9\xff\n", format), "f:1:4: not UTF-8");
        EXPECT_EQ(fault("A=1\n\xef\xbf x", format), "f:2:1: not UTF-8");
        EXPECT_EQ(fault("A=1\nB=\xef", format), "f:2:3: not UTF-8");
    }
}

TEST(Document, EveryPrefixOfAJsonObjectIsAFaultOfIts) {
    const std::string_view whole = R"({"a": [1, -2.5e3, "x\u00e9\ud83d\ude00"], "b": {"c": null, "d": true}})";
    ASSERT_EQ(json(whole), "");
    for (std::size_t n = 0; n < whole.size(); ++n) {
        const std::string said = json(whole.substr(0, n));
        EXPECT_NE(said, "") << n;
        EXPECT_EQ(said.find("not valid JSON"), std::string::npos) << n << ": " << said;
    }
}

TEST(Document, TomlComesWithItsPlace) {
    EXPECT_EQ(fault("a = 1\n[b]\nc = \"x\"\n", DocumentFormat::toml), "");
    EXPECT_TRUE(fault("a = 1\nb = \n", DocumentFormat::toml).starts_with("f:2:5: "));
}

TEST(Document, EnvTakesWhatShellsAndComposeWrite) {
    EXPECT_EQ(env("# trading\n\nexport TRADING_ENABLED=false\r\nDB_URL=postgres://a:b@c/d?x=y # note\nEMPTY=\n"
                  "ONE='a \\ # b'   # c\nTWO=\"a \\\" b\nsecond line\"\nKEY.dotted-x = v\n"),
              "");
    EXPECT_EQ(env("A=1\nB\n"), "f:2:2: '=' is expected after B, not the end of the line");
    EXPECT_EQ(env("A=1\nB"), "f:2:2: '=' is expected after B, not the end of the file");
    EXPECT_EQ(env("A=1\n2B=3\n"), "f:2:1: a name is expected here, not '2'");
    EXPECT_EQ(env("A=1\nB=\"x\nC=3\n"), "f:2:3: the quote of B is never closed");
    EXPECT_EQ(env("A='x' y\n"), "f:1:7: 'y' after the closing quote of A");
    EXPECT_EQ(env("=x\n"), "f:1:1: a name is expected here, not '='");
}

TEST(Document, KnowsItsFormatByTheName) {
    EXPECT_EQ(document_format("/etc/mt5/ea.json"), DocumentFormat::json);
    EXPECT_EQ(document_format("app.toml"), DocumentFormat::toml);
    for (const char* name : {"/srv/.env", "/srv/.env.production", "/srv/trading.env"})
        EXPECT_EQ(document_format(name), DocumentFormat::env) << name;
    EXPECT_EQ(document_format("/etc/prometheus/prometheus.yml"), std::nullopt);
    EXPECT_EQ(document_format("/etc/env.d/x"), std::nullopt);
}

}    // namespace
}    // namespace holdfast::policy
