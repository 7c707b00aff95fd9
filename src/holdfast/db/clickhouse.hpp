#pragma once
// A connection to one ClickHouse server over HTTP (libcurl): questions, streamed answers, streamed inserts.
//
//   promises   an answer counts only when it came whole: every read asks for wait_end_of_query=1, so that an error after
//              the first rows is an error status and not text at the end of the rows; a cut transfer is an error
//   secrets    user and password travel as headers, never in the URL
//   errors     unreachable (no connection, broken in the middle, silent for idle_max), denied, not_found, exists,
//              disk_full, store (anything else that the server says), cancelled
//   threads    one client per thread; connections are kept alive between calls
//   source     behaviour of 18.16.1 and 26.5, as clickhouse_test.cpp shows it

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "holdfast/base/bytes.hpp"
#include "holdfast/base/clock.hpp"
#include "holdfast/base/result.hpp"
#include "holdfast/base/secret.hpp"

namespace holdfast::db::clickhouse {

struct Server {
    std::string url = "http://127.0.0.1:8123";    // http or https; without user and password
    std::string user = "default";
    Secret password;
    Duration connect_max = std::chrono::seconds(10);
    /// A query may be silent while it works, so this is long; a server that hangs is given up after it.
    Duration idle_max = std::chrono::minutes(30);
};

/// "max_threads", "1"
using Settings = std::vector<std::pair<std::string, std::string>>;
using Rows = std::vector<std::vector<std::string>>;

/// An INSERT whose data comes as a stream. Leaving without finish() breaks the request off; the server may keep what it
/// had by then, so insert only into tables that can be dropped.
class Insertion {
public:
    virtual ~Insertion() = default;
    virtual Status write(ByteView bytes) = 0;
    /// The end of the data; success means that the server has taken all of it.
    virtual Status finish() = 0;
};

class Client {
public:
    /// Asks for the version, so that a wrong address or password is found here.
    static Result<Client> connect(Server server);
    Client(Client&&) noexcept;
    Client& operator=(Client&&) noexcept;
    ~Client();

    /// "18.16.1"
    const std::string& version() const;

    /// Streams the answer of a query that names its own FORMAT. An error of the sink ends it and is returned.
    Status read(std::string_view query, const std::function<Status(ByteView)>& sink, const Settings& settings = {});
    /// A small answer as it came (up to 256 MiB).
    Result<std::string> text(std::string_view query, const Settings& settings = {});
    /// A small answer in TabSeparated, unescaped.
    Result<Rows> rows(std::string_view query, const Settings& settings = {});
    /// A statement without an answer.
    Status execute(std::string_view statement, const Settings& settings = {});
    /// `statement` ends in "FORMAT Native" or the like; the data follows. No other call while the insertion lives.
    Result<std::unique_ptr<Insertion>> insert(std::string_view statement, const Settings& settings = {});

    /// Newer servers have columns of system tables, and whole such tables, that 18.16 does not know. The server is asked once,
    /// for all that k_newer_columns names; `column` is one of those.
    Result<bool> system_has(std::string_view table, std::string_view column);
    /// Those of `wanted` that this server knows: 18.16 refuses names that are newer than itself.
    Result<Settings> known(const Settings& wanted);

    struct State;

private:
    explicit Client(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

}    // namespace holdfast::db::clickhouse
