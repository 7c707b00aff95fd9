#include "holdfast/source/tar_reader.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>
#include <optional>

namespace holdfast::source {
namespace {

constexpr std::size_t k_block = 512;

std::string_view field(ByteView block, std::size_t offset, std::size_t length) {
    const std::string_view text = as_text(block.subspan(offset, length));
    return text.substr(0, text.find('\0'));
}

// Octal digits with blanks or NUL around them; or, with the highest bit set, a big-endian number.
std::optional<std::uint64_t> number(ByteView block, std::size_t offset, std::size_t length) {
    const ByteView bytes = block.subspan(offset, length);
    std::uint64_t value = 0;
    if (const auto first = static_cast<unsigned>(bytes[0]); (first & 0x80) != 0) {
        if (first != 0x80) return std::nullopt;    // negative, or far too large
        for (const std::byte byte : bytes.subspan(1)) {
            if (value >> 55 != 0) return std::nullopt;
            value = value << 8 | static_cast<unsigned>(byte);
        }
        return value;
    }
    std::size_t i = 0;
    const auto at = [&](std::size_t index) { return static_cast<char>(bytes[index]); };
    while (i < length && at(i) == ' ') ++i;
    for (; i < length && at(i) >= '0' && at(i) <= '7'; ++i) {
        if (value >> 60 != 0) return std::nullopt;
        value = value << 3 | static_cast<unsigned>(at(i) - '0');
    }
    for (; i < length; ++i)
        if (at(i) != ' ' && at(i) != '\0') return std::nullopt;
    return value;
}

bool has_right_sum(ByteView block) {
    constexpr std::size_t k_sum_at = 148, k_sum_size = 8;
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < k_block; ++i)
        sum += i >= k_sum_at && i < k_sum_at + k_sum_size ? ' ' : static_cast<unsigned>(block[i]);
    return number(block, k_sum_at, k_sum_size) == sum;
}

}    // namespace

bool is_inner_path(std::string_view path) {
    if (path.empty() || path.find('\0') != path.npos) return false;
    for (std::size_t at = 0; at <= path.size();) {
        const std::size_t end = std::min(path.find('/', at), path.size());
        const std::string_view part = path.substr(at, end - at);
        if (part.empty() || part == "." || part == "..") return false;
        at = end + 1;
    }
    return true;
}

std::unexpected<Error> TarReader::corrupt(std::string_view why) const {
    return fail(ErrorCode::corrupt, fmt::format("{} at byte {}: {}", what_, offset_, why));
}

Status TarReader::header(TarSink& sink) {
    const ByteView block(block_);
    if (std::ranges::all_of(block, [](std::byte byte) { return byte == std::byte(0); })) {
        if (++zero_blocks_ > 2) return corrupt("more follows the archive's end");
        return {};
    }
    if (zero_blocks_ != 0) return corrupt("an entry follows the archive's end");
    if (!has_right_sum(block)) return corrupt("the checksum of a header is wrong");

    TarEntry entry;
    entry.name = field(block, 0, 100);
    if (field(block, 257, 5) == "ustar")
        if (const auto prefix = field(block, 345, 155); !prefix.empty())
            entry.name = fmt::format("{}/{}", prefix, entry.name);
    while (entry.name.starts_with("./")) entry.name.erase(0, 2);
    while (entry.name.ends_with('/')) entry.name.pop_back();
    if (!is_inner_path(entry.name)) return corrupt("an entry's name leads out of the archive");

    const auto mode = number(block, 100, 8), uid = number(block, 108, 8), gid = number(block, 116, 8);
    const auto size = number(block, 124, 12), mtime = number(block, 136, 12);
    constexpr std::uint64_t k_size_max = std::uint64_t(1) << 60, k_time_max = std::uint64_t(1) << 33;
    if (!mode || !uid || !gid || !size || !mtime || *size > k_size_max || *mtime > k_time_max || *uid > UINT32_MAX ||
        *gid > UINT32_MAX)
        return corrupt("a header holds something that is no number");
    entry.mode = static_cast<std::uint32_t>(*mode) & 07777;
    entry.uid = static_cast<std::uint32_t>(*uid);
    entry.gid = static_cast<std::uint32_t>(*gid);
    entry.mtime = Timestamp{static_cast<std::int64_t>(*mtime) * 1'000'000'000};
    switch (static_cast<char>(block[156])) {
        case '0':
        case '\0':
            entry.kind = TarEntry::Kind::file;
            entry.size = *size;
            break;
        case '5':
            entry.kind = TarEntry::Kind::folder;
            break;
        case '2':
            entry.kind = TarEntry::Kind::link;
            entry.link_target = field(block, 157, 100);
            if (entry.link_target.empty()) return corrupt("a link leads nowhere");
            break;
        default:
            return corrupt(fmt::format("{} is neither file, folder nor link", entry.name));
    }
    HF_DO(sink.begin(entry));
    if (entry.kind != TarEntry::Kind::file) return {};
    if (entry.size == 0) return sink.end();
    in_file_ = true;
    content_left_ = entry.size;
    padding_left_ = static_cast<std::size_t>((k_block - entry.size % k_block) % k_block);
    return {};
}

Status TarReader::feed(ByteView bytes, TarSink& sink) {
    while (!bytes.empty()) {
        std::size_t taken = 0;
        if (in_file_) {
            taken = static_cast<std::size_t>(std::min<std::uint64_t>(content_left_, bytes.size()));
            HF_DO(sink.data(bytes.first(taken)));
            content_left_ -= taken;
            if (content_left_ == 0) {
                in_file_ = false;
                HF_DO(sink.end());
            }
        } else if (padding_left_ > 0) {
            taken = std::min(padding_left_, bytes.size());
            padding_left_ -= taken;
        } else {
            taken = std::min(k_block - block_filled_, bytes.size());
            std::memcpy(block_.data() + block_filled_, bytes.data(), taken);
            block_filled_ += taken;
            if (block_filled_ == k_block) {
                block_filled_ = 0;
                HF_DO(header(sink));
            }
        }
        offset_ += taken;
        bytes = bytes.subspan(taken);
    }
    return {};
}

Status TarReader::finish() const {
    if (zero_blocks_ == 2 && block_filled_ == 0) return {};
    return corrupt("the archive ends early");
}

}    // namespace holdfast::source
