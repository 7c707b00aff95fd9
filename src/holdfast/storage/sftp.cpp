#include "holdfast/storage/sftp.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <set>
#include <vector>

#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/storage/sftp_client.hpp"
#include "holdfast/storage/spool.hpp"

namespace holdfast::storage {
namespace {

// A connection that was idle for so long may have been forgotten by something on the way.
constexpr auto k_doubtful_after = std::chrono::seconds(30);
// "<id>-tmp-<16 hex digits>" is a file on its way.
constexpr std::string_view k_temporary_mark = "-tmp-";

using Connect = std::function<Result<std::unique_ptr<SshChannel>>()>;

class SftpBackend final : public Backend {
public:
    SftpBackend(std::string location, std::string root, unsigned connections, Connect connect, Paces pace)
        : location_(std::move(location)),
          root_(std::move(root)),
          connections_(connections),
          connect_(std::move(connect)),
          pace_(std::move(pace)) {}

    Status create_layout() override;
    Result<std::unique_ptr<Upload>> start(FileKind kind) override;
    Status put(const FileName& name, ByteView bytes) override {
        MemoryBody body(bytes);
        return publish(name, body);
    }
    Result<Bytes> read(const FileName& name) override {
        return with_client<Result<Bytes>>(
            [&](SftpClient& client) { return client.read(path_of(name), read_size_max(name.kind)); });
    }
    Status read_at(const FileName& name, std::uint64_t offset, ByteSpan to) override {
        return with_client<Status>([&](SftpClient& client) { return client.read_at(path_of(name), offset, to); });
    }
    Result<std::uint64_t> size(const FileName& name) override {
        return with_client<Result<std::uint64_t>>([&](SftpClient& client) -> Result<std::uint64_t> {
            HF_TRY(const SftpAttributes attributes, client.status_of(path_of(name)));
            if (!attributes.size) return fail(ErrorCode::unsupported, "the SFTP server tells no file sizes");
            return *attributes.size;
        });
    }
    Status list(FileKind kind, const std::function<void(const Id&, std::uint64_t)>& found) override;
    Status remove(const FileName& name) override {
        const std::string path = path_of(name);
        HF_DO(with_client<Status>([&](SftpClient& client) { return client.remove(path); }));
        if (name.kind != FileKind::lock) remember(os::parent_folder(path));
        return {};
    }
    Status sync() override;
    Result<std::uint64_t> remove_leftovers(Timestamp before) override;
    bool lists_at_once() const override { return true; }
    unsigned connections() const override { return connections_; }
    std::string location() const override { return location_; }

    Status publish(const FileName& name, HttpBody& body);

private:
    struct Idle {
        std::unique_ptr<SftpClient> client;
        std::chrono::steady_clock::time_point since;
    };

    std::string path_of(const FileName& name) const { return fmt::format("{}/{}", root_, relative_path(name)); }
    void remember(const std::string& folder) {
        const std::scoped_lock lock(mutex_);
        unsynced_.insert(folder);
    }

    // One of the connections, for one call.
    template <class Outcome, class Work>
    Outcome with_client(const Work& work) {
        auto client = take();
        if (!client) {
            give_back(nullptr);
            return std::unexpected(std::move(client).error().within(location_));
        }
        Outcome outcome = work(**client);
        give_back((*client)->broken() ? nullptr : *std::move(client));
        if (!outcome) outcome.error().message.insert(0, location_ + ": ");
        return outcome;
    }
    Result<std::unique_ptr<SftpClient>> take();
    void give_back(std::unique_ptr<SftpClient> client);
    void clear_leftovers(SftpClient& client);
    Status make_folders(SftpClient& client, const std::string& path);
    Result<std::vector<std::string>> folders_of(SftpClient& client, FileKind kind) const;

    const std::string location_, root_;
    const unsigned connections_;
    const Connect connect_;
    const Paces pace_;
    std::mutex sync_mutex_, mutex_;
    std::condition_variable freed_;
    std::vector<Idle> idle_;
    unsigned busy_ = 0;
    std::set<std::string> unsynced_;    // folders with names in them that a power failure may lose
    std::vector<std::string> leftovers_;    // temporary files whose removal did not get through
};

Result<std::unique_ptr<SftpClient>> SftpBackend::take() {
    Idle found;
    {
        std::unique_lock lock(mutex_);
        freed_.wait(lock, [&] { return busy_ < connections_; });
        ++busy_;
        if (!idle_.empty()) {
            found = std::move(idle_.back());
            idle_.pop_back();
        }
    }
    if (found.client && std::chrono::steady_clock::now() - found.since > k_doubtful_after) {
        static_cast<void>(
            found.client->status_of(root_).has_value());    // its answer does not matter, only that it is one
        if (found.client->broken()) found.client.reset();
    }
    if (!found.client) {
        HF_TRY(auto channel, connect_());
        HF_TRY(found.client, SftpClient::start(paced_channel(std::move(channel), pace_)));
    }
    clear_leftovers(*found.client);
    return std::move(found.client);
}

void SftpBackend::give_back(std::unique_ptr<SftpClient> client) {
    {
        const std::scoped_lock lock(mutex_);
        --busy_;
        if (client) idle_.push_back({std::move(client), std::chrono::steady_clock::now()});
    }
    freed_.notify_one();
}

void SftpBackend::clear_leftovers(SftpClient& client) {
    std::vector<std::string> paths;
    {
        const std::scoped_lock lock(mutex_);
        paths.swap(leftovers_);
    }
    for (const std::string& path : paths) {
        if (!client.broken()) static_cast<void>(client.remove(path).has_value());    // gone already is as good
        if (!client.broken()) continue;
        const std::scoped_lock lock(mutex_);
        leftovers_.push_back(path);
    }
}

Status SftpBackend::make_folders(SftpClient& client, const std::string& path) {
    auto made = client.make_folder(path);
    if (!made && made.error().code == ErrorCode::not_found && os::parent_folder(path) != path &&
        os::parent_folder(path) != ".") {
        HF_DO(make_folders(client, os::parent_folder(path)));
        made = client.make_folder(path);
    }
    HF_DO(std::move(made));
    remember(os::parent_folder(path));
    return {};
}

Status SftpBackend::create_layout() {
    return with_client<Status>([&](SftpClient& client) -> Status {
        HF_DO(make_folders(client, root_));
        // data/xx are made on demand: 256 more round trips would be the longest part of an init.
        for (const char* folder : {"data", "index", "keys", "locks", "snapshots"})
            HF_DO(make_folders(client, root_ + '/' + folder));
        return {};
    });
}

class SftpUpload final : public Upload {
public:
    SftpUpload(SftpBackend& backend, FileKind kind, Spool spool)
        : backend_(backend), kind_(kind), spool_(std::move(spool)) {}
    Status write(ByteView bytes) override { return spool_.write(bytes); }
    Status commit(const Id& id) override { return backend_.publish({kind_, id}, spool_); }

private:
    SftpBackend& backend_;
    const FileKind kind_;
    Spool spool_;
};

Result<std::unique_ptr<Upload>> SftpBackend::start(FileKind kind) {
    HF_TRY(Spool spool, Spool::create());
    return std::make_unique<SftpUpload>(*this, kind, std::move(spool));
}

Status SftpBackend::publish(const FileName& name, HttpBody& body) {
    const std::string path = path_of(name);
    std::array<std::byte, 8> random;
    os::random_bytes(random);
    // Two uploads of one file at once must not write into one another.
    const std::string temporary = fmt::format("{}{}{}", path, k_temporary_mark, to_hex(random));
    const SftpSource source = [&](std::uint64_t offset, ByteSpan to) { return body.read(offset, to); };
    const bool durable = name.kind != FileKind::lock;
    HF_DO(with_client<Status>([&](SftpClient& client) -> Status {
        auto status = client.write_new(temporary, body.size(), source, durable);
        // Missing data/xx folders are legal in the format; a missing repository is not made by a file.
        if (!status && status.error().code == ErrorCode::not_found && name.kind == FileKind::pack &&
            client.status_of(root_ + "/data")) {
            HF_DO(make_folders(client, os::parent_folder(path)));
            status = client.write_new(temporary, body.size(), source, durable);
        }
        if (status) {
            status = client.rename(temporary, path);
            if (status) return {};
        }
        // Equal names mean equal content, so a file that is there already is as good as ours, if it is whole.
        if (status.error().code == ErrorCode::exists && name.kind != FileKind::config) {
            const auto there = client.status_of(path);
            if (there && there->size == body.size())
                status = Status{};
            else if (there)
                status = fail(
                    ErrorCode::corrupt,
                    fmt::format("{} is there with {} bytes instead of {}", path, there->size.value_or(0), body.size()),
                    "it is damaged: remove it on the server, then try again");
        }
        if (!client.broken()) static_cast<void>(client.remove(temporary).has_value());
        if (client.broken()) {
            const std::scoped_lock lock(mutex_);
            leftovers_.push_back(temporary);
        }
        return status;
    }));
    if (durable) remember(os::parent_folder(path));
    return {};
}

// Where files of the kind lie: for packs those that are there.
Result<std::vector<std::string>> SftpBackend::folders_of(SftpClient& client, FileKind kind) const {
    // The folder of a file of the kind, without the two digits of a pack.
    std::string folder = os::parent_folder(path_of({kind, {}}));
    if (kind != FileKind::pack) return std::vector{folder};
    folder = os::parent_folder(folder);
    std::set<std::string> folders;    // each once, however often a server names it
    HF_DO(client.list({folder}, [&](std::size_t, const SftpName& entry) {
        std::array<std::byte, 1> digits;
        if (from_hex(entry.name, digits)) folders.insert(folder + '/' + entry.name);
    }));
    return std::vector(folders.begin(), folders.end());
}

Result<std::uint64_t> SftpBackend::remove_leftovers(Timestamp before) {
    // Exactly the names that publish() makes: nothing else is ours to remove, and no name of a server's leads elsewhere.
    const auto is_leftover = [&](const SftpName& entry) {
        std::array<std::byte, 8> random;
        const std::string_view name = entry.name;
        const std::size_t mark = name.find(k_temporary_mark);
        return mark != std::string_view::npos && Id::parse(name.substr(0, mark)) &&
               from_hex(name.substr(mark + k_temporary_mark.size()), random) && entry.attributes.modified &&
               !entry.attributes.is_folder() &&
               std::int64_t(*entry.attributes.modified) * 1'000'000'000 < before.nanoseconds;
    };
    return with_client<Result<std::uint64_t>>([&](SftpClient& client) -> Result<std::uint64_t> {
        std::uint64_t removed = 0;
        for (const FileKind kind :
             {FileKind::key, FileKind::pack, FileKind::index, FileKind::snapshot, FileKind::lock}) {
            HF_TRY(const std::vector<std::string> folders, folders_of(client, kind));
            std::vector<std::string> paths;
            HF_DO(client.list(folders, [&](std::size_t folder, const SftpName& entry) {
                if (is_leftover(entry)) paths.push_back(folders[folder] + '/' + entry.name);
            }));
            for (const std::string& path : paths) {
                const auto gone = client.remove(path);
                if (!gone && gone.error().code != ErrorCode::not_found) return fail(gone.error());
                ++removed;
            }
        }
        return removed;
    });
}

Status SftpBackend::list(FileKind kind, const std::function<void(const Id&, std::uint64_t)>& found) {
    if (kind == FileKind::config) return {};
    return with_client<Status>([&](SftpClient& client) -> Status {
        HF_TRY(const std::vector<std::string> folders, folders_of(client, kind));
        return client.list(folders, [&](std::size_t, const SftpName& entry) {
            if (const auto id = Id::parse(entry.name); id && entry.attributes.size && !entry.attributes.is_folder())
                found(*id, *entry.attributes.size);
        });
    });
}

Status SftpBackend::sync() {
    // Whoever finds nothing left to do must still wait for the one that took it: its folders may hold our names.
    const std::scoped_lock one_at_a_time(sync_mutex_);
    std::set<std::string> folders;
    {
        const std::scoped_lock lock(mutex_);
        folders.swap(unsynced_);
    }
    if (folders.empty()) return {};
    auto status = with_client<Status>([&](SftpClient& client) -> Status {
        for (const std::string& folder : folders) {
            const auto synced = client.sync_folder(folder);
            if (!synced) return fail(synced.error());
            if (!*synced) break;    // this server cannot: its own file system decides when
        }
        return {};
    });
    if (!status) {
        const std::scoped_lock lock(mutex_);
        unsynced_.merge(folders);
    }
    return status;
}

}    // namespace

Result<std::unique_ptr<Backend>> open_sftp(const std::string& rest, const BackendOptions& options) {
    HF_TRY(const SftpLocation place, parse_sftp_location("sftp:" + rest));
    HF_TRY(const unsigned connections, options.number("sftp.connections", 5, 1, 64));
    HF_TRY(const unsigned silence, options.number("sftp.timeout", 60, 1, 3600));
    SshOptions ssh;
    ssh.identity = options.find("sftp.identity").value_or("");
    ssh.known_hosts = options.find("sftp.known-hosts").value_or("");
    ssh.silence_max = std::chrono::seconds(silence);
    ssh.connect_max = std::min<Duration>(ssh.connect_max, ssh.silence_max);
    Connect connect = [place, ssh] { return open_ssh_channel(place, ssh); };
    if (const auto command = options.find("sftp.command")) {
        if (!ssh.identity.empty() || !ssh.known_hosts.empty())
            return fail(ErrorCode::usage,
                        "sftp.command does its own keys: sftp.identity and sftp.known-hosts are not used",
                        "give them to that command, or leave sftp.command out");
        connect = [command = *command, ssh] { return open_command_channel(command, ssh.silence_max); };
    }
    return std::make_unique<SftpBackend>("sftp:" + rest, place.path, connections, std::move(connect), options.pace);
}

}    // namespace holdfast::storage
