#include "holdfast/serve/store.hpp"

#include <sys/stat.h>

#include <algorithm>

#include "holdfast/os/file.hpp"
#include "holdfast/storage/local.hpp"

namespace holdfast::serve {
namespace {

// Links are not followed: what they lead to is not ours.
Result<std::uint64_t> bytes_below(const std::string& folder) {
    HF_TRY(const auto names, os::list_folder(folder));
    std::uint64_t sum = 0;
    for (const std::string& name : names) {
        const std::string path = folder + '/' + name;
        const auto st = os::status_of(path, false);
        if (!st) continue;    // gone meanwhile
        if (S_ISDIR(st->st_mode)) {
            HF_TRY(const std::uint64_t below, bytes_below(path));
            sum += below;
        } else if (S_ISREG(st->st_mode)) {
            sum += static_cast<std::uint64_t>(st->st_size);
        }
    }
    return sum;
}

}    // namespace

Result<std::unique_ptr<Store>> Store::open(const std::string& folder, std::uint64_t size_max) {
    HF_DO(os::make_folders(folder));
    std::unique_ptr<Store> store(new Store(os::absolute_path(folder), size_max));
    HF_TRY(store->used_, bytes_below(folder));
    return store;
}

std::shared_ptr<storage::Backend> Store::repository(const Route& route) {
    const std::string name = route.repository();
    const std::scoped_lock lock(mutex_);
    // Repositories that were asked for and do not exist are not remembered: their number has no bound.
    if (const auto found = repositories_.find(name); found != repositories_.end()) return found->second;
    const std::string path = name.empty() ? folder_ : folder_ + '/' + name;
    std::shared_ptr<storage::Backend> backend = storage::local_backend(path);
    if (os::exists(path + "/keys")) repositories_.emplace(name, backend);
    return backend;
}

std::string Store::path_of(const Route& route) const {
    const std::string name = route.repository();
    return folder_ + '/' + (name.empty() ? "" : name + '/') + storage::relative_path(route.file());
}

bool Store::reserve(std::uint64_t bytes) {
    const std::scoped_lock lock(mutex_);
    if (size_max_ > 0 && (used_ > size_max_ || bytes > size_max_ - used_)) return false;
    used_ += bytes;
    return true;
}

void Store::give_back(std::uint64_t bytes) {
    const std::scoped_lock lock(mutex_);
    used_ -= std::min(bytes, used_);
}

std::uint64_t Store::used() const {
    const std::scoped_lock lock(mutex_);
    return used_;
}

}    // namespace holdfast::serve
