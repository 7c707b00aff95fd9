// The bytes of a restore: packs are read in long runs, every blob is opened once, and goes to all places that want it.

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>

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

// How much is read of a pack at once, and how much its blobs may hold; a blob that is longer is alone.
struct Sizes {
    std::uint32_t read;
    std::size_t room;
};
// Over a line a request costs more than memory does.
constexpr Sizes k_near{2u << 20, 4u << 20}, k_far{4u << 20, 4u << 20}, k_small{3u << 19, 5u << 19};
// A restore of less is done before more memory pays. Of few files, out of a folder, one read at a time is enough.
constexpr std::uint64_t k_small_max = 32u << 20;
constexpr std::size_t k_few_files = 64;
// Blobs that nobody wants are read along while that is cheaper than a second call.
constexpr std::uint32_t k_gap_max = 64u << 10;
// How many blobs one read brings in: of tiny ones the list takes memory, too.
constexpr std::size_t k_blobs_max = 1024;
// Past the cache a write waits for the disk: more threads than processors, each with a room.
constexpr unsigned k_waiting_max = 3;
// Of the processor's cache; of what precedes an envelope's content.
constexpr std::size_t k_line = 64, k_nonce = 16;
constexpr std::size_t k_files_open_max = 256;
constexpr std::uint64_t k_writeback_min = 1u << 20;
// A long file goes to the disk in steps: else the disk idles until the file is whole, and we wait for it then.
constexpr std::uint64_t k_writeback_step = 32u << 20;
// Blobs that are hashed together.
constexpr std::size_t k_together_max = 31;
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

// Buffers of one size, as many as there may be. Whoever wants one more waits.
class Lender {
public:
    Lender(std::size_t capacity, Buffer::Pages pages, unsigned count)
        : capacity_(capacity), pages_(pages), free_(count) {}
    std::unique_ptr<Buffer> take() {
        std::unique_lock lock(mutex_);
        given_back_.wait(lock, [&] { return free_ > 0; });
        --free_;
        if (idle_.empty()) return std::make_unique<Buffer>(capacity_, pages_);
        auto buffer = std::move(idle_.back());
        idle_.pop_back();
        return buffer;
    }
    void give(std::unique_ptr<Buffer> buffer) {
        const std::scoped_lock lock(mutex_);
        idle_.push_back(std::move(buffer));
        ++free_;
        given_back_.notify_one();
    }

private:
    const std::size_t capacity_;
    const Buffer::Pages pages_;
    std::mutex mutex_;
    std::condition_variable given_back_;
    unsigned free_;
    std::vector<std::unique_ptr<Buffer>> idle_;
};

class Loan {
public:
    explicit Loan(Lender& lender) : lender_(lender), buffer_(lender.take()) {}
    ~Loan() { lender_.give(std::move(buffer_)); }
    Loan(const Loan&) = delete;
    Loan& operator=(const Loan&) = delete;
    ByteSpan first(std::size_t size) const {
        HF_ASSERT(size <= buffer_->capacity());
        return {buffer_->data(), size};
    }

private:
    Lender& lender_;
    std::unique_ptr<Buffer> buffer_;
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
        run_parallel(job_, reads_.size(), [&](std::size_t number) { restore_pieces(reads_[number]); }, threads_);
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

    // What is read at once, and what its blobs hold, follow each other here as they do in restore_pieces().
    void list_reads() {
        for (std::size_t from = 0; from < pieces_.size();) {
            const Wanted first = wanted_from(from, pieces_.size(), 0);
            Wanted last = first;
            std::uint64_t end = end_of(first.blob);
            for (std::size_t blobs = 1; last.to < pieces_.size() && blobs < k_blobs_max; ++blobs) {
                const Wanted next = wanted_from(last.to, pieces_.size(), last.room_end());
                if (next.pack != first.pack || next.blob.offset < last.blob.offset ||
                    next.blob.offset > end + k_gap_max || next.room_end() > sizes_.room ||
                    (end_of(next.blob) > end && end_of(next.blob) - first.blob.offset > sizes_.read))
                    break;
                end = std::max(end, end_of(next.blob));
                last = next;
            }
            reads_.push_back({from, last.to});
            from = last.to;
        }
    }
    static std::uint64_t end_of(const format::PackedBlob& blob) { return std::uint64_t(blob.offset) + blob.length; }

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
        BlobIndex::PackNumber pack = 0;
        format::PackedBlob blob;
        std::size_t from = 0, to = 0;
        std::size_t room = 0;    // where its content begins
        std::optional<ByteView> plain;    // unpacked, and what its name says
        std::size_t room_end() const { return room + blob.plain_length(); }
    };
    // The blob of this piece and the next ones, its content behind `room`.
    Wanted wanted_from(std::size_t from, std::size_t end, std::size_t room) const {
        const Piece& piece = pieces_[from];
        const BlobIndex::Numbered numbered = job_.repository.state().index.at(piece.number);
        Wanted wanted{numbered.pack, numbered.blob, from, from + 1, room, {}};
        while (wanted.to < end && pieces_[wanted.to].number == piece.number) ++wanted.to;
        wanted.blob.length = std::max<std::uint32_t>(wanted.blob.length, format::k_envelope_overhead);
        // A length that cannot be true is not given room: unpacking it fails, and another copy is looked for.
        if (!format::Decompressor::may_hold(wanted.blob.length, wanted.blob.uncompressed_length))
            wanted.blob.uncompressed_length = 0;
        // What is written past the cache lies in memory as it will in the file, counted from a block's beginning.
        if (goes_direct(job_.files[piece.file])) wanted.room += (piece.offset - room) % os::k_block;
        return wanted;
    }
    bool goes_direct(const RestoreJob::File& file) const {
        return direct_ && file.how == RestoreJob::How::anew && file.size >= k_allocate_min;
    }

    void restore_pieces(const Read& read) {
        std::vector<Wanted> all;
        std::uint64_t end = 0;
        std::size_t room = 0;
        for (std::size_t i = read.from; i < read.to; i = all.back().to) {
            all.push_back(wanted_from(i, read.to, room));
            room = all.back().room_end();
            end = std::max(end, end_of(all.back().blob));
        }
        const std::uint32_t begin = all.front().blob.offset;
        if (alone_ || end - begin > sizes_.read || room > sizes_.room) return restore_alone(all, end - begin);
        const Loan contents(rooms_);
        {
            // Who writes needs no envelopes any more.
            const Loan envelopes(envelopes_);
            unpack(all, envelopes.first(end - begin), contents.first(room));
        }
        write(all);
    }

    // What is longer than usual, or all of a small restore: one read at a time has memory.
    void restore_alone(std::span<Wanted> all, std::size_t length) {
        std::size_t room = 0, at = (all.front().room + os::k_block - k_nonce) % os::k_block;
        // Behind its content; but what was stored plain is decrypted where it lies, as it will in the file.
        if (all.size() > 1 || all.front().blob.uncompressed_length != 0) {
            room = all.back().room_end();
            at = (room + k_line - 1) / k_line * k_line;
        }
        const LongRoom::Turn turn = long_room_.take(at + length);
        unpack(all, turn.bytes.subspan(at), turn.bytes.first(room));
        write(all);
    }

    // Those that are what their names say get their `plain`, in `contents`, or, if that is empty, in `envelopes`.
    void unpack(std::span<Wanted> all, ByteSpan envelopes, ByteSpan contents) {
        const std::uint32_t begin = all.front().blob.offset;
        const Id pack = job_.repository.state().index.pack_id(all.front().pack);
        if (!job_.repository.backend().read_at({storage::FileKind::pack, pack}, begin, envelopes)) return;
        const auto opener = job_.repository.state().openers.get();
        std::vector<format::Sha256> sums(std::min(all.size(), k_together_max));
        std::vector<format::HashWork> work;
        std::vector<Wanted*> unpacked;
        for (; !all.empty() && !job_.stopped(); all = all.subspan(std::min(all.size(), k_together_max))) {
            work.clear();
            unpacked.clear();
            for (Wanted& one : all.first(std::min(all.size(), k_together_max))) {
                // Zeros, or less: the index cannot be read any more, or could not before.
                if (one.blob.offset < begin || end_of(one.blob) - begin > envelopes.size()) continue;
                const ByteSpan envelope = envelopes.subspan(one.blob.offset - begin, one.blob.length);
                Result<ByteView> plain = ByteView();
                if (contents.empty()) {
                    plain = opener->unpack_in_place(envelope, one.blob, {});
                } else {
                    if (one.room_end() > contents.size()) continue;
                    const ByteSpan room = contents.subspan(one.room, one.blob.plain_length());
                    if (one.blob.uncompressed_length != 0)
                        plain = opener->unpack_in_place(envelope, one.blob, room);
                    else if (opener->unpack(envelope, one.blob, room))
                        plain = room;
                    else
                        continue;
                }
                if (!plain) continue;
                one.plain = *plain;
                work.push_back({&sums[work.size()], *plain});
                unpacked.push_back(&one);
            }
            // Side by side, hashes cost half.
            format::update_together(work);
            for (std::size_t i = 0; i < unpacked.size(); ++i)
                if (sums[i].finish() != unpacked[i]->blob.id) unpacked[i]->plain.reset();
        }
    }

    void write(std::span<const Wanted> all) {
        Run adjoining;
        for (const Wanted& one : all) {
            if (job_.stopped()) return;
            if (add_to(adjoining, one)) continue;
            write(std::exchange(adjoining, {}));
            if (!add_to(adjoining, one)) write_blob(one);
        }
        write(adjoining);
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
                if (!file.ends) file.ends = std::make_unique<os::PartEnds>(job_.ends_held);
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
            file.ends.reset();
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
    const unsigned readers_ = job_.options.workers ? job_.options.workers : reader_count(job_.repository.backend());
    const bool far_ = is_far(job_.repository.backend());
    const bool small_ = job_.plan.bytes < k_small_max;
    const bool alone_ = small_ && !far_ && job_.files.size() < k_few_files;
    const unsigned threads_ = alone_ ? 1 : readers_ + (direct_ && !job_.options.workers ? k_waiting_max : 0);
    const Sizes sizes_ = small_ ? k_small : far_ ? k_far : k_near;
    const Buffer::Pages pages_ = small_ ? Buffer::Pages::usual : Buffer::Pages::huge;
    Lender envelopes_{sizes_.read, pages_, readers_}, rooms_{sizes_.room, pages_, threads_};
    LongRoom long_room_{pages_};
    std::vector<Piece> pieces_;
    std::vector<Read> reads_;
    std::uint64_t reused_ = 0;
    std::mutex open_mutex_;
    std::deque<std::uint32_t> open_files_;
};

}    // namespace

void write_contents(RestoreJob& job) { ContentWriter(job).run(); }

}    // namespace holdfast::vault
