#include "holdfast/source/duckdb_kept.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "holdfast/base/log.hpp"
#include "holdfast/base/xxh64.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/policy/kept_states.hpp"

namespace holdfast::source {
namespace {

using namespace std::chrono_literals;

constexpr Duration k_look_again = 50ms, k_patience = 5s;
// Each generation in a snapshot costs its list of blobs, some 70 bytes a block: of more than this much, some are left out.
constexpr std::uint64_t k_lists_max = std::uint64_t(64) << 20, k_list_entry = 70;

// Of generations that can be restored, newest last.
std::vector<std::uint32_t> kept_generations(const std::string& folder) {
    std::vector<std::uint32_t> numbers;
    const auto names = os::list_folder(folder);
    if (!names) return numbers;
    for (const std::string& name : *names)
        if (const auto number = generation_number(name, ".log");
            number && os::exists(generation_file(folder, *number, ".blocks")))
            numbers.push_back(*number);
    std::ranges::sort(numbers);
    return numbers;
}

bool is_watched(const std::string& folder) {
    const auto lock = os::open_file(folder + "/lock", O_RDONLY);
    return lock && ::flock(lock->get(), LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

// Entries of the kept log that point at blocks: those blocks were kept with it. Later frames have none.
Result<std::uint64_t> row_groups_kept(const std::string& path, const KeptFrame& first) {
    HF_TRY(const os::Fd file, os::open_file(path, O_RDONLY));
    Bytes content(static_cast<std::size_t>(first.bytes));
    HF_TRY(const std::size_t got, os::pread_full(file.get(), content, first.offset));
    HF_TRY(const db::DuckDbLog log, db::parse_duckdb_log(ByteView(content).first(got), path));
    return log.row_group_count;
}

}    // namespace

Result<std::unique_ptr<vault::StreamWriter>> stream_file(vault::Backup& backup, const std::string& from,
                                                         const std::string& to, const vault::StreamOptions& options) {
    HF_TRY(const os::Fd file, os::open_file(from, O_RDONLY));
    HF_TRY(auto writer, backup.start_stream(to, options));
    Bytes buffer(std::size_t(1) << 20);
    while (true) {
        if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped while storing " + to);
        HF_TRY(const std::size_t got, os::read_some(file.get(), buffer));
        if (got == 0) return writer;
        HF_DO(writer->write(ByteView(buffer).first(got)));
    }
}

KeptDuckDb::KeptDuckDb(const policy::DuckDbConfig& config, CaptureContext& context, vault::StreamOptions options)
    : config_(config),
      context_(context),
      options_(std::move(options)),
      folder_(duckdb_states_folder(os::absolute_path(config.path), config.states_folder)),
      files_(folder_),
      ids_(DuckDbBlobIds::load(folder_)) {}

// What is kept goes into the vault unread, so that libduckdb must have read it not long ago.
std::optional<json::Value> KeptDuckDb::fresh_verification() {
    if (os::exists(folder_ + "/" + k_refused_name)) {
        why_ = "libduckdb found damage in the newest kept state that it read";
        return std::nullopt;
    }
    const auto numbers = kept_generations(folder_);
    for (auto number = numbers.rbegin(); number != numbers.rend(); ++number) {
        const auto text = os::read_text(generation_file(folder_, *number, ".verified"));
        if (!text) continue;
        auto said = json::parse(*text, "");
        if (!said) break;
        // When the first commit came that it does not know. An idle database needs no second look.
        const auto own = read_frames(generation_file(folder_, *number, ".log"));
        if (!own) break;
        std::optional<Timestamp> unknown_since;
        for (const KeptFrame& frame : *own)
            if (frame.commits > (*said)["commits"].natural() && !unknown_since) unknown_since = frame.at;
        if (!unknown_since && number != numbers.rbegin()) {
            const auto next = read_frames(generation_file(folder_, *std::prev(number), ".log"));
            if (!next || next->empty()) break;
            unknown_since = next->front().at;
        }
        if (unknown_since &&
            context_.clock.now() - *unknown_since > policy::trust_after_verification(config_.verify_every_minutes))
            break;
        return *std::move(said);
    }
    why_ = "no kept state was read through by libduckdb lately";
    return std::nullopt;
}

// Whether the newest generation is what the file is now. Every commit acknowledged by fit.at is then in it and the log copy.
Result<bool> KeptDuckDb::fits(Fit& fit) {
    fit.at = context_.clock.now();
    HF_TRY(const struct stat before, os::status_of(config_.path));
    if (fit.generation.seen != FileIdentity::of(before)) return false;
    bool taken = false;
    LiveDuckDb live(config_.path, log_copy(), context_.clock);
    HF_TRY([[maybe_unused]] const bool same,
           live.take_log(
               fit.generation.headers, [&](const db::DuckDbHeaders& headers, const LiveDuckDb::Log& log) -> Status {
                   const std::string kept_log = generation_file(folder_, fit.generation.number, ".log");
                   HF_TRY(fit.frames, read_frames(kept_log));
                   if (fit.frames.empty()) return {};
                   HF_TRY(const std::uint64_t row_groups, row_groups_kept(kept_log, fit.frames.front()));
                   if (row_groups != log.joined.row_group_count || !rest_behind(fit.frames, log.joined)) return {};
                   HF_TRY(const os::Fd out, os::open_file(log_copy(), O_WRONLY | O_CREAT | O_TRUNC));
                   for (const ByteView piece : log.joined.pieces) HF_DO(os::write_all(out.get(), piece));
                   fit.copy = {headers, fit.generation.file_bytes, log.joined.size(), log.joined.commit_count, 1};
                   taken = true;
                   return {};
               }));
    HF_TRY(const struct stat after, os::status_of(config_.path));
    return taken && fit.generation.seen == FileIdentity::of(after);
}

// A keeper at work has what is there by its next look.
Result<std::optional<KeptDuckDb::Fit>> KeptDuckDb::wait_for_fit() {
    const Instant until =
        context_.clock.instant() + k_patience + 2 * std::chrono::milliseconds(config_.keep_every_milliseconds);
    // All that is committed by now; only then the looking begins.
    (void)ask_duckdb_keeper(folder_, k_patience);
    Fit fit;
    while (true) {
        const auto numbers = kept_generations(folder_);
        if (!numbers.empty() && numbers.back() != fit.generation.number) {
            auto generation = read_generation(generation_file(folder_, numbers.back(), ".blocks"));
            if (generation) fit.generation = *std::move(generation);
        }
        if (fit.generation.number != 0) {
            HF_TRY(const bool fitted, fits(fit));
            if (fitted) return std::optional(std::move(fit));
        }
        if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped while looking at " + config_.path);
        if (context_.clock.instant() >= until || !is_watched(folder_)) break;
        context_.clock.sleep(k_look_again);
    }
    why_ = fit.generation.seen ? "the file was written since its newest kept state"
                               : "the file was being written when its newest state was kept";
    return std::optional<Fit>();
}

// Returns how many blocks had to be read.
Result<std::uint64_t> KeptDuckDb::stream_blocks(const KeptGeneration& generation, const std::string& to) {
    vault::StreamOptions options = options_;
    options.cut = vault::Cut::blocks(generation.block_size, db::k_duckdb_headers_size);
    HF_TRY(const auto writer, context_.backup.start_stream(to, options));
    HF_DO(writer->write(generation.headers));
    Bytes buffer(generation.block_size);
    std::vector<std::size_t> read;
    for (std::size_t i = 0; i < generation.blocks.size(); ++i) {
        if (i % 64 == 0 && os::stop_requested()) return fail(ErrorCode::cancelled, "stopped while storing " + to);
        const auto id = ids_.find(generation.blocks[i]);
        if (id && context_.backup.has_blob(*id)) {
            HF_DO(writer->add_stored(*id, generation.block_bytes(i)));
            continue;
        }
        const ByteSpan room = ByteSpan(buffer).first(generation.block_bytes(i));
        HF_DO(files_.read(generation, i, room));
        HF_DO(writer->write(room));
        read.push_back(i);
    }
    HF_TRY(const vault::StreamReceipt receipt, writer->finish());
    HF_ASSERT(receipt.blobs.size() == generation.blocks.size() + 1);
    for (const std::size_t i : read) ids_.learn(generation.blocks[i], receipt.blobs[i + 1]);
    return std::uint64_t(read.size());
}

Result<std::optional<KeptDuckDb::Taken>> KeptDuckDb::take(const std::string& name) {
    const std::optional<Taken> not_taken;
    if (kept_generations(folder_).empty()) return not_taken;
    const auto verified = fresh_verification();
    if (!verified) return not_taken;
    auto fitted = wait_for_fit();
    if (!fitted) {
        if (fitted.error().code == ErrorCode::cancelled) return fail(fitted.error());
        why_ = fitted.error().message;
        return not_taken;
    }
    if (!*fitted) return not_taken;
    const Fit& fit = **fitted;
    const auto blocks = stream_blocks(fit.generation, name);
    if (!blocks) {
        context_.backup.forget_path(name);
        const ErrorCode code = blocks.error().code;
        if (code != ErrorCode::corrupt && code != ErrorCode::not_found) return fail(blocks.error());
        why_ = blocks.error().message;
        return not_taken;
    }
    if (fit.copy.wal_bytes > 0) {
        HF_TRY(const auto stream, stream_file(context_.backup, log_copy(), name + ".wal", options_));
        if (const auto stored = stream->finish(); !stored) {
            context_.backup.forget_path(name);    // without its log it would be an older state that passes for this one
            return fail(stored.error());
        }
    }
    ::unlink(log_copy().c_str());
    Taken taken;
    taken.copy = fit.copy;
    taken.blocks = fit.generation.blocks.size();
    taken.blocks_read = *blocks;
    taken.kept = json::Value::object({{"generation", std::uint64_t(fit.generation.number)},
                                      {"commits", fit.copy.wal_commits},
                                      {"at", to_rfc3339(fit.at)}});
    json::Value lately = json::Value::object();
    for (const char* key : {"generation", "commits", "at", "checked"}) lately.set(key, (*verified)[key]);
    taken.kept.set("verified", std::move(lately));
    if ((*verified)["generation"].natural() == fit.generation.number &&
        (*verified)["commits"].natural() == fit.copy.wal_commits) {
        taken.checked = (*verified)["facts"];
        taken.proof = (*verified)["proof"].text();
    }
    return std::optional(std::move(taken));
}

namespace {

json::Value moments_of(const std::vector<KeptFrame>& frames) {
    json::Value moments = json::Value::array();
    for (const KeptFrame& frame : frames) {
        json::Value one = json::Value::array();
        one.push(frame.commits);
        one.push(to_rfc3339(frame.at));
        moments.push(std::move(one));
    }
    return moments;
}

}    // namespace

// One generation as a database with its log, below <name>.states/.
Result<json::Value> KeptDuckDb::add_generation(const KeptGeneration& generation, const std::vector<KeptFrame>& kept) {
    const std::string file = fmt::format("{0}.states/{1:08}/{0}.duckdb", config_.name, generation.number);
    const std::string path = context_.folder + "/" + file;
    HF_TRY([[maybe_unused]] const std::uint64_t read, stream_blocks(generation, path));
    std::vector<KeptFrame> frames;
    if (!kept.empty() && kept.back().commits > 0) {
        const std::string log = generation_file(folder_, generation.number, ".log");
        HF_TRY(const os::Fd source, os::open_file(log, O_RDONLY));
        HF_TRY(const auto stream, context_.backup.start_stream(path + ".wal", options_));
        Bytes content;
        std::uint64_t chain = 0;
        for (const KeptFrame& frame : kept) {
            content.resize(static_cast<std::size_t>(frame.bytes));
            HF_TRY(const std::size_t got, os::pread_full(source.get(), content, frame.offset));
            chain = xxh64(ByteView(content).first(got), chain);
            if (chain != frame.chain) break;    // what is before it is whole
            HF_DO(stream->write(content));
            frames.push_back(frame);
        }
        HF_TRY([[maybe_unused]] const auto stored, stream->finish());
    } else {
        frames = kept;
    }
    return json::Value::object(
        {{"generation", std::uint64_t(generation.number)}, {"file", file}, {"moments", moments_of(frames)}});
}

std::optional<json::Value> KeptDuckDb::add_states(std::uint32_t since, const std::optional<Taken>& taken) {
    auto numbers = kept_generations(folder_);
    if (numbers.empty()) return std::nullopt;
    const std::uint32_t main = taken ? static_cast<std::uint32_t>(taken->kept["generation"].natural()) : 0;
    const std::uint32_t newest = taken ? main : numbers.back();
    // Numbers that are lower than they were: somebody began anew.
    if (since > newest) since = 0;
    std::erase_if(numbers, [&](std::uint32_t number) { return number < since || (taken && number >= main); });

    json::Value generations = json::Value::array();
    std::uint64_t moments = 0, left_out = 0, size_of_lists = 0;
    std::string from, until;
    const std::string below = fmt::format("{}/{}.states", context_.folder, config_.name);
    const auto note = [&](json::Value one) {
        const auto& list = one["moments"].items();
        if (list.empty()) return;
        if (from.empty()) from = list.front().items()[1].text();
        until = list.back().items()[1].text();
        moments += one["moments"].items().size();
        generations.push(std::move(one));
    };
    // The newest ones first when there is not room for all; told in their order.
    std::vector<json::Value> older;
    for (auto number = numbers.rbegin(); number != numbers.rend(); ++number) {
        const auto generation = read_generation(generation_file(folder_, *number, ".blocks"));
        const auto frames = read_frames(generation_file(folder_, *number, ".log"));
        if (!generation || !frames) continue;    // expired meanwhile, or damaged: the keeper tells that
        size_of_lists += generation->blocks.size() * k_list_entry;
        if (size_of_lists > k_lists_max) {
            ++left_out;
            continue;
        }
        auto added = add_generation(*generation, *frames);
        if (!added) {
            log_warning(
                "a kept state is not in the backup",
                {{"path", config_.path}, {"generation", std::to_string(*number)}, {"why", added.error().message}});
            context_.backup.forget_path(fmt::format("{}/{:08}", below, *number));
            ++left_out;
            continue;
        }
        older.push_back(*std::move(added));
    }
    for (auto one = older.rbegin(); one != older.rend(); ++one) note(std::move(*one));
    if (taken) {
        auto frames = read_frames(generation_file(folder_, main, ".log"));
        json::Value own =
            json::Value::object({{"generation", std::uint64_t(main)}, {"file", config_.name + ".duckdb"}});
        if (!frames) frames = std::vector<KeptFrame>();
        std::erase_if(*frames, [&](const KeptFrame& f) { return f.commits > taken->copy.wal_commits; });
        json::Value list = moments_of(*frames);
        json::Value now = json::Value::array();
        now.push(taken->copy.wal_commits);
        now.push(taken->kept["at"]);
        list.push(std::move(now));
        own.set("moments", std::move(list));
        note(std::move(own));
    }
    if (const Status saved = ids_.save(folder_); !saved)
        log_debug("names of kept blocks are not remembered", {{"folder", folder_}, {"why", saved.error().message}});
    json::Value facts = json::Value::object({{"newest", std::uint64_t(newest)}});
    if (moments == 0) return facts;
    const json::Value document = json::Value::object({{"version", 1}, {"generations", std::move(generations)}});
    if (const Status added =
            context_.backup.add_file(below + "/" + k_states_file, as_bytes(json::dump(document, 0) + "\n"), 0600);
        !added) {
        log_warning("kept states are not in the backup", {{"path", config_.path}, {"why", added.error().message}});
        context_.backup.forget_path(below);
        return facts;
    }
    facts.set("from", from)
        .set("until", until)
        .set("moments", moments)
        .set("generations", std::uint64_t(document["generations"].items().size()));
    if (left_out > 0) facts.set("left_out", left_out);
    return facts;
}

}    // namespace holdfast::source
