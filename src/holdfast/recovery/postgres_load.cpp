#include "holdfast/recovery/postgres_load.hpp"

#include <fmt/core.h>

#include <functional>

#include "holdfast/db/script_copies.hpp"
#include "holdfast/recovery/postgres_feed.hpp"
#include "holdfast/recovery/postgres_parts.hpp"
#include "holdfast/recovery/postgres_properties.hpp"
#include "holdfast/source/postgres_content.hpp"

namespace holdfast::recovery {
namespace {

constexpr std::size_t k_name_max = 63;

// An archive goes through pg_restore, a script through psql; a failure of either leaves a database that the caller drops.
Status run_tool(const PostgresLoad& load, const format::Node& dump, bool script, const std::string& beside,
                db::ScriptCopies& copies) {
    const db::PostgresTool& tool = script ? load.psql : load.pg_restore;
    std::vector<std::string> arguments = {"--format=custom", "--single-transaction", "--exit-on-error",
                                          "--dbname=" + db::database_option(beside)};
    if (load.no_tablespaces) arguments.emplace_back("--no-tablespaces");
    if (script)
        arguments = {"--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--file=-",
                     "--dbname=" + db::database_option(beside)};
    HF_TRY(auto feed, PostgresFeed::start(postgres_command(tool, load.access.address, load.access.password, arguments),
                                          fmt::format("{} into {}", script ? "psql" : "pg_restore", beside)));
    return feed_file(std::move(feed), load.context, dump, false, [&](ByteView bytes) {
        if (script) copies.add(bytes);
    });
}

policy::Proof proof_of(const json::Value& facts) {
    for (const json::Value& table : facts["tables"].items()) {
        if (!table["digest"].is_null()) return policy::Proof::digest;
        if (!table["rows"].is_null()) return policy::Proof::count;
    }
    return facts["large_objects"]["digest"].is_null() ? policy::Proof::none : policy::Proof::digest;
}

Status prove(const PostgresLoad& load, const std::optional<PostgresArchive>& archive, const db::ScriptCopies& copies,
             db::PostgresConnection& connection, const json::Value& facts, const std::string& beside) {
    // An import of what scripts made: nobody counted. (`holdfast import` has seen that the dump is whole.)
    if (facts["format"].text() == "plain" && !facts["tables"].is_array()) return {};
    HF_DO(source::pin_text_form(connection));
    HF_DO(connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"));
    HF_TRY(auto digests, digest_tables(load, archive ? &*archive : nullptr, copies, facts, beside));
    const policy::Proof proof = proof_of(facts);
    HF_TRY(auto tables, source::describe_tables(
                            connection, proof, nullptr, [&](const source::PostgresTable& table, json::Value& to) {
                                const auto digest = digests.find({table.schema, table.name});
                                if (digest == digests.end())
                                    return source::describe_table(connection, table.quoted(), proof, to);
                                to.set("rows", digest->second.rows());
                                to.set("digest", digest->second.text());
                                return Status();
                            }));
    auto found = json::Value::object({{"tables", std::move(tables)}});
    HF_DO(source::describe_others(connection, proof, found));
    HF_TRY(const auto sequences, source::read_sequences(connection));
    HF_DO(connection.execute("COMMIT"));
    auto differences = source::compare_content(facts, found);
    for (auto& difference : source::compare_sequences(facts["sequences"], facts["sequences_after"], sequences))
        differences.push_back(std::move(difference));
    if (differences.empty()) return {};
    constexpr std::size_t k_told_max = 5;
    std::string told;
    for (std::size_t i = 0; i < std::min(differences.size(), k_told_max); ++i)
        told += (i == 0 ? "" : "; ") + differences[i];
    if (differences.size() > k_told_max) told += fmt::format("; and {} more", differences.size() - k_told_max);
    return fail(ErrorCode::mismatch,
                fmt::format("database {} is not what was backed up: {}", facts["name"].text(), told),
                "nothing was replaced; run `holdfast check --read-data`, and try an older snapshot");
}

// Statistics do not come with a dump; without them the first queries are planned blindly.
Status load_and_prove(const PostgresLoad& load, const format::Node& dump, const json::Value& facts,
                      const std::string& beside) {
    const bool script = facts["format"].text() == "plain";
    std::optional<PostgresArchive> archive;
    db::ScriptCopies copies;
    if (!script) {
        HF_TRY(archive, PostgresArchive::open(load.context.repository, dump, facts));
    }
    if (archive && archive->complete() && load.jobs > 1) {
        HF_DO(load_in_parts(load, *archive, facts, beside));
    } else {
        HF_DO(run_tool(load, dump, script, beside, copies));
    }
    HF_TRY(auto connection, load.access.connect(beside));
    HF_DO(prove(load, archive, copies, connection, facts, beside));
    return connection.execute("ANALYZE");
}

}    // namespace

std::string beside_name(const std::string& database, const Id& snapshot) {
    const std::string suffix = "_holdfast_" + snapshot.brief();
    if (database.size() + suffix.size() <= k_name_max) return database + suffix;
    // Cut between characters; the hash keeps two long names apart.
    const std::string mark = fmt::format("_{:08x}", static_cast<std::uint32_t>(std::hash<std::string>{}(database)));
    std::size_t length = k_name_max - suffix.size() - mark.size();
    while (length > 0 && (static_cast<unsigned char>(database[length]) & 0xC0) == 0x80) --length;
    return database.substr(0, length) + mark + suffix;
}

Status drop_database(db::PostgresConnection& home, const std::string& database) {
    HF_TRY([[maybe_unused]] const auto ended,
           home.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", {database}));
    return home.execute("DROP DATABASE IF EXISTS " + db::quote_identifier(database));
}

Result<json::Value> load_beside(const PostgresLoad& load, db::PostgresConnection& home, const json::Value& facts,
                                const format::Node& dump, const std::string& beside) {
    const Instant started = load.context.clock.instant();
    HF_DO(drop_database(home, beside));
    auto warnings = json::Value::array();
    HF_DO(create_database(home, beside, facts["properties"], warnings));
    auto loaded = load_and_prove(load, dump, facts, beside);
    if (loaded) loaded = apply_properties(home, beside, facts["properties"], warnings);
    if (!loaded) {
        if (auto dropped = drop_database(home, beside); !dropped)
            load.context.say(fmt::format("{} is left behind; the next restore of this snapshot drops it", beside));
        return fail(std::move(loaded).error());
    }
    std::int64_t rows = 0;
    for (const json::Value& table : facts["tables"].items()) rows += table["rows"].integer();
    constexpr const char* k_proofs[] = {"digest", "count", "none"};
    return json::Value::object({{"name", facts["name"]},
                                {"bytes", dump.size},
                                {"tables", facts["tables"].items().size()},
                                {"rows", rows},
                                {"proof", k_proofs[static_cast<int>(proof_of(facts))]},
                                {"seconds", seconds(load.context.clock.instant() - started)},
                                {"warnings", std::move(warnings)}});
}

}    // namespace holdfast::recovery
