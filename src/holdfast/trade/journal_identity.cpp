#include "holdfast/trade/journal_identity.hpp"

#include <fmt/core.h>

#include <charconv>
#include <optional>

#include "holdfast/ledger/uuid.hpp"
#include "holdfast/os/crash_point.hpp"
#include "holdfast/os/host.hpp"

namespace holdfast::trade {
namespace {

constexpr std::string_view k_identity = "identity";
constexpr std::string_view k_unfinished = ".unfinished";
constexpr std::size_t k_uuid_size = 36;
constexpr std::size_t k_size_max = 128;    // of what is read

Result<std::string> read(const JournalDisk& disk, std::string_view name) {
    const auto file = disk.open(std::string(name), false);
    if (!file && file.error().code == ErrorCode::not_found) return std::string();
    if (!file) return fail(file.error());
    Bytes bytes(k_size_max);
    HF_TRY(const std::size_t size, (*file)->read(bytes, 0));
    return std::string(as_text(ByteView(bytes).first(size)));
}

Status write(JournalDisk& disk, std::string_view name, std::string_view text) {
    const std::string unfinished = std::string(name) + std::string(k_unfinished);
    {
        HF_TRY(const auto file, disk.create(unfinished));
        HF_DO(file->write(as_bytes(text), 0));
        HF_DO(file->sync());
    }
    HF_DO(disk.rename(unfinished, std::string(name)));
    return disk.sync_names();
}

std::optional<JournalIdentity> parse(std::string_view text) {
    JournalIdentity identity;
    if (text.size() < k_uuid_size + 3 || text[k_uuid_size] != ' ' || text.back() != '\n') return std::nullopt;
    const auto uuid = ledger::Uuid::parse(text.substr(0, k_uuid_size));
    const auto [end, error] =
        std::from_chars(text.data() + k_uuid_size + 1, text.data() + text.size() - 1, identity.first);
    if (!uuid || error != std::errc() || end != text.data() + text.size() - 1) return std::nullopt;
    identity.uuid = uuid->text();
    return identity;
}

std::string random_uuid() {
    ledger::Uuid uuid;
    os::random_bytes(uuid.bytes);
    uuid.bytes[6] = (uuid.bytes[6] & std::byte{0x0f}) | std::byte{0x40};
    uuid.bytes[8] = (uuid.bytes[8] & std::byte{0x3f}) | std::byte{0x80};
    return uuid.text();
}

}    // namespace

Result<JournalIdentity> settle_identity(JournalDisk& disk, const Recovery& recovery) {
    HF_TRY(const std::string text, read(disk, k_identity));
    const auto known = parse(text);
    if (!text.empty() && !known)
        return fail(ErrorCode::corrupt, "the journal's file `identity` is damaged",
                    "remove it: the journal then gets another identity, and the stores get once more what it holds");
    // The marker of a restore repeats the identity that was given since; a later restore brings another marker.
    if (known && !recovery.restored) return *known;
    if (known) {
        HF_TRY(const std::string given, read(disk, k_restored_marker));
        if (given == text) return *known;
    }
    const JournalIdentity made{random_uuid(), recovery.first};
    const std::string line = fmt::format("{} {}\n", made.uuid, made.first);
    HF_DO(write(disk, k_identity, line));
    os::crash_point("journal.identity_made");
    if (recovery.restored) HF_DO(write(disk, k_restored_marker, line));
    return made;
}

}    // namespace holdfast::trade
