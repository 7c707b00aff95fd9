#include "holdfast/vault/repository.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "holdfast/os/crash_point.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/vault/keys.hpp"
#include "holdfast/vault/parallel.hpp"
#include "holdfast/vault/repository_state.hpp"

namespace holdfast::vault {
namespace {

using storage::FileKind;
using storage::FileName;

constexpr unsigned k_index_threads_max = 4;
// What a blob takes of an index file: half of it is the ID. Plain ones, of other programs, take three times as much.
constexpr std::size_t k_indexed_bytes = 46;
// Shorter ones are read whole.
constexpr std::uint64_t k_index_in_pieces = 128u << 10;

format::Polynomial random_polynomial() {
    for (;;) {
        std::array<std::byte, 8> bytes;
        os::random_bytes(bytes);
        if (const auto polynomial = format::polynomial_from_random(load_le<std::uint64_t>(bytes.data())))
            return *polynomial;
    }
}

Result<bool> is_empty(storage::Backend& backend, FileKind kind) {
    bool empty = true;
    HF_DO(backend.list(kind, [&](const Id&, std::uint64_t) { empty = false; }));
    return empty;
}

// An init that was killed between key and config leaves a key that opens nothing. It may go only where nothing else is.
Status remove_leftover_keys(storage::Backend& backend) {
    std::vector<Id> keys;
    HF_DO(backend.list(FileKind::key, [&](const Id& id, std::uint64_t) { keys.push_back(id); }));
    if (keys.empty()) return {};
    for (const FileKind kind : {FileKind::snapshot, FileKind::index, FileKind::pack}) {
        HF_TRY(const bool empty, is_empty(backend, kind));
        if (!empty)
            return fail(ErrorCode::exists,
                        fmt::format("{} holds keys and data of a repository whose config is lost", backend.location()),
                        "bring the file config back from a mirror, or take an empty folder");
    }
    for (const Id& id : keys) HF_DO(backend.remove({FileKind::key, id}));
    return {};
}

std::string what(const FileName& name) {
    switch (name.kind) {
        case FileKind::index:
            return "index " + name.id.brief();
        case FileKind::snapshot:
            return "snapshot " + name.id.brief();
        case FileKind::lock:
            return "lock " + name.id.brief();
        default:
            return storage::relative_path(name);
    }
}

// A folder of this machine: reading something twice costs next to nothing.
bool reads_again(const storage::Backend& backend) { return backend.connections() < 2; }

// An unpacked file, checked against its name.
Result<Bytes> read_envelope(Repository::State& state, const FileName& name) {
    auto envelope = state.backend->read(name);
    if (!envelope) return fail(std::move(envelope).error().within("reading " + what(name)));
    if (format::sha256(*envelope) != name.id)
        return fail(ErrorCode::corrupt, fmt::format("{} is damaged: its content does not match its name", what(name)),
                    "bring the file back from a mirror");
    return envelope;
}

}    // namespace

Repository::Repository(std::unique_ptr<State> state) : state_(std::move(state)) {}
Repository::~Repository() = default;

storage::Backend& Repository::backend() const { return *state_->backend; }
Clock& Repository::clock() const { return state_->clock; }
const format::Config& Repository::config() const { return state_->config; }
const format::Key& Repository::master_key() const { return state_->master; }

Result<std::unique_ptr<Repository>> Repository::init(std::unique_ptr<storage::Backend> backend, const Secret& password,
                                                     Clock& clock, const InitOptions& options) {
    if (password.empty())
        return fail(ErrorCode::usage, "an empty password protects nothing", "give a password of some length");
    if (backend->size({FileKind::config, {}}))
        return fail(ErrorCode::exists, fmt::format("{} is a repository already", backend->location()),
                    "use it as it is, or name another place");
    HF_DO(backend->create_layout());
    HF_DO(remove_leftover_keys(*backend));

    const format::Key master = random_master_key();
    os::crash_point("init.layout_made");
    HF_TRY(const Id key_file, write_key_file(*backend, master, password, options.cost, clock.now()));
    os::crash_point("init.key_written");
    format::Config config;
    os::random_bytes(config.id.bytes);
    config.polynomial = options.polynomial ? *options.polynomial : random_polynomial();
    const std::string json = format::encode(config);
    Bytes envelope;
    format::Cipher(master).seal(as_bytes(json), random_nonce(), envelope);
    // The config makes it a repository, so the key has to be safe before it.
    HF_DO(backend->sync());
    os::crash_point("init.key_synced");
    HF_DO(backend->put({FileKind::config, {}}, envelope));
    os::crash_point("init.config_written");
    HF_DO(backend->sync());

    auto state = std::make_unique<State>(std::move(backend), clock, master);
    state->key_file = key_file;
    state->config = config;
    state->index_loaded = true;
    return std::unique_ptr<Repository>(new Repository(std::move(state)));
}

Result<std::unique_ptr<Repository>> Repository::open(std::unique_ptr<storage::Backend> backend, const Secret& password,
                                                     Clock& clock) {
    auto envelope = backend->read({FileKind::config, {}});
    if (!envelope) {
        if (envelope.error().code != ErrorCode::not_found)
            return fail(std::move(envelope).error().within("opening the repository"));
        return fail(ErrorCode::no_repository, fmt::format("there is no repository at {}", backend->location()),
                    "run `holdfast init` to make one there, or check the path");
    }
    HF_TRY(OpenedKey key, open_master_key(*backend, password));
    auto state = std::make_unique<State>(std::move(backend), clock, std::move(key.master));
    state->key_file = key.file;
    auto json = state->openers.get()->cipher().open_in_place(*envelope);
    if (!json)
        return fail(
            ErrorCode::corrupt,
            fmt::format("the config of the repository {} is damaged: its seal is broken", state->backend->location()),
            "bring the file config back from a mirror; the password is right");
    HF_TRY(state->config, format::decode_config(as_text(*json)));
    if (state->config.version != 2)
        return fail(
            ErrorCode::unsupported,
            fmt::format("the repository {} has format version {}", state->backend->location(), state->config.version),
            "run `restic migrate upgrade_repo_v2` on it first");
    return std::unique_ptr<Repository>(new Repository(std::move(state)));
}

Result<std::unique_ptr<RepositoryLock>> Repository::lock(LockMode mode, Duration wait) {
    return take_lock(*this, mode, wait, state_->lock_timing);
}

Status Repository::load_index(bool reload) {
    if (state_->index_loaded && !reload) return {};
    std::set<Id> there, known;
    std::uint64_t bytes = 0;
    HF_DO(state_->backend->list(FileKind::index, [&](const Id& id, std::uint64_t size) {
        there.insert(id);
        bytes += size;
    }));
    {
        const std::scoped_lock lock(state_->index_files_mutex);
        // A file that is gone was replaced by a prune: what it named may be gone, too. Else only what is new is read.
        if (!std::includes(there.begin(), there.end(), state_->index_files.begin(), state_->index_files.end())) {
            state_->index.clear();
            state_->index_files.clear();
        }
        known = state_->index_files;
    }
    state_->index_loaded = false;
    std::vector<Id> unread;
    std::set_difference(there.begin(), there.end(), known.begin(), known.end(), std::back_inserter(unread));
    state_->index.expect(bytes / k_indexed_bytes);
    // Decrypting and parsing outweigh the insertions, which take turns. A file in work is there as it lies in the storage
    // (46 bytes a blob) and as one pack.
    auto read = for_each_of(unread.size(), std::min(worker_count(), k_index_threads_max), [&](std::size_t i) -> Status {
        const Id& id = unread[i];
        // What is added again is known already.
        auto added = read_index(id, [&](const format::IndexPack& pack) { state_->index.add(pack); }, [] {});
        if (!added) {
            Error error = std::move(added).error();
            if (error.code == ErrorCode::corrupt)
                error.hint = "run `holdfast repair index`: all index files can be made anew from the packs";
            return fail(std::move(error));
        }
        const std::scoped_lock lock(state_->index_files_mutex);
        state_->index_files.insert(id);
        return {};
    });
    if (!read) {
        // A part of a damaged file may be in it.
        state_->index.clear();
        const std::scoped_lock lock(state_->index_files_mutex);
        state_->index_files.clear();
        return read;
    }
    state_->index_loaded = true;
    return {};
}

bool Repository::has_blob(format::BlobType type, const Id& id) const { return state_->index.has(type, id); }

std::vector<BlobPlace> Repository::places(format::BlobType type, const Id& id) const {
    return state_->index.places(type, id);
}

namespace {

// What `open(opener, envelope, blob)` gives of the first good copy, or the error of the last.
template <class Open>
auto open_blob(Repository::State& state, format::BlobType type, const Id& id, Open open)
    -> decltype(open(std::declval<BlobOpener&>(), ByteSpan(), format::PackedBlob())) {
    const char* kind = type == format::BlobType::tree ? "tree" : "data";
    Error error{ErrorCode::corrupt, fmt::format("{} blob {} is in no index", kind, id.brief()),
                "run `holdfast check`; if packs are there that no index names, `holdfast repair index` finds them"};
    const auto opener = state.openers.get();
    for (const BlobPlace& place : state.index.places(type, id)) {
        Bytes& envelope = opener->scratch();
        envelope.resize(place.blob.length);
        auto read = state.backend->read_at({FileKind::pack, place.pack}, place.blob.offset, envelope);
        if (read) {
            auto opened = open(*opener, ByteSpan(envelope), place.blob);
            // The tree of a folder with huge files is megabytes, and comes once.
            if (type == format::BlobType::tree) opener->shrink(256u << 10);
            if (opened) return opened;
            error = std::move(opened).error().within("pack " + place.pack.brief());
        } else {
            error = std::move(read).error().within("pack " + place.pack.brief());
        }
        if (error.code == ErrorCode::not_found) error.code = ErrorCode::corrupt;    // the index promised it
    }
    return fail(std::move(error));
}

}    // namespace

Result<Bytes> Repository::read_blob(format::BlobType type, const Id& id) const {
    return open_blob(*state_, type, id,
                     [](BlobOpener& opener, ByteSpan envelope, const format::PackedBlob& blob) -> Result<Bytes> {
                         HF_TRY(const ByteView plain, opener.open(envelope, blob));
                         return Bytes(plain.begin(), plain.end());
                     });
}

namespace {

// The tree of a folder with huge files is megabytes, sealed, too. Where that can be had again at once it is not taken whole.
std::optional<format::Tree> read_tree_in_pieces(Repository::State& state, const Id& id,
                                                const format::NumberOf* number_of) {
    if (!reads_again(*state.backend)) return std::nullopt;
    for (const BlobPlace& place : state.index.places(format::BlobType::tree, id)) {
        if (place.blob.uncompressed_length < BlobOpener::k_pieces_min) continue;
        format::EnvelopePieces envelope(state.master, place.blob.length, [&](std::uint64_t offset, ByteSpan to) {
            return state.backend->read_at({FileKind::pack, place.pack}, place.blob.offset + offset, to);
        });
        if (!envelope.verify()) continue;
        if (auto tree = state.openers.get()->open_tree(envelope, place.blob, number_of)) return tree;
    }
    return std::nullopt;
}

Result<format::Tree> read_tree_with(Repository::State& state, const Id& id, const format::NumberOf* number_of) {
    if (auto tree = read_tree_in_pieces(state, id, number_of)) return *std::move(tree);
    HF_TRY(auto tree, open_blob(state, format::BlobType::tree, id,
                                [&](BlobOpener& opener, ByteSpan envelope, const format::PackedBlob& blob) {
                                    return opener.open_tree(envelope, blob, number_of);
                                }));
    return tree;
}

}    // namespace

Result<format::Tree> Repository::read_tree(const Id& id) const { return read_tree_with(*state_, id, nullptr); }

Result<format::Tree> Repository::read_numbered_tree(const Id& id) const {
    const format::NumberOf number_of = [&](const Id& blob) {
        return state_->index.number(format::BlobType::data, blob);
    };
    return read_tree_with(*state_, id, &number_of);
}

Result<Id> Repository::write_document(FileKind kind, std::string_view json) {
    Bytes plain, envelope;
    {
        const std::scoped_lock lock(state_->compressor_mutex);
        plain = format::encode_unpacked(json, state_->compressor);
    }
    state_->openers.get()->cipher().seal(plain, random_nonce(), envelope);
    const Id id = format::sha256(envelope);
    if (auto status = backend().put({kind, id}, envelope); !status)
        return fail(std::move(status).error().within("writing " + what({kind, id})));
    return id;
}

Result<std::string> Repository::read_document(const FileName& name) const {
    HF_TRY(Bytes envelope, read_envelope(*state_, name));
    auto json = state_->openers.get()->open_document(envelope);
    if (!json) return fail(std::move(json).error().within(what(name)));
    return std::string(as_text(*json));
}

Result<std::vector<format::IndexPack>> Repository::read_index(const Id& id) const {
    std::vector<format::IndexPack> packs;
    HF_DO(read_index(id, [&](format::IndexPack pack) { packs.push_back(std::move(pack)); }, [&] { packs.clear(); }));
    return packs;
}

Status Repository::read_index(const Id& id, const format::EachIndexPack& each,
                              const std::function<void()>& again) const {
    const FileName name{FileKind::index, id};
    if (reads_again(backend())) {
        if (const auto size = backend().size(name);
            size && *size >= k_index_in_pieces && *size <= storage::read_size_max(name.kind)) {
            format::EnvelopePieces envelope(state_->master, *size, [&](std::uint64_t offset, ByteSpan to) {
                return backend().read_at(name, offset, to);
            });
            // What is wrong with it is found again, and told, below.
            if (Id sum; envelope.verify(&sum) && sum == id) {
                const auto read = state_->openers.get()->open_index(envelope, each);
                if (!read) return fail(Error(read.error()).within(what(name)));
                if (*read) return {};
                again();
            }
        }
    }
    HF_TRY(Bytes envelope, read_envelope(*state_, name));
    auto read = state_->openers.get()->open_index(envelope, what(name), each, again);
    // What decode_index says names the file already.
    if (!read && !read.error().message.starts_with(what(name))) return fail(std::move(read).error().within(what(name)));
    return read;
}

}    // namespace holdfast::vault
