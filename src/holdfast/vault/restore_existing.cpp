// What lies in the target already, and what of it may stay: the decisions of Overwrite.

#include <fcntl.h>
#include <unistd.h>

#include "holdfast/os/file.hpp"
#include "holdfast/vault/repository_state.hpp"
#include "holdfast/vault/restore_job.hpp"

namespace holdfast::vault {
namespace {

std::int64_t nanoseconds(const timespec& t) { return std::int64_t(t.tv_sec) * 1'000'000'000 + t.tv_nsec; }

bool has_time_of(const struct stat& st, const format::Node& node) {
    return nanoseconds(st.st_mtim) == node.mtime.nanoseconds;
}

RestoreJob::How decide(Overwrite overwrite, const struct stat& st, const format::Node& node, std::uint64_t size) {
    using How = RestoreJob::How;
    switch (overwrite) {
        case Overwrite::never:
            return How::left;
        case Overwrite::if_newer:
            if (nanoseconds(st.st_mtim) >= node.mtime.nanoseconds) return How::left;
            break;
        case Overwrite::if_changed:
            break;
        case Overwrite::always:
            return How::anew;
    }
    if (S_ISREG(st.st_mode) && static_cast<std::uint64_t>(st.st_size) == size && has_time_of(st, node))
        return How::unchanged;
    return may_write_in_place(st, node) ? How::in_place : How::anew;
}

// Opens the files that are to be changed, and finds the chunks in them that are right already.
void compare_existing(RestoreJob& job, const std::vector<std::uint32_t>& in_place) {
    std::vector<ChunkRange> ranges;
    for (const std::uint32_t i : in_place) {
        const auto& entry = job.plan.files[i];
        job.files[i].right = std::make_unique<bool[]>(entry.chunks.size());
        append_ranges(job, i, ranges);
    }
    run_parallel(job, ranges.size(), [&](std::size_t number) {
        thread_local Bytes scratch;
        const ChunkRange& range = ranges[number];
        const auto& entry = job.plan.files[range.file];
        RestoreJob::File& file = job.files[range.file];
        // What cannot be read is simply not reused.
        const auto fd = job.target.open_to_read(job.folders[entry.in], entry.node.name);
        if (!fd) return;
        static_cast<void>(
            compare_chunks(job, range, fd->get(), scratch, [&](std::uint32_t chunk, std::uint64_t length, bool equal) {
                file.right[chunk] = equal;
                if (equal) job.add_bytes(length);
            }).has_value());
    });
}

}    // namespace

// Not where another name, perhaps outside of the target, would change with it; and not where somebody may read it, now or
// through a descriptor that is open already, whom the snapshot's owner and mode keep out.
bool may_write_in_place(const struct stat& st, const format::Node& node) {
    if (!S_ISREG(st.st_mode) || st.st_nlink != 1) return false;
    if (st.st_uid != ::geteuid() && st.st_uid != node.uid) return false;
    const std::uint32_t wanted = format::permission_bits(node.mode);
    if (st.st_mode & 077 & ~wanted) return false;
    return (st.st_mode & 070) == 0 || st.st_gid == node.gid;
}

Status look_at_existing(RestoreJob& job) {
    std::vector<std::uint32_t> in_place;
    for (std::uint32_t i = 0; i < job.files.size(); ++i) {
        const auto& entry = job.plan.files[i];
        RestoreJob::File& file = job.files[i];
        for (const std::uint32_t chunk : entry.chunks) file.size += chunk_length(job.repository, chunk).value_or(0);
        if (job.blocked[entry.in]) {
            file.how = RestoreJob::How::left;
            continue;
        }
        // In a folder that was made a moment ago there is nothing.
        if (!job.options.overwrite || (entry.in != 0 && !job.was_there[entry.in])) continue;
        HF_TRY(const auto there, job.target.look(job.folders[entry.in], entry.node.name));
        if (!there) continue;
        file.how = decide(*job.options.overwrite, *there, entry.node, file.size);
        if (file.how == RestoreJob::How::in_place) in_place.push_back(i);
    }
    // Sizes that were not found would pass for the files' own.
    HF_DO(job.repository.state().index.status());
    if (!job.options.dry_run) compare_existing(job, in_place);
    return {};
}

Result<bool> may_replace(RestoreJob& job, RestorePlan::FolderNumber in, const std::string& name,
                         const format::Node& node) {
    if (job.blocked[in]) return false;
    if (!job.options.overwrite || *job.options.overwrite == Overwrite::always) return true;
    HF_TRY(const auto there, job.target.look(job.folders[in], name));
    if (!there) return true;
    if (*job.options.overwrite == Overwrite::never) return false;
    return *job.options.overwrite != Overwrite::if_newer || nanoseconds(there->st_mtim) < node.mtime.nanoseconds;
}

}    // namespace holdfast::vault
