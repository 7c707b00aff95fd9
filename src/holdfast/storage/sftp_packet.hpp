#pragma once
// Packets of the SFTP protocol, version 3: built and taken apart. Pure; the bytes of a reply come from a server that may
// be broken or hostile.
//
//   shape    u32 length | u8 type | u32 id | fields; integers big-endian, strings with a u32 length before them
//   errors   corrupt: a field reaches over the end of its packet
//   threads  values only
//   source   draft-ietf-secsh-filexfer-02; OpenSSH's PROTOCOL for the extensions

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "holdfast/base/bytes.hpp"
#include "holdfast/base/result.hpp"

namespace holdfast::storage {

enum class SftpType : std::uint8_t {
    init = 1,
    version = 2,
    open = 3,
    close = 4,
    read = 5,
    write = 6,
    fstat = 8,
    opendir = 11,
    readdir = 12,
    remove = 13,
    mkdir = 14,
    stat = 17,
    rename = 18,
    status = 101,
    handle = 102,
    data = 103,
    name = 104,
    attrs = 105,
    extended = 200,
    extended_reply = 201
};

enum class SftpStatus : std::uint32_t {
    ok = 0,
    end_of_file = 1,
    no_such_file = 2,
    permission_denied = 3,
    failure = 4,
    bad_message = 5,
    no_connection = 6,
    connection_lost = 7,
    unsupported = 8
};

/// More than any server sends: OpenSSH stops at 256 KiB.
constexpr std::uint32_t k_sftp_packet_max = (256u << 10) + 1024;

/// A request in the making: `SftpRequest(SftpType::remove, id).text(path).take()`.
class SftpRequest {
public:
    SftpRequest(SftpType type, std::uint32_t id);
    SftpRequest& u32(std::uint32_t value);
    SftpRequest& u64(std::uint64_t value);
    SftpRequest& text(std::string_view value);
    SftpRequest& bytes(ByteView value);
    /// With the length in front.
    Bytes take();

private:
    Bytes bytes_;
};

struct SftpAttributes {
    std::optional<std::uint64_t> size;
    std::optional<std::uint32_t> mode;    // with the file type's bits
    std::optional<std::uint32_t> modified;    // seconds since 1970, by the server's clock
    bool is_folder() const { return mode && (*mode & 0170000) == 0040000; }
};

struct SftpName {
    std::string name;
    SftpAttributes attributes;
};

/// One packet without its length.
struct SftpReply {
    SftpType type = SftpType::status;
    std::uint32_t id = 0;    // the protocol's version in a version packet
    Bytes bytes;
    ByteView fields() const { return ByteView(bytes).subspan(5); }
};
Result<SftpReply> parse_sftp_reply(Bytes packet);

struct SftpStatusReply {
    SftpStatus code = SftpStatus::failure;
    std::string message;    // the server's words, cut and made printable
};
Result<SftpStatusReply> parse_sftp_status(ByteView fields);
/// The one string of a handle or data packet; borrowed.
Result<ByteView> parse_sftp_string(ByteView fields);
Result<SftpAttributes> parse_sftp_attributes(ByteView fields);
Result<std::vector<SftpName>> parse_sftp_names(ByteView fields);
/// Names of the extensions that a version packet lists.
Result<std::vector<std::string>> parse_sftp_extensions(ByteView fields);

}    // namespace holdfast::storage
