// The bytes of a restore: packs are read in long runs, every blob is opened once, and goes to all places that want it.

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "holdfast/format/sha256.hpp"
#include "holdfast/os/crash_point.hpp"
#include "holdfast/os/direct_file.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/vault/buffer_pool.hpp"
#include "holdfast/vault/parallel.hpp"
#include "holdfast/vault/repository_state.hpp"
#include "holdfast/vault/restore_job.hpp"
#include "holdfast/vault/zero_runs.hpp"

namespace holdfast::vault {
namespace {

// One read of a pack. Gaps of blobs that nobody wants are read along while that is cheaper than a second call.
constexpr std::uint32_t k_read_max = 4u << 20;
constexpr std::uint32_t k_gap_max = 64u << 10;
// Past the cache a write waits for the disk: more threads than processors, with less for each.
constexpr unsigned k_waiting_max = 2;
constexpr std::uint32_t k_read_max_sparing = 3u << 19;
constexpr std::size_t k_room_max_sparing = 5u << 19;
// Restores of less are done before larger buffers pay.
constexpr std::uint64_t k_small = 64u << 20;
constexpr std::size_t k_files_open_max = 256;
constexpr std::uint64_t k_writeback_min = 1u << 20;
// A long file goes to the disk in steps: else the disk idles until the file is whole, and we wait for it then.
constexpr std::uint64_t k_writeback_step = 32u << 20;
// Blobs that are unpacked and hashed together: as many as fit, and a longer one alone.
constexpr std::size_t k_together_max = 31;
// Buffers of this size are kept: new memory costs more than the copying, and longer chunks are few.
constexpr std::size_t k_room_max = 6u << 20;
// One thread at a time has a chunk that is longer: the memory for one is enough. Over a line its reading would hold up the
// others, so only the rarest count there; out of a folder all that do not fit into a room.
constexpr std::uint32_t k_long = 4u << 20, k_long_near = k_room_max_sparing;
// From this size on a file gets its place on the disk at once: several threads write into it out of order, and a disk
// that is too small shows before the work is done.
constexpr std::uint64_t k_allocate_min = 4u << 20;

// One blob's place in one file.
struct Piece {
    std::uint32_t number = 0, file = 0;    // the blob's in the index
    std::uint64_t offset = 0;    // in the file
    auto operator<=>(const Piece&) const = default;
};

// Pieces that one read brings in.
struct Read {
    std::size_t from = 0, to = 0;
};

class ContentWriter {
public:
    explicit ContentWriter(RestoreJob& job)
        : job_(job), direct_(!job.options.sparse && job.plan.bytes >= job.options.past_cache_min) {}

    void run() {
        list_pieces();
        list_reads();
        for (std::uint32_t i = 0; i < job_.files.size() && !job_.stopped(); ++i)
            if (job_.files[i].open_pieces == 0 && !job_.files[i].damaged) finish_file(i);
        run_parallel(
            job_, reads_.size(), [&](std::size_t number) { restore_pieces(reads_[number]); },
            job_.options.workers ? job_.options.workers
                                 : reader_count(job_.repository.backend()) + (direct_ ? k_waiting_max : 0));
        if (job_.stopped()) keep_ends();
    }

private:
    void list_pieces() {
        std::size_t count = 0;
        for (const RestorePlan::Entry& entry : job_.plan.files) count += entry.chunks.size();
        pieces_.reserve(count);
        for (std::uint32_t i = 0; i < job_.files.size(); ++i) {
            const std::vector<std::uint32_t>& chunks = job_.plan.files[i].chunks;
            RestoreJob::File& file = job_.files[i];
            if (file.how == RestoreJob::How::left || file.how == RestoreJob::How::unchanged) continue;
            std::uint64_t offset = 0;
            for (std::uint32_t k = 0; k < chunks.size(); ++k) {
                const auto length = chunk_length(job_.repository, chunks[k]);
                if (!length) {
                    if (auto status = job_.repository.state().index.status(); !status)
                        return job_.stop_with(std::move(status).error());
                    job_.note_damage(i, {ErrorCode::corrupt,
                                         fmt::format("blob {} is in no index", job_.plan.unknown.at(i).brief()), ""});
                    break;
                }
                if (!file.right || !file.right[k]) {
                    pieces_.push_back({chunks[k], i, offset});
                    ++file.open_pieces;
                } else {
                    reused_ += *length;
                }
                offset += *length;
            }
        }
        // Numbers follow the packs, and nearly always the places in them.
        std::sort(pieces_.begin(), pieces_.end());
        const std::scoped_lock lock(job_.mutex);
        job_.summary.bytes_reused += reused_;
    }

    BlobIndex::Numbered blob_of(const Piece& piece) const { return job_.repository.state().index.at(piece.number); }

    void list_reads() {
        for (std::size_t from = 0; from < pieces_.size();) {
            const BlobIndex::Numbered first = blob_of(pieces_[from]);
            std::uint32_t last_offset = first.blob.offset;
            std::uint64_t end = std::uint64_t(first.blob.offset) + first.blob.length;
            std::size_t to = from + 1;
            for (; to < pieces_.size(); ++to) {
                const BlobIndex::Numbered next = blob_of(pieces_[to]);
                const std::uint64_t next_end = std::uint64_t(next.blob.offset) + next.blob.length;
                if (next.pack != first.pack || next.blob.offset < last_offset || next.blob.offset > end + k_gap_max)
                    break;
                if (next_end > end && next_end - first.blob.offset > read_max_) break;
                end = std::max(end, next_end);
                last_offset = next.blob.offset;
            }
            reads_.push_back({from, to});
            from = to;
        }
    }

    // Without its ends no chunk that was written counts when the same restore goes on.
    void keep_ends() {
        for (std::uint32_t i = 0; i < job_.files.size(); ++i) {
            RestoreJob::File& file = job_.files[i];
            if (!file.ends || file.finished) continue;
            if (const auto fd = open(i); fd && *fd) static_cast<void>(file.ends->flush((*fd)->get()));
        }
    }

    // A blob of a read, and the pieces that it goes to.
    struct Wanted {
        format::PackedBlob blob;
        std::size_t from = 0, to = 0;
        std::size_t room = 0;    // where its content begins
        std::optional<ByteView> plain;    // unpacked, not yet hashed
    };

    // What a thread keeps from read to read. Both begin at a page: see gap_before().
    struct Buffers {
        std::unique_ptr<Buffer> envelopes, room;
        std::array<format::Sha256, k_together_max> sums;
        static ByteSpan fit(std::unique_ptr<Buffer>& buffer, std::size_t usual, std::size_t size) {
            if (!buffer || buffer->capacity() < size) {
                buffer.reset();    // first: never both
                buffer = std::make_unique<Buffer>(std::max(size, usual));
            }
            return {buffer->data(), size};
        }
        // A huge blob's room is not kept for small ones.
        void give_back(std::size_t usual) {
            for (std::unique_ptr<Buffer>* buffer : {&envelopes, &room})
                if (*buffer && (*buffer)->capacity() > usual) buffer->reset();
        }
    };

    void restore_pieces(const Read& run) {
        const auto opener = job_.repository.state().openers.get();
        const BlobIndex::Numbered first = blob_of(pieces_[run.from]);
        const std::uint32_t begin = first.blob.offset;
        std::uint64_t end = begin;
        std::uint32_t longest = 0;
        for (std::size_t i = run.from; i < run.to; ++i) {
            const format::PackedBlob blob = blob_of(pieces_[i]).blob;
            end = std::max(end, std::uint64_t(blob.offset) + blob.length);
            longest = std::max({longest, blob.length, blob.uncompressed_length});
        }

        std::unique_lock turn(long_mutex_, std::defer_lock);
        if (longest > long_) turn.lock();
        thread_local Buffers buffers;
        const ByteSpan envelopes = Buffers::fit(buffers.envelopes, read_max_, end - begin);
        const Id pack = job_.repository.state().index.pack_id(first.pack);
        const bool read =
            job_.repository.backend().read_at({storage::FileKind::pack, pack}, begin, envelopes).has_value();
        std::vector<Wanted> wanted;
        std::vector<format::HashWork> work;
        for (std::size_t i = run.from; i < run.to && !job_.stopped(); i = wanted.back().to) {
            wanted = some_from(i, run.to);
            const ByteSpan rooms =
                Buffers::fit(buffers.room, room_max_, wanted.back().room + wanted.back().blob.plain_length());
            work.clear();
            for (Wanted& one : wanted) {
                if (!read) break;
                // Zeros: the index cannot be read any more.
                if (one.blob.offset < begin || std::uint64_t(one.blob.offset) + one.blob.length > end) continue;
                const ByteSpan room = rooms.subspan(one.room, one.blob.plain_length());
                const auto envelope = envelopes.subspan(one.blob.offset - begin, one.blob.length);
                if (one.blob.uncompressed_length == 0 ? !opener->unpack(envelope, one.blob, room)
                                                      : !opener->unpack_in_place(envelope, one.blob, room))
                    continue;
                one.plain = room;
                work.push_back({&buffers.sums[work.size()], *one.plain});
            }
            // Side by side, hashes cost half.
            format::update_together(work);
            std::size_t hashed = 0;
            Run adjoining;
            for (Wanted& one : wanted) {
                if (one.plain && buffers.sums[hashed++].finish() != one.blob.id) one.plain.reset();
                if (add_to(adjoining, one)) continue;
                write(std::exchange(adjoining, {}));
                if (!add_to(adjoining, one)) write_blob(one);
            }
            write(adjoining);
        }
        buffers.give_back(room_max_);
    }

    // As many as are worth hashing together, at least one.
    std::vector<Wanted> some_from(std::size_t at, std::size_t end) const {
        std::vector<Wanted> some;
        std::size_t room = 0;
        while (at < end && some.size() < k_together_max) {
            Wanted one = wanted_from(at, end);
            // A length that cannot be true is not given room: unpacking it fails, and another copy is looked for.
            if (!format::Decompressor::may_hold(one.blob.length, one.blob.uncompressed_length))
                one.blob.uncompressed_length = 0;
            one.room = room + gap_before(one, room);
            if (!some.empty() && one.room + one.blob.plain_length() > room_max_) break;
            room = one.room + one.blob.plain_length();
            at = one.to;
            some.push_back(one);
        }
        return some;
    }
    // What is written past the cache lies in memory as it will in the file, counted from a block's beginning.
    std::size_t gap_before(const Wanted& wanted, std::size_t room) const {
        const Piece& piece = pieces_[wanted.from];
        if (!goes_direct(job_.files[piece.file])) return 0;
        return (piece.offset - room) % os::k_block;
    }
    bool goes_direct(const RestoreJob::File& file) const {
        return direct_ && file.how == RestoreJob::How::anew && file.size >= k_allocate_min;
    }
    Wanted wanted_from(std::size_t from, std::size_t end) const {
        std::size_t to = from + 1;
        while (to < end && pieces_[to].number == pieces_[from].number) ++to;
        Wanted wanted{blob_of(pieces_[from]).blob, from, to, 0, {}};
        wanted.blob.length = std::max<std::uint32_t>(wanted.blob.length, format::k_envelope_overhead);
        return wanted;
    }

    // Chunks that follow each other in the file as they do in memory: one call writes them. A tenth of a trading host's
    // data is cut at 8 KiB.
    struct Run {
        const Piece* first = nullptr;
        ByteView bytes;
        std::uint32_t count = 0;
    };
    bool add_to(Run& run, const Wanted& wanted) const {
        if (!wanted.plain || wanted.to - wanted.from != 1) return false;
        const Piece& piece = pieces_[wanted.from];
        if (run.count == 0) {
            run = {&piece, *wanted.plain, 1};
            return true;
        }
        if (piece.file != run.first->file || piece.offset != run.first->offset + run.bytes.size() ||
            wanted.plain->data() != run.bytes.data() + run.bytes.size())
            return false;
        run.bytes = {run.bytes.data(), run.bytes.size() + wanted.plain->size()};
        ++run.count;
        return true;
    }
    void write(const Run& run) {
        if (run.count > 0) write_pieces(*run.first, run.count, run.bytes);
    }

    // Without its content this copy is bad: any other good one serves; and if there is none, reading it says best why.
    void write_blob(const Wanted& wanted) {
        Result<Bytes> other_copy =
            wanted.plain ? Bytes() : job_.repository.read_blob(format::BlobType::data, wanted.blob.id);
        for (std::size_t i = wanted.from; i < wanted.to; ++i) {
            if (wanted.plain)
                write_pieces(pieces_[i], 1, *wanted.plain);
            else if (other_copy)
                write_pieces(pieces_[i], 1, *other_copy);
            else
                job_.note_damage(pieces_[i].file, {ErrorCode::corrupt, other_copy.error().message, ""});
        }
    }

    // What a file refuses costs that file, what the disk refuses ends the restore.
    void give_up(std::uint32_t number, Error error) {
        if (RestoreJob::is_of_one_entry(error)) return job_.note_damage(number, std::move(error));
        job_.stop_with(std::move(error).within(job_.path_of(job_.plan.files[number])));
    }

    // The piece, and those that follow it in its file.
    void write_pieces(const Piece& piece, std::uint32_t count, ByteView bytes) {
        RestoreJob::File& file = job_.files[piece.file];
        auto fd = open(piece.file);
        if (!fd) return give_up(piece.file, std::move(fd).error());
        if (!*fd) return;
        std::size_t cached = bytes.size();
        if (job_.options.sparse) {
            const Status written =
                write_with_holes((*fd)->get(), bytes, piece.offset, file.how == RestoreJob::How::in_place);
            if (!written) return give_up(piece.file, written.error());
        } else {
            const auto written = (*fd)->write(bytes, piece.offset, file.ends.get());
            if (!written) return give_up(piece.file, written.error());
            cached = *written;
        }
        os::crash_point("restore.written");
        job_.add_bytes(bytes.size());
        bool last = false, write_out = false;
        {
            const std::scoped_lock lock(file.mutex);
            file.open_pieces -= count;
            last = file.open_pieces == 0 && !file.damaged;
            file.unwritten += cached;
            if (!last && file.unwritten >= k_writeback_step) {
                write_out = true;
                file.unwritten = 0;
            }
        }
        if (write_out) ::sync_file_range((*fd)->get(), 0, 0, SYNC_FILE_RANGE_WRITE);
        fd->reset();
        if (last) finish_file(piece.file);
    }

    Result<os::Fd> open_first(std::uint32_t number) {
        RestoreJob::File& file = job_.files[number];
        const auto& entry = job_.plan.files[number];
        const auto in = job_.folders[entry.in];
        if (file.how == RestoreJob::How::unchanged) return job_.target.open_to_read(in, entry.node.name);
        if (file.how == RestoreJob::How::anew) {
            HF_TRY(os::Fd fd, job_.target.create_file(in, entry.node.name));
            file.created = true;
            if (!job_.options.sparse && file.size >= k_allocate_min &&
                ::fallocate(fd.get(), goes_direct(file) ? 0 : FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(file.size)) !=
                    0 &&
                errno == ENOSPC)
                return fail(errno_error(ENOSPC, "cannot make room for " + job_.path_of(entry)));
            return fd;
        }
        HF_TRY(os::Fd fd, job_.target.reopen_file(in, entry.node.name));
        struct stat st;
        if (::fstat(fd.get(), &st) != 0 || !may_write_in_place(st, entry.node))
            return fail(ErrorCode::exists, "it changed while restoring", "run the same restore again");
        if (static_cast<std::uint64_t>(st.st_size) > file.size &&
            ::ftruncate(fd.get(), static_cast<off_t>(file.size)) != 0)
            return fail(errno_error(errno, "cannot shorten " + job_.path_of(entry)));
        return fd;
    }

    // Null for a damaged file: it goes anyway. Opened once for most files. Of many files that are written in turns, the
    // ones opened longest ago are closed.
    Result<std::shared_ptr<os::DirectFile>> open(std::uint32_t number) {
        RestoreJob::File& file = job_.files[number];
        const auto& entry = job_.plan.files[number];
        std::shared_ptr<os::DirectFile> fd;
        {
            const std::scoped_lock lock(file.mutex);
            if (file.damaged) return nullptr;
            if (file.fd) return file.fd;
            HF_TRY(os::Fd opened, file.created ? job_.target.reopen_file(job_.folders[entry.in], entry.node.name)
                                               : open_first(number));
            fd = file.fd = std::make_shared<os::DirectFile>(std::move(opened));
            if (goes_direct(file)) {
                fd->open_direct();
                if (!file.ends) file.ends = std::make_unique<os::PartEnds>();
            }
        }
        std::shared_ptr<os::DirectFile> closing;
        const std::scoped_lock lock(open_mutex_);
        open_files_.push_back(number);
        if (open_files_.size() > k_files_open_max) {
            const std::uint32_t oldest = open_files_.front();
            open_files_.pop_front();
            if (oldest != number) {
                const std::scoped_lock file_lock(job_.files[oldest].mutex);
                closing = std::move(job_.files[oldest].fd);
            }
        }
        return fd;
    }

    void finish_file(std::uint32_t number) {
        using How = RestoreJob::How;
        RestoreJob::File& file = job_.files[number];
        const auto& entry = job_.plan.files[number];
        const std::string path = job_.path_of(entry);
        if (file.how == How::left) {
            if (job_.blocked[entry.in]) return;
            job_.item(RestoreItem::Action::skipped, path, entry.node.type, file.size);
            const std::scoped_lock lock(job_.mutex);
            ++job_.summary.skipped;
            return;
        }
        auto fd = open(number);
        if (!fd) return give_up(number, std::move(fd).error());
        if (file.ends)
            if (const Status written = file.ends->flush((*fd)->get()); !written)
                return give_up(number, written.error());
        if (!*fd) return;
        // Holes at the end, and nothing else, leave the file too short.
        if (job_.options.sparse && file.how != How::unchanged &&
            ::ftruncate((*fd)->get(), static_cast<off_t>(file.size)) != 0)
            return give_up(number, errno_error(errno, "cannot set the size"));
        // Writing out starts now, so that whoever syncs at the end has less to wait for.
        if (file.how != How::unchanged && file.size >= k_writeback_min)
            ::sync_file_range((*fd)->get(), 0, 0, SYNC_FILE_RANGE_WRITE);
        std::vector<std::pair<std::string, Error>> warnings;
        if (!file.created) remove_other_attributes((*fd)->get(), entry.node);
        apply_metadata((*fd)->get(), entry.node, path, warnings);
        os::crash_point("restore.finished");
        {
            const std::scoped_lock lock(file.mutex);
            file.finished = true;
            file.fd.reset();
        }
        job_.item(file.how == How::anew       ? RestoreItem::Action::restored
                  : file.how == How::in_place ? RestoreItem::Action::updated
                                              : RestoreItem::Action::unchanged,
                  path, entry.node.type, file.size);
        const std::scoped_lock lock(job_.mutex);
        std::ranges::move(warnings, std::back_inserter(job_.summary.warnings));
        ++job_.summary.files;
        job_.summary.bytes += file.size;
        if (file.how == How::unchanged) {
            ++job_.summary.files_unchanged;
            job_.summary.bytes_reused += file.size;
            job_.add_bytes(file.size);
        }
    }

    RestoreJob& job_;
    const bool direct_;    // long files go past the page cache
    const bool sparing_ = direct_ || job_.plan.bytes < k_small;
    const std::uint32_t read_max_ = sparing_ ? k_read_max_sparing : k_read_max;
    const std::size_t room_max_ = sparing_ ? k_room_max_sparing : k_room_max;
    const std::uint32_t long_ =
        sparing_ && reader_count(job_.repository.backend()) <= worker_count() ? k_long_near : k_long;
    std::vector<Piece> pieces_;
    std::vector<Read> reads_;
    std::uint64_t reused_ = 0;
    std::mutex long_mutex_;    // of who has a long chunk in memory
    std::mutex open_mutex_;
    std::deque<std::uint32_t> open_files_;
};

}    // namespace

void write_contents(RestoreJob& job) { ContentWriter(job).run(); }

}    // namespace holdfast::vault
