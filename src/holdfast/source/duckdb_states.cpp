#include "holdfast/source/duckdb_states.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <map>

#include "holdfast/base/xxh64.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"

namespace holdfast::source {
namespace {

constexpr std::string_view k_lists = "`holdfast duckdb states` lists them";

Error expired(const Error& error, const DuckDbState& state) {
    if (error.code != ErrorCode::not_found) return error;
    return {ErrorCode::not_found, fmt::format("state {} is not kept any more", state.name()), std::string(k_lists)};
}

// The log's frames up to the one with the last of these commits, then cut behind it.
Result<std::uint64_t> write_log(const std::string& from, const DuckDbState& state, const std::string& to,
                                bool durable) {
    HF_TRY(const auto frames, read_frames(from));
    if (state.commits > (frames.empty() ? 0 : frames.back().commits))
        return fail(ErrorCode::corrupt, fmt::format("{} ends before the commits of state {}", from, state.name()),
                    std::string(k_lists));
    if (state.commits == 0) return std::uint64_t(0);
    HF_TRY(const os::Fd source, os::open_file(from, O_RDONLY));
    HF_TRY(const os::Fd out, os::open_file(to, O_RDWR | O_CREAT | O_TRUNC));
    Bytes content;
    std::uint64_t chain = 0, size = 0, commits = 0;
    for (const KeptFrame& frame : frames) {
        if (commits >= state.commits) break;
        content.resize(static_cast<std::size_t>(frame.bytes));
        HF_TRY(const std::size_t got, os::pread_full(source.get(), content, frame.offset));
        chain = xxh64(ByteView(content).first(got), chain);
        if (chain != frame.chain)
            return fail(ErrorCode::corrupt,
                        fmt::format("{} is damaged within commits {} to {}", from, commits + 1, frame.commits),
                        fmt::format("state {}+{} is whole", state.generation, commits));
        HF_DO(os::write_all(out.get(), content));
        size += frame.bytes;
        commits = frame.commits;
    }
    // A log that DuckDB does not take for one it ignores without a word: so it is read here first.
    HF_TRY(const Bytes whole, os::read_file(to, std::uint64_t(8) << 30));
    HF_TRY(const db::DuckDbLog log, db::parse_duckdb_log(whole, from));
    if (log.damaged_at || log.uncommitted_bytes > 0 || log.commit_count != commits)
        return fail(ErrorCode::corrupt, fmt::format("{} does not hold the {} commits that it names", from, commits),
                    std::string(k_lists));
    if (commits > state.commits) {
        HF_TRY(size, db::duckdb_log_size(whole, state.commits, to));
        if (::ftruncate(out.get(), static_cast<off_t>(size)) != 0) return fail(errno_error(errno, "cannot cut " + to));
    }
    if (durable) HF_DO(os::sync_fd(out.get(), to));
    return size;
}

}    // namespace

std::string DuckDbState::name() const { return fmt::format("{}+{}", generation, commits); }

std::uint64_t KeptStates::log_bytes() const {
    std::uint64_t sum = 0;
    for (const KeptFrame& frame : frames) sum += frame.bytes;
    return sum;
}

Result<DuckDbStates::List> DuckDbStates::list() const {
    List list;
    const auto names = os::list_folder(folder_);
    if (!names && names.error().code == ErrorCode::not_found) return list;
    if (!names) return fail(names.error());
    for (const std::string& name : *names) {
        const auto number = generation_number(name, ".log");
        if (!number) continue;
        auto generation = read_generation(generation_file(folder_, *number, ".blocks"));
        auto frames = read_frames(folder_ + "/" + name);
        if (!generation || !frames) {
            // Gone: it expired while we looked, or its keeper was killed before it was whole.
            const Error& error = generation ? frames.error() : generation.error();
            list.damaged += error.code != ErrorCode::not_found;
            continue;
        }
        KeptStates states{*std::move(generation), *std::move(frames), {}};
        if (const auto text = os::read_text(generation_file(folder_, *number, ".verified")))
            if (auto said = json::parse(*text, "")) states.verified = *std::move(said);
        list.states.push_back(std::move(states));
    }
    std::ranges::sort(list.states, {}, [](const KeptStates& s) { return s.generation.number; });
    return list;
}

Result<DuckDbState> DuckDbStates::find(std::optional<Timestamp> at) const {
    HF_TRY(const List kept, list());
    std::optional<DuckDbState> found;
    for (const KeptStates& states : kept.states)
        for (const KeptFrame& frame : states.frames)
            if (!at || frame.at <= *at) found = DuckDbState{states.generation.number, frame.commits, frame.at};
    if (found) return *found;
    if (kept.states.empty())
        return fail(ErrorCode::not_found, fmt::format("no state is kept in {}", folder_),
                    "`holdfast duckdb watch` keeps them; the vault may have an older one: `holdfast snapshots`");
    return fail(ErrorCode::not_found,
                fmt::format("the oldest state that is kept is of {}", to_rfc3339(kept.states.front().generation.at)),
                "the vault may have an older one: `holdfast snapshots`");
}

Result<DuckDbState> DuckDbStates::find_verified() const {
    HF_TRY(const List kept, list());
    for (auto states = kept.states.rbegin(); states != kept.states.rend(); ++states)
        if (!states->verified.is_null()) {
            HF_TRY(const Timestamp at, parse_rfc3339(states->verified["at"].text()));
            return DuckDbState{states->generation.number, states->verified["commits"].natural(), at};
        }
    return fail(ErrorCode::not_found, fmt::format("no state in {} was verified yet", folder_),
                "without --verified the newest one is taken, and checked before anything is replaced");
}

Result<DuckDbState> DuckDbStates::find(std::string_view name) const {
    DuckDbState state;
    const std::size_t plus = name.find('+');
    const std::string_view generation = name.substr(0, plus);
    const std::string_view commits = plus == name.npos ? std::string_view() : name.substr(plus + 1);
    const auto number = [](std::string_view text, auto& to) {
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), to);
        return error == std::errc() && end == text.data() + text.size();
    };
    if (!number(generation, state.generation) || (plus != name.npos && !number(commits, state.commits)))
        return fail(ErrorCode::usage, fmt::format("'{}' is no state: \"12\" or \"12+340\"", name),
                    std::string(k_lists));
    HF_TRY(const List kept, list());
    for (const KeptStates& states : kept.states) {
        if (states.generation.number != state.generation) continue;
        if (plus == name.npos) state.commits = states.commits();
        if (state.commits > states.commits())
            return fail(ErrorCode::not_found,
                        fmt::format("generation {} has {} commits in its log", generation, states.commits()),
                        std::string(k_lists));
        state.at = states.generation.at;
        for (const KeptFrame& frame : states.frames)
            if (frame.commits <= state.commits) state.at = frame.at;
        return state;
    }
    return fail(ErrorCode::not_found, fmt::format("generation {} is not kept", generation), std::string(k_lists));
}

Result<DuckDbStates::Written> DuckDbStates::write(const DuckDbState& state, const std::string& to, bool durable) const {
    auto generation = read_generation(generation_file(folder_, state.generation, ".blocks"));
    if (!generation) return fail(expired(generation.error(), state));
    HF_TRY(const os::Fd out, os::open_file(to, O_WRONLY | O_CREAT | O_TRUNC));
    HF_DO(os::write_all(out.get(), generation->headers));
    KeptBlockFiles files(folder_);
    Bytes buffer(generation->block_size);
    for (std::size_t i = 0; i < generation->blocks.size(); ++i) {
        if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped while writing " + to);
        const ByteSpan room = ByteSpan(buffer).first(generation->block_bytes(i));
        if (const Status read = files.read(*generation, i, room); !read) return fail(expired(read.error(), state));
        HF_DO(os::write_all(out.get(), room));
    }
    if (durable) HF_DO(os::sync_fd(out.get(), to));
    Written written{generation->file_bytes, 0};
    auto log = write_log(generation_file(folder_, state.generation, ".log"), state, to + ".wal", durable);
    if (!log) return fail(expired(log.error(), state));
    written.log_bytes = *log;
    return written;
}

}    // namespace holdfast::source
