#include "holdfast/vault/key_change.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "holdfast/os/crash_point.hpp"
#include "holdfast/vault/removal.hpp"
#include "holdfast/vault/repository_state.hpp"

namespace holdfast::vault {
namespace {

using storage::FileKind;

constexpr std::size_t k_prefix_min = 4;

// Durable, and opened again from what the storage gives back: a key that does not open must not replace one that does.
Result<Id> write_verified(Repository& repository, const Secret& password, const NewKey& options) {
    if (password.empty())
        return fail(ErrorCode::usage, "an empty password protects nothing", "give a password of some length");
    storage::Backend& backend = repository.backend();
    HF_TRY(const Id id, write_key_file(backend, repository.master_key(), password, options.cost,
                                       repository.clock().now(), options.owner));
    HF_DO(backend.sync());
    os::crash_point("key_change.added");
    const std::string what = "the new key file " + id.brief();
    const auto verify = [&]() -> Status {
        HF_TRY(const format::KeyFile file, read_key_file(backend, id));
        HF_TRY(const auto master, open_key_file(file, password, what));
        const format::Key& ours = repository.master_key();
        if (!master || master->encrypt != ours.encrypt || master->mac_k != ours.mac_k || master->mac_r != ours.mac_r)
            return fail(ErrorCode::corrupt, what + " does not open with its own password",
                        "is the memory of this machine sound? No key was removed");
        return {};
    };
    if (auto verified = verify(); !verified) {
        static_cast<void>(backend.remove({FileKind::key, id}).has_value());
        return fail(std::move(verified).error());
    }
    return id;
}

}    // namespace

Result<std::vector<KeyEntry>> list_keys(const Repository& repository,
                                        const std::function<void(const Id&, const Error&)>& damaged) {
    std::vector<Id> ids;
    HF_DO(repository.backend().list(FileKind::key, [&](const Id& id, std::uint64_t) { ids.push_back(id); }));
    std::vector<KeyEntry> keys;
    for (const Id& id : ids) {
        auto file = read_key_file(repository.backend(), id);
        if (!file && file.error().code == ErrorCode::not_found) continue;    // gone since the listing
        if (!file) {
            if (!damaged) return fail(std::move(file).error());
            damaged(id, file.error());
            continue;
        }
        keys.push_back({id, file->created, std::move(file->username), std::move(file->hostname), file->cost,
                        id == repository.state().key_file});
    }
    std::sort(keys.begin(), keys.end(), [](const KeyEntry& a, const KeyEntry& b) {
        return a.created != b.created ? a.created < b.created : a.id < b.id;
    });
    return keys;
}

Result<Id> add_key(Repository& repository, const Secret& password, const NewKey& options) {
    HF_TRY(const auto lock, repository.lock(LockMode::shared));
    return write_verified(repository, password, options);
}

Result<Id> remove_key(Repository& repository, std::string_view prefix) {
    if (prefix.size() < k_prefix_min || prefix.size() > 64 ||
        prefix.find_first_not_of("0123456789abcdef") != std::string_view::npos)
        return fail(ErrorCode::usage, fmt::format("\"{}\" names no key", prefix),
                    "give at least 4 digits of an ID from `holdfast key list`");
    HF_TRY(const auto lock, repository.lock(LockMode::exclusive));
    std::vector<Id> found;
    HF_DO(repository.backend().list(FileKind::key, [&](const Id& id, std::uint64_t) {
        if (id.hex().starts_with(prefix)) found.push_back(id);
    }));
    if (found.empty())
        return fail(ErrorCode::not_found, fmt::format("no key begins with {}", prefix),
                    "`holdfast key list` lists what is there");
    if (found.size() > 1)
        return fail(ErrorCode::usage, fmt::format("several keys begin with {}", prefix), "give more digits");
    if (found[0] == repository.state().key_file)
        return fail(ErrorCode::usage, fmt::format("key {} is the one in use and stays", found[0].brief()),
                    "open the repository with another password to remove it, or change it: `holdfast key passwd`");
    HF_DO(remove_files(repository, *lock, {{FileKind::key, found[0]}}));
    return found[0];
}

Result<PasswordChange> change_password(Repository& repository, const Secret& password, const NewKey& options) {
    HF_TRY(const auto lock, repository.lock(LockMode::exclusive));
    HF_DO(check_removal_allowed(repository));
    PasswordChange change;
    change.removed = repository.state().key_file;
    HF_TRY(change.added, write_verified(repository, password, options));
    if (auto removed = remove_files(repository, *lock, {{FileKind::key, change.removed}}); !removed) {
        Error error = std::move(removed).error().within(
            fmt::format("the new password works, but the old key {} could not be removed", change.removed.brief()));
        error.hint = fmt::format(
            "the old password may still open the repository; see `holdfast key list`, and later: `holdfast key "
            "remove {}` with the new one",
            change.removed.brief());
        repository.state().key_file = change.added;
        return fail(std::move(error));
    }
    repository.state().key_file = change.added;
    return change;
}

}    // namespace holdfast::vault
