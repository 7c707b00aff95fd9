#include "holdfast/recovery/redis_settings.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>

#include "holdfast/vault/restore.hpp"

namespace holdfast::recovery {
namespace {

// Of the place and not of the data: a server that was moved has others.
bool is_of_the_place(std::string_view name) {
    static constexpr std::array<std::string_view, 12> k_names{"port",    "tls-port",  "bind",    "bind-source-addr",
                                                              "dir",     "pidfile",   "logfile", "unixsocket",
                                                              "aclfile", "replicaof", "slaveof", "supervised"};
    return std::ranges::find(k_names, name) != k_names.end();
}

std::string told(const std::string& value) { return value.empty() ? "empty" : value; }

// "user desk on #… ~* +@all": by name, the whole line.
std::map<std::string, std::string> users_of(std::string_view lines) {
    std::map<std::string, std::string> users;
    while (!lines.empty()) {
        std::string_view line = lines.substr(0, lines.find('\n'));
        lines.remove_prefix(std::min(lines.size(), line.size() + 1));
        if (!line.starts_with("user ")) continue;
        line.remove_prefix(5);
        users.emplace(line.substr(0, line.find(' ')), line);
    }
    return users;
}

Result<std::optional<std::string>> saved_file(const RestoreContext& context, const char* name) {
    const auto node =
        context.repository.find_node(context.snapshot.snapshot.tree, fmt::format("/{}/{}", context.folder, name));
    if (!node && node.error().code == ErrorCode::not_found) return std::optional<std::string>();
    if (!node) return fail(node.error());
    HF_TRY(const Bytes bytes, vault::read_small(context.repository, *node));
    return std::optional<std::string>(as_text(bytes));
}

}    // namespace

std::vector<std::string> compare_users(std::string_view saved, std::string_view now) {
    std::vector<std::string> differences;
    const auto there = users_of(now);
    for (const auto& [name, rules] : users_of(saved)) {
        const auto found = there.find(name);
        if (found == there.end())
            differences.push_back(fmt::format("user {} is missing", name));
        else if (found->second != rules)
            differences.push_back(fmt::format("user {} has other rules", name));
    }
    return differences;
}

std::vector<std::string> compare_settings(const json::Value& saved, const json::Value& now) {
    std::vector<std::string> differences;
    for (const auto& [name, value] : saved.members()) {
        if (is_of_the_place(name) || now[name].is_null() || now[name].text() == value.text()) continue;
        differences.push_back(fmt::format("{} is {} and was {}", name, told(now[name].text()), told(value.text())));
    }
    return differences;
}

Result<RedisDifferences> compare_redis_settings(const RestoreContext& context, const db::RedisLogin& login) {
    RedisDifferences differences;
    HF_TRY(const auto settings, saved_file(context, "config.json"));
    HF_TRY(const auto users, saved_file(context, "acl.txt"));
    if (!settings && !users) return differences;
    HF_TRY(db::RedisClient client, db::RedisClient::connect(login));
    if (settings) {
        HF_TRY(const json::Value saved, json::parse(*settings, "config.json of the snapshot"));
        HF_TRY(const db::RedisReply reply, client.ask({"CONFIG", "GET", "*"}));
        if (!reply.refusal()) {
            json::Value now = json::Value::object();
            for (std::size_t i = 0; i + 1 < reply.items().size(); i += 2)
                now.set(reply.items()[i].text(), reply.items()[i + 1].text());
            differences.settings = compare_settings(saved, now);
            differences.compared = true;
        }
    }
    if (users) {
        HF_TRY(const db::RedisReply reply, client.ask({"ACL", "LIST"}));
        if (!reply.refusal()) {
            std::string now;
            for (const db::RedisReply& line : reply.items()) now += line.text() + '\n';
            differences.users = compare_users(*users, now);
            differences.compared = true;
        }
    }
    return differences;
}

}    // namespace holdfast::recovery
