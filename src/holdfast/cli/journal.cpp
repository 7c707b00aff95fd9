// `holdfast journal ls|cat|verify|export`.

#include <fmt/core.h>

#include <charconv>

#include "holdfast/cli/commands.hpp"
#include "holdfast/cli/output.hpp"
#include "holdfast/cli/time_argument.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/trade/fact_json.hpp"
#include "holdfast/trade/journal_check.hpp"

namespace holdfast::cli {
namespace {

using ledger::Sequence;

void declare_journal(Options& options, std::string& folder) {
    options.value("--journal", folder, "FOLDER", "where the journal lies");
}

Result<std::unique_ptr<trade::JournalFolder>> open_journal(const std::string& folder) {
    if (folder.empty())
        return fail(ErrorCode::usage, "no journal was named",
                    "use --journal FOLDER: the engine's journal of one account");
    auto opened = trade::JournalFolder::look(folder);
    if (!opened && opened.error().code == ErrorCode::not_found)
        return fail(ErrorCode::not_found, "there is no folder " + folder,
                    "check the path: --journal names the folder that the engine of this account writes to");
    HF_TRY(auto journal, std::move(opened));
    HF_TRY(const auto names, journal->list());
    if (trade::segments_of(names).empty())
        return fail(ErrorCode::not_found, "there is no journal in " + folder,
                    "a journal's folder holds files such as " + trade::segment_name(1));
    return journal;
}

/// Which facts are meant. A bound is a sequence or a time.
class FactFilter {
public:
    void declare(Options& options) {
        options.value("--order", order_text_, "UUID", "only what concerns this order and its children");
        options.value("--from", from_text_, "SEQUENCE|TIME",
                      "the first one, by its number or by the time it was noted");
        options.value("--to", to_text_, "SEQUENCE|TIME", "the last one, likewise");
    }
    Status parse() {
        if (!order_text_.empty()) {
            order_ = ledger::Uuid::parse(order_text_);
            if (!order_)
                return fail(ErrorCode::usage, fmt::format("--order is no UUID: \"{}\"", order_text_),
                            "write it as 0190b5a8-7c11-7abc-8def-0123456789ab");
        }
        HF_TRY(from_, parse_bound(from_text_, "--from"));
        HF_TRY(to_, parse_bound(to_text_, "--to"));
        return {};
    }
    /// Where to begin to read; 0: at the begin.
    Sequence from() const { return from_.sequence; }
    bool ends_before(Sequence sequence) const { return to_.sequence > 0 && sequence > to_.sequence; }
    bool takes(const ledger::Fact& fact) const {
        if (order_ && !trade::concerns(fact, *order_)) return false;
        return !(from_.time && fact.at < *from_.time) && !(to_.time && fact.at > *to_.time);
    }

private:
    struct Bound {
        Sequence sequence = 0;
        std::optional<Timestamp> time;
    };
    static Result<Bound> parse_bound(const std::string& text, const char* option) {
        Bound bound;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), bound.sequence);
        if (error == std::errc() && end == text.data() + text.size()) return bound;
        bound.sequence = 0;
        HF_TRY(bound.time, parse_time(text, option));
        return bound;
    }
    std::string order_text_, from_text_, to_text_;
    std::optional<ledger::Uuid> order_;
    Bound from_, to_;
};

Status each_fact(const std::string& folder, const FactFilter& filter,
                 const std::function<Status(const json::Value&)>& take) {
    HF_TRY(const auto journal, open_journal(folder));
    HF_TRY(auto reader, trade::JournalReader::open(*journal, filter.from()));
    for (;;) {
        HF_TRY(const auto record, reader.next());
        if (!record || filter.ends_before(record->sequence)) return {};
        if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped while reading the journal");
        auto fact = ledger::parse_fact(record->payload);
        if (!fact) return fail(std::move(fact).error().within(fmt::format("sequence {}", record->sequence)));
        if (filter.takes(*fact)) HF_DO(take(trade::fact_json(record->sequence, *fact)));
    }
}

json::Value facts_json(const trade::JournalFacts& facts) {
    json::Value segments = json::Value::array(), snapshots = json::Value::array(), damage = json::Value::array();
    for (const auto& segment : facts.segments) {
        json::Value value = json::Value::object({{"file", trade::segment_name(segment.first)},
                                                 {"first", segment.first},
                                                 {"last", segment.last},
                                                 {"size", segment.size}});
        if (segment.used > 0) value.set("used", segment.used);
        segments.push(std::move(value));
    }
    for (const auto& snapshot : facts.snapshots)
        snapshots.push(json::Value::object({{"sequence", snapshot.sequence}, {"size", snapshot.size}}));
    for (const Error& error : facts.damage) damage.push(error.message);
    json::Value value = json::Value::object({{"account", facts.account},
                                             {"first", facts.first()},
                                             {"last", facts.last()},
                                             {"in_use", facts.in_use},
                                             {"sealed", facts.sealed},
                                             {"segments", std::move(segments)},
                                             {"snapshots", std::move(snapshots)},
                                             {"damage", std::move(damage)}});
    if (facts.torn_at)
        value.set("torn", json::Value::object({{"file", trade::segment_name(facts.segments.back().first)},
                                               {"offset", *facts.torn_at}}));
    return value;
}

std::string tail_text(const trade::JournalFacts& facts) {
    if (facts.in_use) return "an engine writes to it now\n";
    if (!facts.torn_at) return {};
    return fmt::format(
        "torn tail: after offset {} of {} lies what a crash left; it was never acknowledged, and the next start "
        "cuts it\n",
        *facts.torn_at, trade::segment_name(facts.segments.back().first));
}

/// Prints what is damaged, to stderr; the exit status.
int report_damage(const trade::JournalFacts& facts) {
    for (const Error& error : facts.damage) print_note("holdfast: " + error.message + "\n");
    return facts.damage.empty() ? 0 : holdfast::facts(ErrorCode::corrupt).exit_status;
}

class JournalLsCommand final : public Command {
    std::string_view name() const override { return "journal ls"; }
    std::string_view help() const override { return "list a journal's segments and state snapshots"; }
    std::string_view examples() const override {
        return R"(Reads the newest segment only; `holdfast journal verify` reads all. Also while an engine writes.

Examples
  holdfast journal ls --journal /var/lib/holdfast/journal/desk-1
  holdfast journal ls --journal /var/lib/holdfast/journal/desk-1 --json | jq .last
)";
    }
    void declare(Options& options) override { declare_journal(options, folder_); }
    Result<int> run(const Session& session) override {
        HF_TRY(const auto journal, open_journal(folder_));
        HF_TRY(const auto facts, trade::look_at_journal(*journal, true));
        if (session.global.json) {
            print_json(facts_json(facts));
            return report_damage(facts);
        }
        Table table({"File", "First", "Last", "Size", "Used"}, {false, true, true, true, true});
        for (const auto& segment : facts.segments)
            table.row({trade::segment_name(segment.first), std::to_string(segment.first),
                       segment.last < segment.first ? "" : std::to_string(segment.last), human_size(segment.size),
                       segment.used > 0 ? human_size(segment.used) : ""});
        for (const auto& snapshot : facts.snapshots)
            table.row({"state snapshot", "", std::to_string(snapshot.sequence), human_size(snapshot.size), ""});
        print(table.text(1));
        if (!session.global.quiet)
            print(fmt::format("account {}, sequences {} to {}\n{}", printable(facts.account), facts.first(),
                              facts.last(), tail_text(facts)));
        return report_damage(facts);
    }
    std::string folder_;
};

class JournalCatCommand final : public Command {
    std::string_view name() const override { return "journal cat"; }
    std::string_view help() const override { return "print what happened, a JSON line for each fact"; }
    std::string_view examples() const override {
        return R"(Up to what is on the disk now; also while an engine writes. Decimals are strings, exact as they were given.

Examples
  holdfast journal cat --journal /var/lib/holdfast/journal/desk-1 --order 0190b5a8-7c11-7abc-8def-0123456789ab
  holdfast journal cat --journal /var/lib/holdfast/journal/desk-1 --from '2026-11-20 18:00' | jq 'select(.kind == "order_executed")'
  holdfast journal cat --journal /var/lib/holdfast/journal/desk-1 --from 1200 --to 1300
)";
    }
    void declare(Options& options) override {
        declare_journal(options, folder_);
        filter_.declare(options);
    }
    Result<int> run(const Session&) override {
        HF_DO(filter_.parse());
        std::string lines;
        const auto done = each_fact(folder_, filter_, [&](const json::Value& fact) -> Status {
            lines += json::dump(fact);
            lines += '\n';
            if (lines.size() > std::size_t(64) << 10) print(std::exchange(lines, {}));
            return {};
        });
        // What comes before damage is good.
        print(lines);
        HF_DO(done);
        return 0;
    }
    std::string folder_;
    FactFilter filter_;
};

class JournalVerifyCommand final : public Command {
    std::string_view name() const override { return "journal verify"; }
    std::string_view help() const override { return "read a whole journal and say what is damaged"; }
    std::string_view examples() const override {
        return R"(Every record, checksum and fact of every segment, and every state snapshot; nothing is changed. Exit status 1 when
something is damaged that had been durable: file and offset are said. What a crash left at the end is no damage.

Examples
  holdfast journal verify --journal /var/lib/holdfast/journal/desk-1
)";
    }
    void declare(Options& options) override { declare_journal(options, folder_); }
    Result<int> run(const Session& session) override {
        HF_TRY(const auto journal, open_journal(folder_));
        std::uint64_t records = 0;
        HF_TRY(const auto facts, trade::look_at_journal(*journal, false, [&](const ledger::Record& record) -> Status {
                   ++records;
                   HF_TRY([[maybe_unused]] const auto fact, ledger::parse_fact(record.payload));
                   return {};
               }));
        if (session.global.json) {
            json::Value value = facts_json(facts);
            value.set("records", records);
            print_json(value);
            return report_damage(facts);
        }
        if (facts.damage.empty() && !session.global.quiet)
            print(fmt::format("{} records, sequences {} to {}, in {} segments, and {} state snapshots: no damage\n{}",
                              records, facts.first(), facts.last(), facts.segments.size(), facts.snapshots.size(),
                              tail_text(facts)));
        return report_damage(facts);
    }
    std::string folder_;
};

class JournalExportCommand final : public Command {
    std::string_view name() const override { return "journal export"; }
    std::string_view help() const override { return "write what happened to a file, as JSON lines or CSV"; }
    std::string_view examples() const override {
        return R"(The file appears whole or not at all, and is readable by its owner only.

Examples
  holdfast journal export --journal /var/lib/holdfast/journal/desk-1 --output november.csv --from 2026-11-01
  holdfast journal export --journal /var/lib/holdfast/journal/desk-1 --format jsonl --output all.jsonl
)";
    }
    void declare(Options& options) override {
        declare_journal(options, folder_);
        filter_.declare(options);
        options.value("--output", output_, "FILE", "where to write");
        options.choice("--format", format_, {"jsonl", "csv"}, "jsonl or csv (default: by the file's name, else jsonl)");
    }
    Result<int> run(const Session& session) override {
        HF_DO(filter_.parse());
        if (output_.empty()) return fail(ErrorCode::usage, "no file was named", "use --output FILE");
        const bool csv = format_.empty() ? output_.ends_with(".csv") : format_ == "csv";
        HF_TRY(auto file, os::AtomicFile::create(output_));
        std::string text = csv ? trade::fact_csv_header() : std::string();
        std::uint64_t facts = 0;
        HF_DO(each_fact(folder_, filter_, [&](const json::Value& fact) -> Status {
            ++facts;
            text += csv ? trade::fact_csv(fact) : json::dump(fact) + "\n";
            if (text.size() < std::size_t(256) << 10) return {};
            return file.write(as_bytes(std::exchange(text, {})));
        }));
        HF_DO(file.write(as_bytes(text)));
        HF_DO(file.commit());
        if (session.global.json)
            print_json(json::Value::object({{"file", output_}, {"facts", facts}}));
        else if (!session.global.quiet)
            print(fmt::format("wrote {} facts to {}\n", facts, printable(output_)));
        return 0;
    }
    std::string folder_, output_, format_;
    FactFilter filter_;
};

}    // namespace

std::vector<std::unique_ptr<Command>> journal_commands() {
    std::vector<std::unique_ptr<Command>> all;
    all.push_back(std::make_unique<JournalLsCommand>());
    all.push_back(std::make_unique<JournalCatCommand>());
    all.push_back(std::make_unique<JournalVerifyCommand>());
    all.push_back(std::make_unique<JournalExportCommand>());
    return all;
}

}    // namespace holdfast::cli
