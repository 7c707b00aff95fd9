#include "holdfast/db/clickhouse.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <optional>
#include <set>

#include "holdfast/db/clickhouse_request.hpp"
#include "holdfast/db/clickhouse_text.hpp"

namespace holdfast::db::clickhouse {

namespace {

constexpr std::size_t k_text_max = std::size_t(256) << 20;
// Servers refuse request lines over 16 KiB (18.16) or 1 MiB (26); a long list of columns can be left out.
constexpr std::size_t k_url_max = 15'000;
constexpr std::string_view k_newer_columns[] = {
    "create_query", "data_paths", "has_lightweight_delete", "hash_of_all_files", "origin", "storage", "uuid"};

std::string escaped(std::string_view text) {
    std::string out;
    for (const char c : text) {
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
                           c == '-' || c == '.';
        if (plain) {
            out += c;
        } else {
            out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
        }
    }
    return out;
}

}    // namespace

struct Client::State {
    Server server;
    std::string version;
    Handles handles;
    std::optional<std::set<std::pair<std::string, std::string>>> newer_columns;    // table, column; once asked for

    RequestOptions request(const Settings& settings) const {
        RequestOptions options;
        options.place = server.url;
        options.url = server.url + "/?wait_end_of_query=1";
        for (const auto& [name, value] : settings) options.url += "&" + name + "=" + escaped(value);
        options.user = &server.user;
        options.password = &server.password.reveal();
        options.connect_max = server.connect_max;
        options.idle_max = server.idle_max;
        return options;
    }
};

namespace {

class StreamedInsertion final : public Insertion {
public:
    StreamedInsertion(Handles& handles, RequestOptions options)
        : request_(handles, std::move(options), [](ByteView) { return Status(); }) {}
    Status write(ByteView bytes) override { return bytes.empty() ? Status() : request_.push(bytes); }
    Status finish() override { return request_.finish(); }

private:
    Request request_;
};

}    // namespace

Client::Client(std::unique_ptr<State> state) : state_(std::move(state)) {}
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;
Client::~Client() = default;

Result<Client> Client::connect(Server server) {
    while (!server.url.empty() && server.url.back() == '/') server.url.pop_back();
    if (server.url.find('@') != std::string::npos)
        return fail(ErrorCode::config, "the URL of ClickHouse holds a user or a password",
                    "use `user` and `password_file` of [[clickhouse]]");
    if (server.url.find('?') != std::string::npos)
        return fail(ErrorCode::config, "the URL of ClickHouse holds parameters", "write it as http://host:8123");
    if (server.user.find_first_of("\r\n") != std::string::npos ||
        server.password.reveal().find_first_of("\r\n") != std::string::npos)
        return fail(ErrorCode::config, "the user or password of ClickHouse has a line end in it");
    auto state = std::make_unique<State>();
    state->server = std::move(server);
    Client client(std::move(state));
    HF_TRY(auto answer, client.rows("SELECT version()"));
    if (answer.size() != 1 || answer[0].size() != 1)
        return fail(ErrorCode::store, client.state_->server.url + " does not answer like a ClickHouse server",
                    "is this the HTTP port (8123), not the native one?");
    client.state_->version = answer[0][0];
    return client;
}

const std::string& Client::version() const { return state_->version; }

Status Client::read(std::string_view query, const std::function<Status(ByteView)>& sink, const Settings& settings) {
    RequestOptions options = state_->request(settings);
    options.body = query;
    Request request(state_->handles, std::move(options), sink);
    return request.finish();
}

Result<std::string> Client::text(std::string_view query, const Settings& settings) {
    std::string answer;
    HF_DO(read(
        query,
        [&](ByteView bytes) -> Status {
            if (answer.size() + bytes.size() > k_text_max)
                return fail(ErrorCode::store, "an answer of ClickHouse is over 256 MiB");
            answer += as_text(bytes);
            return {};
        },
        settings));
    return answer;
}

Result<Rows> Client::rows(std::string_view query, const Settings& settings) {
    HF_TRY(const auto answer, text(query, settings));
    return parse_rows(answer);
}

Status Client::execute(std::string_view statement, const Settings& settings) {
    return read(statement, [](ByteView) { return Status(); }, settings);
}

Result<std::unique_ptr<Insertion>> Client::insert(std::string_view statement, const Settings& settings) {
    RequestOptions options = state_->request(settings);
    options.url += "&query=" + escaped(statement);
    if (options.url.size() > k_url_max)
        return fail(ErrorCode::unsupported,
                    fmt::format("an INSERT statement of {} bytes is too long for a URL", statement.size()));
    options.streams_body = true;
    return std::make_unique<StreamedInsertion>(state_->handles, std::move(options));
}

Result<bool> Client::system_has(std::string_view table, std::string_view column) {
    HF_ASSERT(std::ranges::find(k_newer_columns, column) != std::end(k_newer_columns));
    if (!state_->newer_columns) {
        std::string names;
        for (const std::string_view name : k_newer_columns) names += (names.empty() ? "" : ", ") + quoted_text(name);
        HF_TRY(const auto found,
               rows("SELECT table, name FROM system.columns WHERE database = 'system' AND name IN (" + names + ")"));
        auto& columns = state_->newer_columns.emplace();
        for (const auto& row : found)
            if (row.size() == 2) columns.emplace(row[0], row[1]);
    }
    return state_->newer_columns->contains({std::string(table), std::string(column)});
}

Result<Settings> Client::known(const Settings& wanted) {
    std::string names;
    for (const auto& [name, value] : wanted) names += (names.empty() ? "" : ", ") + quoted_text(name);
    HF_TRY(const auto found, rows("SELECT name FROM system.settings WHERE name IN (" + names + ")"));
    Settings settings;
    for (const auto& setting : wanted) {
        const auto is_it = [&](const auto& row) { return !row.empty() && row[0] == setting.first; };
        if (std::any_of(found.begin(), found.end(), is_it)) settings.push_back(setting);
    }
    return settings;
}

}    // namespace holdfast::db::clickhouse
