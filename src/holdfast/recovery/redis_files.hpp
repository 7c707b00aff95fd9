#pragma once
// The files of a Redis data folder: what lies there, and the switch to a restored RDB.
//
//   switch   for a server with appendonly no the rename of dump.rdb, with appendonly yes the rename of the manifest: before
//            it the old data is whole, after it the new. A folder without a manifest is never seen, since a server that
//            finds none starts empty and writes over what is there
//   aside    hard links of the old files in <folder>/replaced-<time>/, made before the switch
//   source   aof.c of Redis 7.0 (multi-part AOF)

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "holdfast/base/clock.hpp"
#include "holdfast/base/result.hpp"
#include "holdfast/recovery/replacement.hpp"

namespace holdfast::recovery {

struct RedisFiles {
    std::string folder;
    std::string rdb = "dump.rdb";    // dbfilename
    std::string append_folder = "appendonlydir";    // appenddirname
    std::string append_file = "appendonly.aof";    // appendfilename
    bool append_only = false;    // the server runs with appendonly yes

    std::string rdb_path() const { return folder + "/" + rdb; }
    std::string append_path() const { return folder + "/" + append_folder; }
    /// Where an AOF of one file lay before Redis 7, which a newer server would still take.
    std::string old_append_path() const { return folder + "/" + append_file; }
};

/// The names of what a server would load, or would have loaded: "dump.rdb, appendonlydir"; empty when there is nothing.
std::string redis_data_in(const RedisFiles& files);
/// A restore was killed while a server loaded what it made (redis_stream.hpp): no data, and nothing that may be opened.
bool has_redis_pipe(const RedisFiles& files);

struct Owner {
    uid_t user = 0;
    gid_t group = 0;
};
/// The named user, or who owns the folder (or its nearest parent that exists).
Result<Owner> redis_owner(const std::string& name, const std::string& folder);
/// Leaves a file that is theirs already alone, so that no right is needed then.
Status give_to(const std::string& path, Owner owner);

/// Puts `staged` (a whole RDB on the same file system, synced) in place; no server may run. Returns where the old files
/// are, if there were any. `will_replace` may be empty.
Result<std::optional<std::string>> switch_redis_files(const RedisFiles& files, const std::string& staged, Owner owner,
                                                      Timestamp now, const WillReplace& will_replace = {});

/// The RDB alone, where nothing was and a server runs already that reads nothing else (redis_stream.hpp). What else has come there since
/// is that server's, and is left alone.
Status place_redis_file(const RedisFiles& files, const std::string& staged, Owner owner);

/// Puts what `replaced` tells of back in its place, and what is there now under `replaced.undone`; no server may run. May be killed
/// and called again: it goes on. Nothing is done where nothing had been replaced yet.
Status put_back_redis_files(const RedisFiles& files, const Replacement& replaced, Owner owner);

/// The same for a server with appendonly yes, from an RDB and the logs since (whole commands, synced), which become its files.
Result<std::optional<std::string>> switch_redis_parts(const RedisFiles& files, const std::string& base,
                                                      const std::vector<std::string>& increments, Owner owner,
                                                      Timestamp now, const WillReplace& will_replace = {});

}    // namespace holdfast::recovery
