#include "holdfast/vault/restore.hpp"

#include <fcntl.h>
#include <fmt/core.h>

#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/vault/restore_job.hpp"

namespace holdfast::vault {
namespace {

using Action = RestoreItem::Action;
using MakeWay = RestoreTarget::MakeWay;

class Restorer {
public:
    explicit Restorer(RestoreJob& job) : job_(job) {}

    Result<RestoreSummary> run() {
        HF_DO(make_folders());
        auto status = make_others();
        if (status) status = look_at_existing(job_);
        if (status) {
            write_contents(job_);
            if (job_.stopped()) status = job_.outcome();
        }
        if (!status) {
            if (status.error().code != ErrorCode::cancelled) remove_unfinished();
            return fail(std::move(status).error());
        }
        remove_unfinished();    // the damaged ones
        HF_DO(make_links());
        if (job_.options.delete_others) HF_DO(delete_others(job_));
        HF_DO(finish_folders());
        if (job_.options.sync) HF_DO(job_.target.sync());
        job_.report(true);
        HF_DO(job_.outcome());
        if (job_.options.verify) HF_DO(verify_contents(job_));
        return std::move(job_.summary);
    }

    // What would be done, told item by item; nothing is changed.
    Result<RestoreSummary> rehearse() {
        const RestorePlan& plan = job_.plan;
        for (std::size_t i = 1; i < plan.folders.size(); ++i) {
            const auto& folder = plan.folders[i];
            HF_TRY(const auto there, job_.target.look(job_.folders[folder.above], folder.node.name));
            job_.was_there[i] = there && S_ISDIR(there->st_mode);
            job_.folders[i] = job_.target.look_folder(job_.folders[folder.above], folder.node.name);
            ++job_.summary.folders;
        }
        HF_DO(look_at_existing(job_));
        for (std::size_t i = 0; i < plan.files.size(); ++i) {
            using How = RestoreJob::How;
            const RestoreJob::File& file = job_.files[i];
            job_.item(file.how == How::left        ? Action::skipped
                      : file.how == How::unchanged ? Action::unchanged
                      : file.how == How::in_place  ? Action::updated
                                                   : Action::restored,
                      job_.path_of(plan.files[i]), plan.files[i].node.type, file.size);
            if (file.how == How::left) {
                ++job_.summary.skipped;
                continue;
            }
            ++job_.summary.files;
            job_.summary.bytes += plan.files[i].node.size;
            if (file.how != How::unchanged) continue;
            ++job_.summary.files_unchanged;
            job_.summary.bytes_reused += file.size;
        }
        for (const auto& link : plan.links) {
            HF_TRY(const bool may, may_replace(job_, link.in, link.name, plan.files[link.file].node));
            job_.item(may ? Action::restored : Action::skipped, job_.target.path_of(job_.folders[link.in], link.name),
                      format::NodeType::file, 0);
            ++(may ? job_.summary.files : job_.summary.skipped);
        }
        for (const auto& other : plan.others) {
            HF_TRY(const bool may, may_replace(job_, other.in, other.node.name, other.node));
            job_.item(may ? Action::restored : Action::skipped, job_.path_of(other), other.node.type, 0);
            ++(may ? job_.summary.others : job_.summary.skipped);
        }
        if (job_.options.delete_others) HF_DO(delete_others(job_));
        HF_DO(job_.outcome());
        return std::move(job_.summary);
    }

private:
    Status make_folders() {
        const RestorePlan& plan = job_.plan;
        job_.was_there[0] = true;
        for (std::size_t i = 1; i < plan.folders.size(); ++i) {
            const auto& folder = plan.folders[i];
            job_.blocked[i] = job_.blocked[folder.above];
            if (job_.blocked[i]) continue;
            const auto above = job_.folders[folder.above];
            if (job_.options.overwrite) {
                HF_TRY(const auto there, job_.target.look(above, folder.node.name));
                if (there && !S_ISDIR(there->st_mode)) {
                    HF_TRY(const bool may, may_replace(job_, folder.above, folder.node.name, folder.node));
                    if (!may) {
                        block(i, {ErrorCode::exists, "something else is in the folder's place and was left there", ""});
                        continue;
                    }
                }
            }
            auto made = job_.target.make_folder(above, folder.node.name);
            if (!made) {
                if (!RestoreJob::is_of_one_entry(made.error()) || !job_.options.overwrite)
                    return fail(std::move(made).error());
                block(i, std::move(made).error());
                continue;
            }
            job_.folders[i] = made->number;
            job_.was_there[i] = made->was_there;
            ++job_.summary.folders;
        }
        return {};
    }

    // Nothing below this folder can be restored; what lies beside it can.
    void block(std::size_t number, Error why) {
        const auto& folder = job_.plan.folders[number];
        job_.blocked[number] = true;
        job_.note_failed(job_.target.path_of(job_.folders[folder.above], folder.node.name) + "/", std::move(why));
    }

    Status make_others() {
        for (const auto& other : job_.plan.others) {
            if (job_.blocked[other.in]) continue;
            const auto in = job_.folders[other.in];
            const std::string path = job_.path_of(other);
            HF_TRY(const bool may, may_replace(job_, other.in, other.node.name, other.node));
            if (!may) {
                job_.item(Action::skipped, path, other.node.type, 0);
                ++job_.summary.skipped;
                continue;
            }
            const bool same = is_same_link(in, other.node);
            if (!same) {
                if (auto made = job_.target.create_other(in, other.node); !made) {
                    if (made.error().code == ErrorCode::disk_full) return made;
                    // What is in the way is a failure; devices that need root, sockets that cannot be made, a note.
                    if (made.error().code == ErrorCode::exists)
                        job_.note_failed(path, std::move(made).error());
                    else
                        job_.warn(path, std::move(made).error());
                    continue;
                }
            }
            HF_TRY(const auto folder, job_.target.folder(in));
            apply_metadata_at(folder->get(), other.node, path, job_.summary.warnings);
            job_.item(same ? Action::unchanged : Action::restored, path, other.node.type, 0);
            ++job_.summary.others;
        }
        return {};
    }

    bool is_same_link(RestoreTarget::FolderNumber in, const format::Node& node) {
        if (node.type != format::NodeType::symlink || job_.options.overwrite != Overwrite::if_changed) return false;
        const auto there = job_.target.read_link(in, node.name);
        return there && *there == node.link_target;
    }

    Status make_links() {
        for (const auto& link : job_.plan.links) {
            if (job_.blocked[link.in]) continue;
            const auto in = job_.folders[link.in];
            const std::string path = job_.target.path_of(in, link.name);
            const RestoreJob::File& file = job_.files[link.file];
            const auto& entry = job_.plan.files[link.file];
            if (file.damaged) {
                job_.note_failed(path, {ErrorCode::corrupt, "it is another name of a damaged file", ""});
                continue;
            }
            HF_TRY(const bool may, may_replace(job_, link.in, link.name, entry.node));
            if (!may) {
                job_.item(Action::skipped, path, format::NodeType::file, 0);
                ++job_.summary.skipped;
                continue;
            }
            if (!file.finished) {
                job_.note_failed(path,
                                 {ErrorCode::exists,
                                  fmt::format("it is another name of {}, which was left as it is", job_.path_of(entry)),
                                  "restore it elsewhere, or allow overwriting"});
                continue;
            }
            if (auto made = job_.target.link(job_.folders[entry.in], entry.node.name, in, link.name); !made) {
                if (!RestoreJob::is_of_one_entry(made.error())) return made;
                job_.note_failed(path, std::move(made).error());
                continue;
            }
            job_.item(Action::restored, path, format::NodeType::file, 0);
            ++job_.summary.files;
        }
        return {};
    }

    Status finish_folders() {
        // Bottom-up: making entries changes a folder's mtime, and its mode may forbid making any.
        for (std::size_t i = job_.plan.folders.size() - 1; i > 0; --i) {
            if (job_.blocked[i] || (job_.was_there[i] && job_.options.overwrite == Overwrite::never)) continue;
            HF_TRY(const auto fd, job_.target.folder(job_.folders[i]));
            const auto& folder = job_.plan.folders[i];
            const std::string path = job_.target.path_of(job_.folders[folder.above], folder.node.name);
            if (job_.was_there[i]) remove_other_attributes(fd->get(), folder.node);
            apply_metadata(fd->get(), folder.node, path, job_.summary.warnings);
        }
        return {};
    }

    // New files that are not whole. One that was there before is kept: what it holds may be all that is left.
    void remove_unfinished() {
        for (std::size_t i = 0; i < job_.files.size(); ++i) {
            RestoreJob::File& file = job_.files[i];
            if (file.finished) continue;
            file.fd.reset();
            if (!file.created) continue;
            const auto& entry = job_.plan.files[i];
            job_.target.remove_file(job_.folders[entry.in], entry.node.name);
        }
    }

    RestoreJob& job_;
};

Status check_options(const RestoreOptions& options) {
    if (!options.delete_others) return {};
    if (!options.overwrite)
        return fail(ErrorCode::usage, "deleting what the snapshot does not have needs to be allowed to overwrite",
                    "give --overwrite, too");
    if (os::absolute_path(options.target) == "/" && options.include.empty() && options.patterns.include.empty() &&
        options.patterns.iinclude.empty())
        return fail(ErrorCode::usage, "everything on this machine that the snapshot does not have would be deleted",
                    "name what to restore with --include, or another target");
    return {};
}

}    // namespace

Result<RestoreSummary> restore(const Repository& repository, const SnapshotEntry& snapshot,
                               const RestoreOptions& options) {
    HF_DO(check_options(options));
    const PathFilter filter(options.include, options.patterns);
    HF_TRY(RestorePlan plan, RestorePlan::make(repository, snapshot.snapshot.tree, options, filter));
    const MakeWay way = !options.overwrite || options.overwrite == Overwrite::never ? MakeWay::refuse
                        : options.delete_others                                     ? MakeWay::replace_trees
                                                                                    : MakeWay::replace;
    const bool must_be_empty = !options.overwrite && !options.dry_run;
    HF_TRY(const auto target, options.dry_run ? RestoreTarget::look_at(options.target, way, must_be_empty)
                                              : RestoreTarget::open(options.target, way, must_be_empty));
    if (must_be_empty) {    // else what is replaced gives space back
        HF_TRY(const std::uint64_t room, os::free_space(options.target));
        if (room < plan.bytes && !options.sparse)
            return fail(ErrorCode::disk_full,
                        fmt::format("{} has {} free, the restore needs {}", options.target, human_size(room),
                                    human_size(plan.bytes)),
                        "free space there, restore to another disk, or include only what is needed");
    }
    RestoreJob job(repository, options, filter, std::move(plan), *target);
    return options.dry_run ? Restorer(job).rehearse() : Restorer(job).run();
}

}    // namespace holdfast::vault
