#pragma once
// Where this machine remembers things about its mirrors: one small file a mirror, in the state folder.
//
//   shape    <state folder>/mirrors/<16 digits of SHA-256 over repository ID and mirror location>.json
//   errors   a file that is lost or damaged counts as empty (with a warning): deletions then only come later
//   source   docs/operations/mirrors.md

#include <string>

#include "holdfast/vault/mirror_plan.hpp"

namespace holdfast::vault {

/// `configured` or, when empty, $XDG_STATE_HOME/holdfast, ~/.local/state/holdfast, /var/lib/holdfast (no home).
std::string state_folder(const std::string& configured);

class MirrorMemoryFile {
public:
    MirrorMemoryFile(const std::string& state_folder, const Id& repository, const std::string& mirror_location);
    MirrorMemory load() const;
    Status save(const MirrorMemory& memory) const;

private:
    std::string path_;
};

}    // namespace holdfast::vault
