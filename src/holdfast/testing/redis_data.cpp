#include "holdfast/testing/redis_data.hpp"

#include <random>

namespace holdfast::testing {
namespace {

using std::to_string;

std::string random_text(std::mt19937_64& random, std::size_t size) {
    std::string text(size, '\0');
    for (char& c : text) c = static_cast<char>(random());
    return text;
}

void add_strings(RedisCommands& to, std::mt19937_64& random) {
    for (const char* number :
         {"0", "-1", "127", "-128", "128", "32767", "-32768", "2147483647", "-2147483648", "2147483648",
          "9223372036854775807", "-9223372036854775808", "9223372036854775808", "007", "-0", "1.5"})
        to.push_back({"SET", std::string("int:") + number, number});
    to.push_back({"SET", "empty", ""});
    to.push_back({"SET", "", "the key has no name"});
    to.push_back({"SET", std::string("bin\0ary\r\n\xff\xfe", 11), std::string("\0\r\n$5\r\n", 7)});
    to.push_back({"SET", "compressible", std::string(20000, 'a') + "b" + std::string(70000, 'c')});
    to.push_back({"SET", "random", random_text(random, 300000)});
    to.push_back({"SET", "session", "expires", "EX", "86400"});
    to.push_back({"SET", "session-ms", "expires", "PX", "86400123"});
    to.push_back({"SETBIT", "bits", "100000", "1"});
    to.push_back({"PFADD", "log-log", "a", "b", "c"});
}

void add_collections(RedisCommands& to, std::mt19937_64& random, unsigned scale) {
    std::vector<std::string> list{"RPUSH", "list:small"}, set{"SADD", "set:small"}, ints{"SADD", "set:ints"};
    for (const char* element : {"1", "-5", "100", "8000", "-70000", "3000000000", "-9000000000000000000", "x", ""}) {
        list.push_back(element);
        set.push_back(element);
    }
    for (const char* element : {"1", "-5", "300", "70000", "5000000000"}) ints.push_back(element);
    list.push_back(std::string(64, 'l'));
    list.push_back(std::string(5000, 'm'));
    to.push_back(list);
    to.push_back(set);
    to.push_back(ints);
    to.push_back({"SADD", "set:int16", "1", "2", "-3"});
    to.push_back({"SADD", "set:int32", "1", "2", "-300000"});
    to.push_back({"ZADD", "zset:small", "1", "one", "-1.5", "minus", "inf", "inf", "-inf", "-inf", "0.1", "tenth",
                  "1e300", "huge", "-0", "zero", "3", "42"});
    to.push_back({"GEOADD", "geo", "13.361389", "38.115556", "Palermo", "15.087269", "37.502669", "Catania"});
    to.push_back({"HSET", "hash:small", "a", "1", "b", "", "", "c", "number", "-1234567"});
    to.push_back({"EXPIRE", "hash:small", "86400"});
    to.push_back({"RPUSH", "list:plain", std::string(20000, 'p'), random_text(random, 20000), "tail"});
    for (unsigned n = 0; n < 2000 * scale; ++n) {
        const std::string number = to_string(n), value = random_text(random, 1 + n % 97);
        to.push_back({"RPUSH", "list:large", n % 3 == 0 ? number : value});
        to.push_back({"SADD", "set:large", n % 2 == 0 ? number : value});
        to.push_back({"ZADD", "zset:large", to_string(double(n % 1000) / 7), value + number});
        to.push_back({"HSET", "hash:large", number, value});
        to.push_back({"SADD", "set:large-ints", to_string(std::int64_t(random()) >> (n % 50))});
    }
}

void add_streams(RedisCommands& to, unsigned scale) {
    for (unsigned n = 1; n <= 300 * scale; ++n) {
        const std::string id = to_string(1700000000000 + n * 13) + "-" + to_string(n % 3);
        if (n % 10 == 0) {
            to.push_back({"XADD", "stream", id, "side", "buy", "price", to_string(n), "venue", "x"});
        } else {
            to.push_back({"XADD", "stream", id, "side", n % 2 != 0 ? "buy" : "sell", "price", to_string(1000 + n)});
        }
    }
    to.push_back({"XDEL", "stream", "1700000000026-2", "1700000000130-1"});
    to.push_back({"XGROUP", "CREATE", "stream", "engine", "0"});
    to.push_back({"XGROUP", "CREATE", "stream", "audit", "$"});
    to.push_back({"XGROUP", "CREATECONSUMER", "stream", "audit", "idle"});
    to.push_back({"XREADGROUP", "GROUP", "engine", "one", "COUNT", "40", "STREAMS", "stream", ">"});
    to.push_back({"XREADGROUP", "GROUP", "engine", "two", "COUNT", "40", "STREAMS", "stream", ">"});
    to.push_back({"XACK", "stream", "engine", "1700000000013-1", "1700000000039-0"});
    to.push_back({"XADD", "stream:emptied", "5-5", "a", "b"});
    to.push_back({"XTRIM", "stream:emptied", "MAXLEN", "0"});
    to.push_back({"XGROUP", "CREATE", "stream:made", "g", "0", "MKSTREAM"});
}

}    // namespace

RedisCommands every_redis_type(unsigned scale) {
    std::mt19937_64 random(42);
    RedisCommands commands;
    commands.push_back({"FUNCTION", "LOAD",
                        "#!lua name=desk\nredis.register_function('put', function(keys, args) "
                        "return redis.call('SET', keys[1], args[1]) end)"});
    add_strings(commands, random);
    add_collections(commands, random, scale);
    add_streams(commands, scale);
    commands.push_back({"SELECT", "3"});
    commands.push_back({"SET", "session", "another database"});
    for (unsigned n = 0; n < 500 * scale; ++n)
        commands.push_back(
            {"SET", "order:" + to_string(n), "state " + to_string(random() % 100), "EX", to_string(80000 + n)});
    commands.push_back({"SELECT", "15"});
    commands.push_back({"LPUSH", "queue", "1", "2", "3"});
    return commands;
}

RedisCommands redis_strings(unsigned count, unsigned size) {
    std::mt19937_64 random(7);
    RedisCommands commands;
    for (unsigned n = 0; n < count; ++n) commands.push_back({"SET", "k:" + to_string(n), random_text(random, size)});
    return commands;
}

}    // namespace holdfast::testing
