#include "holdfast/vault/keys.hpp"

#include <fmt/core.h>
#include <openssl/rand.h>

#include <algorithm>
#include <optional>

#include "holdfast/format/documents.hpp"
#include "holdfast/os/host.hpp"

namespace holdfast::vault {
namespace {

constexpr std::size_t k_salt_size = 64;
constexpr std::size_t k_keys_tried_max = 20;

bool is_zero(ByteView bytes) {
    return std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte(0); });
}

// Only compared: derive_key() refuses what no honest key file says.
double steps(const format::KdfCost& cost) {
    return static_cast<double>(cost.n) * static_cast<double>(cost.r) * static_cast<double>(cost.p);
}

void fill_random(ByteSpan to) {
    HF_ASSERT(RAND_bytes(reinterpret_cast<unsigned char*>(to.data()), static_cast<int>(to.size())) == 1);
}

}    // namespace

std::array<std::byte, 16> random_nonce() {
    std::array<std::byte, 16> nonce;
    do fill_random(nonce);
    while (is_zero(nonce));
    return nonce;
}

format::Key random_master_key() {
    format::Key key;
    // All zero is invalid in the format, and as likely as a broken generator.
    do os::random_bytes(key.encrypt);
    while (is_zero(key.encrypt));
    do os::random_bytes(key.mac_k);
    while (is_zero(key.mac_k));
    do os::random_bytes(key.mac_r);
    while (is_zero(key.mac_r));
    // Stored clamped, as restic up to 0.16 does; newer ones read both forms.
    for (const std::size_t i : {3, 7, 11, 15}) key.mac_r[i] &= std::byte(0x0f);
    for (const std::size_t i : {4, 8, 12}) key.mac_r[i] &= std::byte(0xfc);
    return key;
}

Result<Id> write_key_file(storage::Backend& backend, const format::Key& master, const Secret& password,
                          const format::KdfCost& cost, Timestamp now, const KeyOwner& owner) {
    format::KeyFile file;
    file.created = now;
    file.username = owner.username.empty() ? os::user_name() : owner.username;
    file.hostname = owner.hostname.empty() ? os::host_name() : owner.hostname;
    file.cost = cost;
    file.salt.resize(k_salt_size);
    os::random_bytes(file.salt);
    HF_TRY(const format::Key user_key, format::derive_key(password, file.salt, cost));
    const Secret json(format::encode(master));
    format::Cipher(user_key).seal(as_bytes(json.reveal()), random_nonce(), file.data);
    const std::string text = format::encode(file);
    const Id id = format::sha256(as_bytes(text));
    HF_DO(backend.put({storage::FileKind::key, id}, as_bytes(text)));
    return id;
}

Result<format::KeyFile> read_key_file(storage::Backend& backend, const Id& id) {
    const std::string what = "key file " + id.brief();
    auto content = backend.read({storage::FileKind::key, id});
    if (!content) return fail(std::move(content).error().within(what));
    if (format::sha256(*content) != id)
        return fail(ErrorCode::corrupt, what + " is damaged: its content does not match its name",
                    "bring it back from a mirror; another password of the repository may still open it");
    return format::decode_key_file(as_text(*content), what);
}

Result<std::optional<format::Key>> open_key_file(const format::KeyFile& file, const Secret& password,
                                                 std::string_view what) {
    auto user_key = format::derive_key(password, file.salt, file.cost);
    if (!user_key) return fail(std::move(user_key).error().within(what));
    Bytes json;
    if (!format::Cipher(*user_key).open(file.data, json)) return std::optional<format::Key>();
    auto master = format::decode_master_key(as_text(json));
    std::fill(json.begin(), json.end(), std::byte(0));
    if (!master) return fail(std::move(master).error().within(what));
    return std::optional<format::Key>(*std::move(master));
}

Result<OpenedKey> open_master_key(storage::Backend& backend, const Secret& password) {
    std::vector<Id> ids;
    HF_DO(backend.list(storage::FileKind::key, [&](const Id& id, std::uint64_t) { ids.push_back(id); }));
    if (ids.empty())
        return fail(ErrorCode::corrupt,
                    fmt::format("the repository {} has a config but no key file", backend.location()),
                    "bring keys/ back from a mirror: without a key file nothing in it can be read");
    std::sort(ids.begin(), ids.end());
    if (ids.size() > k_keys_tried_max) ids.resize(k_keys_tried_max);

    std::optional<Error> damaged;
    std::vector<std::pair<format::KeyFile, Id>> files;
    for (const Id& id : ids) {
        auto file = read_key_file(backend, id);
        if (file)
            files.emplace_back(*std::move(file), id);
        else if (!damaged)
            damaged = std::move(file).error();
    }
    // The cheap ones first: a machine key must not pay for the password of a person beside it. The other way round it
    // costs next to nothing.
    std::stable_sort(files.begin(), files.end(),
                     [](const auto& a, const auto& b) { return steps(a.first.cost) < steps(b.first.cost); });
    for (const auto& [file, id] : files) {
        auto master = open_key_file(file, password, "key file " + id.brief());
        if (master && *master) return OpenedKey{**std::move(master), id};
        if (!master && !damaged) damaged = std::move(master).error();
    }
    if (damaged) return fail(*std::move(damaged));
    return fail(ErrorCode::wrong_password,
                fmt::format("the password opens no key of the repository {}", backend.location()),
                "check the password file or command that was given");
}

}    // namespace holdfast::vault
