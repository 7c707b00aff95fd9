#include "holdfast/db/redis_touched.hpp"

#include <gtest/gtest.h>

#include "holdfast/db/redis_log.hpp"

namespace holdfast::db {
namespace {

std::string command(std::initializer_list<std::string_view> words) {
    std::string text = "*" + std::to_string(words.size()) + "\r\n";
    for (const std::string_view word : words)
        text.append("$" + std::to_string(word.size()) + "\r\n").append(word) += "\r\n";
    return text;
}

RedisTouched touched_by(const std::string& stream, std::size_t step) {
    RedisTouched touched;
    RedisLogReader reader(0, &touched);
    for (std::size_t at = 0; at < stream.size(); at += step)
        EXPECT_TRUE(
            reader.feed(as_bytes(std::string_view(stream).substr(at, step)), [](ByteView) { return Status(); }));
    return touched;
}

TEST(RedisTouched, KnowsEveryArgumentWhereverThePiecesAreCut) {
    const std::string name(100, 'n'),
        stream = command({"set", name, ""}) + command({"DEL", "a", "b"}) + command({"MULTI"}) + command({"EXEC"});
    for (const std::size_t step : {std::size_t(1), std::size_t(7), stream.size()}) {
        const RedisTouched touched = touched_by(stream, step);
        EXPECT_TRUE(touched.names_all());
        for (const std::string_view key :
             {std::string_view(name), std::string_view("a"), std::string_view("b"), std::string_view()})
            EXPECT_TRUE(touched.may_touch(key)) << key;
        for (const std::string_view key : {"set", "DEL", "c", "ab"}) EXPECT_FALSE(touched.may_touch(key)) << key;
    }
}

TEST(RedisTouched, DoesNotTrustWhatNamesNoKeysOrIsUnknown) {
    for (const std::string_view name : {"FLUSHALL", "flushdb", "SWAPDB", "SORT", "EVAL", "EVALSHA", "FCALL", "SCRIPT",
                                        "JSON.SET", "A.COMMAND.WITH.A.LONG.NAME", ""})
        EXPECT_FALSE(touched_by(command({name, "x"}) + command({"SET", "a", "b"}), 5).names_all()) << name;
}

}    // namespace
}    // namespace holdfast::db
