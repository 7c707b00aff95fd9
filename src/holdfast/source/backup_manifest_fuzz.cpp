#include <cstdint>
#include <cstdlib>
#include <string>

#include "holdfast/format/sha256.hpp"
#include "holdfast/source/backup_manifest.hpp"
#include "holdfast/source/tar_reader.hpp"

namespace {

void look(std::string_view text) {
    const auto manifest = holdfast::source::parse_backup_manifest(text);
    if (!manifest) return;
    for (const auto& [path, file] : manifest->files)
        if (!holdfast::source::is_inner_path(path)) std::abort();
    for (const auto& range : manifest->wal)
        if (range.end < range.start || holdfast::source::parse_lsn(holdfast::source::lsn_text(range.end)) != range.end)
            std::abort();
    if (!holdfast::source::compare_backup(*manifest, manifest->files).empty()) std::abort();
}

}    // namespace

// As it is, and with a checksum that fits, which no mutation would hit.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string text(reinterpret_cast<const char*>(data), size);
    look(text);
    if (const std::size_t line = text.rfind("\"Manifest-Checksum\""); line != text.npos) {
        const std::string head = text.substr(0, line);
        look(head + "\"Manifest-Checksum\": \"" + holdfast::format::sha256(holdfast::as_bytes(head)).hex() + "\"}\n");
    }
    return 0;
}
