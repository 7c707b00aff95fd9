#pragma once
// Key files: the master key, wrapped under a password.
//
//   errors   wrong_password when every key file is whole and none opens; corrupt when a damaged one may have been it
//   source   docs/formats/vault.md section 3

#include <optional>
#include <string_view>

#include "holdfast/base/clock.hpp"
#include "holdfast/base/secret.hpp"
#include "holdfast/format/documents.hpp"
#include "holdfast/storage/backend.hpp"

namespace holdfast::vault {

/// Fresh random key material.
format::Key random_master_key();
/// 16 random bytes for one envelope, never all zero. From OpenSSL's generator: a system call each would cost more than
/// the encryption of a small blob.
std::array<std::byte, 16> random_nonce();

struct KeyOwner {
    std::string username, hostname;    // empty: who and where we are
};
/// The name of the new file; its bytes are safe, its name after the backend's next sync().
Result<Id> write_key_file(storage::Backend& backend, const format::Key& master, const Secret& password,
                          const format::KdfCost& cost, Timestamp now, const KeyOwner& owner = {});

/// corrupt when its content does not match its name or its format.
Result<format::KeyFile> read_key_file(storage::Backend& backend, const Id& id);
/// nullopt: made for another password.
Result<std::optional<format::Key>> open_key_file(const format::KeyFile& file, const Secret& password,
                                                 std::string_view what);

struct OpenedKey {
    format::Key master;
    Id file;    // the key file that the password opened
};
/// Tries the key files, at most 20 as restic does.
Result<OpenedKey> open_master_key(storage::Backend& backend, const Secret& password);

}    // namespace holdfast::vault
