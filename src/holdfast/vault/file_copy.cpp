#include "holdfast/vault/file_copy.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "holdfast/format/crypto.hpp"
#include "holdfast/os/host.hpp"

namespace holdfast::vault {
namespace {

using storage::FileKind;
using storage::FileName;

constexpr std::uint64_t k_slice = 4u << 20;

Error damaged(const FileName& name, const storage::Backend& at) {
    return {ErrorCode::corrupt,
            fmt::format("{} at {} is damaged: its content does not match its name", describe(name), at.location()),
            "run `holdfast heal`"};
}

}    // namespace

std::string describe(const FileName& name) {
    switch (name.kind) {
        case FileKind::config:
            return "the config";
        case FileKind::key:
            return "key file " + name.id.brief();
        case FileKind::pack:
            return "pack " + name.id.brief();
        case FileKind::index:
            return "index " + name.id.brief();
        case FileKind::snapshot:
            return "snapshot " + name.id.brief();
        case FileKind::lock:
            break;
    }
    return "lock " + name.id.brief();
}

Result<Listing> list_repository(storage::Backend& backend) {
    Listing files;
    for (const FileKind kind : {FileKind::snapshot, FileKind::index, FileKind::pack, FileKind::key}) {
        auto listed = backend.list(kind, [&](const Id& id, std::uint64_t size) { files[{kind, id}] = size; });
        // A place where nothing was ever written may have no folder yet.
        if (!listed && listed.error().code != ErrorCode::not_found) return fail(std::move(listed).error());
    }
    const auto config = backend.size({FileKind::config, {}});
    if (config)
        files[{FileKind::config, {}}] = *config;
    else if (config.error().code != ErrorCode::not_found)
        return fail(config.error());
    return files;
}

Result<Id> read_through(storage::Backend& from, const FileName& name, std::uint64_t size,
                        const std::function<Status(ByteView)>& sink) {
    format::Sha256 sha256;
    Bytes slice;
    for (std::uint64_t at = 0; at < size; at += slice.size()) {
        if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped while reading " + describe(name));
        slice.resize(std::min(k_slice, size - at));
        HF_DO(from.read_at(name, at, slice));
        sha256.update(slice);
        HF_DO(sink(slice));
    }
    return sha256.finish();
}

std::optional<Error> find_damage(storage::Backend& at, const FileName& name, std::optional<std::uint64_t> size) {
    const auto real = at.size(name);
    if (!real) return Error(real.error()).within(fmt::format("{} at {}", describe(name), at.location()));
    if (size && *size != *real)
        return Error{ErrorCode::corrupt,
                     fmt::format("{} at {} has {} bytes instead of {}", describe(name), at.location(), *real, *size),
                     ""};
    const auto id = read_through(at, name, *real, [](ByteView) { return Status(); });
    if (!id) return id.error();
    if (*id != name.id) return damaged(name, at);
    return std::nullopt;
}

Result<SourceFault> copy_file(storage::Backend& from, storage::Backend& to, const FileName& name, std::uint64_t size) {
    HF_ASSERT(name.kind != FileKind::config);
    HF_TRY(const auto upload, to.start(name.kind));
    std::optional<Error> refused;
    const auto id = read_through(from, name, size, [&](ByteView bytes) -> Status {
        auto written = upload->write(bytes);
        if (!written) refused = written.error();
        return written;
    });
    if (refused) return fail(std::move(*refused).within(fmt::format("writing to {}", to.location())));
    if (!id) {
        if (id.error().code == ErrorCode::cancelled) return fail(id.error());
        return SourceFault(id.error());
    }
    // Whole files only have this name: left without commit, the upload leaves nothing.
    if (*id != name.id) return SourceFault(damaged(name, from));
    if (auto status = upload->commit(name.id); !status)
        return fail(std::move(status).error().within(fmt::format("writing to {}", to.location())));
    return SourceFault();
}

}    // namespace holdfast::vault
