#include "holdfast/source/postgres_dump.hpp"

#include <fmt/core.h>
#include <poll.h>

#include <map>
#include <optional>
#include <thread>
#include <utility>

#include "holdfast/base/log.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/source/dump_tally.hpp"
#include "holdfast/source/postgres_content.hpp"
#include "holdfast/source/postgres_rows.hpp"

namespace holdfast::source {
namespace {

using db::quote_identifier;

constexpr int k_poll_ms = 200;
constexpr std::size_t k_batch = std::size_t(1) << 20;
constexpr Duration k_nap = std::chrono::milliseconds(1);
constexpr int k_lock_attempts = 20, k_dump_attempts = 3;
constexpr std::string_view k_magic = "PGDMP";

// Opens the transaction whose snapshot everything uses; the locks come before the snapshot.
Result<PostgresChoice> open_moment(db::PostgresConnection& connection, const PostgresScope& scope) {
    for (int attempt = 1;; ++attempt) {
        HF_TRY(PostgresChoice choice, choose_tables(connection, scope));
        std::string names;
        for (const PostgresTable& table : choice.tables)
            names += fmt::format("{}ONLY {}", names.empty() ? "" : ", ", table.quoted());
        HF_DO(connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"));
        const Status locked =
            names.empty() ? Status() : connection.execute("LOCK TABLE " + names + " IN ACCESS SHARE MODE");
        if (locked) {
            // The transaction's snapshot is that of this list. A table that came in between is not locked: it could be dropped
            // before pg_dump gets to it.
            HF_TRY(PostgresChoice seen, choose_tables(connection, scope));
            if (seen.oids() == choice.oids()) return seen;
        } else if (connection.sql_state() != "42P01") {
            return fail(Error(locked.error()));
        }
        // A table came, or was dropped between the list and the lock: look again.
        if (attempt == k_lock_attempts)
            return fail(ErrorCode::changed, "tables come and go faster than they can be locked",
                        "leave them out with tables or exclude_tables, or back up when it is calmer");
        HF_DO(connection.execute("ROLLBACK"));
    }
}

// All but tables, on a thread of its own, on the connection that holds the snapshot.
class Description {
public:
    Description(db::PostgresConnection& connection, policy::Proof proof)
        : connection_(connection),
          content_(json::Value::object()),
          thread_([this, proof] { status_ = describe_others(connection_, proof, content_); }) {}
    ~Description() {
        if (!thread_.joinable()) return;
        connection_.cancel();
        thread_.join();
    }
    Result<json::Value> take() {
        thread_.join();
        HF_DO(std::move(status_));
        return std::move(content_);
    }

private:
    db::PostgresConnection& connection_;
    json::Value content_;
    Status status_;
    std::thread thread_;    // last: uses the others
};

// What the dump was counted as, and by the server what could not be counted so.
Result<json::Value> describe_rows_of(db::PostgresConnection& connection, policy::Proof proof,
                                     const PostgresChoice& choice, const DumpTally& tally) {
    return describe_tables(connection, proof, &choice, [&](const PostgresTable& table, json::Value& to) -> Status {
        const DumpTally::Rows* const rows = tally.find(table.oid);
        if (!rows) return describe_table(connection, table.quoted(), proof, to);
        if (proof == policy::Proof::none) return {};
        to.set("rows", rows->digest.rows());
        if (proof == policy::Proof::digest) to.set("digest", rows->digest.text());
        return {};
    });
}

// Where the rows of each table lie, so that a restore can take them from several places at once.
json::Value archive_json(const PostgresChoice& choice, const DumpTally& tally) {
    std::map<std::string, const PostgresTable*> chosen;
    for (const PostgresTable& table : choice.tables) chosen.emplace(table.oid, &table);
    auto blocks = json::Value::array();
    for (const auto& [oid, rows] : tally.tables()) {
        auto block = json::Value::object({{"entry", rows.entry}, {"place", rows.place}, {"bytes", rows.bytes}});
        // Without a name: rows that the user added to a table of an extension. They are loaded, and not compared.
        if (const auto table = chosen.find(oid); table != chosen.end()) {
            block.set("schema", table->second->schema);
            block.set("name", table->second->name);
        }
        blocks.push(std::move(block));
    }
    auto large_objects = json::Value::array();
    for (const DumpTally::Block& block : tally.large_objects())
        large_objects.push(json::Value::object({{"place", block.place}, {"bytes", block.bytes}}));
    return json::Value::object({{"head_bytes", tally.head_bytes()},
                                {"blocks", std::move(blocks)},
                                {"large_objects", std::move(large_objects)}});
}

// What pg_dump is told to take: names in quotes, which it takes as they stand.
std::vector<std::string> scope_arguments(const PostgresChoice& choice) {
    std::vector<std::string> arguments;
    if (!choice.scope.tables.empty()) {
        for (const PostgresTable& table : choice.tables) arguments.push_back("--table=" + table.quoted());
        return arguments;
    }
    for (const std::string& schema : choice.schemas) arguments.push_back("--schema=" + quote_identifier(schema));
    for (const PostgresTable& table : choice.tables)
        if (!table.rows) arguments.push_back("--exclude-table-data=" + table.quoted());
    return arguments;
}

// The file in the snapshot: what pg_dump writes, with the rows that we bring ourselves.
class DumpFile {
public:
    DumpFile(vault::StreamWriter& writer, LargeTables* large) : writer_(writer), large_(large) {}
    /// Of pg_dump, as it comes.
    Status take(ByteView bytes) {
        if (!large_ || changed_) return write(bytes);
        append(head_, bytes);
        if (head_.size() < next_try_) return {};
        next_try_ = head_.size() * 2;
        HF_TRY(const auto head, db::parse_archive_head(head_));
        if (!head) return {};
        HF_TRY(const Bytes more, large_->add_to(head_, *head));
        changed_ = true;
        HF_DO(write(more));
        const Bytes whole = std::exchange(head_, {});
        return write(ByteView(whole).subspan(head->bytes));
    }
    /// pg_dump has ended well.
    Status end() {
        if (large_) {
            next_try_ = 0;
            HF_DO(take({}));
            if (!changed_) return fail(ErrorCode::unsupported, "the head of an archive that goes on behind its end");
            HF_DO(large_->copy([this](ByteView bytes) { return write(bytes); }));
        }
        tally_.end();
        return {};
    }
    const DumpTally& tally() const { return tally_; }

private:
    Status write(ByteView bytes) {
        tally_.take(bytes);
        return writer_.write(bytes);
    }
    vault::StreamWriter& writer_;
    LargeTables* const large_;    // null: none
    DumpTally tally_;
    Bytes head_;    // as pg_dump wrote it, until all of it has come
    std::size_t next_try_ = std::size_t(16) << 10;
    bool changed_ = false;
};

// Everything that pg_dump writes, until it closes its end.
// pg_dump writes 4 KiB at a time. Taken as they come, each would wake us, and be searched for cuts alone: we rather sleep a moment
// while the pipe fills, and go on with what is there.
Result<std::uint64_t> stream(const os::Process& process, DumpFile& to) {
    Bytes buffer(k_batch);
    std::size_t filled = 0, head = 0;
    std::uint64_t size = 0;
    for (bool open = true; open;) {
        if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped");
        pollfd entry{process.output(), POLLIN, 0};
        if (::poll(&entry, 1, k_poll_ms) <= 0) continue;
        HF_TRY(const std::size_t n, os::read_some(process.output(), ByteSpan(buffer).subspan(filled)));
        open = n > 0;
        filled += n;
        if (open && filled < buffer.size()) {
            if (n < k_batch / 4) std::this_thread::sleep_for(k_nap);
            continue;
        }
        const ByteView batch = ByteView(buffer).first(filled);
        for (std::size_t i = 0; i < filled && head < k_magic.size(); ++i, ++head)
            if (static_cast<char>(batch[i]) != k_magic[head])
                return fail(ErrorCode::store, "pg_dump wrote something that is no archive");
        HF_DO(to.take(batch));
        size += filled;
        filled = 0;
    }
    return size;    // whether that was all of it only pg_dump's exit status tells
}

Result<os::ExitStatus> wait_for(os::Process& process) {
    for (;;) {
        auto ended = process.wait(std::chrono::milliseconds(k_poll_ms));
        if (ended || ended.error().code != ErrorCode::unreachable) return ended;
        if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped");
    }
}

}    // namespace

json::Value scope_json(const PostgresScope& scope) {
    const auto list = [](const std::vector<std::string>& texts) {
        auto array = json::Value::array();
        for (const std::string& text : texts) array.push(text);
        return array;
    };
    return json::Value::object({{"tables", list(scope.tables)},
                                {"schemas", list(scope.schemas)},
                                {"exclude_tables", list(scope.exclude_tables)}});
}

std::string dump_file_name(std::string_view database) {
    std::string name;
    for (const char c : database) {
        const auto byte = static_cast<unsigned char>(c);
        const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
                           c == '-' || (c == '.' && !name.empty()) || byte >= 0x80;
        if (plain)
            name += c;
        else
            name += fmt::format("%{:02X}", byte);
    }
    return name + ".dump";
}

namespace {

Result<json::Value> dump_once(const db::PostgresAccess& access, const db::PostgresTool& pg_dump,
                              const std::string& database, const std::string& file, policy::Proof proof,
                              const PostgresScope& scope, CaptureContext& context, bool copy_ourselves) {
    const Instant started = context.clock.instant();
    const db::PostgresAddress address = access.to(database);
    HF_TRY(auto connection, access.connect(database));
    HF_TRY(const auto form,
           connection.query("SELECT current_setting('bytea_output'), pg_encoding_to_char(encoding) FROM "
                            "pg_database WHERE datname = current_database()"));
    HF_DO(pin_text_form(connection));
    HF_TRY(const PostgresChoice choice, open_moment(connection, scope));
    if (choice.empty())
        return fail(ErrorCode::changed, fmt::format("the tables that are wanted of database {} were dropped", database),
                    "correct tables and schemas in the configuration");
    HF_DO(check_references(connection, choice));
    HF_TRY(const auto moment,
           connection.query(
               "SELECT pg_export_snapshot(), CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE "
               "pg_current_wal_lsn() END, pg_is_in_recovery()"));
    auto sequences = json::Value::array();
    if (!scope.partial()) {
        HF_TRY(sequences, read_sequences(connection));
    }
    HF_TRY(const auto objects, count_user_objects(connection));

    vault::StreamOptions options;
    options.cut = vault::Cut::dump();
    options.mode = 0600;    // it holds everything that the role may read
    HF_TRY(auto writer, context.backup.start_stream(context.folder + '/' + file, options));
    // Whoever wants a table for himself and came between our locks and pg_dump's waits for us, and pg_dump for him: none of them
    // would ever end. What pg_dump waits for it never gets, so it gives up soon.
    std::vector<std::string> arguments = {"--format=custom", "--compress=0", "--lock-wait-timeout=5000",
                                          "--snapshot=" + moment[0].text(0),
                                          "--dbname=" + db::database_option(database)};
    arguments.push_back("--encoding=" + form[0].text(1));
    for (std::string& argument : scope_arguments(choice)) arguments.push_back(std::move(argument));
    std::optional<LargeTables> large;
    if (copy_ourselves) {
        auto found = LargeTables::find(access, database, form[0].text(1), moment[0].text(0), choice);
        if (found && !found->none()) large.emplace(*std::move(found));
        // One connection more than there may be, say: pg_dump does it all.
        if (!found) log_info("pg_dump copies all rows", {{"database", database}, {"why", found.error().message}});
    }
    if (large)
        for (std::string& argument : large->arguments()) arguments.push_back(std::move(argument));
    os::Command command = postgres_command(pg_dump, address, access.password, arguments);
    // The rest of what changes how values are written pg_dump sets itself. A connection pool takes PGTZ, and seldom PGOPTIONS.
    command.environment.emplace_back("PGTZ", "UTC");
    if (form[0].text(0) != "hex") command.environment.emplace_back("PGOPTIONS", "-c bytea_output=hex");
    HF_TRY(auto process, os::Process::start(command));
    std::optional<Description> description;
    if (!scope.partial()) description.emplace(connection, proof);
    DumpFile dump(*writer, large ? &*large : nullptr);
    HF_TRY(const std::uint64_t size, stream(process, dump));
    HF_TRY(const auto ended, wait_for(process));
    if (!ended.ok()) {
        if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped");
        Error error = db::postgres_tool_error("pg_dump of database " + database, ended, process.errors());
        // Is it the server that went away?
        if (const auto again = access.connect(database); !again) {
            error.code = again.error().code;
            error.hint = again.error().hint;
        }
        return fail(std::move(error));
    }
    if (size < k_magic.size())
        return fail(ErrorCode::store, fmt::format("pg_dump of database {} wrote nothing", database));
    HF_DO(dump.end());
    const DumpTally& tally = dump.tally();
    auto facts = json::Value::object();
    if (description) {
        HF_TRY(facts, description->take());
    }
    if (tally.unknown())
        log_info("the server counts what a dump holds", {{"database", database}, {"why", tally.unknown()->message}});
    HF_TRY(auto tables, describe_rows_of(connection, proof, choice, tally));
    facts.set("tables", std::move(tables));
    if (!tally.unknown()) facts.set("archive", archive_json(choice, tally));
    auto sequences_after = json::Value::array();
    if (!scope.partial()) {
        HF_TRY(sequences_after, read_sequences(connection));
    }
    HF_DO(connection.execute("COMMIT"));
    HF_TRY(const auto receipt, writer->finish());

    auto partitioned = json::Value::array();
    for (const PostgresTable& table : choice.tables) {
        if (!table.partitioned) continue;
        auto entry = json::Value::object({{"schema", table.schema}, {"name", table.name}});
        if (!table.parent.empty()) entry.set("partition_of", table.parent);
        partitioned.push(std::move(entry));
    }
    facts.set("partitioned_tables", std::move(partitioned));
    if (!scope.whole()) facts.set("selection", scope_json(scope));
    facts.set("bytes", receipt.size);
    facts.set("bytes_added", receipt.bytes_added);
    facts.set("lsn", moment[0].text(1));
    facts.set("standby", moment[0].boolean(2));
    facts.set("user_objects", objects);
    facts.set("sequences", std::move(sequences));
    facts.set("sequences_after", std::move(sequences_after));
    facts.set("seconds", seconds(context.clock.instant() - started));
    return facts;
}

}    // namespace

Result<json::Value> dump_database(const db::PostgresAccess& access, const db::PostgresTool& pg_dump,
                                  const std::string& database, const std::string& file, policy::Proof proof,
                                  const PostgresScope& scope, CaptureContext& context) {
    bool copy_ourselves = true;
    for (int attempt = 1;; ++attempt) {
        auto dumped = dump_once(access, pg_dump, database, file, proof, scope, context, copy_ourselves);
        if (dumped || attempt == k_dump_attempts) return dumped;
        if (dumped.error().code == ErrorCode::unsupported && copy_ourselves)
            copy_ourselves = false;
        else if (dumped.error().code != ErrorCode::changed)
            return dumped;
        log_info("a dump begins again", {{"database", database}, {"why", dumped.error().message}});
    }
}

}    // namespace holdfast::source
