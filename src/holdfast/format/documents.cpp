#include "holdfast/format/documents.hpp"

#include <fmt/format.h>
#include <openssl/crypto.h>

#include <algorithm>

#include "holdfast/format/go_json.hpp"

// Config, key file, master key and lock. The index and the snapshot have sources of their own.

namespace holdfast::format {
namespace {

constexpr std::size_t k_salt_size = 64;

std::unexpected<Error> missing(std::string_view document, std::string_view key) {
    return fail(ErrorCode::corrupt, fmt::format("{}: the field '{}' is missing", document, key));
}

template <std::size_t N>
bool read_key(simdjson::dom::object from, std::string_view name, std::array<std::byte, N>& to) {
    std::string_view text;
    Bytes bytes;
    const bool good = !from.at_key(name).get(text) && from_base64(text, bytes) && bytes.size() == N &&
                      std::any_of(bytes.begin(), bytes.end(), [](std::byte b) { return b != std::byte{0}; });
    if (good) std::copy(bytes.begin(), bytes.end(), to.begin());
    if (!bytes.empty()) OPENSSL_cleanse(bytes.data(), bytes.size());
    return good;
}

}    // namespace

std::string encode(const Config& config) {
    return fmt::format(R"({{"version":{},"id":"{}","chunker_polynomial":"{}"}})", config.version, config.id.hex(),
                       to_hex(config.polynomial));
}

Result<Config> decode_config(std::string_view json) {
    constexpr std::string_view what = "config";
    HF_TRY(const simdjson::dom::object root, parse_object(json, what));
    Config config;
    config.version = 0;
    std::optional<Id> id;
    std::string polynomial;
    for (const auto [key, value] : root) {
        const Place place{what, key};
        if (key == "version") HF_DO(read(value, place, config.version));
        if (key == "id") HF_DO(read(value, place, id));
        if (key == "chunker_polynomial") HF_DO(read(value, place, polynomial));
    }
    // The version first: what else a later one holds is unknown.
    if (config.version != 1 && config.version != 2)
        return fail(ErrorCode::unsupported, fmt::format("the repository has format version {}", config.version),
                    "this holdfast knows versions 1 and 2: use the program that wrote it, or a newer holdfast");
    if (!id) return missing(what, "id");
    config.id = *id;
    if (auto parsed = parse_polynomial(polynomial))
        config.polynomial = *parsed;
    else
        return fail(std::move(parsed).error().within(what));
    return config;
}

std::string encode(const KeyFile& key) {
    std::string json = "{";
    append_key(json, "created");
    append_time(json, key.created);
    append_key(json, "username");
    append_go_string(json, key.username);
    append_key(json, "hostname");
    append_go_string(json, key.hostname);
    append_key(json, "kdf");
    json += "\"scrypt\"";
    append_key(json, "N");
    append_number(json, key.cost.n);
    append_key(json, "r");
    append_number(json, key.cost.r);
    append_key(json, "p");
    append_number(json, key.cost.p);
    append_key(json, "salt");
    append_base64(json, key.salt);
    append_key(json, "data");
    append_base64(json, key.data);
    return json + '}';
}

Result<KeyFile> decode_key_file(std::string_view json, std::string_view what) {
    HF_TRY(const simdjson::dom::object root, parse_object(json, what));
    KeyFile file;
    file.cost = {0, 0, 0};
    std::string kdf;
    for (const auto [key, value] : root) {
        const Place place{what, key};
        if (key == "created") HF_DO(read(value, place, file.created));
        if (key == "username") HF_DO(read(value, place, file.username));
        if (key == "hostname") HF_DO(read(value, place, file.hostname));
        if (key == "kdf") HF_DO(read(value, place, kdf));
        if (key == "N") HF_DO(read(value, place, file.cost.n));
        if (key == "r") HF_DO(read(value, place, file.cost.r));
        if (key == "p") HF_DO(read(value, place, file.cost.p));
        if (key == "salt") HF_DO(read(value, place, file.salt));
        if (key == "data") HF_DO(read(value, place, file.data));
    }
    if (kdf != "scrypt") return wrong_field({what, "kdf"}, "is not 'scrypt'");
    if (file.salt.size() != k_salt_size) return wrong_field({what, "salt"}, "does not hold 64 bytes");
    if (file.data.size() < k_envelope_overhead) return wrong_field({what, "data"}, "is too short for an envelope");
    return file;
}

std::string encode(const Key& master) {
    return fmt::format(R"({{"mac":{{"k":"{}","r":"{}"}},"encrypt":"{}"}})", to_base64(master.mac_k),
                       to_base64(master.mac_r), to_base64(master.encrypt));
}

Result<Key> decode_master_key(std::string_view json) {
    // A parser of its own, not the thread's: its copy of the key should not outlive this call by long.
    simdjson::dom::parser parser;
    simdjson::dom::object root, mac;
    Key key;
    if (parser.parse(json.data(), json.size()).get(root) || root.at_key("mac").get(mac) ||
        !read_key(mac, "k", key.mac_k) || !read_key(mac, "r", key.mac_r) || !read_key(root, "encrypt", key.encrypt))
        return fail(ErrorCode::corrupt, "the master key inside the key file is damaged");
    return key;
}

std::string encode(const Lock& lock) {
    std::string json = "{";
    append_key(json, "time");
    append_time(json, lock.time);
    append_key(json, "exclusive");
    json += lock.exclusive ? "true" : "false";
    append_key(json, "hostname");
    append_go_string(json, lock.hostname);
    append_key(json, "username");
    append_go_string(json, lock.username);
    append_key(json, "pid");
    json += fmt::format_int(lock.pid).str();
    if (lock.uid != 0) {
        append_key(json, "uid");
        append_number(json, lock.uid);
    }
    if (lock.gid != 0) {
        append_key(json, "gid");
        append_number(json, lock.gid);
    }
    if (lock.origin) {
        append_key(json, "machine");
        append_go_string(json, lock.origin->machine);
        append_key(json, "boot");
        append_go_string(json, lock.origin->boot);
        append_key(json, "pid_namespace");
        append_number(json, lock.origin->pid_namespace);
    }
    return json + '}';
}

Result<Lock> decode_lock(std::string_view json, std::string_view what) {
    HF_TRY(const simdjson::dom::object root, parse_object(json, what));
    Lock lock;
    PidOrigin origin;
    bool has_time = false;
    for (const auto [key, value] : root) {
        const Place place{what, key};
        if (key == "time") {
            HF_DO(read(value, place, lock.time));
            has_time = !value.is_null();
        }
        if (key == "exclusive") HF_DO(read(value, place, lock.exclusive));
        if (key == "hostname") HF_DO(read(value, place, lock.hostname));
        if (key == "username") HF_DO(read(value, place, lock.username));
        if (key == "pid") HF_DO(read(value, place, lock.pid));
        if (key == "uid") HF_DO(read(value, place, lock.uid));
        if (key == "gid") HF_DO(read(value, place, lock.gid));
        if (key == "machine") HF_DO(read(value, place, origin.machine));
        if (key == "boot") HF_DO(read(value, place, origin.boot));
        if (key == "pid_namespace") HF_DO(read(value, place, origin.pid_namespace));
    }
    if (!has_time) return missing(what, "time");
    if (!origin.boot.empty() && origin.pid_namespace != 0) lock.origin = std::move(origin);
    return lock;
}

}    // namespace holdfast::format
