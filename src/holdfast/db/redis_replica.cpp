#include "holdfast/db/redis_replica.hpp"

#include <fmt/core.h>

#include <charconv>

namespace holdfast::db {
namespace {

constexpr Duration k_silence_max = std::chrono::seconds(60);    // repl-timeout's default
constexpr std::size_t k_mark_size = 40, k_piece = std::size_t(64) << 10;

Error explain(Error error, std::string_view user) {
    if (error.code == ErrorCode::denied && error.message.find("NOPERM") != std::string::npos)
        error.hint = fmt::format("grant it on the server: ACL SETUSER {} +psync +replconf +ping",
                                 user.empty() ? "default" : user);
    return error;
}

bool parse(std::string_view text, std::uint64_t& to) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), to);
    return error == std::errc() && end == text.data() + text.size();
}

}    // namespace

std::optional<FullResync> parse_full_resync(std::string_view line) {
    constexpr std::string_view k_full = "+FULLRESYNC ";
    if (!line.starts_with(k_full)) return std::nullopt;
    line.remove_prefix(k_full.size());
    const std::size_t space = line.find(' ');
    FullResync answer;
    if (space != 40 || !parse(line.substr(space + 1), answer.offset)) return std::nullopt;
    answer.replication_id = line.substr(0, space);
    return answer;
}

std::optional<RdbFraming> parse_rdb_framing(std::string_view line) {
    constexpr std::string_view k_marked = "$EOF:";
    RdbFraming framing;
    if (line.starts_with(k_marked) && line.size() == k_marked.size() + k_mark_size) {
        framing.mark = line.substr(k_marked.size());
        return framing;
    }
    if (!line.starts_with('$') || !parse(line.substr(1), framing.size) || framing.size == 0) return std::nullopt;
    return framing;
}

std::optional<std::string> parse_continue(std::string_view line) {
    constexpr std::string_view k_continue = "+CONTINUE";
    if (!line.starts_with(k_continue)) return std::nullopt;
    line.remove_prefix(k_continue.size());
    if (line.empty()) return std::string();
    if (line.size() != 41 || line.front() != ' ') return std::nullopt;
    return std::string(line.substr(1));
}

Result<RedisReplica> RedisReplica::attach(RedisClient client, std::string_view user,
                                          const std::optional<ReplicationPosition>& held) {
    const auto say = [&](std::initializer_list<std::string_view> arguments) -> Status {
        auto reply = client.command(arguments);
        if (!reply) return fail(explain(std::move(reply).error(), user));
        return {};
    };
    HF_DO(say({"PING"}));
    HF_DO(say({"REPLCONF", "listening-port", "0"}));
    HF_DO(say({"REPLCONF", "capa", "eof", "capa", "psync2"}));
    const std::string id = held ? held->replication_id : "?", from = held ? std::to_string(held->offset + 1) : "-1";
    HF_DO(client.send({"PSYNC", id, from}));
    RedisReplica replica(std::move(client));
    if (auto head = replica.receive_head(held); !head) return fail(explain(std::move(head).error(), user));
    return replica;
}

Status RedisReplica::receive_head(const std::optional<ReplicationPosition>& held) {
    const std::string& peer = client_.peer();
    // Empty lines say "still at work".
    const auto next_line = [&]() -> Result<std::string> {
        auto line = client_.receive_line(k_silence_max);
        while (line && line->empty()) line = client_.receive_line(k_silence_max);
        if (line && line->front() == '-') return fail(refusal_error({line->substr(1)}, "PSYNC on " + peer));
        return line;
    };
    const auto not_psync = [&](const std::string& line) {
        return fail(ErrorCode::corrupt, fmt::format("{} answers PSYNC with '{}'", peer, line.substr(0, 60)));
    };

    HF_TRY(const std::string line, next_line());
    if (const auto goes_on = parse_continue(line); goes_on && held) {
        resumed_ = true;
        replication_id_ = goes_on->empty() ? held->replication_id : *goes_on;
        offset_ = held->offset;
        return {};
    }
    auto answer = parse_full_resync(line);
    if (!answer) return not_psync(line);
    replication_id_ = std::move(answer->replication_id);
    offset_ = answer->offset;

    HF_TRY(const std::string head, next_line());
    auto framing = parse_rdb_framing(head);
    if (!framing) return not_psync(head);
    left_ = framing->size;
    mark_ = std::move(framing->mark);
    if (diskless()) held_.resize(k_mark_size + k_piece);
    return {};
}

Result<std::size_t> RedisReplica::receive(ByteSpan to) {
    HF_TRY(const std::size_t n, client_.receive_some(to, k_silence_max));
    if (n == 0)
        return fail(ErrorCode::unreachable,
                    fmt::format("{} went away after {} of its {}", client_.peer(), human_size(bytes_),
                                resumed_ ? "commands" : "RDB"),
                    "see the server's log, then try again");
    return n;
}

Result<std::size_t> RedisReplica::read(ByteSpan to) {
    if (!diskless()) {
        if (left_ == 0) return 0;
        HF_TRY(const std::size_t n, receive(to.first(std::min<std::uint64_t>(to.size(), left_))));
        left_ -= n;
        bytes_ += n;
        return n;
    }
    // The server is silent behind the mark until we acknowledge, so the mark is always the end of what has come.
    while (held_size_ <= k_mark_size) {
        if (held_size_ == k_mark_size && as_text(ByteView(held_).first(k_mark_size)) == mark_) return 0;
        HF_TRY(const std::size_t n, receive(ByteSpan(held_).subspan(held_size_)));
        held_size_ += n;
    }
    const std::size_t n = std::min(to.size(), held_size_ - k_mark_size);
    std::memcpy(to.data(), held_.data(), n);
    std::memmove(held_.data(), held_.data() + n, held_size_ - n);
    held_size_ -= n;
    bytes_ += n;
    return n;
}

Result<std::size_t> RedisReplica::read_commands(ByteSpan to) {
    HF_ASSERT(resumed_);
    HF_TRY(const std::size_t n, receive(to));
    bytes_ += n;
    offset_ += n;
    return n;
}

Status RedisReplica::leave() { return client_.send({"REPLCONF", "ACK", std::to_string(offset_)}); }

}    // namespace holdfast::db
