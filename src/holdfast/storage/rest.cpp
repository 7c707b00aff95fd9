#include "holdfast/storage/rest.hpp"

#include <fmt/core.h>
#include <simdjson.h>

#include <algorithm>
#include <charconv>

#include "holdfast/os/host.hpp"
#include "holdfast/storage/http_client.hpp"
#include "holdfast/storage/spool.hpp"
#include "holdfast/storage/url.hpp"

namespace holdfast::storage {
namespace {

constexpr std::string_view k_v2 = "application/vnd.x.restic.rest.v2";
constexpr std::uint64_t k_list_max = std::uint64_t(256) << 20;

std::optional<std::uint64_t> number(std::optional<std::string_view> text) {
    std::uint64_t value = 0;
    if (!text) return std::nullopt;
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
    if (error != std::errc() || end != text->data() + text->size()) return std::nullopt;
    return value;
}

class RestBackend final : public Backend {
public:
    RestBackend(std::string location, std::string base, HttpOptions options)
        : location_(std::move(location)),
          base_(std::move(base)),
          connections_(options.connections),
          client_(std::move(options)) {}

    Status create_layout() override {
        HF_DO(ask("POST", "?create=true", "making the repository's folders"));
        return {};
    }
    Result<std::unique_ptr<Upload>> start(FileKind kind) override;
    Status put(const FileName& name, ByteView bytes) override {
        MemoryBody body(bytes);
        return send(name, body);
    }
    Result<Bytes> read(const FileName& name) override {
        HttpRequest request = request_for("GET", path_of(name), "reading " + relative_path(name));
        request.body_max = read_size_max(name.kind);
        HF_TRY(HttpResponse response, checked(request));
        return std::move(response.body);
    }
    Status read_at(const FileName& name, std::uint64_t offset, ByteSpan to) override;
    Result<std::uint64_t> size(const FileName& name) override {
        HF_TRY(const HttpResponse response, ask("HEAD", path_of(name), "looking at " + relative_path(name)));
        const auto size = number(response.header("content-length"));
        if (!size)
            return fail(ErrorCode::corrupt,
                        fmt::format("{}: the server does not say how long {} is", location_, relative_path(name)));
        return *size;
    }
    Status list(FileKind kind, const std::function<void(const Id&, std::uint64_t)>& found) override;
    Status remove(const FileName& name) override {
        // The protocol answers 200 for what was not there; our callers want to know.
        HF_DO(size(name));
        HF_DO(ask("DELETE", path_of(name), "removing " + relative_path(name)));
        return {};
    }
    Status remove_many(std::span<const FileName> names, const std::function<void(const FileName&)>& gone) override {
        Status first;
        for (const FileName& name : names) {
            auto removed = ask("DELETE", path_of(name), "removing " + relative_path(name));
            if (removed || removed.error().code == ErrorCode::not_found)
                gone(name);
            else if (first)
                first = fail(std::move(removed).error());
        }
        return first;
    }
    Status sync() override { return {}; }
    bool lists_at_once() const override { return true; }
    unsigned connections() const override { return connections_; }
    std::string location() const override { return location_; }

    Status send(const FileName& name, HttpBody& body);

private:
    // No two-digit folders in URLs: the server adds them on its disk.
    static std::string path_of(const FileName& name) {
        return name.kind == FileKind::pack ? "data/" + name.id.hex() : relative_path(name);
    }
    HttpRequest request_for(const char* method, const std::string& below, const std::string& what) const {
        HttpRequest request;
        request.method = method;
        request.url = base_ + below;
        request.headers = {{"Accept", std::string(k_v2)}};
        request.what = fmt::format("{}: {}", location_, what);
        return request;
    }
    Result<HttpResponse> checked(const HttpRequest& request) {
        HF_TRY(HttpResponse response, client_.send(request));
        if (!response.ok()) return fail(http_error(response.status, request.what, as_text(response.body)));
        return response;
    }
    Result<HttpResponse> ask(const char* method, const std::string& below, const std::string& what) {
        return checked(request_for(method, below, what));
    }

    const std::string location_, base_;
    const unsigned connections_;
    HttpClient client_;
};

class RestUpload final : public Upload {
public:
    RestUpload(RestBackend& backend, FileKind kind, Spool spool)
        : backend_(backend), kind_(kind), spool_(std::move(spool)) {}
    Status write(ByteView bytes) override { return spool_.write(bytes); }
    Status commit(const Id& id) override { return backend_.send({kind_, id}, spool_); }

private:
    RestBackend& backend_;
    const FileKind kind_;
    Spool spool_;
};

Result<std::unique_ptr<Upload>> RestBackend::start(FileKind kind) {
    HF_TRY(Spool spool, Spool::create());
    return std::make_unique<RestUpload>(*this, kind, std::move(spool));
}

Status RestBackend::send(const FileName& name, HttpBody& body) {
    HttpRequest request = request_for("POST", path_of(name), "writing " + relative_path(name));
    request.headers.push_back({"Content-Type", "application/octet-stream"});
    request.body = &body;
    HF_TRY(const HttpResponse response, client_.send(request));
    if (response.ok()) return {};
    Error error = http_error(response.status, request.what, as_text(response.body));
    if (response.status == 403) {
        // Either we may not, or it is there: by an attempt of ours whose answer was lost, or by another client's.
        const auto there = size(name);
        if (there && name.kind == FileKind::config)
            return fail(ErrorCode::exists, fmt::format("{}: there is a repository already", location_));
        if (there && *there == body.size()) return {};
        if (there)
            return fail(ErrorCode::corrupt,
                        fmt::format("{}: {} is there with {} bytes instead of {}", location_, relative_path(name),
                                    *there, body.size()),
                        "it is damaged: remove it on the server, then try again");
        if (there.error().code != ErrorCode::not_found) return fail(there.error());
    }
    if (response.status == 400)
        error.hint = "the bytes were changed on their way, or the server's disk is bad: try again";
    return fail(std::move(error));
}

Status RestBackend::read_at(const FileName& name, std::uint64_t offset, ByteSpan to) {
    if (to.empty()) {
        HF_DO(size(name));
        return {};
    }
    HttpRequest request = request_for("GET", path_of(name), "reading " + relative_path(name));
    request.headers.push_back({"Range", fmt::format("bytes={}-{}", offset, offset + to.size() - 1)});
    std::uint64_t received = 0;
    // What comes is not believed to be a part before the status says so: kept apart until then would double the memory, so
    // the part is taken where it would lie if the server sent it, and a whole file (200) is asked for again.
    request.sink = [&](ByteView bytes) -> Status {
        const std::uint64_t room = received < to.size() ? to.size() - received : 0;
        const ByteView taken = bytes.first(static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), room)));
        std::copy(taken.begin(), taken.end(),
                  to.begin() + static_cast<std::ptrdiff_t>(std::min<std::uint64_t>(received, to.size())));
        received += bytes.size();
        if (received > read_size_max(name.kind))
            return fail(ErrorCode::corrupt, request.what + ": the answer does not end");
        return {};
    };
    HF_TRY(const HttpResponse response, checked(request));
    if (response.status != 206) {    // a server without ranges
        HF_TRY(const Bytes whole, read(name));
        received = offset < whole.size() ? std::min<std::uint64_t>(whole.size() - offset, to.size()) : 0;
        if (received == to.size()) {
            const auto begin = whole.begin() + static_cast<std::ptrdiff_t>(offset);
            std::copy(begin, begin + static_cast<std::ptrdiff_t>(to.size()), to.begin());
        }
    }
    if (received != to.size())
        return fail(ErrorCode::corrupt, fmt::format("{}: {} bytes were wanted from offset {}, {} came", request.what,
                                                    to.size(), offset, received));
    return {};
}

Status RestBackend::list(FileKind kind, const std::function<void(const Id&, std::uint64_t)>& found) {
    if (kind == FileKind::config) return {};
    const std::string path = path_of({kind, {}});
    HttpRequest request =
        request_for("GET", path.substr(0, path.find('/') + 1), "listing " + path.substr(0, path.find('/')));
    request.body_max = k_list_max;
    HF_TRY(const HttpResponse response, client_.send(request));
    if (response.status == 404) return {};    // rest-server: the folder was not made yet
    if (!response.ok()) return fail(http_error(response.status, request.what, as_text(response.body)));
    auto entries = parse_rest_list(as_text(response.body));
    if (!entries) return fail(std::move(entries).error().within(request.what));
    for (const RestEntry& entry : *entries) {
        if (entry.size) {
            found(entry.id, *entry.size);
            continue;
        }
        const auto asked = size({kind, entry.id});
        if (asked)
            found(entry.id, *asked);
        else if (asked.error().code != ErrorCode::not_found)    // removed meanwhile
            return fail(asked.error());
    }
    return {};
}

}    // namespace

Result<std::vector<RestEntry>> parse_rest_list(std::string_view text) {
    namespace od = simdjson::ondemand;
    const auto no_list = [](const char* why) {
        return fail(ErrorCode::corrupt, fmt::format("the server's list is not a list: {}", why));
    };
    // restic's servers write null for an empty list.
    const std::size_t begin = text.find_first_not_of(" \t\r\n");
    if (begin != std::string_view::npos && text.substr(begin, text.find_last_not_of(" \t\r\n") + 1 - begin) == "null")
        return {};
    // Read as it comes: a tree of values would cost a hostile server's list twenty times its length.
    const simdjson::padded_string padded(text);
    od::parser parser;
    od::document document;
    if (const auto error = parser.iterate(padded).get(document)) return no_list(simdjson::error_message(error));
    od::array list;
    if (const auto error = document.get_array().get(list)) return no_list(simdjson::error_message(error));
    std::vector<RestEntry> entries;
    for (auto item : list) {
        od::value value;
        if (const auto error = item.get(value)) return no_list(simdjson::error_message(error));
        od::object object;
        const bool version_2 = value.get_object().get(object) == simdjson::SUCCESS;
        std::string_view name;
        if ((version_2 ? object["name"].get(name) : value.get(name)) != simdjson::SUCCESS) continue;
        const auto id = Id::parse(name);
        if (!id) continue;
        RestEntry entry{*id, std::nullopt};
        if (version_2) {
            std::uint64_t size = 0;
            if (object["size"].get(size) != simdjson::SUCCESS)
                return fail(ErrorCode::corrupt, "the server's list has a file without a size");
            entry.size = size;
        }
        entries.push_back(entry);
    }
    if (const char* rest = nullptr; document.current_location().get(rest) == simdjson::SUCCESS)
        return no_list("something follows it");
    return entries;
}

Result<std::unique_ptr<Backend>> open_rest(const std::string& rest, const BackendOptions& options) {
    auto url = parse_url(rest);
    if (!url) {
        Error error = std::move(url).error().within("the location rest:");
        if (error.hint.empty()) error.hint = "write it as rest:https://user@host:8000/path/";
        return fail(std::move(error));
    }
    HF_TRY(const unsigned connections, options.number("rest.connections", 5, 1, 64));
    HF_TRY(const unsigned silence, options.number("rest.timeout", 120, 1, 3600));
    HttpOptions http;
    http.connections = connections;
    http.silence_max = std::chrono::seconds(silence);
    http.connect_max = std::min<Duration>(http.connect_max, http.silence_max);
    http.ca_file = options.ca_file;
    http.client_certificate = options.client_certificate;
    http.pace = options.pace;
    http.user = url->user.empty() ? os::environment("RESTIC_REST_USERNAME").value_or("") : url->user;
    http.password =
        url->password.empty() ? Secret(os::environment("RESTIC_REST_PASSWORD").value_or("")) : std::move(url->password);
    if (!url->path.ends_with('/')) url->path += '/';
    const std::string login =
        url->user.empty() ? "" : percent_encoded(url->user) + (http.password.empty() ? "@" : ":***@");
    return std::make_unique<RestBackend>(
        fmt::format("rest:{}://{}{}{}", url->scheme, login, url->authority(), url->path), url->origin() + url->path,
        std::move(http));
}

}    // namespace holdfast::storage
