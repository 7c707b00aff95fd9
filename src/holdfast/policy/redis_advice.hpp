#pragma once
// Whether a Redis server runs as the data in it needs: who may be evicted, what a crash costs, what a restore would trip over.
// Pure: what the server said comes in.
//
//   rules     memory: what is not durable elsewhere may never be evicted (MT-17). The trade path keeps signals in a stream
//             until the journal has them, so `allkeys-*` is wrong there; `volatile-*` and `noeviction` are safe, for all
//             that carries a time to live can be written again from the journal
//             persistence: profile ea wants `save 60 1000` and an AOF that is synced always (EA-09), mt5 `save 300 1` and
//             one that is synced every second (MT-01)
//             restore: what holdfast.toml says of the server's files must be so, or a restored file is not the one that the
//             server loads (docs/operations/restore-redis-by-hand.md)

#include <cstdint>
#include <map>
#include <string_view>
#include <vector>

#include "holdfast/policy/advice.hpp"
#include "holdfast/policy/config.hpp"

namespace holdfast::policy {

struct RedisFacts {
    std::map<std::string, std::string> settings;    // of CONFIG GET; empty: this user may not ask
    std::string role;    // "master", "slave"
    std::uint64_t used_memory = 0, machine_memory = 0;    // bytes; 0: not told
    std::uint64_t evicted = 0, keys = 0;
    bool snapshot_failed = false;    // the last background save
    bool log_failed = false;    // the last write or rewrite of the AOF
    std::string config_file;    // empty: it runs without one, so nothing that it is told outlives it
    bool local = false;    // it runs on this machine
    bool overcommits = true;    // vm.overcommit_memory of this machine is not 0
};

/// `profiles`: of the accounts that trade through this server; empty: nobody does.
std::vector<Advice> advise_redis(const RedisConfig& config, const RedisFacts& facts,
                                 const std::vector<std::string_view>& profiles);

}    // namespace holdfast::policy
