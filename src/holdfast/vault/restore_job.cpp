#include "holdfast/vault/restore_job.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <thread>

#include "holdfast/format/crypto.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/vault/repository_state.hpp"

namespace holdfast::vault {
namespace {

constexpr std::size_t k_files_listed_max = 20;
constexpr std::uint64_t k_range_max = 16u << 20;

}    // namespace

RestoreJob::RestoreJob(const Repository& r, const RestoreOptions& o, const PathFilter& f, RestorePlan p,
                       RestoreTarget& t)
    : repository(r), options(o), filter(f), plan(std::move(p)), target(t), files(plan.files.size()) {
    folders.resize(plan.folders.size());
    blocked.resize(plan.folders.size());
    was_there.resize(plan.folders.size());
}

unsigned RestoreJob::workers() const { return options.workers ? options.workers : std::max(2u, os::processor_count()); }

void RestoreJob::note_damage(std::uint32_t file, Error why) {
    {
        const std::scoped_lock lock(files[file].mutex);
        if (std::exchange(files[file].damaged, true)) return;
    }
    note_failed(path_of(plan.files[file]), std::move(why));
}

void RestoreJob::note_failed(std::string path, Error why) {
    const std::scoped_lock lock(mutex);
    failed_.emplace_back(std::move(path), std::move(why));
}

void RestoreJob::warn(const std::string& path, Error error) {
    const std::scoped_lock lock(mutex);
    summary.warnings.emplace_back(path, std::move(error));
}

void RestoreJob::stop_with(Error error) {
    const std::scoped_lock lock(mutex);
    if (!error_) error_ = std::move(error);
    stopped_ = true;
}

void RestoreJob::item(RestoreItem::Action action, const std::string& path, format::NodeType type, std::uint64_t size) {
    if (!options.each) return;
    const std::scoped_lock lock(item_mutex_);
    options.each({action, path, type, size});
}

void RestoreJob::report(bool last) {
    if (!options.progress) return;
    std::unique_lock lock(progress_mutex_, std::defer_lock);
    if (last)
        lock.lock();
    else if (!lock.try_lock())
        return;
    RestoreProgress progress;
    {
        const std::scoped_lock summary_lock(mutex);
        progress.files_done = summary.files;
    }
    progress.bytes_done = bytes_done_;
    progress.files_total = plan.files.size() + plan.links.size();
    progress.bytes_total = plan.bytes;
    options.progress(progress);
}

Status RestoreJob::outcome() {
    const std::scoped_lock lock(mutex);
    if (error_) return fail(*error_);
    if (!failed_.empty()) return fail(failure_report());
    return {};
}

Error RestoreJob::failure_report() {
    std::sort(failed_.begin(), failed_.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    std::string list;
    for (std::size_t i = 0; i < failed_.size() && i < k_files_listed_max; ++i)
        list += fmt::format("\n  {}: {}", failed_[i].first, failed_[i].second.message);
    if (failed_.size() > k_files_listed_max)
        list += fmt::format("\n  and {} more", failed_.size() - k_files_listed_max);
    // Damage is the worse news.
    const auto damage =
        std::ranges::find_if(failed_, [](const auto& one) { return one.second.code == ErrorCode::corrupt; });
    const bool damaged = damage != failed_.end();
    return {damaged ? ErrorCode::corrupt : failed_.front().second.code,
            fmt::format("{} of {} files could not be restored{}; the others are there:{}", failed_.size(),
                        plan.files.size() + plan.links.size() + plan.others.size(),
                        damaged ? ", as the repository is damaged" : "", list),
            damaged ? "run `holdfast check --read-data`; restore these files from another snapshot or a mirror"
                    : failed_.front().second.hint};
}

std::optional<format::PackedBlob> chunk_of(const Repository& repository, std::uint32_t number) {
    if (number == RestorePlan::k_unknown) return std::nullopt;
    const format::PackedBlob blob = repository.state().index.at(number).blob;
    if (blob.length < format::k_envelope_overhead) return std::nullopt;    // the index cannot be read any more
    return blob;
}

std::optional<std::uint64_t> chunk_length(const Repository& repository, std::uint32_t number) {
    const auto chunk = chunk_of(repository, number);
    if (!chunk) return std::nullopt;
    return chunk->plain_length();
}

void append_ranges(RestoreJob& job, std::uint32_t file, std::vector<ChunkRange>& to) {
    const std::vector<std::uint32_t>& chunks = job.plan.files[file].chunks;
    ChunkRange range{file, 0, 0, 0};
    std::uint64_t in_range = 0;
    for (std::uint32_t k = 0; k < chunks.size(); ++k) {
        const auto length = chunk_length(job.repository, chunks[k]);
        if (!length) return;    // noted when the pieces are listed
        if (in_range > 0 && in_range + *length > k_range_max) {
            to.push_back(range);
            range = {file, k, k, range.offset + in_range};
            in_range = 0;
        }
        range.last = k + 1;
        in_range += *length;
    }
    if (range.last > range.first) to.push_back(range);
}

Status compare_chunks(const RestoreJob& job, const ChunkRange& range, int fd, Bytes& scratch,
                      const std::function<void(std::uint32_t, std::uint64_t, bool)>& each) {
    const std::vector<std::uint32_t>& chunks = job.plan.files[range.file].chunks;
    std::uint64_t offset = range.offset;
    for (std::uint32_t k = range.first; k < range.last; ++k) {
        const auto chunk = chunk_of(job.repository, chunks[k]);
        const std::uint64_t length = chunk ? chunk->plain_length() : 0;
        scratch.resize(length);
        HF_TRY(const std::size_t n, os::pread_full(fd, scratch, offset));
        each(k, length, chunk && n == length && format::sha256(scratch) == chunk->id);
        offset += length;
    }
    return {};
}

void run_parallel(RestoreJob& job, std::size_t count, const std::function<void(std::size_t)>& each,
                  unsigned thread_count) {
    std::atomic<std::size_t> next = 0;
    const auto work = [&] {
        for (;;) {
            if (os::stop_requested())
                job.stop_with({ErrorCode::cancelled, "stopped while restoring",
                               "the same command with --overwrite if-changed goes on from what is there"});
            const std::size_t i = next++;
            if (i >= count || job.stopped()) return;
            each(i);
            job.report(false);
        }
    };
    std::vector<std::thread> threads;
    const std::size_t wanted = std::min<std::size_t>(thread_count ? thread_count : job.workers(), count);
    for (std::size_t i = 1; i < wanted; ++i) threads.emplace_back(work);
    if (wanted > 0) work();
    for (std::thread& thread : threads) thread.join();
}

}    // namespace holdfast::vault
