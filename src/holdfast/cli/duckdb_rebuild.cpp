// `holdfast duckdb rebuild`: HA-08, a database that is beyond repair, made anew from what other stores hold.

#include <fmt/core.h>

#include <algorithm>

#include "holdfast/cli/commands.hpp"
#include "holdfast/cli/newest.hpp"
#include "holdfast/cli/output.hpp"
#include "holdfast/db/duckdb_check.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/scratch_folder.hpp"
#include "holdfast/recovery/duckdb_back.hpp"
#include "holdfast/recovery/duckdb_rebuild.hpp"
#include "holdfast/source/duckdb_states.hpp"
#include "holdfast/source/stack.hpp"
#include "holdfast/trade/duckdb_sink.hpp"

namespace holdfast::cli {
namespace {

using recovery::DuckDbBase;
using recovery::RowSource;

Result<const policy::DuckDbConfig*> find_duckdb(const LoadedConfig& loaded, const std::string& word) {
    std::string known;
    for (const policy::DuckDbConfig& one : loaded.config.duckdb) {
        if (one.name == word || os::absolute_path(one.path) == os::absolute_path(word)) return &one;
        known += (known.empty() ? "" : ", ") + one.name;
    }
    return fail(ErrorCode::not_found, fmt::format("{} has no [[duckdb]] {}", loaded.file, word),
                known.empty() ? "add [[duckdb]] and path = \"…\" below it" : "it has " + known);
}

// What holdfast.toml says, or what --from names.
Result<std::vector<RowSource>> sources_of(const policy::Config& config, const policy::DuckDbConfig& duckdb,
                                          const std::string& from) {
    auto rules = trade::duckdb_rebuild_rules(config, duckdb);
    if (!from.empty()) {
        std::erase_if(rules, [&](const auto& rule) { return rule.from != from; });
        if (rules.empty()) rules.emplace_back().from = from;    // tables of the same name
    }
    if (rules.empty())
        return fail(
            ErrorCode::config, fmt::format("nothing says where else the rows of {} are", duckdb.name),
            "--from clickhouse takes tables of the same names from that [[clickhouse]]; [[duckdb.rebuild]] says it "
            "for each table");
    std::vector<RowSource> sources;
    for (const policy::DuckDbRebuildConfig& rule : rules) {
        RowSource& source = sources.emplace_back(RowSource{rule, nullptr, nullptr});
        for (const auto& one : config.clickhouse)
            if (one.name == rule.from) source.clickhouse = &one;
        for (const auto& one : config.redis)
            if (one.name == rule.from && !source.clickhouse) source.redis = &one;
        if (!source.clickhouse && !source.redis)
            return fail(ErrorCode::usage, fmt::format("--from {} is no [[clickhouse]] or [[redis]]", from),
                        "name one as holdfast.toml does");
        if (source.redis && rule.keys.empty() && rule.stream.empty())
            return fail(ErrorCode::usage, fmt::format("nothing says which keys of {} hold rows", from),
                        "add [[duckdb.rebuild]] with table, from and keys = \"trade:*\" or stream = \"trades\"");
    }
    return sources;
}

class DuckDbRebuildCommand final : public Command {
    std::string_view name() const override { return "duckdb rebuild"; }
    std::string_view help() const override {
        return "make a DuckDB file that is beyond repair anew, from other stores";
    }
    std::string_view examples() const override {
        return R"(Begins with the newest copy that is whole (kept states, the repository; without any, the tables that the damaged file still shows), puts
the rows in that ClickHouse or Redis has of each table as [[duckdb.rebuild]] says, reads the result through, and only then puts it in
the database's place. What is there goes aside with its logs. Tables that no other store has keep the rows of the copy: the report
says how new they are.

Examples
  holdfast duckdb rebuild trades --dry-run                       does it all elsewhere, and says what comes out
  holdfast duckdb rebuild trades --replace
  holdfast duckdb rebuild trades --from clickhouse --replace     tables of the same names, without [[duckdb.rebuild]]
  holdfast duckdb rebuild trades --table fills --to /tmp/new.duckdb
  holdfast duckdb rebuild trades --schema tables.sql --replace   no copy is left
)";
    }
    void declare(Options& options) override {
        options.argument("DATABASE", database_, Options::Need::required,
                         "its name in holdfast.toml, or its path there");
        options.value("--from", from_, "NAME", "only from this [[clickhouse]] or [[redis]]");
        options.list("--table", tables_, "TABLE", "only these tables from there, all others from the copy");
        options.value("--schema", schema_, "FILE", "begin with these CREATE statements, and no copy");
        options.flag("--take-fewer", take_fewer_,
                     "also where a table without a key has fewer rows there than in the copy");
        options.value("--to", to_, "FILE", "make it there, and leave the database alone");
        options.flag("--replace", replace_, "put what is there aside, and take its place");
        options.flag("-n,--dry-run", dry_run_, "make it, say what is in it, and remove it");
    }

    Result<int> run(const Session& session) override {
        const Instant begun = session.clock.instant();
        HF_TRY(const LoadedConfig loaded, load_config(session.global));
        HF_TRY(const policy::DuckDbConfig* config, find_duckdb(loaded, database_));
        const std::string live = os::absolute_path(config->path);
        recovery::DuckDbRebuild rebuild;
        HF_TRY(rebuild.sources, sources_of(loaded.config, *config, from_));
        rebuild.only = tables_;
        rebuild.take_fewer = take_fewer_;
        rebuild.say = [&](std::string_view text) { note(session, text); };
        HF_TRY(const auto scratch, os::ScratchFolder::create("duckdb-rebuild", source::scratch_folder(loaded.config)));
        std::unique_ptr<vault::Repository> repository;
        if (schema_.empty()) {
            add_kept(*config, live, rebuild.bases);
            if (Status looked = add_saved(session, loaded.config, *config, repository, rebuild.bases); !looked)
                note(session, "no copy of the repository is used: " + looked.error().message);
            std::ranges::stable_sort(rebuild.bases, std::greater(), [](const DuckDbBase& base) { return *base.at; });
            if (rebuild.bases.empty()) HF_DO(add_shown(live, scratch.path(), rebuild.bases));
        } else {
            HF_TRY(const std::string sql, os::read_text(schema_, 16 << 20));
            rebuild.bases.push_back({"the tables of " + schema_, {}, [sql](const std::string& to) {
                                         return recovery::make_duckdb_tables(sql, to);
                                     }});
        }

        json::Value report;
        if (dry_run_) {
            HF_TRY(report, recovery::rebuild_duckdb(scratch.path() + "/" + os::file_name(live), rebuild));
        } else {
            const recovery::DuckDbBack back{
                .target = to_.empty() ? live : os::absolute_path(to_),
                .existing = replace_ ? recovery::WhenExisting::switch_over : recovery::WhenExisting::refuse,
                .clock = session.clock,
                .say = rebuild.say};
            recovery::DuckDbOrigin origin;
            origin.id = "rebuild";
            if (const auto there = os::status_of(live)) origin.file_bytes = static_cast<std::uint64_t>(there->st_size);
            origin.write = [&](const std::string& to) -> Status {
                HF_TRY(report, recovery::rebuild_duckdb(to, rebuild));
                return {};
            };
            HF_TRY(const json::Value done, put_duckdb_back(back, origin));
            report.set("path", done["path"]).set("old_one_is_at", done["old_one_is_at"]);
        }
        const double took = seconds(session.clock.instant() - begun);
        report.set("seconds", took);
        if (session.global.json)
            print_json(report);
        else if (!session.global.quiet)
            print(text_of(report, took));
        return 0;
    }

    static void note(const Session& session, std::string_view text) {
        if (session.people()) print_note(fmt::format("{}\n", printable(std::string(text))));
    }

    // The newest state, and the newest that was read through: the newest one may hold the damage.
    static void add_kept(const policy::DuckDbConfig& config, const std::string& live, std::vector<DuckDbBase>& to) {
        const source::DuckDbStates states(source::duckdb_states_folder(live, config.states_folder));
        std::string last;
        for (const bool verified : {true, false}) {
            const auto found = verified ? states.find_verified() : states.find(std::optional<Timestamp>());
            if (!found || found->name() == last) continue;
            last = found->name();
            to.push_back({"state " + last, found->at,
                          [states, state = *found](const std::string& path) -> Status {
                              HF_TRY([[maybe_unused]] const auto written, states.write(state, path, true));
                              return {};
                          },
                          verified});
        }
    }

    static Status add_saved(const Session& session, const policy::Config& config, const policy::DuckDbConfig& duckdb,
                            std::unique_ptr<vault::Repository>& repository, std::vector<DuckDbBase>& to) {
        if (repository_location(session.global, &config).empty()) return {};
        HF_TRY(repository, open_repository(session, &config));
        HF_DO(repository->load_index());
        HF_TRY(const auto snapshots, repository->snapshots([](const Id&, const Error&) {}));
        const auto newest = newest_of_each(*repository, snapshots);
        const auto saved = newest.find(fmt::format("{}: {}", source::stack_name(config), duckdb.name));
        if (saved == newest.end() || !saved->second.complete) return {};
        const vault::SnapshotEntry& snapshot = *saved->second.complete;
        const recovery::RestoreContext context{.repository = *repository,
                                               .snapshot = snapshot,
                                               .facts = saved->second.facts,
                                               .clock = session.clock,
                                               .folder = "duckdb",
                                               .scratch = {},
                                               .say = {}};
        HF_TRY(auto origin, recovery::saved_duckdb(duckdb, context));
        to.push_back({"snapshot " + snapshot.id.brief(), snapshot.snapshot.time, std::move(origin.write), true});
        return {};
    }

    // The damaged file's own tables, when it still opens. Now: later it is under our lock, which keeps DuckDB out.
    static Status add_shown(const std::string& live, const std::string& scratch, std::vector<DuckDbBase>& to) {
        if (!os::exists(live)) return {};
        const std::string made = scratch + "/tables.duckdb";
        HF_TRY(auto checker, db::DuckDbChecker::start(live, {.tables_to = made}));
        const auto shown = checker.finish();
        if (!shown && shown.error().code != ErrorCode::corrupt) return fail(shown.error());
        if (shown)
            to.push_back(
                {"the tables of the damaged file, without rows", {}, [made](const std::string& path) -> Status {
                     HF_TRY(const Bytes bytes, os::read_file(made, std::size_t(1) << 30));
                     return os::write_file(path, bytes);
                 }});
        return {};
    }

    static std::string text_of(const json::Value& report, double took) {
        const bool copy = !report["copy_time"].is_null();
        std::string text = report["path"].is_null()
                               ? fmt::format("would make it in {}", human_duration(took))
                               : fmt::format("{} is made anew in {}, and read through by libduckdb",
                                             printable(report["path"].text()), human_duration(took));
        text += fmt::format("\nbegun with {}{}\n", printable(report["copy"].text()),
                            copy ? " of " + local_time(*parse_rfc3339(report["copy_time"].text())) : "");
        for (const json::Value& table : report["tables"].items()) {
            text += fmt::format("  {}: {} rows", printable(table["table"].text()), table["rows"].integer(0));
            if (!table["newest"].is_null())
                text += fmt::format(", newest {} {}", printable(table["newest"]["column"].text()),
                                    printable(table["newest"]["value"].text()));
            text += table["sources"].items().empty()
                        ? copy ? ": all of the copy, no other store has it\n" : ": no store has it\n"
                        : "\n";
            for (const json::Value& source : table["sources"].items()) text += source_text(table, source);
            if (const auto only = table["only_in_copy"].integer(0); only > 0)
                text += fmt::format("    {} of {} rows of the copy are not there, and stay\n", only,
                                    table["copy_rows"].integer(0));
        }
        if (!report["old_one_is_at"].is_null())
            text += fmt::format("the old one is at {}\n", printable(report["old_one_is_at"].text()));
        return text;
    }

    static std::string source_text(const json::Value& table, const json::Value& source) {
        std::string text = fmt::format("    {}: {} rows", printable(source["from"].text()), source["rows"].integer(0));
        const std::int64_t copied = table["copy_rows"].integer(0);
        if (!table["key"].boolean())
            text += copied > 0 ? fmt::format(" in place of the copy's {}", copied) : "";
        else if (copied > 0 || table["sources"].items().size() > 1)
            text += fmt::format(", {} of them new or changed", source["new_or_changed"].integer(0));
        if (const auto repeated = source["repeated"].integer(0); repeated > 0)
            text += fmt::format(", {} left out for their keys are there twice", repeated);
        std::string lacking;
        for (const json::Value& column : source["columns_lacking"].items())
            lacking += (lacking.empty() ? "" : ", ") + printable(column.text());
        return text + (lacking.empty() ? "" : "; it does not have " + lacking) + "\n";
    }

    std::string database_, from_, schema_, to_;
    std::vector<std::string> tables_;
    bool take_fewer_ = false, replace_ = false, dry_run_ = false;
};

}    // namespace

std::unique_ptr<Command> duckdb_rebuild_command() { return std::make_unique<DuckDbRebuildCommand>(); }

}    // namespace holdfast::cli
