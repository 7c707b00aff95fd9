#include "holdfast/vault/file_source.hpp"

#include <fmt/core.h>
#include <unistd.h>

#include <cerrno>

#include "holdfast/format/crypto.hpp"
#include "holdfast/os/crash_point.hpp"
#include "holdfast/os/file.hpp"

namespace holdfast::vault {
namespace {

using storage::FileKind;
using storage::FileName;

constexpr std::size_t k_small_max = std::size_t(256) << 20;

class MirrorSource final : public FileSource {
public:
    MirrorSource(std::string name, storage::Backend& backend) : name_(std::move(name)), backend_(backend) {}
    std::string label() const override { return "mirror " + name_; }
    Result<Listing> list() override { return list_repository(backend_); }
    Status fetch(const FileName& name, const std::function<Status(ByteView)>& sink) override {
        HF_TRY(const std::uint64_t size, backend_.size(name));
        HF_TRY(const Id id, read_through(backend_, name, size, sink));
        if (name.kind != FileKind::config && id != name.id)
            return fail(ErrorCode::corrupt, fmt::format("{} is damaged at {}, too", describe(name), label()));
        return {};
    }

private:
    const std::string name_;
    storage::Backend& backend_;
};

constexpr std::size_t k_id_digits = 64;

std::string flat_name(const FileName& name) {
    std::string flat = storage::relative_path(name);
    for (char& c : flat)
        if (c == '/') c = '-';
    return flat;
}
std::string note_name(const FileName& name) { return "replacing-" + flat_name(name); }
std::string note_path(const std::string& folder, const FileName& name) { return folder + '/' + note_name(name); }

}    // namespace

std::unique_ptr<FileSource> mirror_source(const std::string& name, storage::Backend& backend) {
    return std::make_unique<MirrorSource>(name, backend);
}

Result<Bytes> fetch_small(FileSource& source, const FileName& name) {
    Bytes all;
    HF_DO(source.fetch(name, [&](ByteView bytes) -> Status {
        if (all.size() + bytes.size() > k_small_max)
            return fail(ErrorCode::corrupt, fmt::format("{} is absurdly large at {}", describe(name), source.label()));
        append(all, bytes);
        return {};
    }));
    if (name.kind != FileKind::config && format::sha256(all) != name.id)
        return fail(ErrorCode::corrupt, fmt::format("{} is damaged at {}, too", describe(name), source.label()));
    return all;
}

Status SetAside::begin_replacing(const FileName& name) {
    HF_DO(os::make_folders(folder_));
    HF_TRY(auto note, os::AtomicFile::create(note_path(folder_, name)));
    return note.commit();
}

Status SetAside::end_replacing(const FileName& name) {
    const std::string note = note_path(folder_, name);
    if (::unlink(note.c_str()) != 0 && errno != ENOENT) return fail(errno_error(errno, "cannot remove " + note));
    return {};
}

Result<std::vector<SetAside::Interrupted>> SetAside::interrupted() const {
    std::vector<Interrupted> all;
    const std::string above = os::parent_folder(folder_);
    if (!os::exists(above)) return all;
    HF_TRY(const auto folders, os::list_folder(above));
    for (const std::string& folder : folders) {
        const auto names = os::list_folder(above + '/' + folder);
        if (!names) continue;    // a file, or somebody else's
        for (const std::string& name : *names)
            for (const FileKind kind : {FileKind::key, FileKind::snapshot, FileKind::index, FileKind::pack}) {
                if (name.size() < k_id_digits) continue;
                const auto id = Id::parse(std::string_view(name).substr(name.size() - k_id_digits));
                if (!id || note_name({kind, *id}) != name) continue;
                all.push_back({{kind, *id}, fmt::format("{}/{}/{}", above, folder, name)});
            }
    }
    return all;
}

Status SetAside::keep(storage::Backend& backend, const FileName& name) {
    const auto size = backend.size(name);
    if (!size) {
        if (size.error().code == ErrorCode::not_found) return {};
        return fail(size.error());
    }
    HF_DO(os::make_folders(folder_));
    HF_TRY(auto file, os::AtomicFile::create(fmt::format("{}/{}", folder_, flat_name(name))));
    if (const auto read = read_through(backend, name, *size, [&](ByteView bytes) { return file.write(bytes); });
        !read) {
        // A disk that cannot even be read there has nothing to keep.
        if (read.error().code == ErrorCode::io || read.error().code == ErrorCode::corrupt) return {};
        return fail(read.error());
    }
    return file.commit();
}

std::string SetAside::folder() const { return os::exists(folder_) ? folder_ : ""; }

Status SetAside::discard() { return os::remove_tree(folder_); }

Result<bool> replace_file(storage::Backend& backend, const FileName& name, FileSource& source, SetAside& aside) {
    HF_ASSERT(name.kind != FileKind::config);
    HF_TRY(const auto upload, backend.start(name.kind));
    format::Sha256 sha256;
    std::optional<Error> refused;
    const auto fetched = source.fetch(name, [&](ByteView bytes) -> Status {
        sha256.update(bytes);
        auto written = upload->write(bytes);
        if (!written) refused = written.error();
        return written;
    });
    if (refused) return fail(std::move(*refused));
    if (!fetched) {
        if (fetched.error().code == ErrorCode::cancelled) return fail(fetched.error());
        return false;
    }
    if (sha256.finish() != name.id) return false;
    HF_DO(aside.keep(backend, name));
    HF_DO(aside.begin_replacing(name));
    if (auto removed = backend.remove(name); !removed && removed.error().code != ErrorCode::not_found)
        return fail(std::move(removed).error().within("making room for a good copy"));
    os::crash_point("heal.damaged_removed");
    HF_DO(upload->commit(name.id));
    HF_DO(backend.sync());
    HF_DO(aside.end_replacing(name));
    os::crash_point("heal.replaced");
    if (const auto damage = find_damage(backend, name))
        return fail(Error(*damage).within("reading back what was healed"));
    return true;
}

}    // namespace holdfast::vault
