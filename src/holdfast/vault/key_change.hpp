#pragma once
// Several passwords for one repository: each has a key file that wraps the same master key. Changing a password re-wraps;
// no data is written anew.
//
//   order    a new key file is durable, and was opened again with its password, before an old one goes; a kill between
//            leaves both working
//   locks    add: shared; remove and change: exclusive
//   errors   locked; not_found and usage for keys that are not there or ambiguous; usage for an empty password and for
//            the key in use, which never goes
//   source   docs/formats/vault.md section 3; when a password is due: policy/password_age.hpp

#include <functional>
#include <string_view>
#include <vector>

#include "holdfast/vault/keys.hpp"
#include "holdfast/vault/repository.hpp"

namespace holdfast::vault {

struct KeyEntry {
    Id id;
    Timestamp created;
    std::string username, hostname;
    format::KdfCost cost;
    bool current = false;    // the one that this repository was opened with
};

/// Oldest first. A damaged key file is an error unless `damaged` is given.
Result<std::vector<KeyEntry>> list_keys(const Repository& repository,
                                        const std::function<void(const Id&, const Error&)>& damaged = {});

struct NewKey {
    KeyOwner owner{};
    format::KdfCost cost{};
};
Result<Id> add_key(Repository& repository, const Secret& password, const NewKey& options = {});

/// `prefix`: at least 4 digits of a key's ID.
Result<Id> remove_key(Repository& repository, std::string_view prefix);

struct PasswordChange {
    Id added, removed;
};
/// The key in use is replaced by one for `password`; the repository goes on with it.
Result<PasswordChange> change_password(Repository& repository, const Secret& password, const NewKey& options = {});

}    // namespace holdfast::vault
