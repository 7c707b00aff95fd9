#pragma once
// What a Redis was set to when it was saved (config.json, acl.txt of the snapshot), beside what the restored one is set to. Nothing is
// set: a restore brings data, and whoever runs the server decides about its memory, users and files.
//
//   secrets  names of users are told, never their rules, which hold password hashes; settings that hold secrets were not saved

#include "holdfast/db/redis.hpp"
#include "holdfast/recovery/restore_store.hpp"

namespace holdfast::recovery {

struct RedisDifferences {
    std::vector<std::string> settings;    // "maxmemory is 0 and was 104857600"
    std::vector<std::string> users;    // "user desk is missing", "user desk has other rules"
    bool compared = false;    // false: nothing was saved, or this user may not ask
};

/// An error only when the vault or the server fails.
Result<RedisDifferences> compare_redis_settings(const RestoreContext& context, const db::RedisLogin& login);

/// Pure, for both kinds: the lines of ACL LIST, and settings by name.
std::vector<std::string> compare_users(std::string_view saved, std::string_view now);
std::vector<std::string> compare_settings(const json::Value& saved, const json::Value& now);

}    // namespace holdfast::recovery
