#include "holdfast/vault/mirror_memory_file.hpp"

#include <fmt/core.h>

#include "holdfast/base/log.hpp"
#include "holdfast/format/crypto.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"

namespace holdfast::vault {

std::string state_folder(const std::string& configured) {
    if (!configured.empty()) return configured;
    if (const auto state = os::environment("XDG_STATE_HOME")) return *state + "/holdfast";
    if (const auto home = os::environment("HOME")) return *home + "/.local/state/holdfast";
    return "/var/lib/holdfast";
}

MirrorMemoryFile::MirrorMemoryFile(const std::string& state_folder, const Id& repository,
                                   const std::string& mirror_location) {
    const Id name = format::sha256(as_bytes(repository.hex() + '\n' + mirror_location));
    path_ = fmt::format("{}/mirrors/{}.json", state_folder, name.hex().substr(0, 16));
}

MirrorMemory MirrorMemoryFile::load() const {
    const auto text = os::read_text(path_);
    if (!text) {
        if (text.error().code != ErrorCode::not_found)
            log_warning("what is known about a mirror cannot be read", {{"error", text.error().message}});
        return {};
    }
    auto memory = decode_mirror_memory(*text, path_);
    if (memory) return *std::move(memory);
    log_warning("what is known about a mirror is damaged and counts as unknown; deletions there come later",
                {{"error", memory.error().message}});
    return {};
}

Status MirrorMemoryFile::save(const MirrorMemory& memory) const {
    HF_DO(os::make_folders(os::parent_folder(path_)));
    return os::write_file(path_, as_bytes(encode(memory)));
}

}    // namespace holdfast::vault
