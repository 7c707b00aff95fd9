#pragma once
// Secrets in the kernel's key ring: keys of the type "user" in the user's own ring, so that they live as long as the
// machine is up (or until their time-out) and reach every process of that user, also those of the service manager.
//
//   errors   not_found when there is no such key (or its time is over), denied when its rights forbid reading,
//            unsupported where the kernel or a container forbids key rings
//   source   keyrings(7), user-keyring(7), keyctl(2); tried: keys found through the user's ring without possession need
//            the "user may read" right, which new keys lack

#include <optional>
#include <string>

#include "holdfast/base/clock.hpp"
#include "holdfast/base/result.hpp"
#include "holdfast/base/secret.hpp"

namespace holdfast::os {

/// Looks in the thread's, process's and session's rings, then in the user's.
Result<Secret> read_from_keyring(const std::string& name);
/// Replaces a key of that name. The kernel forgets it after `timeout`, counted in whole seconds.
Status store_in_keyring(const std::string& name, const Secret& secret, std::optional<Duration> timeout = {});
/// not_found when there is none.
Status remove_from_keyring(const std::string& name);

}    // namespace holdfast::os
