#include "holdfast/storage/ssh_channel.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <libssh/libssh.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/os/socket.hpp"

namespace holdfast::storage {
namespace {

// Cuts a socket when a call on it takes too long, or when we are told to stop: whoever waits on it is then woken.
class Watchdog {
public:
    explicit Watchdog(int fd) : fd_(fd), thread_([this](std::stop_token stop) { watch(stop); }) {}

    void arm(Duration time) {
        const std::scoped_lock lock(mutex_);
        deadline_ = std::chrono::steady_clock::now() + time;
        armed_ = true;
    }
    void disarm() {
        const std::scoped_lock lock(mutex_);
        armed_ = false;
    }
    bool has_bitten() {
        const std::scoped_lock lock(mutex_);
        return bitten_;
    }

private:
    void watch(const std::stop_token& stop) {
        std::unique_lock lock(mutex_);
        while (!stop.stop_requested()) {
            wake_.wait_for(lock, stop, std::chrono::milliseconds(500), [] { return false; });
            if (!armed_ || bitten_) continue;
            if (!os::stop_requested() && std::chrono::steady_clock::now() < deadline_) continue;
            bitten_ = true;
            ::shutdown(fd_, SHUT_RDWR);
        }
    }

    const int fd_;
    std::mutex mutex_;
    std::condition_variable_any wake_;
    std::chrono::steady_clock::time_point deadline_;
    bool armed_ = false, bitten_ = false;
    std::jthread thread_;
};

struct SessionFree {
    void operator()(ssh_session session) const {
        ssh_disconnect(session);
        ssh_free(session);
    }
};
using Session = std::unique_ptr<ssh_session_struct, SessionFree>;
struct KeyFree {
    void operator()(ssh_key key) const { ssh_key_free(key); }
};
using Key = std::unique_ptr<ssh_key_struct, KeyFree>;

void keep_alive(int fd) {
    const int on = 1, idle = 15, interval = 15, count = 4;
    ::setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
    ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
}

class LibsshChannel final : public SshChannel {
public:
    LibsshChannel(const SftpLocation& location, const SshOptions& options)
        : location_(location), options_(options), peer_(fmt::format("{}:{}", location.host, location.port)) {}

    ~LibsshChannel() override {
        if (watchdog_) watchdog_->arm(std::chrono::seconds(5));
        if (channel_) {
            ssh_channel_close(channel_);
            ssh_channel_free(channel_);
        }
        // Before the session closes the socket: its number may then belong to somebody else.
        watchdog_.reset();
    }

    Status open() {
        HF_TRY(socket_, os::Socket::connect_tcp(location_.host, location_.port, options_.connect_max));
        keep_alive(socket_.fd());
        session_.reset(ssh_new());
        HF_ASSERT(session_);
        watchdog_ = std::make_unique<Watchdog>(socket_.fd());
        // libssh closes the descriptor that it is given.
        const socket_t fd = ::fcntl(socket_.fd(), F_DUPFD_CLOEXEC, 3);
        if (fd < 0) return fail(errno_error(errno, "cannot connect to " + peer_));
        const std::string user = location_.user.empty() ? os::user_name() : location_.user;
        const int no = 0, port = location_.port, yes = 1;
        // Longer than the watchdog's patience: what it cuts is known to have been silent, what libssh ends is not.
        const auto patience = std::max(options_.connect_max, options_.silence_max) + std::chrono::seconds(10);
        const long timeout = static_cast<long>(std::chrono::duration_cast<std::chrono::seconds>(patience).count());
        set(SSH_OPTIONS_PROCESS_CONFIG, &no);
        set(SSH_OPTIONS_FD, &fd);
        set(SSH_OPTIONS_HOST, location_.host.c_str());
        set(SSH_OPTIONS_PORT, &port);
        set(SSH_OPTIONS_USER, user.c_str());
        set(SSH_OPTIONS_NODELAY, &yes);
        set(SSH_OPTIONS_TIMEOUT, &timeout);
        if (!options_.known_hosts.empty()) {
            if (!os::exists(options_.known_hosts))
                return fail(ErrorCode::usage,
                            fmt::format("the known-hosts file {} does not exist", options_.known_hosts),
                            "-o sftp.known-hosts= names it");
            set(SSH_OPTIONS_KNOWNHOSTS, options_.known_hosts.c_str());
            set(SSH_OPTIONS_GLOBAL_KNOWNHOSTS, "/dev/null");
        }
        watchdog_->arm(options_.connect_max);
        if (ssh_connect(session_.get()) != SSH_OK) return fail(failure("cannot speak SSH with " + peer_));
        HF_DO(check_host());
        watchdog_->arm(options_.connect_max);
        HF_DO(log_in(user));
        watchdog_->arm(options_.connect_max);
        channel_ = ssh_channel_new(session_.get());
        HF_ASSERT(channel_);
        if (ssh_channel_open_session(channel_) != SSH_OK) return fail(failure("cannot open a channel to " + peer_));
        if (ssh_channel_request_subsystem(channel_, "sftp") != SSH_OK) {
            Error error = failure("cannot start SFTP on " + peer_);
            if (error.hint.empty()) error.hint = "the server must have \"Subsystem sftp internal-sftp\" in sshd_config";
            return fail(std::move(error));
        }
        watchdog_->disarm();
        return {};
    }

    Status write(ByteView bytes) override {
        while (!bytes.empty()) {
            watchdog_->arm(options_.silence_max);
            const int n = ssh_channel_write(channel_, bytes.data(),
                                            static_cast<std::uint32_t>(std::min<std::size_t>(bytes.size(), 128 << 10)));
            watchdog_->disarm();
            if (n <= 0) return fail(failure("cannot send to " + peer_));
            bytes = bytes.subspan(static_cast<std::size_t>(n));
        }
        return {};
    }

    Result<std::size_t> read(ByteSpan to) override {
        watchdog_->arm(options_.silence_max);
        const int n = ssh_channel_read(channel_, to.data(),
                                       static_cast<std::uint32_t>(std::min<std::size_t>(to.size(), 1 << 20)), 0);
        watchdog_->disarm();
        if (n <= 0) return fail(failure("cannot receive from " + peer_));
        return static_cast<std::size_t>(n);
    }

private:
    template <class Value>
    void set(ssh_options_e option, const Value* value) {
        HF_ASSERT(ssh_options_set(session_.get(), option, value) == SSH_OK);
    }

    Error failure(const std::string& what) {
        if (os::stop_requested()) return {ErrorCode::cancelled, what + ": stopped", {}};
        if (watchdog_->has_bitten())
            return {ErrorCode::unreachable, fmt::format("{}: no answer in time", what),
                    "look whether the server or the line is overloaded"};
        std::string why = session_ ? ssh_get_error(session_.get()) : "";
        if (why.empty()) why = "the connection was closed";
        return {ErrorCode::unreachable, fmt::format("{}: {}", what, why), {}};
    }

    Status check_host() {
        const ssh_known_hosts_e known = ssh_session_is_known_server(session_.get());
        if (known == SSH_KNOWN_HOSTS_OK) return {};
        const std::string file = options_.known_hosts.empty() ? "~/.ssh/known_hosts" : options_.known_hosts;
        const std::string fetch = fmt::format("ssh-keyscan -p {} {} >> {}", location_.port, location_.host, file);
        const std::string print = fingerprint();
        if (known == SSH_KNOWN_HOSTS_CHANGED || known == SSH_KNOWN_HOSTS_OTHER)
            return fail(ErrorCode::denied,
                        fmt::format("the host key of {} is NOT the one in {}: it shows {}", peer_, file, print),
                        fmt::format("somebody may stand between. Only if its administrator confirms that fingerprint: "
                                    "ssh-keygen -f {} -R '[{}]:{}', then {}",
                                    file, location_.host, location_.port, fetch));
        if (known == SSH_KNOWN_HOSTS_ERROR) return fail(failure("cannot check the host key of " + peer_));
        return fail(
            ErrorCode::denied, fmt::format("the host key of {} is not known: it shows {}", peer_, print),
            fmt::format("compare that with `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` on the server, then: "
                        "{}",
                        fetch));
    }

    std::string fingerprint() {
        ssh_key raw = nullptr;
        if (ssh_get_server_publickey(session_.get(), &raw) != SSH_OK) return "no key";
        const Key key(raw);
        unsigned char* hash = nullptr;
        std::size_t length = 0;
        if (ssh_get_publickey_hash(key.get(), SSH_PUBLICKEY_HASH_SHA256, &hash, &length) != SSH_OK) return "no key";
        char* text = ssh_get_fingerprint_hash(SSH_PUBLICKEY_HASH_SHA256, hash, length);
        std::string print = fmt::format("{} {}", ssh_key_type_to_char(ssh_key_type(key.get())), text ? text : "");
        ssh_string_free_char(text);
        ssh_clean_pubkey_hash(&hash);
        return print;
    }

    Status log_in(const std::string& user) {
        int outcome = SSH_AUTH_DENIED;
        if (!options_.identity.empty()) {
            ssh_key raw = nullptr;
            const int loaded =
                ssh_pki_import_privkey_file(options_.identity.c_str(), nullptr, &no_passphrase, nullptr, &raw);
            const Key key(raw);
            if (loaded == SSH_EOF)
                return fail(ErrorCode::not_found, fmt::format("there is no readable key in {}", options_.identity),
                            "-o sftp.identity= names the private key");
            if (loaded != SSH_OK)
                return fail(ErrorCode::denied, fmt::format("the key in {} cannot be used", options_.identity),
                            "a key with a passphrase must be in the agent: ssh-add FILE, and no sftp.identity");
            outcome = ssh_userauth_publickey(session_.get(), nullptr, key.get());
        } else {
            outcome = ssh_userauth_publickey_auto(session_.get(), nullptr, "");
        }
        if (outcome == SSH_AUTH_SUCCESS) return {};
        if (watchdog_->has_bitten() || !ssh_is_connected(session_.get()) || os::stop_requested())
            return fail(failure("cannot log in to " + peer_));
        return fail(
            ErrorCode::denied, fmt::format("{} does not accept our key for the user {}", peer_, user),
            options_.identity.empty()
                ? "-o sftp.identity=FILE names a key; its public half must be in the server's authorized_keys"
                : fmt::format("the public half of {} must be in the server's authorized_keys", options_.identity));
    }

    // libssh would ask on the terminal, below our progress line.
    static int no_passphrase(const char*, char*, std::size_t, int, int, void*) { return -1; }

    const SftpLocation location_;
    const SshOptions options_;
    const std::string peer_;
    os::Socket socket_;    // the watchdog's own descriptor: it stays ours when libssh closes its copy
    Session session_;
    std::unique_ptr<Watchdog> watchdog_;
    ssh_channel channel_ = nullptr;
};

}    // namespace

Result<std::unique_ptr<SshChannel>> open_ssh_channel(const SftpLocation& location, const SshOptions& options) {
    auto channel = std::make_unique<LibsshChannel>(location, options);
    HF_DO(channel->open());
    return channel;
}

}    // namespace holdfast::storage
