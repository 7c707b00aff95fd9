#include "holdfast/trade/state_snapshot.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>

#include "holdfast/os/crash_point.hpp"

namespace holdfast::trade {
namespace {

constexpr std::string_view k_magic = "HFJSNAP1";
constexpr std::string_view k_prefix = "snapshot-";
constexpr std::string_view k_unfinished = ".unfinished";
constexpr std::size_t k_digits = 20;
constexpr std::size_t k_head = 32;
constexpr std::uint32_t k_version = 1;
constexpr std::size_t k_kept = 2;

std::uint32_t snapshot_crc(ByteView file) { return ledger::crc32c(file.subspan(12), ledger::crc32c(file.first(8))); }

}    // namespace

std::string snapshot_name(Sequence sequence) { return fmt::format("{}{:020}", k_prefix, sequence); }

std::vector<Sequence> snapshots_of(const std::vector<std::string>& names) {
    std::vector<Sequence> all;
    for (const std::string& name : names) {
        if (name.size() != k_prefix.size() + k_digits || !name.starts_with(k_prefix)) continue;
        Sequence sequence = 0;
        const char* end = name.data() + name.size();
        const auto [at, error] = std::from_chars(name.data() + k_prefix.size(), end, sequence);
        if (error == std::errc() && at == end) all.push_back(sequence);
    }
    std::ranges::sort(all);
    return all;
}

Status save_state_snapshot(JournalDisk& disk, Sequence sequence, ByteView state) {
    Bytes file(k_head);
    std::ranges::copy(as_bytes(k_magic), file.data());
    store_le(file.data() + 12, k_version);
    store_le(file.data() + 16, sequence);
    store_le(file.data() + 24, static_cast<std::uint64_t>(state.size()));
    append(file, state);
    store_le(file.data() + 8, snapshot_crc(file));

    const std::string name = snapshot_name(sequence);
    const std::string unfinished = name + std::string(k_unfinished);
    const auto write = [&]() -> Status {
        HF_TRY(const auto to, disk.create(unfinished));
        HF_DO(to->write(file, 0));
        return to->sync();
    };
    if (auto written = write(); !written) {
        // Half of it must not fill a disk that is full already.
        if (auto removed = disk.remove(unfinished); !removed) return removed;
        return written;
    }
    os::crash_point("journal.snapshot_written");
    HF_DO(disk.rename(unfinished, name));
    HF_DO(disk.sync_names());
    os::crash_point("journal.snapshot_named");

    HF_TRY(const auto names, disk.list());
    for (const std::string& left : names)
        if (left.starts_with(k_prefix) && left.ends_with(k_unfinished)) HF_DO(disk.remove(left));
    return {};
}

Result<Sequence> remove_old_snapshots(JournalDisk& disk, Sequence needed) {
    HF_TRY(const auto names, disk.list());
    const auto all = snapshots_of(names);
    // Without one that covers no more than `needed`, only the records from the journal's beginning on tell the state there.
    const auto after = std::ranges::upper_bound(all, needed);
    if (after == all.begin()) return 0;
    const auto newest = all.end() - static_cast<std::ptrdiff_t>(std::min(all.size(), k_kept));
    const auto base = std::prev(after);
    for (auto one = all.begin(); one < newest; ++one)
        if (one != base) HF_DO(disk.remove(snapshot_name(*one)));
    return std::min(*base, *newest);
}

Result<StateSnapshot> read_state_snapshot(const JournalDisk& disk, Sequence sequence) {
    const std::string name = snapshot_name(sequence);
    HF_TRY(const auto from, disk.open(name, false));
    HF_TRY(const std::uint64_t size, from->size());
    Bytes file(size);
    HF_TRY(const std::size_t read, from->read(file, 0));
    const auto damaged = [&](std::string_view what) {
        return fail(ErrorCode::corrupt, fmt::format("the state {} {}", name, what));
    };
    if (read != size || size < k_head) return damaged("ends early");
    if (as_text(ByteView(file).first(k_magic.size())) != k_magic) return damaged("does not begin as one");
    if (load_le<std::uint32_t>(file.data() + 8) != snapshot_crc(file)) return damaged("does not match its checksum");
    if (const auto version = load_le<std::uint32_t>(file.data() + 12); version != k_version)
        return fail(ErrorCode::unsupported, fmt::format("the state {} is of version {}", name, version),
                    "it was written by a newer holdfast: use that one");
    if (load_le<std::uint64_t>(file.data() + 16) != sequence) return damaged("is of another sequence");
    if (load_le<std::uint64_t>(file.data() + 24) != size - k_head) return damaged("has another length than it says");
    file.erase(file.begin(), file.begin() + k_head);
    return StateSnapshot{sequence, std::move(file)};
}

Result<FoundSnapshot> newest_state_snapshot(const JournalDisk& disk) {
    HF_TRY(const auto names, disk.list());
    FoundSnapshot found;
    auto all = snapshots_of(names);
    for (; !all.empty() && !found.snapshot; all.pop_back()) {
        auto snapshot = read_state_snapshot(disk, all.back());
        if (snapshot)
            found.snapshot = *std::move(snapshot);
        else
            found.passed_over.push_back(std::move(snapshot).error());
    }
    return found;
}

}    // namespace holdfast::trade
