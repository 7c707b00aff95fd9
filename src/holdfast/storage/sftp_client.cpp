#include "holdfast/storage/sftp_client.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <deque>

#include "holdfast/storage/backend.hpp"

namespace holdfast::storage {
namespace {

// What every server takes in one read or write. 32 of them are on the way at once: 1 MiB, half of OpenSSH's window, so
// that a write never waits for the window of a server that has gone silent.
constexpr std::uint32_t k_piece = 32 << 10;
constexpr std::size_t k_ahead = 32;
// Folders that are listed side by side.
constexpr std::size_t k_folders_ahead = 32;

constexpr std::uint32_t k_open_read = 1, k_open_write = 2, k_open_create = 8, k_open_exclusive = 32;

}    // namespace

std::unexpected<Error> SftpClient::break_off(Error error) {
    broken_ = true;
    return fail(std::move(error));
}

Result<std::unique_ptr<SftpClient>> SftpClient::start(std::unique_ptr<SshChannel> channel) {
    std::unique_ptr<SftpClient> client(new SftpClient(std::move(channel)));
    // The version stands where other packets have their id.
    HF_DO(client->channel_->write(SftpRequest(SftpType::init, 3).take()));
    auto hello = client->receive();
    if (!hello || hello->type != SftpType::version || hello->id < 3) {
        if (!hello && hello.error().code != ErrorCode::corrupt) return fail(std::move(hello).error());
        return fail(ErrorCode::corrupt, "the server does not speak SFTP version 3",
                    "a login shell that prints something breaks SFTP: `ssh USER@HOST true` must print nothing");
    }
    HF_TRY(const auto extensions, parse_sftp_extensions(hello->fields()));
    client->extensions_.insert(extensions.begin(), extensions.end());
    return client;
}

Status SftpClient::fill_input(std::size_t wanted) {
    if (input_at_ > 0) {
        input_.erase(input_.begin(), input_.begin() + static_cast<std::ptrdiff_t>(input_at_));
        input_at_ = 0;
    }
    while (input_.size() < wanted) {
        const std::size_t had = input_.size();
        input_.resize(std::max(wanted, had + (64u << 10)));
        auto n = channel_->read(ByteSpan(input_).subspan(had));
        input_.resize(had + (n ? *n : 0));
        if (!n) return break_off(std::move(n).error());
    }
    return {};
}

Result<SftpReply> SftpClient::receive() {
    if (input_.size() - input_at_ < 4) HF_DO(fill_input(4));
    const std::uint32_t length = __builtin_bswap32(load_le<std::uint32_t>(input_.data() + input_at_));
    if (length < 5 || length > k_sftp_packet_max)
        return break_off({ErrorCode::corrupt, fmt::format("the SFTP server sent a packet of {} bytes", length), {}});
    if (input_.size() - input_at_ < 4 + length) HF_DO(fill_input(4 + length));
    const auto begin = input_.begin() + static_cast<std::ptrdiff_t>(input_at_ + 4);
    input_at_ += 4 + length;
    return parse_sftp_reply(Bytes(begin, begin + length));
}

Result<std::uint32_t> SftpClient::send(SftpType type, const std::function<void(SftpRequest&)>& fill) {
    const std::uint32_t id = next_id_++;
    SftpRequest request(type, id);
    fill(request);
    if (auto sent = channel_->write(request.take()); !sent) return break_off(std::move(sent).error());
    awaited_.insert(id);
    return id;
}

Result<SftpReply> SftpClient::answer(std::uint32_t id) {
    for (;;) {
        if (const auto found = early_.find(id); found != early_.end()) {
            SftpReply reply = std::move(found->second);
            early_.erase(found);
            return reply;
        }
        HF_TRY(SftpReply reply, receive());
        // Only what was asked for is kept, so a server cannot fill our memory.
        if (awaited_.erase(reply.id) == 0)
            return break_off({ErrorCode::corrupt, "the SFTP server answered what nobody asked", {}});
        early_.emplace(reply.id, std::move(reply));
    }
}

Error SftpClient::refused(const SftpReply& reply, const std::string& what) {
    const auto status = parse_sftp_status(reply.fields());
    if (reply.type != SftpType::status || !status) {
        broken_ = true;
        return {ErrorCode::corrupt, what + ": the SFTP server's answer is not understood", {}};
    }
    Error error{ErrorCode::io, fmt::format("{}: the SFTP server says \"{}\"", what, status->message), {}};
    switch (status->code) {
        case SftpStatus::no_such_file:
            error.code = ErrorCode::not_found;
            break;
        case SftpStatus::permission_denied:
            error.code = ErrorCode::denied;
            error.hint = "the user of the location must own the repository's folder on the server";
            break;
        case SftpStatus::unsupported:
            error.code = ErrorCode::unsupported;
            break;
        case SftpStatus::no_connection:
        case SftpStatus::connection_lost:
            error.code = ErrorCode::unreachable;
            broken_ = true;
            break;
        case SftpStatus::ok:
            broken_ = true;
            return {ErrorCode::corrupt, what + ": the SFTP server's answer is not understood", {}};
        default:
            break;
    }
    return error;
}

Status SftpClient::expect_ok(std::uint32_t id, const std::string& what) {
    HF_TRY(const SftpReply reply, answer(id));
    if (reply.type == SftpType::status) {
        const auto status = parse_sftp_status(reply.fields());
        if (status && status->code == SftpStatus::ok) return {};
    }
    return fail(refused(reply, what));
}

Result<std::string> SftpClient::expect_handle(std::uint32_t id, const std::string& what) {
    HF_TRY(const SftpReply reply, answer(id));
    if (reply.type != SftpType::handle) return fail(refused(reply, what));
    auto handle = parse_sftp_string(reply.fields());
    if (!handle) return break_off(std::move(handle).error());
    return std::string(as_text(*handle));
}

Result<std::string> SftpClient::open(const std::string& path, std::uint32_t flags, const std::string& what) {
    HF_TRY(const std::uint32_t id, send(SftpType::open, [&](SftpRequest& request) {
               // New files are private and read-only, as in a local repository.
               const bool is_new = (flags & k_open_create) != 0;
               request.text(path).u32(flags).u32(is_new ? 4 : 0);
               if (is_new) request.u32(0100400);
           }));
    return expect_handle(id, what);
}

Status SftpClient::close(const std::string& handle, const std::string& what) {
    HF_TRY(const std::uint32_t id, send(SftpType::close, [&](SftpRequest& request) { request.text(handle); }));
    return expect_ok(id, what);
}

Status SftpClient::make_folder(const std::string& path) {
    const std::string what = "cannot make the folder " + path;
    HF_TRY(const std::uint32_t id,
           send(SftpType::mkdir, [&](SftpRequest& request) { request.text(path).u32(4).u32(0040700); }));
    auto made = expect_ok(id, what);
    if (made || broken_ || made.error().code == ErrorCode::not_found) return made;
    // "Failure" is all that is said of a folder that exists.
    const auto there = status_of(path);
    if (there && there->is_folder()) return {};
    return made;
}

Result<SftpAttributes> SftpClient::status_of(const std::string& path) {
    HF_TRY(const std::uint32_t id, send(SftpType::stat, [&](SftpRequest& request) { request.text(path); }));
    HF_TRY(const SftpReply reply, answer(id));
    if (reply.type != SftpType::attrs) return fail(refused(reply, "cannot look at " + path));
    auto attributes = parse_sftp_attributes(reply.fields());
    if (!attributes) return break_off(std::move(attributes).error());
    return attributes;
}

Status SftpClient::read_handle(const std::string& handle, std::uint64_t offset, ByteSpan to, const std::string& what) {
    struct Part {
        std::uint32_t id;
        std::size_t at, size;
    };
    std::deque<Part> sent;
    const auto ask = [&](std::size_t at, std::size_t size) -> Status {
        HF_TRY(const std::uint32_t id, send(SftpType::read, [&](SftpRequest& request) {
                   request.text(handle).u64(offset + at).u32(static_cast<std::uint32_t>(size));
               }));
        sent.push_back({id, at, size});
        return {};
    };
    Status outcome;
    std::size_t next = 0;
    while (next < to.size() || !sent.empty()) {
        while (outcome && next < to.size() && sent.size() < k_ahead) {
            const std::size_t size = std::min<std::size_t>(k_piece, to.size() - next);
            HF_DO(ask(next, size));
            next += size;
        }
        if (sent.empty()) break;    // all answers to what was asked before an error are in
        const Part part = sent.front();
        sent.pop_front();
        HF_TRY(const SftpReply reply, answer(part.id));
        if (!outcome) continue;
        if (reply.type != SftpType::data) {
            const auto status = parse_sftp_status(reply.fields());
            if (reply.type == SftpType::status && status && status->code == SftpStatus::end_of_file)
                outcome = fail(ErrorCode::corrupt,
                               fmt::format("{}: the file ends at or before byte {}", what, offset + part.at));
            else
                outcome = fail(refused(reply, what));
            continue;
        }
        auto data = parse_sftp_string(reply.fields());
        if (!data) return break_off(std::move(data).error());
        if (data->empty() || data->size() > part.size)
            return break_off({ErrorCode::corrupt, what + ": the SFTP server sent another length than was asked", {}});
        std::copy(data->begin(), data->end(), to.begin() + static_cast<std::ptrdiff_t>(part.at));
        // A short answer is allowed: ask for the rest.
        if (data->size() < part.size) HF_DO(ask(part.at + data->size(), part.size - data->size()));
    }
    return outcome;
}

Status SftpClient::read_at(const std::string& path, std::uint64_t offset, ByteSpan to) {
    const std::string what = "cannot read " + path;
    HF_TRY(const std::string handle, open(path, k_open_read, what));
    auto outcome = read_handle(handle, offset, to, what);
    if (broken_) return outcome;
    HF_DO(close(handle, what));
    return outcome;
}

Result<Bytes> SftpClient::read(const std::string& path, std::uint64_t size_max) {
    const std::string what = "cannot read " + path;
    HF_TRY(const std::string handle, open(path, k_open_read, what));
    HF_TRY(const std::uint32_t id, send(SftpType::fstat, [&](SftpRequest& request) { request.text(handle); }));
    HF_TRY(const SftpReply reply, answer(id));
    if (reply.type != SftpType::attrs) return fail(refused(reply, what));
    const auto attributes = parse_sftp_attributes(reply.fields());
    if (!attributes) return break_off(attributes.error());
    if (!attributes->size || *attributes->size > size_max)
        return fail(ErrorCode::corrupt, fmt::format("{} is larger than {}", path, human_size(size_max)));
    Bytes content(static_cast<std::size_t>(*attributes->size));
    auto outcome = read_handle(handle, 0, content, what);
    if (broken_) return fail(std::move(outcome).error());
    HF_DO(close(handle, what));
    if (!outcome) return fail(std::move(outcome).error());
    return content;
}

Status SftpClient::write_handle(const std::string& handle, std::uint64_t size, const SftpSource& source,
                                const std::string& what) {
    std::deque<std::uint32_t> sent;
    Status outcome;
    Bytes piece;
    for (std::uint64_t at = 0; at < size || !sent.empty();) {
        if (outcome && at < size && sent.size() < k_ahead) {
            piece.resize(static_cast<std::size_t>(std::min<std::uint64_t>(k_piece, size - at)));
            outcome = source(at, piece);
            if (!outcome) continue;
            HF_TRY(const std::uint32_t id,
                   send(SftpType::write, [&](SftpRequest& request) { request.text(handle).u64(at).bytes(piece); }));
            sent.push_back(id);
            at += piece.size();
            continue;
        }
        if (sent.empty()) break;
        const std::uint32_t id = sent.front();
        sent.pop_front();
        auto written = expect_ok(id, what);
        if (broken_) return written;
        if (outcome) outcome = std::move(written);
    }
    return outcome;
}

Status SftpClient::sync_handle(const std::string& handle, const std::string& what) {
    HF_TRY(const std::uint32_t id,
           send(SftpType::extended, [&](SftpRequest& request) { request.text("fsync@openssh.com").text(handle); }));
    return expect_ok(id, what);
}

// "Failure" is all that SFTP 3 has for a full disk: look how much is free.
Error SftpClient::explained(Error error, const std::string& path) {
    if (broken_ || error.code != ErrorCode::io || !extensions_.contains("statvfs@openssh.com")) return error;
    const auto id = send(SftpType::extended, [&](SftpRequest& request) {
        request.text("statvfs@openssh.com").text(path.substr(0, std::max<std::size_t>(path.rfind('/'), 1)));
    });
    if (!id) return error;
    const auto reply = answer(*id);
    // bsize, frsize, blocks, bfree, bavail: 64 bits each.
    if (!reply || reply->type != SftpType::extended_reply || reply->fields().size() < 40) return error;
    const auto field = [&](std::size_t i) {
        return __builtin_bswap64(load_le<std::uint64_t>(reply->fields().data() + 8 * i));
    };
    if (field(4) * field(1) >= 4 * k_piece) return error;
    return {ErrorCode::disk_full, error.message + " (its disk is full)",
            "free some space on the server; nothing incomplete was kept"};
}

Status SftpClient::write_new(const std::string& path, std::uint64_t size, const SftpSource& source, bool sync) {
    const std::string what = "cannot write " + path;
    auto handle = open(path, k_open_write | k_open_create | k_open_exclusive, what);
    if (!handle) return fail(explained(std::move(handle).error(), path));
    auto outcome = write_handle(*handle, size, source, what);
    if (outcome && sync && extensions_.contains("fsync@openssh.com")) outcome = sync_handle(*handle, what);
    if (broken_) return outcome;
    auto closed = close(*handle, what);
    if (outcome) outcome = std::move(closed);
    if (!outcome) return fail(explained(std::move(outcome).error(), path));
    return {};
}

Status SftpClient::rename(const std::string& from, const std::string& to) {
    HF_TRY(const std::uint32_t id, send(SftpType::rename, [&](SftpRequest& request) { request.text(from).text(to); }));
    auto renamed = expect_ok(id, fmt::format("cannot rename {} to {}", from, to));
    if (renamed || broken_ || renamed.error().code == ErrorCode::not_found) return renamed;
    // "Failure" again: look.
    if (status_of(to)) return fail(ErrorCode::exists, to + " is there already");
    return fail(explained(std::move(renamed).error(), to));
}

Status SftpClient::remove(const std::string& path) {
    HF_TRY(const std::uint32_t id, send(SftpType::remove, [&](SftpRequest& request) { request.text(path); }));
    return expect_ok(id, "cannot remove " + path);
}

Result<bool> SftpClient::sync_folder(const std::string& path) {
    if (!extensions_.contains("fsync@openssh.com")) return false;
    // A folder can be opened like a file where the server is a Unix; others say no, and there is no other way.
    const std::string what = "cannot bring the names in " + path + " to the disk";
    const auto handle = open(path, k_open_read, what);
    if (!handle) {
        if (broken_ || handle.error().code == ErrorCode::not_found) return fail(handle.error());
        return false;
    }
    const auto synced = sync_handle(*handle, what);
    if (broken_) return fail(synced.error());
    HF_DO(close(*handle, what));
    return synced.has_value();
}

Status SftpClient::list(const std::vector<std::string>& folders,
                        const std::function<void(std::size_t, const SftpName&)>& found) {
    struct Open {
        std::size_t folder;
        std::string handle;
        std::uint32_t id = 0;
    };
    std::uint64_t names_seen = 0;
    for (std::size_t begin = 0; begin < folders.size(); begin += k_folders_ahead) {
        const std::size_t end = std::min(begin + k_folders_ahead, folders.size());
        std::vector<std::uint32_t> asked;
        for (std::size_t i = begin; i < end; ++i) {
            HF_TRY(const std::uint32_t id,
                   send(SftpType::opendir, [&](SftpRequest& request) { request.text(folders[i]); }));
            asked.push_back(id);
        }
        std::vector<Open> open_folders;
        Status outcome;
        for (std::size_t i = begin; i < end; ++i) {
            auto handle = expect_handle(asked[i - begin], "cannot list " + folders[i]);
            if (handle)
                open_folders.push_back({i, *std::move(handle)});
            else if (broken_)
                return fail(std::move(handle).error());
            else if (handle.error().code != ErrorCode::not_found && outcome)
                outcome = fail(std::move(handle).error());
        }
        const std::vector<Open> all = open_folders;
        while (outcome && !open_folders.empty()) {
            for (Open& folder : open_folders) {
                HF_TRY(folder.id, send(SftpType::readdir, [&](SftpRequest& request) { request.text(folder.handle); }));
            }
            std::vector<Open> unfinished;
            for (Open& folder : open_folders) {
                HF_TRY(const SftpReply reply, answer(folder.id));
                if (reply.type == SftpType::name) {
                    const auto names = parse_sftp_names(reply.fields());
                    if (!names) return break_off(names.error());
                    if ((names_seen += names->size()) > k_listed_max)
                        return break_off({ErrorCode::corrupt, "the SFTP server's list does not end", ""});
                    for (const SftpName& name : *names) found(folder.folder, name);
                    if (!names->empty()) unfinished.push_back(std::move(folder));
                    continue;
                }
                const auto status = parse_sftp_status(reply.fields());
                if (reply.type != SftpType::status || !status || status->code != SftpStatus::end_of_file)
                    outcome = fail(refused(reply, "cannot list " + folders[folder.folder]));
                if (broken_) return outcome;
            }
            open_folders = std::move(unfinished);
        }
        std::vector<std::uint32_t> closing;
        for (const Open& folder : all) {
            HF_TRY(const std::uint32_t id,
                   send(SftpType::close, [&](SftpRequest& request) { request.text(folder.handle); }));
            closing.push_back(id);
        }
        for (const std::uint32_t id : closing) HF_DO(expect_ok(id, "cannot end a listing"));
        HF_DO(std::move(outcome));
    }
    return {};
}

}    // namespace holdfast::storage
