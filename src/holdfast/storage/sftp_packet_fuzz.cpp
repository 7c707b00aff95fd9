// Packets of a broken or hostile SFTP server, taken for every kind of reply.

#include "holdfast/storage/sftp_packet.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace holdfast;
    const ByteView bytes(reinterpret_cast<const std::byte*>(data), size);
    const auto reply = storage::parse_sftp_reply(Bytes(bytes.begin(), bytes.end()));
    if (!reply) return 0;
    const ByteView fields = reply->fields();
    if (const auto text = storage::parse_sftp_string(fields)) HF_ASSERT(text->size() + 4 <= fields.size());
    if (const auto names = storage::parse_sftp_names(fields)) HF_ASSERT(names->size() * 12 <= fields.size());
    static_cast<void>(storage::parse_sftp_status(fields).has_value());
    static_cast<void>(storage::parse_sftp_attributes(fields).has_value());
    static_cast<void>(storage::parse_sftp_extensions(fields).has_value());
    return 0;
}
