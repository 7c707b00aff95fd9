#include "holdfast/vault/removal.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <mutex>

#include "holdfast/base/log.hpp"
#include "holdfast/os/crash_point.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/vault/parallel.hpp"

namespace holdfast::vault {
namespace {

using storage::FileKind;

constexpr std::size_t k_removals_between_checks = 1000;

std::string_view kind_name(FileKind kind) {
    return kind == FileKind::pack    ? "pack"
           : kind == FileKind::index ? "index"
           : kind == FileKind::key   ? "key"
                                     : "snapshot";
}

Error explained(Error error, const Repository& repository) {
    if (error.code != ErrorCode::denied) return error;
    error = std::move(error).within(
        fmt::format("the storage {} does not let files be removed", repository.backend().location()));
    error.hint =
        "append-only storage keeps every snapshot on purpose: run this where removing is allowed (on the storage's own "
        "host, or with its own credentials)";
    return error;
}

}    // namespace

Status check_removal_allowed(const Repository& repository) {
    Id nobody;
    os::random_bytes(nobody.bytes);
    for (const FileKind kind : {FileKind::index, FileKind::snapshot}) {
        const storage::FileName name{kind, nobody};
        auto removed = repository.backend().remove_many({&name, 1}, [](const storage::FileName&) {});
        if (!removed && removed.error().code == ErrorCode::denied)
            return fail(explained(std::move(removed).error(), repository));
    }
    return {};    // anything else will be said by the removal that counts
}

Status remove_in_batches(storage::Backend& backend, std::span<const storage::FileName> files,
                         const std::function<void(const storage::FileName&)>& gone) {
    std::mutex mutex;
    const std::size_t batch = backend.removes_at_once();
    return for_each_of((files.size() + batch - 1) / batch, k_request_threads, [&](std::size_t i) {
        const auto part = files.subspan(i * batch, std::min(batch, files.size() - i * batch));
        return backend.remove_many(part, [&](const storage::FileName& file) {
            os::crash_point("removal.removed", kind_name(file.kind));
            const std::scoped_lock guard(mutex);
            gone(file);
        });
    });
}

Status remove_files(const Repository& repository, const RepositoryLock& lock,
                    const std::vector<storage::FileName>& files,
                    const std::function<void(std::uint64_t done)>& progress) {
    if (files.empty()) return {};
    std::uint64_t done = 0;
    for (std::size_t from = 0; from < files.size(); from += k_removals_between_checks) {
        HF_DO(lock.still_held());
        const auto part = std::span(files).subspan(from, std::min(k_removals_between_checks, files.size() - from));
        auto removed = remove_in_batches(repository.backend(), part, [&](const storage::FileName&) {
            ++done;
            if (progress) progress(done);
        });
        if (!removed) return fail(explained(std::move(removed).error(), repository));
    }
    return repository.backend().sync();
}

Result<std::unique_ptr<RepositoryLock>> lock_making_room(Repository& repository,
                                                         std::span<const storage::FileName> needless) {
    for (std::size_t at = 0;; ++at) {
        auto lock = repository.lock(LockMode::exclusive);
        if (lock || lock.error().code != ErrorCode::disk_full || at == needless.size()) return lock;
        log_warning("removed a file that nobody needs, to have room for a lock",
                    {{"file", storage::relative_path(needless[at])}});
        if (auto removed = remove_in_batches(repository.backend(), needless.subspan(at, 1), [](const auto&) {});
            !removed)
            return fail(explained(std::move(removed).error(), repository));
        HF_DO(repository.backend().sync());
    }
}

}    // namespace holdfast::vault
