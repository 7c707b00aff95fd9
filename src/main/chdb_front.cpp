// hf-chdb-front LIBRARY DATA_FOLDER PORT
//
// A small HTTP front on libchdb, for tests: it lets the ClickHouse client meet a modern engine (26.x) that no package of
// Debian 12 has. Not a product: queries run one after another, results are built in memory, nothing is compressed.
//
//   speaks     GET /ping; GET and POST / with ?query= (and settings) and/or a body, default format TabSeparated
//   errors     status 500 (404: unknown table or database, 403: bad password), X-ClickHouse-Exception-Code, the text
//   users      any, without a check; when HF_FRONT_KEY is set the user `guarded` must show that key; HF_FRONT_CONFIG: a config.xml
//   listens    127.0.0.1 only
//   trap       libchdb ends inline INSERT data at the first blank line: bodies go through a file and FROM INFILE

#include <dlfcn.h>
#include <fmt/core.h>
#include <httplib.h>

#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <regex>
#include <string>
#include <vector>

namespace {

// libchdb brings no header; these are the functions used here, as chdb.h 26.5 declares them.
using chdb_connection = struct ChdbConnection*;
struct ChdbResult;
struct Engine {
    chdb_connection* (*connect)(int argc, char** argv) = nullptr;
    void (*close)(chdb_connection* connection) = nullptr;
    ChdbResult* (*query)(chdb_connection connection, const char* query, std::size_t length, const char* format,
                         std::size_t format_length) = nullptr;
    void (*destroy)(ChdbResult* result) = nullptr;
    char* (*buffer)(ChdbResult* result) = nullptr;
    std::size_t (*length)(ChdbResult* result) = nullptr;
    const char* (*error)(ChdbResult* result) = nullptr;
    chdb_connection* connection = nullptr;
    std::mutex one_at_a_time;
};

struct Answer {
    std::string body, error;
};

Answer run(Engine& engine, const std::string& query, const std::string& format) {
    ChdbResult* result = engine.query(*engine.connection, query.data(), query.size(), format.data(), format.size());
    Answer answer;
    if (const char* error = engine.error(result); error != nullptr) {
        answer.error = error;
    } else if (engine.length(result) > 0) {
        answer.body.assign(engine.buffer(result), engine.length(result));
    }
    engine.destroy(result);
    return answer;
}

std::string quoted(const std::string& text) {
    std::string out = "'";
    for (const char c : text) {
        if (c == '\'' || c == '\\') out += '\\';
        out += c;
    }
    return out + "'";
}

bool write_file(const std::string& path, const std::string& content) {
    std::FILE* file = std::fopen(path.c_str(), "wb");
    if (file == nullptr) return false;
    const bool whole = std::fwrite(content.data(), 1, content.size(), file) == content.size();
    return std::fclose(file) == 0 && whole;
}

/// `INSERT … FORMAT X` with its data in the body becomes `INSERT … FROM INFILE 'file' FORMAT X`; else query and body are
/// one text, as on a real server.
Answer execute(Engine& engine, const std::string& folder, std::string query, const std::string& body,
               const std::string& format) {
    static const std::regex insert(R"(^\s*(INSERT\s[\s\S]*?)\sFORMAT\s+(\w+)\s*$)", std::regex::icase);
    std::smatch match;
    if (std::regex_match(query, match, insert)) {
        if (body.empty()) return {};
        const std::string file = folder + "/front-insert.body";
        if (!write_file(file, body)) return {{}, "Code: 1. cannot write " + file};
        Answer answer = run(engine, match.str(1) + " FROM INFILE " + quoted(file) + " FORMAT " + match.str(2), format);
        std::remove(file.c_str());
        return answer;
    }
    if (!query.empty() && !body.empty()) query += "\n";
    return run(engine, query + body, format);
}

int status_of(const std::string& code) {
    if (code == "60" || code == "81") return 404;
    return code == "516" ? 403 : 500;
}

void fail(httplib::Response& response, const std::string& text) {
    static const std::regex number(R"(Code: (\d+))");
    std::smatch match;
    const std::string code = std::regex_search(text, match, number) ? match.str(1) : "1";
    response.status = status_of(code);
    response.set_header("X-ClickHouse-Exception-Code", code);
    response.set_content(text + "\n", "text/plain; charset=UTF-8");
}

void handle(Engine& engine, const std::string& folder, const httplib::Request& request, const std::string& body,
            httplib::Response& response) {
    const char* key = std::getenv("HF_FRONT_KEY");
    if (key != nullptr && request.get_header_value("X-ClickHouse-User") == "guarded" &&
        request.get_header_value("X-ClickHouse-Key") != key) {
        return fail(response,
                    "Code: 516. DB::Exception: guarded: Authentication failed: password is incorrect, or "
                    "there is no user with such name. (AUTHENTICATION_FAILED)");
    }
    std::string query, format = "TabSeparated";
    std::vector<std::pair<std::string, std::string>> settings;
    for (const auto& [name, value] : request.params) {
        if (name == "query") {
            query = value;
        } else if (name == "default_format") {
            format = value;
        } else if (name != "wait_end_of_query" && name != "query_id" && name != "session_id") {
            settings.emplace_back(name, value);
        }
    }
    const std::scoped_lock lock(engine.one_at_a_time);
    for (const auto& [name, value] : settings) {
        const Answer set = run(engine, "SET " + name + " = " + quoted(value), format);
        if (!set.error.empty()) return fail(response, set.error);
    }
    const Answer answer = execute(engine, folder, query, body, format);
    for (const auto& [name, value] : settings) run(engine, "SET " + name + " = DEFAULT", format);
    if (!answer.error.empty()) return fail(response, answer.error);
    response.set_content(answer.body, "text/tab-separated-values; charset=UTF-8");
}

template <class Function>
bool load(void* library, const char* name, Function& into) {
    into = reinterpret_cast<Function>(dlsym(library, name));
    if (into == nullptr) fmt::print(stderr, "hf-chdb-front: the library has no {}\n", name);
    return into != nullptr;
}

bool open_engine(Engine& engine, const char* path, const std::string& data) {
    void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
        fmt::print(stderr, "hf-chdb-front: {}\n", dlerror());
        return false;
    }
    if (!load(library, "chdb_connect", engine.connect) || !load(library, "chdb_close_conn", engine.close) ||
        !load(library, "chdb_query_n", engine.query) || !load(library, "chdb_destroy_query_result", engine.destroy) ||
        !load(library, "chdb_result_buffer", engine.buffer) || !load(library, "chdb_result_length", engine.length) ||
        !load(library, "chdb_result_error", engine.error)) {
        return false;
    }
    std::string name = "clickhouse", where = "--path=" + data;
    std::string config;
    if (const char* file = std::getenv("HF_FRONT_CONFIG"); file != nullptr)
        config = std::string("--config-file=") + file;
    char* arguments[] = {name.data(), where.data(), config.empty() ? nullptr : config.data(), nullptr};
    engine.connection = engine.connect(config.empty() ? 2 : 3, arguments);
    if (engine.connection == nullptr || *engine.connection == nullptr) {
        fmt::print(stderr, "hf-chdb-front: cannot open {}\n", data);
        return false;
    }
    return true;
}

}    // namespace

int main(int argc, char** argv) {
    if (argc != 4) {
        fmt::print(stderr, "usage: hf-chdb-front LIBRARY DATA_FOLDER PORT\n");
        return 2;
    }
    static Engine engine;
    const std::string folder = argv[2];
    if (!open_engine(engine, argv[1], folder)) return 1;

    httplib::Server server;
    server.set_keep_alive_max_count(1'000'000);
    server.set_keep_alive_timeout(10);
    server.set_tcp_nodelay(true);
    server.new_task_queue = [] { return new httplib::ThreadPool(16); };
    server.Get("/ping", [](const httplib::Request&, httplib::Response& response) {
        response.set_content("Ok.\n", "text/plain");
    });
    server.Get("/", [&](const httplib::Request& request, httplib::Response& response) {
        handle(engine, folder, request, {}, response);
    });
    // With a reader of our own httplib neither parses nor limits bodies that call themselves forms (curl's default).
    server.Post(
        "/", [&](const httplib::Request& request, httplib::Response& response, const httplib::ContentReader& reader) {
            std::string body;
            reader([&](const char* data, std::size_t size) {
                body.append(data, size);
                return true;
            });
            handle(engine, folder, request, body, response);
        });
    if (!server.listen("127.0.0.1", std::atoi(argv[3]))) {
        fmt::print(stderr, "hf-chdb-front: cannot listen on port {}\n", argv[3]);
        return 1;
    }
    return 0;
}
