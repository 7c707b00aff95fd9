#include "holdfast/serve/metrics.hpp"

#include <fmt/core.h>

namespace holdfast::serve {
namespace {

std::string escaped(std::string_view value) {
    std::string text;
    for (const char c : value) {
        if (c == '\\' || c == '"') text += '\\';
        if (c == '\n')
            text += "\\n";
        else
            text += c;
    }
    return text;
}

void describe(std::string& to, std::string_view name, std::string_view type, std::string_view help) {
    to += fmt::format("# HELP {0} {2}\n# TYPE {0} {1}\n", name, type, help);
}

}    // namespace

void Metrics::count_request(std::string_view method, int status) {
    // Only methods that we know: a client must not be able to make new series.
    const bool known = method == "GET" || method == "HEAD" || method == "POST" || method == "DELETE";
    const std::scoped_lock lock(mutex_);
    ++requests_[{known ? std::string(method) : "other", status}];
}

void Metrics::count_blob(Blob what, const std::string& user, const std::string& repository, std::string_view type,
                         std::uint64_t bytes) {
    const std::scoped_lock lock(mutex_);
    Pair& pair = blobs_[static_cast<std::size_t>(what)][{user, repository, std::string(type)}];
    ++pair.count;
    pair.bytes += bytes;
}

std::string Metrics::text(const Gauges& gauges) const {
    std::string out;
    const std::scoped_lock lock(mutex_);
    constexpr std::array<std::string_view, 3> k_verbs = {"write", "read", "delete"};
    constexpr std::array<std::string_view, 3> k_done = {"written", "read", "deleted"};
    for (std::size_t i = 0; i < 3; ++i) {
        const std::string count = fmt::format("rest_server_blob_{}_total", k_verbs[i]);
        const std::string bytes = fmt::format("rest_server_blob_{}_bytes_total", k_verbs[i]);
        const auto lines = [&](const std::string& name, auto member) {
            for (const auto& [labels, pair] : blobs_[i])
                out += fmt::format("{}{{repo=\"{}\",type=\"{}\",user=\"{}\"}} {}\n", name, escaped(std::get<1>(labels)),
                                   escaped(std::get<2>(labels)), escaped(std::get<0>(labels)), pair.*member);
        };
        describe(out, count, "counter", fmt::format("Total number of blobs {}", k_done[i]));
        lines(count, &Pair::count);
        describe(out, bytes, "counter", fmt::format("Total number of bytes {} to blobs", k_done[i]));
        lines(bytes, &Pair::bytes);
    }
    describe(out, "holdfast_serve_requests_total", "counter", "Requests answered");
    for (const auto& [labels, count] : requests_)
        out += fmt::format("holdfast_serve_requests_total{{method=\"{}\",code=\"{}\"}} {}\n", labels.first,
                           labels.second, count);
    describe(out, "holdfast_serve_connections", "gauge", "Connections open now");
    out += fmt::format("holdfast_serve_connections {}\n", gauges.connections);
    describe(out, "holdfast_serve_used_bytes", "gauge", "Bytes stored in all repositories");
    out += fmt::format("holdfast_serve_used_bytes {}\n", gauges.used_bytes);
    if (gauges.max_bytes > 0) {
        describe(out, "holdfast_serve_max_bytes", "gauge", "What --max-size allows");
        out += fmt::format("holdfast_serve_max_bytes {}\n", gauges.max_bytes);
    }
    return out;
}

}    // namespace holdfast::serve
