#pragma once
// One SFTP session: requests are sent ahead of their answers, so that a long line costs its delay once and not once a
// packet.
//
//   errors    not_found, denied, exists, disk_full, io (what the server says), corrupt (it does not keep to the protocol),
//             and those of the channel. After an error of the channel or of the protocol broken() is true: open another
//   threads   one at a time
//   source    storage/sftp_packet.hpp; what OpenSSH adds: fsync@openssh.com, statvfs@openssh.com

#include <functional>
#include <map>
#include <memory>
#include <set>

#include "holdfast/storage/sftp_packet.hpp"
#include "holdfast/storage/ssh_channel.hpp"

namespace holdfast::storage {

/// Fills `to` with the bytes from `offset`.
using SftpSource = std::function<Status(std::uint64_t offset, ByteSpan to)>;

class SftpClient {
public:
    /// Says hello.
    static Result<std::unique_ptr<SftpClient>> start(std::unique_ptr<SshChannel> channel);

    /// A folder that is there already is no error.
    Status make_folder(const std::string& path);
    Result<SftpAttributes> status_of(const std::string& path);
    /// Exactly to.size() bytes; corrupt when the file ends before.
    Status read_at(const std::string& path, std::uint64_t offset, ByteSpan to);
    Result<Bytes> read(const std::string& path, std::uint64_t size_max);
    /// A new file (exists otherwise), written and on the disk when it returns, as far as the server knows how.
    Status write_new(const std::string& path, std::uint64_t size, const SftpSource& source, bool sync);
    /// exists when `to` is there.
    Status rename(const std::string& from, const std::string& to);
    Status remove(const std::string& path);
    /// All names of some folders at once; a folder that is not there is empty.
    Status list(const std::vector<std::string>& folders,
                const std::function<void(std::size_t folder, const SftpName& name)>& found);
    /// Brings a folder's names to the disk; false when the server cannot.
    Result<bool> sync_folder(const std::string& path);
    bool broken() const { return broken_; }

private:
    explicit SftpClient(std::unique_ptr<SshChannel> channel) : channel_(std::move(channel)) {}

    Result<std::uint32_t> send(SftpType type, const std::function<void(SftpRequest&)>& fill);
    /// The answer to one request; answers to others that come before it are kept.
    Result<SftpReply> answer(std::uint32_t id);
    Result<SftpReply> receive();
    Status fill_input(std::size_t wanted);
    std::unexpected<Error> break_off(Error error);

    Status expect_ok(std::uint32_t id, const std::string& what);
    Error refused(const SftpReply& reply, const std::string& what);
    Result<std::string> expect_handle(std::uint32_t id, const std::string& what);
    Result<std::string> open(const std::string& path, std::uint32_t flags, const std::string& what);
    Status close(const std::string& handle, const std::string& what);
    Status read_handle(const std::string& handle, std::uint64_t offset, ByteSpan to, const std::string& what);
    Status write_handle(const std::string& handle, std::uint64_t size, const SftpSource& source,
                        const std::string& what);
    Status sync_handle(const std::string& handle, const std::string& what);
    Error explained(Error error, const std::string& path);

    std::unique_ptr<SshChannel> channel_;
    std::set<std::string> extensions_;
    std::uint32_t next_id_ = 1;
    std::set<std::uint32_t> awaited_;
    std::map<std::uint32_t, SftpReply> early_;    // came before it was asked for
    Bytes input_;
    std::size_t input_at_ = 0;
    bool broken_ = false;
};

}    // namespace holdfast::storage
