#include "holdfast/source/duckdb_keeper.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <set>
#include <thread>

#include "holdfast/base/log.hpp"
#include "holdfast/base/xxh64.hpp"
#include "holdfast/os/crash_point.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/file_lock.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/os/scratch_folder.hpp"

namespace holdfast::source {
namespace {

using namespace std::chrono_literals;

constexpr unsigned k_tries_max = 30;
constexpr std::size_t k_overlap = 4096;    // of DuckDB's log, compared before its new end is believed
constexpr std::size_t k_share = 16;    // blocks that a thread takes at a time
constexpr std::uint64_t k_tail_max = std::uint64_t(64) << 20;
constexpr std::string_view k_unfinished = "-tmp";
constexpr std::string_view k_refused_again = "again ";    // also after every block was stored anew

Result<os::Fd> lock_folder(const std::string& folder) {
    HF_TRY(os::Fd fd, os::open_file(folder + "/lock", O_RDWR | O_CREAT, 0600));
    // (A backup, too, looks for 0.1 ms whether it is held.)
    HF_DO(os::lock_alone(fd.get(), fmt::format("another process keeps states in {}", folder),
                         "one `holdfast duckdb watch` for each database is enough: stop the other one first"));
    return fd;
}

Result<std::optional<struct stat>> look(const std::string& path) {
    auto status = os::status_of(path);
    if (!status && status.error().code == ErrorCode::not_found) return std::optional<struct stat>();
    if (!status) return fail(status.error());
    return std::optional(*status);
}

Status sync_data(int fd, const std::string& what) {
    if (::fdatasync(fd) == 0) return {};
    return fail(errno_error(errno, "cannot write " + what));
}

Status rename_into_place(const std::string& path) {
    if (::rename((path + std::string(k_unfinished)).c_str(), path.c_str()) == 0) return {};
    return fail(errno_error(errno, "cannot write " + path));
}

}    // namespace

DuckDbKeeper::DuckDbKeeper(DuckDbKeeperOptions options, Clock& clock, os::Fd lock)
    : options_(std::move(options)),
      clock_(clock),
      lock_(std::move(lock)),
      live_(options_.path, options_.folder + "/reading", clock) {}

Result<std::unique_ptr<DuckDbKeeper>> DuckDbKeeper::open(DuckDbKeeperOptions options, Clock& clock) {
    HF_DO(os::make_folders(options.folder));
    HF_TRY(os::Fd lock, lock_folder(options.folder));
    std::unique_ptr<DuckDbKeeper> keeper(new DuckDbKeeper(std::move(options), clock, std::move(lock)));
    HF_DO(keeper->load());
    return keeper;
}

// What earlier keepers left: what a kill left unfinished goes, the newest whole map says which blocks are known.
Status DuckDbKeeper::load() {
    os::ScratchFolder::remove_dead(options_.folder);
    HF_TRY(const auto names, os::list_folder(options_.folder));
    for (const std::string& name : names) {
        const std::string path = options_.folder + "/" + name;
        if (name.find(k_unfinished) != name.npos) ::unlink(path.c_str());
        if (const auto number = generation_number(name, ".log"))
            if (!os::exists(generation_file(options_.folder, *number, ".blocks"))) ::unlink(path.c_str());
        const auto number = generation_number(name, ".blocks");
        if (!number) continue;
        newest_ = std::max(newest_, *number);    // a damaged one keeps its number
        auto generation = read_generation(path);
        if (!generation) {
            log_warning("kept blocks are damaged", {{"file", path}, {"why", generation.error().message}});
            continue;
        }
        Kept kept{generation->at, generation->at, generation->stored, false, false, 0, {}};
        if (const auto frames = read_frames(generation_file(options_.folder, *number, ".log"))) {
            kept.restorable = true;
            kept.moments = frames->size();
            kept.verified = os::exists(generation_file(options_.folder, *number, ".verified"));
            if (!frames->empty()) kept.until = frames->back().at;
        }
        for (const KeptBlock& block : generation->blocks) ++kept.needs[block.generation];
        if (kept.restorable) current_ = *std::move(generation);
        kept_.emplace(*number, std::move(kept));
    }
    // A map is worth something only with the files that it names.
    const auto complete = [&] {
        const auto found = kept_.find(current_.number);
        return found != kept_.end() &&
               std::ranges::all_of(found->second.needs, [&](const auto& need) { return kept_.contains(need.first); });
    };
    if (!complete()) current_ = {};
    // What the newest verification refused is not built upon.
    const auto refused = os::read_text(options_.folder + "/" + k_refused_name);
    distrusted_ = refused.has_value();
    if (refused && !refused->starts_with(k_refused_again)) current_ = {};
    return {};
}

Result<DuckDbKeeper::Taken> DuckDbKeeper::take() {
    const Timestamp at = clock_.now();
    auto taken = take_anew(at);
    if (!taken && taken.error().code == ErrorCode::disk_full) {
        // The owner needs the room, too: of what was kept only the newest state, and the newest verified one, stay.
        log_warning("no room for states: older ones go", {{"path", options_.path}});
        const std::scoped_lock lock(mutex_);
        if (newest_state_.generation != 0) expire(at, {Duration::zero(), 1, 1});
    }
    return taken;
}

Result<DuckDbKeeper::Taken> DuckDbKeeper::take_anew(Timestamp at) {
    bool distrust = false;
    {
        const std::scoped_lock lock(mutex_);
        distrust = std::exchange(distrust_, false);
    }
    if (distrust) {
        current_ = {};
        has_current_ = false;
    }
    if (has_current_) {
        HF_TRY(const struct stat now, os::status_of(options_.path));
        has_current_ = now.st_dev == device_ && now.st_ino == inode_;    // else another file took its place
    }
    if (has_current_) {
        HF_TRY(const auto tail, take_tail(at));
        if (tail) return *tail;
        HF_TRY(const auto log, take_log(at));
        if (log) return *log;
    }
    return take_blocks(at);
}

// The new end of a log that only grows. Nullopt: it takes more than that to know.
Result<std::optional<DuckDbKeeper::Taken>> DuckDbKeeper::take_tail(Timestamp at) {
    const std::optional<Taken> unknown;
    if (!only_grows_ && log_bytes_ > 0) return unknown;
    HF_TRY(const os::Fd file, os::open_file(options_.path, O_RDONLY));
    HF_TRY(const DuckDbHeaderBytes start, LiveDuckDb::read_header_bytes(file.get()));
    if (start != current_.headers) return unknown;
    HF_TRY(const auto wal, look(options_.path + ".wal"));
    const std::uint64_t size = wal ? static_cast<std::uint64_t>(wal->st_size) : 0;
    if (size < wal_end_ || size - wal_end_ > k_tail_max || (wal_end_ == 0 && size > 0)) return unknown;
    Bytes bytes;
    db::DuckDbLog log;
    if (size > wal_end_) {
        HF_TRY(const os::Fd source, os::open_file(options_.path + ".wal", O_RDONLY));
        bytes.resize(static_cast<std::size_t>(size - wal_end_) + wal_tail_.size());
        HF_TRY(const std::size_t got, os::pread_full(source.get(), bytes, wal_end_ - wal_tail_.size()));
        if (got != bytes.size() || !std::equal(wal_tail_.begin(), wal_tail_.end(), bytes.begin())) return unknown;
        log = db::parse_duckdb_entries(ByteView(bytes).subspan(wal_tail_.size()));
        if (log.damaged_at || log.marker_root) return unknown;
    }
    // Behind the log, in this order: its commits count only under the same headers, and if nothing goes on elsewhere.
    HF_TRY(const auto other, look(options_.path + ".wal.checkpoint"));
    HF_TRY(const DuckDbHeaderBytes end, LiveDuckDb::read_header_bytes(file.get()));
    HF_TRY(const struct stat opened, os::status_of(fmt::format("/proc/self/fd/{}", file.get())));
    HF_TRY(const struct stat named, os::status_of(options_.path));
    if (other || end != start || opened.st_ino != named.st_ino || opened.st_dev != named.st_dev) return unknown;
    if (log.commit_count == 0) return std::optional(Taken{.state = newest_state_});
    if (log.row_group_count > 0) return unknown;    // it points at blocks that were not stored
    const ByteView added =
        ByteView(bytes).subspan(wal_tail_.size(), bytes.size() - wal_tail_.size() - log.uncommitted_bytes);
    HF_TRY(const Taken taken, append(at, {added}, frames_.back().commits + log.commit_count));
    wal_end_ += added.size();
    const ByteView seen = ByteView(bytes).first(bytes.size() - log.uncommitted_bytes);
    const ByteView last = seen.last(std::min(seen.size(), k_overlap));
    wal_tail_ = Bytes(last.begin(), last.end());
    return std::optional(taken);
}

// Both logs as they are, when what was taken of them is their beginning. Nullopt: the blocks must be looked at.
Result<std::optional<DuckDbKeeper::Taken>> DuckDbKeeper::take_log(Timestamp at) {
    std::optional<Taken> taken;
    HF_TRY([[maybe_unused]] const bool fits,
           live_.take_log(current_.headers, [&](const db::DuckDbHeaders&, const LiveDuckDb::Log& log) -> Status {
               const db::JoinedLog& joined = log.joined;
               if (joined.size() < log_bytes_ || joined.row_group_count != row_groups_) return {};
               const auto rest = rest_behind(frames_, joined);
               if (!rest) return {};
               if (joined.commit_count == frames_.back().commits) {
                   taken = Taken{.state = newest_state_};
               } else {
                   HF_TRY(taken, append(at, *rest, joined.commit_count));
               }
               remember_end(log);
               return {};
           }));
    return taken;
}

void DuckDbKeeper::remember_end(const LiveDuckDb::Log& log) {
    // Without a commit, what was taken lacks the entry that a log begins with.
    only_grows_ = log.only_grows && log.joined.commit_count > 0;
    wal_end_ = only_grows_ ? log.wal_end : 0;
    wal_tail_.clear();
    if (!only_grows_) return;
    // Header and commits then lie one behind the other, as in the log itself.
    for (const ByteView piece : log.joined.pieces) {
        const ByteView last = piece.last(std::min(piece.size(), k_overlap));
        holdfast::append(wal_tail_, last);
    }
    if (wal_tail_.size() > k_overlap) wal_tail_.erase(wal_tail_.begin(), wal_tail_.end() - k_overlap);
}

Result<DuckDbKeeper::Taken> DuckDbKeeper::append(Timestamp at, const std::vector<ByteView>& pieces,
                                                 std::uint64_t commits) {
    KeptFrame frame;
    frame.at = at;
    frame.commits = commits;
    Bytes bytes(k_log_frame_size);
    for (const ByteView piece : pieces) holdfast::append(bytes, piece);
    const ByteView content = ByteView(bytes).subspan(k_log_frame_size);
    frame.bytes = content.size();
    frame.offset = log_end_ + k_log_frame_size;
    frame.chain = xxh64(content, frames_.empty() ? 0 : frames_.back().chain);
    const Bytes head = encode_frame(frame);
    std::copy(head.begin(), head.end(), bytes.begin());
    const std::string path = generation_file(options_.folder, current_.number, ".log");
    auto written = os::pwrite_all(log_.get(), bytes, log_end_);
    if (written) written = sync_data(log_.get(), path);
    if (!written) {
        has_current_ = false;    // what is behind log_end_ is not known: begin anew
        return fail(written.error());
    }
    os::crash_point("duckdb_keeper.log");
    log_end_ += bytes.size();
    log_bytes_ += frame.bytes;
    frames_.push_back(frame);
    const std::scoped_lock lock(mutex_);
    newest_state_ = {current_.number, commits, at};
    Kept& kept = kept_[current_.number];
    kept.until = at;
    ++kept.moments;
    return Taken{.kind = Taken::Kind::log, .state = newest_state_, .bytes = bytes.size()};
}

// Any later write then gives the file another time than it has now. Files get the time of the kernel's last tick.
void DuckDbKeeper::note_identity(const struct stat& opened) {
    timespec tick{0, 10'000'000};
    (void)::clock_getres(CLOCK_REALTIME_COARSE, &tick);
    const Duration coarse = 2 * Duration(tick.tv_nsec);
    next_.seen = FileIdentity::of(opened);
    const auto age = [&] {
        return Duration(clock_.now().nanoseconds - std::max(next_.seen->modified, next_.seen->changed));
    };
    if (const Duration now = age(); now >= Duration::zero() && now < coarse) clock_.sleep(coarse - now);
    if (age() < coarse) next_.seen.reset();    // the clock was set back
}

// Blocks that are what the newest generation has. Half of the time goes into copying out of the page cache, so that two threads take little
// more than half of it.
std::vector<char> DuckDbKeeper::find_same(int file) const {
    std::vector<char> same(next_.blocks.size());
    const std::size_t known =
        current_.block_size == next_.block_size ? std::min(current_.blocks.size(), same.size()) : 0;
    std::atomic<std::size_t> next = 0;
    const auto work = [&] {
        Bytes buffer(next_.block_size);
        for (std::size_t from; (from = next.fetch_add(k_share)) < known && !os::stop_requested();)
            for (std::size_t i = from; i < std::min(known, from + k_share); ++i) {
                const ByteSpan room = ByteSpan(buffer).first(next_.block_bytes(i));
                if (current_.block_bytes(i) != room.size()) continue;
                const auto got = os::pread_full(file, room, next_.block_begin(i));
                same[i] = got && *got == room.size() && xxh64(room) == current_.blocks[i].hash;
            }
    };
    std::jthread second;
    if (known > 4 * k_share) second = std::jthread(work);
    work();
    if (second.joinable()) second.join();
    return same;
}

// Every block is read; stored are those that no kept file has.
Result<bool> DuckDbKeeper::store_blocks(int file, const DuckDbHeaderBytes& start, std::uint64_t size) {
    next_.headers = start;
    HF_TRY(const struct stat opened, os::status_of(fmt::format("/proc/self/fd/{}", file)));
    device_ = opened.st_dev;
    inode_ = opened.st_ino;
    note_identity(opened);
    next_.file_bytes = size;
    next_.blocks.resize(KeptGeneration::block_count(size, next_.block_size));
    buffer_.resize(next_.block_size);
    std::size_t moved = 0;    // known blocks that were stored again so that an old file can go
    const std::size_t moved_max = next_.blocks.size() / 16 + 1;
    const auto stays = [&](std::size_t i) {
        if (is_retiring(current_.blocks[i].generation) && ++moved <= moved_max) return false;
        next_.blocks[i] = current_.blocks[i];
        return true;
    };
    const std::vector<char> same = find_same(file);
    for (std::size_t i = 0; i < next_.blocks.size(); ++i) {
        if (i % 64 == 0 && os::stop_requested())
            return fail(ErrorCode::cancelled, "stopped while reading " + options_.path);
        if (same[i] && stays(i)) continue;
        const ByteSpan room = ByteSpan(buffer_).first(next_.block_bytes(i));
        HF_TRY(const std::size_t got, os::pread_full(file, room, next_.block_begin(i)));
        if (got != room.size()) return false;
        const std::uint64_t hash = xxh64(room);
        auto place = stored_by_place_.find(static_cast<std::uint64_t>(i));
        if (place == stored_by_place_.end() || stored_hashes_[place->second] != hash) {
            const auto index = static_cast<std::uint32_t>(stored_hashes_.size());
            HF_DO(os::pwrite_all(blocks_file_.get(), room, std::uint64_t(index) * next_.block_size));
            stored_hashes_.push_back(hash);
            place = stored_by_place_.insert_or_assign(static_cast<std::uint64_t>(i), index).first;
        }
        next_.blocks[i] = {hash, next_.number, place->second};
    }
    return true;
}

Result<DuckDbKeeper::Taken> DuckDbKeeper::take_blocks(Timestamp at) {
    next_ = {};
    next_.number = newest_ + 1;
    next_.at = at;
    stored_hashes_.clear();
    stored_by_place_.clear();
    const std::string blocks_path = generation_file(options_.folder, next_.number, ".blocks");
    const std::string log_path = generation_file(options_.folder, next_.number, ".log");
    const int flags = O_RDWR | O_CREAT | O_TRUNC;
    HF_TRY(blocks_file_, os::open_file(blocks_path + std::string(k_unfinished), flags));
    HF_TRY(os::Fd log_file, os::open_file(log_path + std::string(k_unfinished), flags));
    KeptFrame frame;
    std::uint64_t row_groups = 0, log_end = 0, map_size = 0;

    LiveDuckDb::Taker taker;
    taker.log = [&](const db::DuckDbHeaders& headers, const LiveDuckDb::Log& log) -> Status {
        next_.block_size = headers.block_size;
        frame = {};
        frame.at = at;
        frame.bytes = log.joined.size();
        frame.commits = log.joined.commit_count;
        frame.offset = k_log_frame_size;
        Bytes bytes(k_log_frame_size);
        for (const ByteView piece : log.joined.pieces) holdfast::append(bytes, piece);
        frame.chain = xxh64(ByteView(bytes).subspan(k_log_frame_size));
        const Bytes head = encode_frame(frame);
        std::copy(head.begin(), head.end(), bytes.begin());
        row_groups = log.joined.row_group_count;
        log_end = bytes.size();
        remember_end(log);
        if (::ftruncate(log_file.get(), 0) != 0) return fail(errno_error(errno, "cannot write " + log_path));
        return os::pwrite_all(log_file.get(), bytes, 0);
    };
    taker.blocks = [&](int file, const DuckDbHeaderBytes& start, std::uint64_t size) {
        return store_blocks(file, start, size);
    };
    taker.settle = [&]() -> Status {
        next_.stored = static_cast<std::uint32_t>(stored_hashes_.size());
        const std::uint64_t offset = std::uint64_t(next_.stored) * next_.block_size;
        const Bytes map = encode_generation(next_, offset);
        map_size = map.size();
        HF_DO(os::pwrite_all(blocks_file_.get(), map, offset));
        if (::ftruncate(blocks_file_.get(), static_cast<off_t>(offset + map.size())) != 0)
            return fail(errno_error(errno, "cannot write " + blocks_path));
        HF_DO(sync_data(log_file.get(), log_path));
        return sync_data(blocks_file_.get(), blocks_path);
    };
    const auto tries = live_.take(taker, k_tries_max);
    if (!tries) {
        has_current_ = false;
        ::unlink((blocks_path + std::string(k_unfinished)).c_str());
        ::unlink((log_path + std::string(k_unfinished)).c_str());
        return fail(tries.error());
    }
    has_current_ = false;
    os::crash_point("duckdb_keeper.written");
    // The log first: blocks without a log are no state, and a log without blocks is none either.
    HF_DO(rename_into_place(log_path));
    os::crash_point("duckdb_keeper.log_named");
    HF_DO(rename_into_place(blocks_path));
    os::crash_point("duckdb_keeper.blocks_named");
    HF_DO(os::sync_folder(options_.folder));

    current_ = next_;
    has_current_ = true;
    log_ = std::move(log_file);
    blocks_file_ = os::Fd();
    frames_ = {frame};
    log_bytes_ = frame.bytes;
    row_groups_ = row_groups;
    log_end_ = log_end;
    {
        const std::scoped_lock lock(mutex_);
        newest_ = current_.number;
        newest_state_ = {current_.number, frame.commits, at};
        Kept kept{at, at, current_.stored, true, false, 1, {}};
        for (const KeptBlock& block : current_.blocks) ++kept.needs[block.generation];
        kept_[current_.number] = std::move(kept);
        expire(at, {options_.keep, options_.keep_last, options_.keep_verified});
    }
    return Taken{.kind = Taken::Kind::blocks,
                 .state = newest_state_,
                 .bytes = std::uint64_t(current_.stored) * current_.block_size + map_size + log_end,
                 .blocks = current_.stored,
                 .tries = *tries};
}

void DuckDbKeeper::expire(Timestamp now, const policy::KeepStatesRule& rule) {
    std::vector<policy::KeptStates> states;
    for (const auto& [number, kept] : kept_)
        if (kept.restorable) states.push_back({number, kept.at, kept.moments, kept.verified});
    for (const std::uint32_t number : policy::expired_states(states, now, rule)) {
        if (number == pinned_) continue;
        // First the log: without it the rest is no state any more.
        if (::unlink(generation_file(options_.folder, number, ".log").c_str()) != 0 && errno != ENOENT) continue;
        os::crash_point("duckdb_keeper.log_expired");
        ::unlink(generation_file(options_.folder, number, ".verified").c_str());
        kept_[number].restorable = false;
    }
    std::set<std::uint32_t> needed;
    for (const auto& [number, kept] : kept_)
        if (kept.restorable)
            for (const auto& [generation, count] : kept.needs) needed.insert(generation);
    retiring_.clear();
    const auto& newest_needs = kept_[newest_].needs;
    for (auto kept = kept_.begin(); kept != kept_.end();) {
        const std::uint32_t number = kept->first;
        if (kept->second.restorable || needed.contains(number)) {
            const auto used = newest_needs.find(number);
            if (!kept->second.restorable && used != newest_needs.end() && used->second * 2 < kept->second.stored)
                retiring_.emplace(number, used->second);
            ++kept;
            continue;
        }
        ::unlink(generation_file(options_.folder, number, ".blocks").c_str());
        kept = kept_.erase(kept);
    }
}

DuckDbState DuckDbKeeper::newest() {
    const std::scoped_lock lock(mutex_);
    return newest_state_;
}

Result<json::Value> DuckDbKeeper::verify(db::DuckDbCheck::Depth depth) {
    DuckDbState state;
    {
        const std::scoped_lock lock(mutex_);
        if (newest_state_.generation == 0)
            return fail(ErrorCode::not_found, fmt::format("no state of {} is kept yet", options_.path));
        state = newest_state_;
        pinned_ = state.generation;
    }
    const auto check = [&]() -> Result<json::Value> {
        HF_TRY(const os::ScratchFolder folder,
               os::ScratchFolder::create("verify", options_.scratch.empty() ? options_.folder : options_.scratch));
        const std::string copy = folder.path() + "/copy.duckdb";
        HF_TRY([[maybe_unused]] const auto written, DuckDbStates(options_.folder).write(state, copy, false));
        HF_TRY(db::DuckDbChecker checker, db::DuckDbChecker::start(copy, {.depth = depth}));
        return checker.finish();
    };
    auto found = check();
    const std::scoped_lock lock(mutex_);
    pinned_ = 0;
    if (!found) {
        // Once: what is damaged in the database itself would be stored again each time.
        const bool damaged = found.error().code == ErrorCode::corrupt;
        const bool again = distrusted_;
        distrust_ = damaged && !std::exchange(distrusted_, true);
        // A backup then takes nothing of what is kept on trust; the next keeper begins anew, but once.
        if (damaged)
            (void)os::write_file(
                options_.folder + "/" + k_refused_name,
                as_bytes(fmt::format("{}{}: {}\n", again ? k_refused_again : "", state.name(), found.error().message)));
        return fail(found.error().within(fmt::format("state {} of {}", state.name(), options_.path)));
    }
    json::Value verified = json::Value::object({{"generation", std::uint64_t(state.generation)},
                                                {"commits", state.commits},
                                                {"at", to_rfc3339(state.at)},
                                                {"checked", to_rfc3339(clock_.now())},
                                                {"proof", std::string(db::to_text(depth))},
                                                {"facts", *std::move(found)}});
    HF_DO(os::write_file(generation_file(options_.folder, state.generation, ".verified"),
                         as_bytes(json::dump(verified))));
    ::unlink((options_.folder + "/" + k_refused_name).c_str());
    distrusted_ = false;
    kept_[state.generation].verified = true;
    return verified;
}

}    // namespace holdfast::source
