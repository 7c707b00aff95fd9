#include "holdfast/db/duckdb_library.hpp"

#include <dlfcn.h>
#include <duckdb.h>
#include <fmt/core.h>

#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/os/process.hpp"

namespace holdfast::db {
namespace {

// clang-format off
#define HF_DUCKDB_FUNCTIONS(X)                                                                    \
    X(create_config) X(set_config) X(destroy_config) X(open_ext) X(close) X(connect) X(disconnect) \
    X(query) X(destroy_result) X(result_error) X(row_count) X(column_count) X(column_name)         \
    X(value_varchar) X(value_is_null) X(free) X(library_version)                                  \
    X(appender_create) X(appender_error) X(appender_end_row) X(appender_close)                    \
    X(appender_destroy) X(append_varchar_length) X(append_null)
// clang-format on

struct Library {
#define HF_MEMBER(name) decltype(&::duckdb_##name) name = nullptr;
    HF_DUCKDB_FUNCTIONS(HF_MEMBER)
#undef HF_MEMBER
};

// A dlopen'd library is never closed: DuckDB's threads and statics do not survive that.
Result<Library> load_from(const std::string& path) {
    void* handle = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!handle) return fail(ErrorCode::unsupported, ::dlerror());
    Library library;
#define HF_LOAD(name)                                                                          \
    library.name = reinterpret_cast<decltype(library.name)>(::dlsym(handle, "duckdb_" #name)); \
    if (!library.name) return fail(ErrorCode::unsupported, fmt::format("{} has no duckdb_" #name, path));
    HF_DUCKDB_FUNCTIONS(HF_LOAD)
#undef HF_LOAD
    return library;
}

Result<Library> load() {
    constexpr std::string_view k_hint =
        "install libduckdb (1.4 or later; scripts/fetch-engines.sh gets it) or name it in HOLDFAST_DUCKDB_LIBRARY";
    if (const auto chosen = os::environment("HOLDFAST_DUCKDB_LIBRARY")) {
        auto library = load_from(*chosen);
        if (library) return library;
        return fail(ErrorCode::unsupported, "HOLDFAST_DUCKDB_LIBRARY cannot be loaded: " + library.error().message,
                    std::string(k_hint));
    }
    std::string last;
    const std::string beside = os::parent_folder(os::parent_folder(os::own_program())) + "/lib/libduckdb.so";
    for (const std::string& path : {beside, std::string(HF_DUCKDB_LIBRARY), std::string("libduckdb.so")}) {
        auto library = load_from(path);
        if (library) return library;
        last = library.error().message;
    }
    return fail(ErrorCode::unsupported, "libduckdb is needed to check DuckDB copies and is not there: " + last,
                std::string(k_hint));
}

const Result<Library>& library() {
    static const Result<Library> loaded = load();
    return loaded;
}

bool has(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

// DuckDB's C API tells kinds of errors apart too coarsely for what we need; its sentences have been stable since 0.10.
Error duckdb_error(std::string message, std::string_view path) {
    if (const auto line_end = message.find('\n'); line_end != message.npos) message.resize(line_end);
    Error error{ErrorCode::store, fmt::format("DuckDB on {}: {}", path, message), {}};
    if (has(message, "Could not set lock on file")) {
        error.code = ErrorCode::locked;
        error.hint = "stop the program that has the database open";
    } else if (has(message, "No space left")) {
        error.code = ErrorCode::disk_full;
    } else if (has(message, "version number") || has(message, "newer version of DuckDB")) {
        error.code = ErrorCode::unsupported;
        error.hint =
            "install a libduckdb at least as new as the program that writes the database, "
            "or name one in HOLDFAST_DUCKDB_LIBRARY";
    } else if (has(message, "xtension")) {
        error.code = ErrorCode::unsupported;
        error.hint = "the database needs an extension that this libduckdb does not have built in";
    } else if (has(message, "does not exist") && has(message, "Cannot open database")) {
        error.code = ErrorCode::not_found;
    } else if (has(message, "orrupt") || has(message, "not a valid DuckDB") || has(message, "Could not read enough") ||
               has(message, "checksum") || has(message, "INTERNAL Error") || has(message, "WAL") ||
               has(message, "Serialization Error") || has(message, "unordered_map::at")) {
        error.code = ErrorCode::corrupt;
    }
    return error;
}

// Closes with its last connection.
struct Database {
    const Library& library;
    duckdb_database handle = nullptr;
    std::string path;
    explicit Database(const Library& l) : library(l) {}
    Database(const Database&) = delete;
    Database& operator=(const Database&) = delete;
    ~Database() {
        if (handle) library.close(&handle);
    }
};

}    // namespace

struct DuckDb::State {
    std::shared_ptr<Database> database;
    duckdb_connection connection = nullptr;
    explicit State(std::shared_ptr<Database> d) : database(std::move(d)) {}
    State(const State&) = delete;
    State& operator=(const State&) = delete;
    ~State() {
        if (connection) database->library.disconnect(&connection);
    }
};

Result<std::string> duckdb_library_version() {
    if (!library()) return fail(library().error());
    return std::string(library()->library_version());
}

DuckDb::DuckDb(std::unique_ptr<State> state) : state_(std::move(state)) {}
DuckDb::DuckDb(DuckDb&&) noexcept = default;
DuckDb& DuckDb::operator=(DuckDb&&) noexcept = default;
DuckDb::~DuckDb() = default;

Result<DuckDb> DuckDb::open(const std::string& path, Mode mode, const Settings& settings) {
    if (!library()) return fail(library().error());
    const Library& lib = *library();
    duckdb_config config = nullptr;
    if (lib.create_config(&config) != DuckDBSuccess) return fail(ErrorCode::store, "DuckDB gives no configuration");
    Settings all = {{"access_mode", mode == Mode::read_only ? "READ_ONLY" : "READ_WRITE"},
                    {"autoinstall_known_extensions", "false"},
                    {"autoload_known_extensions", "false"}};
    all.insert(all.end(), settings.begin(), settings.end());
    for (const auto& [key, value] : all) {
        if (lib.set_config(config, key.c_str(), value.c_str()) != DuckDBSuccess) {
            lib.destroy_config(&config);
            return fail(ErrorCode::store, fmt::format("DuckDB does not take the setting {} = {}", key, value));
        }
    }
    auto database = std::make_shared<Database>(lib);
    database->path = path;
    char* why = nullptr;
    const duckdb_state opened = lib.open_ext(path.c_str(), &database->handle, config, &why);
    lib.destroy_config(&config);
    if (opened != DuckDBSuccess) {
        const std::string text = why ? why : "cannot open the database";
        if (why) lib.free(why);
        return fail(duckdb_error(text, path));
    }
    auto state = std::make_unique<State>(std::move(database));
    if (lib.connect(state->database->handle, &state->connection) != DuckDBSuccess)
        return fail(ErrorCode::store, "DuckDB gives no connection to " + path);
    return DuckDb(std::move(state));
}

Result<DuckDb> DuckDb::connect() const {
    auto state = std::make_unique<State>(state_->database);
    if (state->database->library.connect(state->database->handle, &state->connection) != DuckDBSuccess)
        return fail(ErrorCode::store, "DuckDB gives no connection to " + state->database->path);
    return DuckDb(std::move(state));
}

Result<DuckDbRows> DuckDb::query(const std::string& sql) {
    const Library& lib = state_->database->library;
    duckdb_result result{};
    const duckdb_state done = lib.query(state_->connection, sql.c_str(), &result);
    DuckDbRows rows;
    if (done != DuckDBSuccess) {
        const char* why = lib.result_error(&result);
        Error error = duckdb_error(why ? why : "the query failed", state_->database->path);
        lib.destroy_result(&result);
        return fail(std::move(error));
    }
    const idx_t columns = lib.column_count(&result), count = lib.row_count(&result);
    for (idx_t c = 0; c < columns; ++c) rows.columns.emplace_back(lib.column_name(&result, c));
    for (idx_t r = 0; r < count; ++r) {
        auto& row = rows.rows.emplace_back(columns);
        for (idx_t c = 0; c < columns; ++c) {
            if (lib.value_is_null(&result, c, r)) continue;
            if (char* text = lib.value_varchar(&result, c, r)) {
                row[c] = text;
                lib.free(text);
            }
        }
    }
    lib.destroy_result(&result);
    return rows;
}

Status DuckDb::run(const std::string& sql) {
    HF_TRY([[maybe_unused]] const DuckDbRows rows, query(sql));
    return {};
}

Status DuckDb::append(const std::string& table, std::size_t columns,
                      std::span<const std::optional<std::string>> values) {
    HF_ASSERT(columns > 0 && values.size() % columns == 0);
    const Library& lib = state_->database->library;
    duckdb_appender appender = nullptr;
    bool good = lib.appender_create(state_->connection, nullptr, table.c_str(), &appender) == DuckDBSuccess;
    for (std::size_t i = 0; good && i < values.size(); ++i) {
        const auto& value = values[i];
        good = (value ? lib.append_varchar_length(appender, value->data(), value->size())
                      : lib.append_null(appender)) == DuckDBSuccess;
        if (good && (i + 1) % columns == 0) good = lib.appender_end_row(appender) == DuckDBSuccess;
    }
    // What was buffered is checked and written here.
    good = good && lib.appender_close(appender) == DuckDBSuccess;
    Status done;
    if (!good) {
        const char* why = appender ? lib.appender_error(appender) : nullptr;
        done = fail(duckdb_error(why ? why : "rows cannot be appended to " + table, state_->database->path));
    }
    if (appender) lib.appender_destroy(&appender);
    return done;
}

namespace {
std::string quoted(std::string_view text, char quote) {
    std::string out(1, quote);
    for (const char c : text) {
        if (c == quote) out += quote;
        out += c;
    }
    return out + quote;
}
}    // namespace

std::string quote_duckdb_name(std::string_view name) { return quoted(name, '"'); }
std::string quote_duckdb_text(std::string_view text) { return quoted(text, '\''); }

}    // namespace holdfast::db
