// --delete: what lies in restored folders and is not in the snapshot goes, as far as includes and excludes reach.

#include <dirent.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>

#include "holdfast/os/crash_point.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/vault/restore_job.hpp"

namespace holdfast::vault {
namespace {

// Each level holds a descriptor: a tree this deep is no honest one, and is told instead of followed.
constexpr int k_depth_max = 512;

class Deleter {
public:
    explicit Deleter(RestoreJob& job) : job_(job), names_(job.plan.folders.size()) {
        const RestorePlan& plan = job.plan;
        for (std::size_t i = 1; i < plan.folders.size(); ++i)
            names_[plan.folders[i].above].push_back(plan.folders[i].node.name);
        for (const auto* entries : {&plan.files, &plan.others})
            for (const auto& entry : *entries) names_[entry.in].push_back(entry.node.name);
        for (const auto& link : plan.links) names_[link.in].push_back(link.name);
        for (auto& names : names_) std::ranges::sort(names);
    }

    Status run() {
        for (std::size_t i = 0; i < names_.size(); ++i) {
            if (job_.blocked[i]) continue;
            HF_TRY(const auto there, job_.target.names_in(job_.folders[i]));
            if (there.empty()) continue;
            HF_TRY(const auto fd, job_.target.folder(job_.folders[i]));
            const std::string path = job_.plan.path_of(static_cast<RestorePlan::FolderNumber>(i));
            for (const std::string& name : there) {
                if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped while deleting");
                if (std::ranges::binary_search(names_[i], std::string_view(name))) continue;
                remove(fd->get(), name, path + '/' + name, job_.plan.folders[i].standing, 0);
            }
        }
        return {};
    }

private:
    // True when nothing is left under this name.
    bool remove(int folder, const std::string& name, const std::string& path, const PathFilter::Standing& above,
                int depth) {
        const PathFilter::Standing standing = job_.filter.judge(path, above);
        if (!standing.worth_a_walk()) return false;
        struct stat st;
        if (::fstatat(folder, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) return errno == ENOENT;
        bool gone = true;
        if (S_ISDIR(st.st_mode)) {
            gone = remove_below(folder, name, path, standing, depth);
            if (!gone) return false;
        }
        if (!standing.wanted()) return false;
        if (!job_.options.dry_run && ::unlinkat(folder, name.c_str(), S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0) != 0) {
            job_.note_failed(shown(path), errno_error(errno, "cannot delete it"));
            return false;
        }
        os::crash_point("restore.deleted");
        job_.item(RestoreItem::Action::deleted, shown(path), format::node_type(st.st_mode),
                  S_ISREG(st.st_mode) ? static_cast<std::uint64_t>(st.st_size) : 0);
        ++job_.summary.deleted;
        return true;
    }

    bool remove_below(int folder, const std::string& name, const std::string& path,
                      const PathFilter::Standing& standing, int depth) {
        const auto refuse = [&](Error why) {
            job_.note_failed(shown(path), std::move(why));
            return false;
        };
        if (depth == k_depth_max) return refuse({ErrorCode::denied, "folders lie too deep below each other here", ""});
        const os::Fd fd(::openat(folder, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
        if (!fd) return refuse(errno_error(errno, "cannot look into it"));
        struct stat above, here;
        if (::fstat(folder, &above) != 0 || ::fstat(fd.get(), &here) != 0)
            return refuse(errno_error(errno, "cannot look at it"));
        // Another file system hangs here: it is not what lay in this folder.
        if (above.st_dev != here.st_dev) {
            job_.warn(shown(path), {ErrorCode::exists, "a mount point was not deleted", ""});
            return false;
        }
        auto names = os::list_folder(fmt::format("/proc/self/fd/{}", fd.get()));
        if (!names) return refuse(std::move(names).error());
        bool all = true;
        for (const std::string& below : *names)
            all = remove(fd.get(), below, path + '/' + below, standing, depth + 1) && all;
        return all;
    }

    std::string shown(const std::string& path) const { return job_.target.path_of(0, path.substr(1)); }

    RestoreJob& job_;
    std::vector<std::vector<std::string_view>> names_;    // by the plan's folders: what the snapshot has there
};

}    // namespace

Status delete_others(RestoreJob& job) { return Deleter(job).run(); }

}    // namespace holdfast::vault
