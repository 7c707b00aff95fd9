#include "holdfast/vault/restore.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>

#include "holdfast/os/crash_point.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/vault/repository_state.hpp"
#include "holdfast/vault/restore_plan.hpp"
#include "holdfast/vault/restore_target.hpp"

namespace holdfast::vault {
namespace {

// One read of a pack. Gaps of blobs that nobody wants are read along while that is cheaper than a second call.
constexpr std::uint32_t k_read_max = 4u << 20;
constexpr std::uint32_t k_gap_max = 64u << 10;
constexpr std::size_t k_files_open_max = 256;
constexpr std::size_t k_files_listed_max = 20;
constexpr std::uint64_t k_writeback_min = 1u << 20;

// One blob's place in one file.
struct Piece {
    BlobIndex::Place place;
    std::uint32_t file = 0, chunk = 0;
    std::uint64_t offset = 0;    // in the file
};

class Restorer {
public:
    Restorer(const Repository& repository, const RestoreOptions& options, RestorePlan plan, RestoreTarget& target)
        : repository_(repository),
          options_(options),
          plan_(std::move(plan)),
          target_(target),
          files_(plan_.files.size()) {}

    Result<RestoreSummary> run() {
        auto status = make_folders_and_others();
        if (status) {
            list_pieces();
            write_contents();
            const std::scoped_lock lock(mutex_);
            if (error_) status = fail(*error_);
        }
        if (!status) {
            remove_unfinished();
            return fail(std::move(status).error());
        }
        remove_unfinished();    // the damaged ones
        os::crash_point("restore.contents_written");
        HF_DO(link_and_finish_folders());
        os::crash_point("restore.folders_finished");
        if (options_.sync) HF_DO(target_.sync());
        report(true);
        if (!damaged_.empty()) return fail(damage_report());
        return std::move(summary_);
    }

private:
    struct File {
        std::mutex mutex;
        std::shared_ptr<os::Fd> fd;    // while open
        bool created = false, finished = false, damaged = false;
        std::uint32_t open_pieces = 0;
    };

    Status make_folders_and_others() {
        folder_numbers_.resize(plan_.folders.size());
        for (std::size_t i = 1; i < plan_.folders.size(); ++i) {
            const auto& folder = plan_.folders[i];
            HF_TRY(folder_numbers_[i], target_.make_folder(folder_numbers_[folder.above], folder.node.name));
            ++summary_.folders;
            os::crash_point("restore.folder_made");
        }
        for (const auto& other : plan_.others) {
            const auto in = folder_numbers_[other.in];
            const std::string path = target_.path_of(in, other.node.name);
            if (auto made = target_.create_other(in, other.node); !made) {
                if (made.error().code == ErrorCode::disk_full) return made;
                warn(path, std::move(made).error());    // devices need root, sockets cannot be made
                continue;
            }
            HF_TRY(const auto folder, target_.folder(in));
            const std::scoped_lock lock(mutex_);
            apply_metadata_at(folder->get(), other.node, path, summary_.warnings);
            ++summary_.others;
        }
        return {};
    }

    void list_pieces() {
        const BlobIndex& index = repository_.state().index;
        for (std::uint32_t i = 0; i < plan_.files.size(); ++i) {
            const format::Node& node = plan_.files[i].node;
            std::uint64_t offset = 0;
            for (std::uint32_t k = 0; k < node.content.size(); ++k) {
                const auto place = index.first_place(format::BlobType::data, node.content[k]);
                if (!place) {
                    note_damage(i, "blob " + node.content[k].brief() + " is in no index");
                    break;
                }
                pieces_.push_back({*place, i, k, offset});
                offset += place->uncompressed_length ? place->uncompressed_length
                                                     : place->length - format::k_envelope_overhead;
                ++files_[i].open_pieces;
            }
        }
        std::sort(pieces_.begin(), pieces_.end(), [](const Piece& a, const Piece& b) {
            if (a.place.pack != b.place.pack) return a.place.pack < b.place.pack;
            if (a.place.offset != b.place.offset) return a.place.offset < b.place.offset;
            return std::pair(a.file, a.chunk) < std::pair(b.file, b.chunk);
        });
    }

    void write_contents() {
        for (std::uint32_t i = 0; i < files_.size(); ++i)
            if (files_[i].open_pieces == 0 && !files_[i].damaged) finish_file(i);
        const unsigned count = options_.workers ? options_.workers : std::max(2u, os::processor_count());
        std::vector<std::thread> threads;
        for (unsigned i = 0; i < count; ++i) threads.emplace_back([this] { work(); });
        for (std::thread& thread : threads) thread.join();
    }

    void work() {
        BlobOpener opener(repository_.master_key());
        for (;;) {
            if (os::stop_requested())
                stop_with({ErrorCode::cancelled, "stopped while restoring", "run it again with overwriting allowed"});
            std::size_t from = 0, to = 0;
            {
                const std::scoped_lock lock(next_mutex_);
                if (failed_.load() || next_ == pieces_.size()) return;
                from = next_;
                to = next_ = end_of_read(from);
            }
            restore_pieces(opener, from, to);
            report(false);
        }
    }

    // The pieces from `from` on that one read brings in.
    std::size_t end_of_read(std::size_t from) const {
        const BlobIndex::Place& first = pieces_[from].place;
        std::uint64_t end = std::uint64_t(first.offset) + first.length;
        std::size_t to = from + 1;
        for (; to < pieces_.size(); ++to) {
            const BlobIndex::Place& next = pieces_[to].place;
            const std::uint64_t next_end = std::uint64_t(next.offset) + next.length;
            if (next.pack != first.pack || next.offset > end + k_gap_max) break;
            if (next_end > end && next_end - first.offset > k_read_max) break;
            end = std::max(end, next_end);
        }
        return to;
    }

    void restore_pieces(BlobOpener& opener, std::size_t from, std::size_t to) {
        const BlobIndex::Place& first = pieces_[from].place;
        std::uint64_t end = 0;
        for (std::size_t i = from; i < to; ++i)
            end = std::max(end, std::uint64_t(pieces_[i].place.offset) + pieces_[i].place.length);
        Bytes& envelopes = opener.scratch();
        envelopes.resize(end - first.offset);
        const Id pack = repository_.state().index.pack_id(first.pack);
        const bool read =
            repository_.backend().read_at({storage::FileKind::pack, pack}, first.offset, envelopes).has_value();
        for (std::size_t i = from; i < to;) {
            const BlobIndex::Place& place = pieces_[i].place;
            std::size_t same = i + 1;
            while (same < to && pieces_[same].place.offset == place.offset) ++same;
            const Id& id = plan_.files[pieces_[i].file].node.content[pieces_[i].chunk];
            const format::PackedBlob blob{id, format::BlobType::data, place.offset, place.length,
                                          place.uncompressed_length};
            auto plain = read
                             ? opener.open(ByteSpan(envelopes).subspan(place.offset - first.offset, place.length), blob)
                             : Result<ByteView>(fail(ErrorCode::io, "the pack cannot be read"));
            Bytes other_copy;
            if (!plain) {
                // Any good copy serves; and if there is none, this says best what is wrong.
                auto again = repository_.read_blob(format::BlobType::data, id);
                if (again) {
                    other_copy = *std::move(again);
                    plain = ByteView(other_copy);
                } else {
                    plain = fail(std::move(again).error());
                }
            }
            for (; i < same; ++i) {
                if (plain)
                    write_piece(pieces_[i], *plain);
                else
                    note_damage(pieces_[i].file, plain.error().message);
            }
        }
    }

    void write_piece(const Piece& piece, ByteView bytes) {
        File& file = files_[piece.file];
        auto fd = open(piece.file);
        if (!fd) return stop_with(std::move(fd).error());
        if (!*fd) return;
        if (auto status = os::pwrite_all((*fd)->get(), bytes, piece.offset); !status) {
            const auto& entry = plan_.files[piece.file];
            return stop_with(
                std::move(status).error().within(target_.path_of(folder_numbers_[entry.in], entry.node.name)));
        }
        os::crash_point("restore.piece_written");
        bytes_done_ += bytes.size();
        bool last = false;
        {
            const std::scoped_lock lock(file.mutex);
            last = --file.open_pieces == 0 && !file.damaged;
        }
        fd->reset();
        if (last) finish_file(piece.file);
    }

    // Null for a damaged file: it goes anyway. Opened once for most files. Of many files that are written in turns, the ones opened longest ago are closed.
    Result<std::shared_ptr<os::Fd>> open(std::uint32_t number) {
        File& file = files_[number];
        const auto& entry = plan_.files[number];
        std::shared_ptr<os::Fd> fd;
        {
            const std::scoped_lock lock(file.mutex);
            if (file.damaged) return nullptr;
            if (file.fd) return file.fd;
            const auto in = folder_numbers_[entry.in];
            HF_TRY(os::Fd opened,
                   file.created ? target_.reopen_file(in, entry.node.name) : target_.create_file(in, entry.node.name));
            file.created = true;
            fd = file.fd = std::make_shared<os::Fd>(std::move(opened));
        }
        std::shared_ptr<os::Fd> closing;
        const std::scoped_lock lock(open_mutex_);
        open_files_.push_back(number);
        if (open_files_.size() > k_files_open_max) {
            const std::uint32_t oldest = open_files_.front();
            open_files_.pop_front();
            if (oldest != number) {
                const std::scoped_lock file_lock(files_[oldest].mutex);
                closing = std::move(files_[oldest].fd);
            }
        }
        return fd;
    }

    void finish_file(std::uint32_t number) {
        auto fd = open(number);
        if (!fd) return stop_with(std::move(fd).error());
        if (!*fd) return;
        const auto& entry = plan_.files[number];
        // Writing out starts now, so that the sync at the end has less to wait for.
        if (options_.sync && entry.node.size >= k_writeback_min)
            ::sync_file_range((*fd)->get(), 0, 0, SYNC_FILE_RANGE_WRITE);
        std::vector<std::pair<std::string, Error>> warnings;
        apply_metadata((*fd)->get(), entry.node, entry.node.name, warnings);
        {
            const std::scoped_lock lock(files_[number].mutex);
            files_[number].finished = true;
            files_[number].fd.reset();
        }
        os::crash_point("restore.file_finished");
        const std::scoped_lock lock(mutex_);
        for (auto& warning : warnings)
            summary_.warnings.emplace_back(target_.path_of(folder_numbers_[entry.in], entry.node.name),
                                           std::move(warning.second));
        ++summary_.files;
        summary_.bytes += entry.node.size;
    }

    Status link_and_finish_folders() {
        for (const auto& link : plan_.links) {
            const auto in = folder_numbers_[link.in];
            if (files_[link.file].damaged) {
                const std::scoped_lock lock(mutex_);
                damaged_.emplace_back(target_.path_of(in, link.name), "it is another name of a damaged file");
                continue;
            }
            const auto& entry = plan_.files[link.file];
            HF_DO(target_.link(folder_numbers_[entry.in], entry.node.name, in, link.name));
            ++summary_.files;
        }
        // Bottom-up: making entries changes a folder's mtime, and its mode may forbid making any.
        for (std::size_t i = plan_.folders.size() - 1; i > 0; --i) {
            HF_TRY(const auto fd, target_.folder(folder_numbers_[i]));
            const auto& folder = plan_.folders[i];
            apply_metadata(fd->get(), folder.node, target_.path_of(folder_numbers_[folder.above], folder.node.name),
                           summary_.warnings);
        }
        return {};
    }

    void note_damage(std::uint32_t number, const std::string& why) {
        File& file = files_[number];
        {
            const std::scoped_lock lock(file.mutex);
            if (std::exchange(file.damaged, true)) return;
        }
        const auto& entry = plan_.files[number];
        const std::scoped_lock lock(mutex_);
        damaged_.emplace_back(target_.path_of(folder_numbers_[entry.in], entry.node.name), why);
    }

    Error damage_report() {
        std::sort(damaged_.begin(), damaged_.end());
        std::string list;
        for (std::size_t i = 0; i < damaged_.size() && i < k_files_listed_max; ++i)
            list += fmt::format("\n  {}: {}", damaged_[i].first, damaged_[i].second);
        if (damaged_.size() > k_files_listed_max)
            list += fmt::format("\n  and {} more", damaged_.size() - k_files_listed_max);
        return {
            ErrorCode::corrupt,
            fmt::format("{} of {} files could not be restored, as the repository is damaged; the others are there:{}",
                        damaged_.size(), plan_.files.size() + plan_.links.size(), list),
            "run `holdfast check --read-data`; restore these files from another snapshot or a mirror"};
    }

    void remove_unfinished() {
        for (std::uint32_t i = 0; i < files_.size(); ++i) {
            if (!files_[i].created || files_[i].finished) continue;
            files_[i].fd.reset();
            target_.remove_file(folder_numbers_[plan_.files[i].in], plan_.files[i].node.name);
        }
    }

    void warn(const std::string& path, Error error) {
        const std::scoped_lock lock(mutex_);
        summary_.warnings.emplace_back(path, std::move(error));
    }

    void stop_with(Error error) {
        const std::scoped_lock lock(mutex_);
        if (!error_) error_ = std::move(error);
        failed_ = true;
    }

    void report(bool last) {
        if (!options_.progress) return;
        std::unique_lock lock(progress_mutex_, std::defer_lock);
        if (last)
            lock.lock();
        else if (!lock.try_lock())
            return;
        RestoreProgress progress;
        {
            const std::scoped_lock summary_lock(mutex_);
            progress.files_done = summary_.files;
        }
        progress.bytes_done = bytes_done_;
        progress.files_total = plan_.files.size() + plan_.links.size();
        progress.bytes_total = plan_.bytes;
        options_.progress(progress);
    }

    const Repository& repository_;
    const RestoreOptions& options_;
    const RestorePlan plan_;
    RestoreTarget& target_;
    std::vector<RestoreTarget::FolderNumber> folder_numbers_;    // of the plan's folders in the target
    std::deque<File> files_;
    std::vector<Piece> pieces_;
    std::mutex next_mutex_, open_mutex_, progress_mutex_;
    std::size_t next_ = 0;
    std::deque<std::uint32_t> open_files_;
    std::atomic<std::uint64_t> bytes_done_ = 0;
    std::atomic<bool> failed_ = false;

    std::mutex mutex_;    // below
    RestoreSummary summary_;
    std::vector<std::pair<std::string, std::string>> damaged_;
    std::optional<Error> error_;
};

}    // namespace

Result<RestoreSummary> restore(const Repository& repository, const SnapshotEntry& snapshot,
                               const RestoreOptions& options) {
    HF_TRY(RestorePlan plan, RestorePlan::make(repository, snapshot.snapshot.tree, options));
    if (options.dry_run) {
        RestoreSummary summary;
        summary.files = plan.files.size() + plan.links.size();
        summary.folders = plan.folders.size() - 1;
        summary.others = plan.others.size();
        summary.bytes = plan.bytes;
        return summary;
    }
    HF_TRY(const auto target, RestoreTarget::open(options.target, options.overwrite));
    if (!options.overwrite) {    // else what is replaced gives space back
        HF_TRY(const std::uint64_t room, os::free_space(options.target));
        if (room < plan.bytes)
            return fail(ErrorCode::disk_full,
                        fmt::format("{} has {} free, the restore needs {}", options.target, human_size(room),
                                    human_size(plan.bytes)),
                        "free space there, restore to another disk, or include only what is needed");
    }
    return Restorer(repository, options, std::move(plan), *target).run();
}

}    // namespace holdfast::vault
