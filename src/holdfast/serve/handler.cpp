#include "holdfast/serve/handler.hpp"

#include <fcntl.h>
#include <fmt/core.h>

#include <algorithm>

#include "holdfast/base/log.hpp"
#include "holdfast/format/crypto.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/serve/range.hpp"

namespace holdfast::serve {
namespace {

constexpr std::uint64_t k_file_max = std::uint64_t(4) << 30;    // no pack of the format is larger
constexpr std::size_t k_piece = 128 << 10;
constexpr std::string_view k_v1 = "application/vnd.x.restic.rest.v1", k_v2 = "application/vnd.x.restic.rest.v2";

}    // namespace

struct Handler::Exchange : http::Exchange {
    std::string user;
};

bool Handler::answer(http::Connection& connection, std::string_view head_text, bool stopping, unsigned connections) {
    const Instant began = clock_.instant();
    auto head = http::parse_request_head(head_text);
    Exchange exchange{{connection, head ? *head : http::RequestHead{}}, {}};
    exchange.close = stopping || !head || exchange.head.wants_close();
    if (!head) {
        exchange.refuse(400, head.error().message);
    } else if (options_.prometheus && exchange.head.path == "/metrics") {
        if (options_.prometheus_no_auth || admits(exchange, nullptr)) {
            if (exchange.head.method != "GET" && exchange.head.method != "HEAD")
                exchange.refuse(405, "the metrics are read by GET");
            else
                exchange.reply(200, metrics_.text({connections, store_->used(), store_->size_max()}),
                               "text/plain; version=0.0.4; charset=utf-8");
        }
    } else {
        dispatch(exchange);
    }
    metrics_.count_request(exchange.head.method, exchange.status);
    if (options_.access_log)
        log_info("request", {{"peer", connection.peer()},
                             {"user", exchange.user.empty() ? "-" : exchange.user},
                             {"method", exchange.head.method},
                             {"path", exchange.head.path},
                             {"status", std::to_string(exchange.status)},
                             {"received", std::to_string(exchange.received)},
                             {"sent", std::to_string(exchange.sent)},
                             {"seconds", fmt::format("{:.3f}", seconds(clock_.instant() - began))}});
    if (exchange.close && exchange.has_unread_body()) connection.linger();
    return !exchange.close;
}

// Answers by itself when it says no.
bool Handler::admits(Exchange& exchange, const Route* route) {
    if (users_) {
        const auto login = http::parse_basic_authorization(exchange.head.header("authorization").value_or(""));
        if (!login || !users_->check(login->first, login->second)) {
            exchange.refuse(401, "a user and a password are needed",
                            "WWW-Authenticate: Basic realm=\"holdfast\", charset=\"UTF-8\"\r\n");
            return false;
        }
        exchange.user = login->first;
    }
    if (route && options_.private_repositories && (route->folders.empty() || route->folders[0] != exchange.user)) {
        exchange.refuse(403, "this user's repositories lie below /" + exchange.user + "/");
        return false;
    }
    return true;
}

void Handler::fail_with(Exchange& exchange, const Error& error) {
    if (error.code == ErrorCode::not_found) return exchange.refuse(404, "there is no such file");
    if (error.code == ErrorCode::exists) return exchange.refuse(403, "it exists already");
    log_error("a request failed", {{"path", exchange.head.path}, {"error", error.message}});
    if (error.code == ErrorCode::disk_full) return exchange.refuse(507, "the server's disk is full");
    exchange.refuse(500, "the server could not do it; its log says why");
}

void Handler::dispatch(Exchange& exchange) {
    const auto route = parse_route(exchange.head.path);
    // Before anything is said about the path: a stranger learns nothing.
    if (!admits(exchange, route ? &*route : nullptr)) return;
    if (!route) return exchange.refuse(400, route.error().message);
    const std::string& method = exchange.head.method;
    const bool reads = method == "GET" || method == "HEAD";
    if (route->target == Route::Target::repository) {
        if (method == "POST" && exchange.head.query == "create=true") return create(exchange, *route);
        if (method == "DELETE") return exchange.refuse(501, "repositories are not removed over the network");
        return exchange.refuse(reads ? 404 : 405, "a repository is made by POST with ?create=true");
    }
    if (route->target == Route::Target::list) {
        if (reads) return list(exchange, *route);
        return exchange.refuse(405, "a list is read by GET");
    }
    if (reads) return read(exchange, *route);
    if (method == "POST") return save(exchange, *route);
    if (method == "DELETE") return remove(exchange, *route);
    exchange.refuse(405, "known are GET, HEAD, POST and DELETE");
}

void Handler::create(Exchange& exchange, const Route& route) {
    const auto repository = store_->repository(route);
    if (auto made = repository->create_layout(); !made) return fail_with(exchange, made.error());
    if (auto synced = repository->sync(); !synced) return fail_with(exchange, synced.error());
    exchange.reply(200);
}

void Handler::list(Exchange& exchange, const Route& route) {
    const bool v2 = exchange.head.header("accept").value_or("").find(k_v2) != std::string_view::npos;
    std::string text = "[";
    const auto listed = store_->repository(route)->list(route.kind, [&](const Id& id, std::uint64_t size) {
        if (text.size() > 1) text += ',';
        text += v2 ? fmt::format("{{\"name\":\"{}\",\"size\":{}}}", id.hex(), size) : fmt::format("\"{}\"", id.hex());
    });
    if (!listed) return fail_with(exchange, listed.error());
    exchange.reply(200, text + ']', v2 ? k_v2 : k_v1);
}

void Handler::read(Exchange& exchange, const Route& route) {
    const std::string path = store_->path_of(route);
    const auto fd = os::open_file(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    if (!fd) return fail_with(exchange, fd.error());
    struct stat st;
    if (::fstat(fd->get(), &st) != 0 || !S_ISREG(st.st_mode)) return exchange.refuse(404, "there is no such file");
    const auto size = static_cast<std::uint64_t>(st.st_size);
    const RangeAnswer chosen = choose_range(exchange.head.header("range"), size);
    if (chosen.kind == RangeKind::unsatisfiable)
        return exchange.refuse(416, "the file is shorter", fmt::format("Content-Range: bytes */{}\r\n", size));
    std::string extra = "Accept-Ranges: bytes\r\n";
    if (chosen.kind == RangeKind::part)
        extra += fmt::format("Content-Range: bytes {}-{}/{}\r\n", chosen.range.begin,
                             chosen.range.begin + chosen.range.size - 1, size);
    exchange.begin(chosen.kind == RangeKind::part ? 206 : 200, chosen.range.size, "application/octet-stream", extra);
    if (exchange.head.method == "HEAD") return;
    Bytes piece(k_piece);
    for (std::uint64_t at = 0; at < chosen.range.size && exchange.sent == at;) {
        const ByteSpan part =
            ByteSpan(piece).first(static_cast<std::size_t>(std::min<std::uint64_t>(k_piece, chosen.range.size - at)));
        const auto n = os::pread_full(fd->get(), part, chosen.range.begin + at);
        if (!n || *n < part.size()) {
            // The head has promised more: only an end that is too early says that something is wrong.
            log_error("a file cannot be read", {{"file", path}, {"error", n ? "it ends early" : n.error().message}});
            exchange.close = true;
            return;
        }
        exchange.send(part);
        at += part.size();
    }
    if (exchange.sent == chosen.range.size)
        metrics_.count_blob(Metrics::Blob::read, exchange.user, route.repository(), kind_name(route.kind),
                            chosen.range.size);
}

void Handler::save(Exchange& exchange, const Route& route) {
    if (!exchange.head.content_length) return exchange.refuse(411, "an upload says its length by Content-Length");
    const std::uint64_t size = *exchange.head.content_length;
    if (size > k_file_max) return exchange.refuse(413, "no file of a repository is larger than 4 GiB");
    const auto there = store_->repository(route)->size(route.file());
    if (there) return exchange.refuse(403, "it exists already");
    if (there.error().code != ErrorCode::not_found) return fail_with(exchange, there.error());
    if (!store_->reserve(size)) return exchange.refuse(507, "the server's --max-size is reached");
    if (const auto saved = receive(exchange, route, size); !saved) {
        store_->give_back(size);
        if (saved.error().code == ErrorCode::unreachable) {    // the client, not us: nobody is there to answer
            exchange.close = true;
            exchange.status = 499;
            return;
        }
        if (saved.error().code == ErrorCode::corrupt) return exchange.refuse(400, saved.error().message);
        return fail_with(exchange, saved.error());
    }
    metrics_.count_blob(Metrics::Blob::write, exchange.user, route.repository(), kind_name(route.kind), size);
    exchange.reply(200);
}

Status Handler::receive(Exchange& exchange, const Route& route, std::uint64_t size) {
    const auto repository = store_->repository(route);
    HF_TRY(const auto upload, repository->start(route.kind));
    HF_DO(exchange.invite_body());
    format::Sha256 hash;
    Bytes piece(k_piece);
    for (std::uint64_t at = 0; at < size;) {
        const ByteSpan room =
            ByteSpan(piece).first(static_cast<std::size_t>(std::min<std::uint64_t>(k_piece, size - at)));
        HF_TRY(const std::size_t n, exchange.connection.read(room));
        exchange.received += n;
        at += n;
        exchange.body_was_read = at == size;
        hash.update(room.first(n));
        HF_DO(upload->write(room.first(n)));
    }
    exchange.body_was_read = true;
    if (route.kind != storage::FileKind::config && hash.finish() != route.id)
        return fail(ErrorCode::corrupt, "the content is not what its name says");
    HF_DO(upload->commit(route.id));
    return repository->sync();
}

void Handler::remove(Exchange& exchange, const Route& route) {
    if (options_.append_only && route.kind != storage::FileKind::lock)
        return exchange.refuse(403, "this server is append-only");
    const auto repository = store_->repository(route);
    const auto size = repository->size(route.file());
    auto removed = size ? repository->remove(route.file()) : fail(size.error());
    if (removed) {
        store_->give_back(*size);
        metrics_.count_blob(Metrics::Blob::remove, exchange.user, route.repository(), kind_name(route.kind), *size);
        removed = repository->sync();
    }
    // Gone already is what was wanted.
    if (!removed && removed.error().code != ErrorCode::not_found) return fail_with(exchange, removed.error());
    exchange.reply(200);
}

}    // namespace holdfast::serve
