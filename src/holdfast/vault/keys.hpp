#pragma once
// Key files: the master key, wrapped under a password.
//
//   errors   wrong_password when every key file is whole and none opens; corrupt when a damaged one may have been it
//   source   docs/formats/vault.md section 3

#include "holdfast/base/clock.hpp"
#include "holdfast/base/secret.hpp"
#include "holdfast/format/crypto.hpp"
#include "holdfast/storage/backend.hpp"

namespace holdfast::vault {

/// Fresh random key material.
format::Key random_master_key();
/// 16 random bytes for one envelope, never all zero. From OpenSSL's generator: a system call each would cost more than
/// the encryption of a small blob.
std::array<std::byte, 16> random_nonce();

Status write_key_file(storage::Backend& backend, const format::Key& master, const Secret& password,
                      const format::KdfCost& cost, Timestamp now);
/// Tries the key files, at most 20 as restic does.
Result<format::Key> open_master_key(storage::Backend& backend, const Secret& password);

}    // namespace holdfast::vault
