#include "holdfast/format/documents.hpp"

#include <gtest/gtest.h>

#include "holdfast/format/golden_test.hpp"

namespace holdfast::format {
namespace {

const std::string k_id_a(64, 'a'), k_id_b(64, 'b');
const Timestamp k_time = *parse_rfc3339("2026-11-20T18:42:22.5Z");

std::string go_string(std::string_view text) {
    std::string token;
    append_go_string(token, text);
    return token;
}

template <class T>
void expect_corrupt(const Result<T>& result, std::string_view document) {
    ASSERT_FALSE(result) << document;
    EXPECT_EQ(result.error().code, ErrorCode::corrupt) << document;
}

TEST(GoString, EscapesAsGosEncoderDoes) {
    EXPECT_EQ(go_string("<a href=\"x\">&</a>"), R"("\u003ca href=\"x\"\u003e\u0026\u003c/a\u003e")");
    EXPECT_EQ(go_string("\n\r\t\b\f\\/"), R"("\n\r\t\b\f\\/")");
    EXPECT_EQ(go_string(std::string("\0\x01\x1f\x7f", 4)), "\"\\u0000\\u0001\\u001f\x7f\"");
    EXPECT_EQ(go_string("\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaa"), "\"\\u2028\\u2029\xe2\x80\xaa\"");
    EXPECT_EQ(go_string("a\xff\xc3(\xed\xa0\x80z\xf0\x9f\x98"),
              R"("a\ufffd\ufffd(\ufffd\ufffd\ufffdz\ufffd\ufffd\ufffd")");
    EXPECT_EQ(go_string("\xef\xbf\xbd\xf0\x9f\x98\x80"), "\"\xef\xbf\xbd\xf0\x9f\x98\x80\"");
    EXPECT_EQ(go_string(""), "\"\"");
}

TEST(Config, GivesResticsBytesBack) {
    const std::string json = golden_json("restic-v2-tiny.json")["config_plaintext"].text();
    const auto config = decode_config(json);
    ASSERT_TRUE(config) << config.error().message;
    EXPECT_EQ(config->version, 2u);
    EXPECT_EQ(encode(*config), json);
}

TEST(Config, IgnoresUnknownFields) {
    const std::string json = R"({"append_only":true,"version":1,"x":{"y":[1.5]},"id":")" + k_id_a +
                             R"(","chunker_polynomial":"3da3358b4dc173"})";
    EXPECT_EQ(decode_config(json)->version, 1u);
}

TEST(Config, RefusesLaterVersionsAsUnsupported) {
    for (const std::string_view version : {"0", "3", "4294967295"}) {
        const auto config = decode_config("{\"version\":" + std::string(version) + "}");
        ASSERT_FALSE(config);
        EXPECT_EQ(config.error().code, ErrorCode::unsupported);
    }
}

TEST(Config, RefusesAWrongPolynomialOrId) {
    const auto with = [](const std::string& id, const std::string& polynomial) {
        return decode_config(R"({"version":2,"id":")" + id + R"(","chunker_polynomial":")" + polynomial + "\"}");
    };
    EXPECT_TRUE(with(k_id_a, "3da3358b4dc173"));
    expect_corrupt(with(k_id_a, "3da3358b4dc171"), "reducible");
    expect_corrupt(with(k_id_a, ""), "no polynomial");
    expect_corrupt(with("aa", "3da3358b4dc173"), "short ID");
    expect_corrupt(with(std::string(64, 'A'), "3da3358b4dc173"), "upper-case ID");
    expect_corrupt(decode_config(R"({"version":2,"chunker_polynomial":"3da3358b4dc173"})"), "no ID");
    expect_corrupt(decode_config(""), "empty");
}

TEST(KeyFile, GivesResticsFieldsBack) {
    const json::Value tiny = golden_json("restic-v2-tiny.json");
    const json::Value& file = tiny["key_file"].members().at(0).second;
    const std::string json = json::dump(file);    // members keep their order
    const auto key = decode_key_file(json, "key 97bf");
    ASSERT_TRUE(key) << key.error().message;
    EXPECT_EQ(encode(*key), json);
    EXPECT_EQ(key->cost.n, 32768u);
    EXPECT_EQ(key->salt.size(), 64u);
}

TEST(KeyFile, NeedsNeitherHostNorTimeButScryptSaltAndData) {
    const std::string salt = to_base64(to_bytes(std::string(64, 's'))),
                      data = to_base64(to_bytes(std::string(150, 'd')));
    const auto with = [&](const std::string& kdf, const std::string& s, const std::string& d,
                          const std::string& n = "1024") {
        return decode_key_file(
            R"({"x":1,"kdf":")" + kdf + R"(","N":)" + n + R"(,"r":8,"p":1,"salt":")" + s + R"(","data":")" + d + "\"}",
            "key");
    };
    EXPECT_TRUE(with("scrypt", salt, data));
    expect_corrupt(with("argon2", salt, data), "kdf");
    expect_corrupt(with("scrypt", to_base64(to_bytes("short")), data), "salt");
    expect_corrupt(with("scrypt", "***", data), "salt that is not base64");
    expect_corrupt(with("scrypt", salt, ""), "data");
    expect_corrupt(with("scrypt", salt, data, "-1"), "N");
    expect_corrupt(with("scrypt", salt, data, "\"1024\""), "N as a string");
}

TEST(MasterKey, IsReadAndWrittenUnchangedWhetherClampedOrNot) {
    const json::Value tiny = golden_json("restic-v2-tiny.json"), envelope = golden_json("envelope.json");
    for (const std::string& json : {json::dump(tiny["master_key"]), envelope["key_wrap"]["master_json"].text()}) {
        const auto key = decode_master_key(json);
        ASSERT_TRUE(key);
        EXPECT_EQ(encode(*key), json);
    }
}

TEST(MasterKey, RefusesPartsOfZerosAndOfOtherLengthsWithoutShowingThem) {
    const auto part = [](std::size_t size, char c) { return to_base64(as_bytes(std::string(size, c))); };
    const auto with = [](const std::string& k, const std::string& r, const std::string& e) {
        return decode_master_key(R"({"mac":{"k":")" + k + R"(","r":")" + r + R"("},"encrypt":")" + e + "\"}");
    };
    const std::string k = part(16, 'k'), r = part(16, 'r'), e = part(32, 'e');
    EXPECT_TRUE(with(k, r, e));
    for (const auto& key :
         {with(part(16, 0), r, e), with(k, part(16, 0), e), with(k, r, part(32, 0)), with(part(15, 'k'), r, e),
          with(k, part(17, 'r'), e), with(k, r, part(16, 'e')), with("", r, e), with(k, r, "?"),
          decode_master_key("{}"), decode_master_key("[]"), decode_master_key("")}) {
        expect_corrupt(key, "master key");
        EXPECT_EQ(key.error().message, "the master key inside the key file is damaged");
    }
}

TEST(Index, ReadsResticsAndWritesItInTheSameForm) {
    const json::Value tiny = golden_json("restic-v2-tiny.json");
    for (const auto& [id, text] : tiny["index"].members()) {
        const auto index = decode_index(text.text(), id);
        ASSERT_TRUE(index) << index.error().message;
        EXPECT_EQ(encode_index(*index), text.text());    // the order of blobs is the file's
        // With a space in front it is read the general way.
        const auto general = decode_index(" " + text.text(), id);
        ASSERT_TRUE(general) << general.error().message;
        EXPECT_EQ(encode_index(*general), text.text());
    }
}

TEST(Index, LeavesTheUncompressedLengthOutForPlainBlobs) {
    const Id a = *Id::parse(k_id_a), b = *Id::parse(k_id_b);
    const std::string json =
        encode_index({{a, {{b, BlobType::data, 0, 40, 0}, {a, BlobType::tree, 40, 50, 60}}}, {b, {}}});
    EXPECT_EQ(json, R"({"packs":[{"id":")" + k_id_a + R"(","blobs":[{"id":")" + k_id_b +
                        R"(","type":"data","offset":0,"length":40},{"id":")" + k_id_a +
                        R"(","type":"tree","offset":40,"length":50,"uncompressed_length":60}]},{"id":")" + k_id_b +
                        "\",\"blobs\":[]}]}\n");
    EXPECT_EQ(encode_index({}), "{\"packs\":[]}\n");
    EXPECT_EQ((*decode_index(json, "x"))[0].blobs[1].uncompressed_length, 60u);
}

TEST(Index, IgnoresWhatRusticAndOldResticAdd) {
    const auto index = decode_index(
        R"({"supersedes":[")" + k_id_b + R"("],"packs":[{"id":")" + k_id_a +
            R"(","time":"2026-01-01T00:00:00Z","size":5,"blobs":[{"future":{},"id":")" + k_id_b +
            R"(","type":"data","offset":7,"length":40}]}],"packs_to_delete":[{"id":")" + k_id_b + R"(","blobs":[]}]})",
        "index 12");
    ASSERT_TRUE(index) << index.error().message;
    ASSERT_EQ(index->size(), 1u);
    EXPECT_EQ((*index)[0].blobs[0].offset, 7u);
}

TEST(Index, RefusesDamagedEntriesAndNamesTheFile) {
    const auto with = [](const std::string& blob) {
        return decode_index(R"({"packs":[{"id":")" + k_id_a + R"(","blobs":[)" + blob + "]}]}", "index 12");
    };
    const std::string id = R"("id":")" + k_id_b + "\"";
    EXPECT_TRUE(with("{" + id + R"(,"type":"data","offset":0,"length":32})"));
    for (const std::string& blob :
         {"{" + id + R"(,"type":"mixed","offset":0,"length":40})", "{" + id + R"(,"offset":0,"length":40})",
          "{" + id + R"(,"type":"data","offset":0,"length":31})", "{" + id + R"(,"type":"data","offset":0})",
          "{" + id + R"(,"type":"data","offset":4294967296,"length":40})",
          "{" + id + R"(,"type":"data","offset":4294967295,"length":40})",
          "{" + id + R"(,"type":"data","offset":-1,"length":40})",
          "{" + id + R"(,"type":"data","offset":0.5,"length":40})",
          std::string(R"({"type":"data","offset":0,"length":40})"), std::string("1"), std::string("null"),
          std::string(R"({"id":"12","type":"data","offset":0,"length":40})")}) {
        const auto index = with(blob);
        expect_corrupt(index, blob);
        EXPECT_NE(index.error().message.find("index 12"), std::string::npos);
    }
    for (const std::string_view json :
         {"", "{}", "[]", "{\"packs\":7}", "{\"packs\":[{}]}", "{\"packs\":[7]}", "{\"packs\":[", "{\"packs\":[]}x"})
        expect_corrupt(decode_index(json, "index 12"), json);
}

TEST(Snapshot, GivesResticsBytesBack) {
    const json::Value tiny = golden_json("restic-v2-tiny.json");
    for (const json::Value& v : tiny["snapshots"].items()) {
        const auto snapshot = decode_snapshot(v["json"].text(), "snapshot");
        ASSERT_TRUE(snapshot) << snapshot.error().message;
        EXPECT_EQ(encode(*snapshot), v["json"].text());
        EXPECT_EQ(snapshot->tree.hex(), v["tree"].text());
    }
}

TEST(Snapshot, WritesAllFieldsInResticsOrder) {
    Snapshot snapshot;
    snapshot.time = k_time;
    snapshot.parent = *Id::parse(k_id_a);
    snapshot.tree = *Id::parse(k_id_b);
    snapshot.paths = {"/postgres", "/a<b"};
    snapshot.hostname = "host";
    snapshot.username = "root";
    snapshot.uid = 4294967295;
    snapshot.gid = 7;
    snapshot.excludes = {"*.tmp"};
    snapshot.tags = {"t1", "t2"};
    snapshot.original = *Id::parse(k_id_a);
    snapshot.program_version = "holdfast 0.1.0";
    snapshot.summary = SnapshotSummary{k_time, k_time, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, UINT64_MAX};
    const std::string json =
        R"({"time":"2026-11-20T18:42:22.5Z","parent":")" + k_id_a + R"(","tree":")" + k_id_b +
        R"(","paths":["/postgres","/a\u003cb"],"hostname":"host","username":"root","uid":4294967295,"gid":7,)"
        R"("excludes":["*.tmp"],"tags":["t1","t2"],"original":")" +
        k_id_a +
        R"(","program_version":"holdfast 0.1.0","summary":{"backup_start":"2026-11-20T18:42:22.5Z",)"
        R"("backup_end":"2026-11-20T18:42:22.5Z","files_new":1,"files_changed":2,"files_unmodified":3,"dirs_new":4,)"
        R"("dirs_changed":5,"dirs_unmodified":6,"data_blobs":7,"tree_blobs":8,"data_added":9,"data_added_packed":10,)"
        R"("total_files_processed":11,"total_bytes_processed":18446744073709551615}})";
    EXPECT_EQ(encode(snapshot), json);
    const auto back = decode_snapshot(json, "s");
    ASSERT_TRUE(back) << back.error().message;
    EXPECT_EQ(encode(*back), json);
}

TEST(Snapshot, AcceptsRusticsFieldsNullsAndOffsets) {
    const auto snapshot = decode_snapshot(R"({"time":"2026-11-20T20:42:22+02:00","tree":")" + k_id_a +
                                              R"(","paths":null,"tags":null,"parent":null,"parents":[],"label":"x",)"
                                              R"("summary":{"files_new":1,"command":"x","total_duration":0.5}})",
                                          "s");
    ASSERT_TRUE(snapshot) << snapshot.error().message;
    EXPECT_EQ(to_rfc3339(snapshot->time), "2026-11-20T18:42:22Z");
    EXPECT_EQ(snapshot->summary->files_new, 1u);
    EXPECT_FALSE(snapshot->parent);
}

TEST(Snapshot, RefusesOneWithoutTreeOrTimeAndWrongKinds) {
    const std::string time = R"("time":"2026-11-20T20:42:22Z")", tree = R"("tree":")" + k_id_a + "\"";
    EXPECT_TRUE(decode_snapshot("{" + time + "," + tree + "}", "s"));
    for (const std::string& json :
         {"{" + time + "}", "{" + tree + "}", "{" + time + R"(,"tree":"12"})", "{" + tree + R"(,"time":"yesterday"})",
          "{" + tree + R"(,"time":null})", "{" + time + R"(,"tree":null})", "{" + time + "," + tree + R"(,"tags":"t"})",
          "{" + time + "," + tree + R"(,"tags":[1]})", "{" + time + "," + tree + R"(,"uid":4294967296})",
          "{" + time + "," + tree + R"(,"summary":1})", "{" + time + "," + tree + R"(,"summary":{"files_new":-1}})",
          "{" + time + "," + tree, std::string()})
        expect_corrupt(decode_snapshot(json, "s"), json);
}

TEST(Lock, RoundTripsAndLeavesOutZeroOwners) {
    const Lock shared{k_time, false, "host", "root", 4711, 0, 0};
    EXPECT_EQ(encode(shared),
              R"({"time":"2026-11-20T18:42:22.5Z","exclusive":false,"hostname":"host","username":"root","pid":4711})");
    const Lock exclusive{k_time, true, "h", "u", 1, 1000, 1001};
    const auto back = decode_lock(encode(exclusive), "lock");
    ASSERT_TRUE(back);
    EXPECT_TRUE(back->exclusive);
    EXPECT_EQ(encode(*back), encode(exclusive));
    EXPECT_EQ(back->gid, 1001u);
    Lock with_origin = shared;
    with_origin.origin = PidOrigin{"m", "b", 4026531836};
    const auto again = decode_lock(encode(with_origin), "lock");
    ASSERT_TRUE(again);
    EXPECT_EQ(again->origin, with_origin.origin);
}

TEST(Lock, RefusesOneWithoutTime) {
    expect_corrupt(decode_lock(R"({"exclusive":true,"pid":1})", "lock"), "no time");
    expect_corrupt(decode_lock(R"({"time":"2026-11-20T18:42:22Z","pid":"x"})", "lock"), "pid");
    expect_corrupt(decode_lock(R"({"time":"2026-11-20T18:42:22Z","exclusive":1})", "lock"), "exclusive");
    expect_corrupt(decode_lock("", "lock"), "empty");
}

}    // namespace
}    // namespace holdfast::format
