#pragma once
// The contestants as data: what each runs, phase by phase. All of them encrypt and authenticate but the floor, which
// only encrypts: it is the least that any of them must do (read, compress, encrypt, write).
//
//   key derivation   holdfast and restic: scrypt, of the same cost in one bench; borg: PBKDF2-HMAC-SHA256, 100,000
//                    rounds; floor: PBKDF2, 10,000. Each run of each tool pays for it once.
//   compression      holdfast and restic: zstd as their defaults say; borg and floor: zstd level 3

#include <string>
#include <utility>
#include <vector>

#include "holdfast/base/result.hpp"

namespace holdfast::bench {

/// How holdfast's and restic's repositories are opened. A person's password is stretched, by both at the cost that holdfast
/// always takes; a machine key (`holdfast init --generate-key`) is not, for both.
enum class KeyKind { password, machine };

struct Places {
    std::string data;    // absolute; what is backed up
    std::string work;    // repositories, caches and restored copies lie below it
    std::string holdfast;    // the program; empty: it does not take part
    std::string one_file;    // absolute, below data: what is restored alone
    KeyKind key = KeyKind::password;
};

struct Tool {
    std::string name, version;
    std::vector<std::pair<std::string, std::string>> environment;
    std::string repository;    // its folder, made anew each round
    std::string cache;    // removed with the repository, so that cold is cold
    std::string machine_key;    // the file that init makes; empty: none
    std::string restored;    // the folder to restore into
    // "%PHASE%" in an argument stands for cold, unchanged, changed.
    std::vector<std::string> init, backup, restore, restore_one, check, key, forget, prune;
};

/// Those that are installed, the floor first. A peer that is missing is said on stderr and left out.
Result<std::vector<Tool>> find_tools(const Places& places);

}    // namespace holdfast::bench
