#include "holdfast/storage/sftp_packet.hpp"

#include <bit>

namespace holdfast::storage {
namespace {

std::unexpected<Error> cut_off() {
    return fail(ErrorCode::corrupt, "the SFTP server sent a packet that ends inside a field");
}

// Takes fields off the front.
class Fields {
public:
    explicit Fields(ByteView bytes) : rest_(bytes) {}

    Result<std::uint32_t> u32() {
        HF_TRY(const ByteView four, take(4));
        return __builtin_bswap32(load_le<std::uint32_t>(four.data()));
    }
    Result<std::uint64_t> u64() {
        HF_TRY(const ByteView eight, take(8));
        return __builtin_bswap64(load_le<std::uint64_t>(eight.data()));
    }
    Result<ByteView> string() {
        HF_TRY(const std::uint32_t length, u32());
        return take(length);
    }
    Result<SftpAttributes> attributes() {
        SftpAttributes found;
        HF_TRY(const std::uint32_t flags, u32());
        if (flags & 1) {
            HF_TRY(const std::uint64_t size, u64());
            found.size = size;
        }
        if (flags & 2) HF_DO(take(8));    // owner and group
        if (flags & 4) {
            HF_TRY(const std::uint32_t mode, u32());
            found.mode = mode;
        }
        if (flags & 8) {
            HF_DO(u32());    // when it was read last
            HF_TRY(const std::uint32_t modified, u32());
            found.modified = modified;
        }
        if (flags & 0x80000000u) {
            HF_TRY(const std::uint32_t count, u32());
            for (std::uint32_t i = 0; i < count; ++i) {
                HF_DO(string());
                HF_DO(string());
            }
        }
        return found;
    }
    bool empty() const { return rest_.empty(); }
    std::size_t size() const { return rest_.size(); }

private:
    Result<ByteView> take(std::size_t n) {
        if (n > rest_.size()) return cut_off();
        const ByteView taken = rest_.first(n);
        rest_ = rest_.subspan(n);
        return taken;
    }
    ByteView rest_;
};

}    // namespace

SftpRequest::SftpRequest(SftpType type, std::uint32_t id) {
    bytes_.resize(4);
    bytes_.push_back(static_cast<std::byte>(type));
    u32(id);
}

SftpRequest& SftpRequest::u32(std::uint32_t value) {
    append_le(bytes_, __builtin_bswap32(value));
    return *this;
}

SftpRequest& SftpRequest::u64(std::uint64_t value) {
    append_le(bytes_, __builtin_bswap64(value));
    return *this;
}

SftpRequest& SftpRequest::text(std::string_view value) { return bytes(as_bytes(value)); }

SftpRequest& SftpRequest::bytes(ByteView value) {
    u32(static_cast<std::uint32_t>(value.size()));
    append(bytes_, value);
    return *this;
}

Bytes SftpRequest::take() {
    store_le(bytes_.data(), __builtin_bswap32(static_cast<std::uint32_t>(bytes_.size() - 4)));
    return std::move(bytes_);
}

Result<SftpReply> parse_sftp_reply(Bytes packet) {
    if (packet.size() < 5) return cut_off();
    SftpReply reply;
    reply.type = static_cast<SftpType>(packet[0]);
    reply.id = __builtin_bswap32(load_le<std::uint32_t>(packet.data() + 1));
    reply.bytes = std::move(packet);
    return reply;
}

Result<SftpStatusReply> parse_sftp_status(ByteView fields) {
    Fields in(fields);
    SftpStatusReply status;
    HF_TRY(const std::uint32_t code, in.u32());
    status.code = static_cast<SftpStatus>(code);
    if (in.empty()) return status;    // old servers send the code alone
    HF_TRY(const ByteView message, in.string());
    for (const char c : as_text(message).substr(0, 300))
        status.message += static_cast<unsigned char>(c) < ' ' || c == '\x7f' ? ' ' : c;
    return status;
}

Result<ByteView> parse_sftp_string(ByteView fields) { return Fields(fields).string(); }

Result<SftpAttributes> parse_sftp_attributes(ByteView fields) { return Fields(fields).attributes(); }

Result<std::vector<SftpName>> parse_sftp_names(ByteView fields) {
    Fields in(fields);
    HF_TRY(const std::uint32_t count, in.u32());
    std::vector<SftpName> names;
    // The count is not believed before the names are there: each takes 12 bytes at least.
    if (count > in.size() / 12) return cut_off();
    names.reserve(count);
    for (std::uint32_t i = 0; i < count; ++i) {
        SftpName entry;
        HF_TRY(const ByteView name, in.string());
        entry.name = as_text(name);
        HF_DO(in.string());    // as `ls -l` shows it
        HF_TRY(entry.attributes, in.attributes());
        names.push_back(std::move(entry));
    }
    return names;
}

Result<std::vector<std::string>> parse_sftp_extensions(ByteView fields) {
    Fields in(fields);
    std::vector<std::string> names;
    while (!in.empty()) {
        HF_TRY(const ByteView name, in.string());
        HF_DO(in.string());
        names.emplace_back(as_text(name));
    }
    return names;
}

}    // namespace holdfast::storage
