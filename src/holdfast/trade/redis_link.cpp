#include "holdfast/trade/redis_link.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>

namespace holdfast::trade {
namespace {

struct Passing {
    std::string_view code;
    bool drop;    // another server may be the right one
    std::string_view hint;
};
constexpr Passing k_passing[] = {
    {"READONLY", true, "it became a replica: the master of now is asked for again"},
    {"LOADING", true, "the server is still loading its data"},
    {"MASTERDOWN", true, "it is a replica whose master is down"},
    {"OOM", false, "Redis has reached maxmemory: raise it, or let keys with a time to live go (volatile-lru)"},
    {"MISCONF", false, "the server cannot write its RDB file; see its log"},
    {"NOREPLICAS", false, "too few replicas are connected (min-replicas-to-write)"},
    {"BUSY", false, "a script is running"},
    {"CLUSTERDOWN", true, "the cluster has no majority"},
    {"TRYAGAIN", false, "a slot is being moved"},
    {"UNBLOCKED", true, "the server changed its role"},
};

}    // namespace

Status RedisLink::connect_to(const db::RedisLogin& login) {
    HF_TRY(db::RedisClient client, db::RedisClient::connect(login));
    // A Sentinel may still name the old master, and an address in a file may have become a replica.
    HF_TRY(const db::RedisReply role, client.ask({"ROLE"}));
    if (const db::RedisRefusal* refusal = role.refusal()) {
        // A user without the right to ask: the first write tells.
        if (refusal->code() != "NOPERM") return fail(db::refusal_error(*refusal, "ROLE on " + login.text()));
    } else if (role.items().empty() || role.items()[0].text() != "master") {
        return fail(ErrorCode::unreachable, login.text() + " is not a master",
                    place_.sentinels.empty() ? "name the master, or the Sentinels" : "a failover is going on");
    }
    client_.emplace(std::move(client));
    peer_ = login.text();
    ++connections_;
    return {};
}

Result<RedisPlace::Address> RedisLink::master() {
    std::string reasons;
    for (std::size_t i = 0; i < place_.sentinels.size(); ++i) {
        db::RedisLogin login;
        login.host = place_.sentinels[i].host;
        login.port = place_.sentinels[i].port;
        login.password = place_.sentinel_password.clone();
        login.timeout = place_.sentinel_timeout;
        auto sentinel = db::RedisClient::connect(login);
        auto answer = sentinel ? sentinel->command({"SENTINEL", "get-master-addr-by-name", place_.master_name})
                               : Result<db::RedisReply>(fail(sentinel.error()));
        if (!answer) {
            if (answer.error().code == ErrorCode::cancelled) return fail(std::move(answer).error());
            reasons += (reasons.empty() ? "" : "; ") + answer.error().message;
            continue;
        }
        const auto& items = answer->items();
        RedisPlace::Address address;
        if (items.size() == 2) {
            address = {items[0].text(), 0};
            const std::string& port = items[1].text();
            std::from_chars(port.data(), port.data() + port.size(), address.port);
        }
        if (address.host.empty() || address.port == 0) {
            reasons +=
                fmt::format("{}{} knows no master {}", reasons.empty() ? "" : "; ", login.text(), place_.master_name);
            continue;
        }
        // The one that answered is asked first the next time.
        std::rotate(place_.sentinels.begin(), place_.sentinels.begin() + static_cast<std::ptrdiff_t>(i),
                    place_.sentinels.begin() + static_cast<std::ptrdiff_t>(i) + 1);
        return address;
    }
    return fail(ErrorCode::unreachable, "no Sentinel names a master: " + reasons, "are the Sentinels running?");
}

Status RedisLink::connect() {
    if (place_.sentinels.empty()) return connect_to(place_.login);
    HF_TRY(const RedisPlace::Address address, master());
    db::RedisLogin login = place_.login.clone();
    login.host = address.host;
    login.port = address.port;
    login.socket.clear();
    Status connected = connect_to(login);
    // Each Sentinel has its own view: the next attempt asks another one.
    if (!connected) std::rotate(place_.sentinels.begin(), place_.sentinels.begin() + 1, place_.sentinels.end());
    return connected;
}

Result<db::RedisReply> RedisLink::ask(std::span<const std::string_view> arguments) {
    if (!client_) HF_DO(connect());
    auto reply = client_->ask(arguments);
    if (!reply) {
        client_.reset();    // where the next reply begins is not known any more
        Error error = std::move(reply).error();
        if (error.code == ErrorCode::io) error.code = ErrorCode::unreachable;    // a reset connection, a broken pipe
        return fail(std::move(error));
    }
    const db::RedisRefusal* refusal = reply->refusal();
    if (refusal == nullptr) return reply;
    for (const Passing& passing : k_passing) {
        if (refusal->code() != passing.code) continue;
        if (passing.drop) client_.reset();
        return fail(ErrorCode::unreachable, fmt::format("{} on {}: {}", arguments[0], peer_, refusal->text),
                    std::string(passing.hint));
    }
    return reply;
}

Result<db::RedisReply> RedisLink::command(std::initializer_list<std::string_view> arguments) {
    HF_TRY(db::RedisReply reply, ask(arguments));
    if (const db::RedisRefusal* refusal = reply.refusal())
        return fail(db::refusal_error(*refusal, fmt::format("{} on {}", *arguments.begin(), peer_)));
    return reply;
}

}    // namespace holdfast::trade
