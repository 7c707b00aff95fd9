// A trade journal into the vault, also while its engine writes. Only whole records are taken, each segment up to the last of
// them: a plain read of a live segment could mix two moments, and what then looks like damage in the middle would keep the
// restored journal from opening.

#include <fmt/core.h>

#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/source/capture.hpp"
#include "holdfast/trade/journal_log.hpp"
#include "holdfast/trade/journal_reader.hpp"
#include "holdfast/trade/state_snapshot.hpp"

namespace holdfast::source {
namespace {

constexpr int k_tries = 5;
constexpr std::size_t k_piece = std::size_t(1) << 20;

struct Taken {
    trade::Sequence first = 0, last = 0;
    std::uint64_t bytes = 0, segments = 0, snapshots = 0;
};

Status stream(CaptureContext& context, const std::string& to, const trade::JournalFile& from, std::uint64_t size) {
    vault::StreamOptions options;
    options.mode = 0600;
    HF_TRY(const auto writer, context.backup.start_stream(to, options));
    Bytes piece(k_piece);
    for (std::uint64_t at = 0; at < size; at += k_piece) {
        if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped while storing " + to);
        const ByteSpan part = ByteSpan(piece).first(std::min<std::uint64_t>(k_piece, size - at));
        HF_TRY(const std::size_t read, from.read(part, at));
        if (read != part.size()) return fail(ErrorCode::changed, to + " became shorter while it was read");
        HF_DO(writer->write(part));
    }
    HF_TRY([[maybe_unused]] const auto stored, writer->finish());
    return {};
}

// not_found: the engine released or replaced a file meanwhile.
Result<Taken> take(const trade::JournalFolder& folder, const std::string& to, CaptureContext& context) {
    HF_TRY(const auto names, folder.list());
    const auto segments = trade::segments_of(names);
    if (segments.empty())
        return fail(ErrorCode::config, "there is no journal in that folder", "check the path in [[journal]]");
    Taken taken;
    taken.first = segments.front();
    // Before the segments, so that they reach at least as far.
    for (const trade::Sequence sequence : trade::snapshots_of(names)) {
        HF_TRY([[maybe_unused]] const auto checked, trade::read_state_snapshot(folder, sequence));
        HF_TRY(const auto file, folder.open(trade::snapshot_name(sequence), false));
        HF_TRY(const std::uint64_t size, file->size());
        HF_DO(stream(context, to + '/' + trade::snapshot_name(sequence), *file, size));
        taken.bytes += size;
        ++taken.snapshots;
    }
    // A segment that the engine begins meanwhile is the next run's.
    for (std::size_t i = 0; i < segments.size(); ++i) {
        HF_TRY(auto reader, trade::SegmentReader::open(folder, segments[i]));
        for (;;) {
            if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped while reading the journal");
            HF_TRY(const auto record, reader.next());
            if (!record) break;
        }
        const bool newest = i + 1 == segments.size();
        if (newest || reader.sequence() != segments[i + 1]) HF_DO(reader.check_end(newest ? 0 : segments[i + 1] - 1));
        HF_TRY(const auto file, folder.open(trade::segment_name(segments[i]), false));
        HF_DO(stream(context, to + '/' + trade::segment_name(segments[i]), *file, reader.offset()));
        taken.last = reader.sequence() - 1;
        taken.bytes += reader.offset();
        ++taken.segments;
    }
    return taken;
}

}    // namespace

Result<json::Value> capture_journal(const policy::JournalConfig& config, CaptureContext& context) {
    const std::string path = os::absolute_path(config.path);
    HF_TRY(const auto folder, trade::JournalFolder::look(path));
    const std::string to = context.folder + path;
    for (int i = 1;; ++i) {
        const auto taken = take(*folder, to, context);
        if (!taken) {
            if (taken.error().code != ErrorCode::not_found || i == k_tries) return fail(taken.error());
            context.backup.forget_path(context.folder);
            continue;
        }
        // Whoever opens the restored one must know that more may have happened since.
        HF_TRY(const auto marker, context.backup.start_stream(to + '/' + std::string(trade::k_restored_marker),
                                                              {.cut = {}, .mode = 0600, .mtime = {}}));
        HF_DO(marker->write(as_bytes(fmt::format("{}\n", taken->last))));
        HF_TRY([[maybe_unused]] const auto stored, marker->finish());
        return json::Value::object({{"paths", json::Array{path}},
                                    {"first", taken->first},
                                    {"last", taken->last},
                                    {"segments", taken->segments},
                                    {"state_snapshots", taken->snapshots},
                                    {"files", taken->segments + taken->snapshots + 1},    // with the marker
                                    {"bytes", taken->bytes},
                                    {"tries", i}});
    }
}

}    // namespace holdfast::source
