#include "holdfast/os/keyring.hpp"

#include <errno.h>
#include <fmt/core.h>
#include <keyutils.h>

#include <vector>

namespace holdfast::os {
namespace {

constexpr const char* k_type = "user";
constexpr long k_size_max = 32767;    // of a "user" key

Error keyring_error(int number, std::string_view what, const std::string& name) {
    const std::string object = fmt::format("{} the key {} in the kernel's key ring", what, name);
    switch (number) {
        case ENOKEY:
        case EKEYEXPIRED:
        case EKEYREVOKED:
            return {ErrorCode::not_found,
                    fmt::format("there is no key {} in the kernel's key ring{}", name,
                                number == EKEYEXPIRED ? " any more: its time is over" : ""),
                    fmt::format("put it there: `holdfast key store-in-keyring {}`; the ring is empty after a restart",
                                name)};
        case EACCES:
            return {ErrorCode::denied, object + ": its rights forbid it", "store it again as the user who reads it"};
        case ENOSYS:
        case EPERM:
            return {ErrorCode::unsupported, object + ": this system does not let us use key rings",
                    "containers often forbid it: take a password file or a credential of the service manager"};
        case EDQUOT:
            return {ErrorCode::io, object + ": the user's quota of keys is used up", "see /proc/key-users"};
        default:
            return errno_error(number, object);
    }
}

// -1 and errno when there is none.
key_serial_t find(const std::string& name) {
    const key_serial_t near = ::request_key(k_type, name.c_str(), nullptr, 0);
    if (near >= 0 || (errno != ENOKEY && errno != EACCES)) return near;
    return static_cast<key_serial_t>(::keyctl_search(KEY_SPEC_USER_KEYRING, k_type, name.c_str(), 0));
}

Status check_name(const std::string& name) {
    if (!name.empty() && name.size() < 4096 && name.find('\0') == std::string::npos) return {};
    return fail(ErrorCode::usage, fmt::format("\"{}\" is no name for a key", name),
                "give it a word, as holdfast:trading");
}

}    // namespace

Result<Secret> read_from_keyring(const std::string& name) {
    HF_DO(check_name(name));
    const key_serial_t key = find(name);
    if (key < 0) return fail(keyring_error(errno, "looking for", name));
    std::string text(static_cast<std::size_t>(k_size_max), '\0');
    const long size = ::keyctl_read(key, text.data(), text.size());
    if (size < 0) return fail(keyring_error(errno, "reading", name));
    text.resize(static_cast<std::size_t>(std::min(size, k_size_max)));
    return Secret(std::move(text));    // wipes the whole capacity when it goes
}

Status store_in_keyring(const std::string& name, const Secret& secret, std::optional<Duration> timeout) {
    HF_DO(check_name(name));
    if (secret.empty()) return fail(ErrorCode::usage, "an empty password protects nothing");
    const std::string& text = secret.reveal();
    const key_serial_t key = ::add_key(k_type, name.c_str(), text.data(), text.size(), KEY_SPEC_USER_KEYRING);
    if (key < 0) return fail(keyring_error(errno, "storing", name));
    constexpr key_perm_t k_rights =
        KEY_POS_ALL | KEY_USR_VIEW | KEY_USR_READ | KEY_USR_SEARCH | KEY_USR_WRITE | KEY_USR_LINK | KEY_USR_SETATTR;
    if (::keyctl_setperm(key, k_rights) < 0) return fail(keyring_error(errno, "setting the rights of", name));
    if (timeout) {
        const auto whole = std::chrono::ceil<std::chrono::seconds>(*timeout).count();
        if (::keyctl_set_timeout(key, static_cast<unsigned>(whole)) < 0)
            return fail(keyring_error(errno, "setting the time-out of", name));
    }
    return {};
}

Status remove_from_keyring(const std::string& name) {
    HF_DO(check_name(name));
    const key_serial_t key = find(name);
    if (key < 0) return fail(keyring_error(errno, "looking for", name));
    // Invalidated, not only unlinked: other rings may link it, too.
    if (::keyctl_invalidate(key) < 0 && ::keyctl_unlink(key, KEY_SPEC_USER_KEYRING) < 0)
        return fail(keyring_error(errno, "removing", name));
    return {};
}

}    // namespace holdfast::os
