#include "holdfast/source/clickhouse_table.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <set>

#include "holdfast/base/log.hpp"
#include "holdfast/db/clickhouse_text.hpp"
#include "holdfast/format/sha256.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/source/clickhouse_backup.hpp"

namespace holdfast::source::clickhouse {

using db::clickhouse::Client;
using db::clickhouse::file_name_of;
using db::clickhouse::quoted_name;
using db::clickhouse::quoted_text;

namespace {

constexpr int k_listings_max = 50;
constexpr int k_reads_max = 5;
constexpr std::uint64_t k_checksums_max = 64 << 20;
constexpr std::size_t k_parts_per_question = 500;

struct Content {
    std::uint64_t rows = 0, digest = 0;
    bool operator==(const Content&) const = default;
};

std::uint64_t number(const std::string& text) {
    std::uint64_t value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
}

// One thread: the rows then come in the part's order, and an unchanged part gives the same bytes every time.
const db::clickhouse::Settings k_in_order = {{"max_threads", "1"}};

class Taker {
public:
    Taker(Client& client, vault::Backup& backup, const Table& table, const std::vector<Column>& columns,
          const TakeOptions& options)
        : client_(client),
          backup_(backup),
          columns_(columns),
          options_(options),
          table_(table),
          from_(" FROM " + quoted_name(table.database, table.holder())) {}

    Result<TakenRows> parts();
    Result<TakenRows> whole();

private:
    Result<std::map<std::string, Content>> ask(const std::vector<Part>& parts);
    struct Links {
        bool current = true;    // false: the listing is out of date
        std::optional<Frozen> frozen;    // none: they are read over HTTP
    };
    /// The parts of a listing as files, if that was asked for and can be.
    Result<Links> freeze_parts(std::vector<Part>& listed);
    /// The parts of a listing by BACKUP, if that was asked for and can be; none where all of them are known.
    Result<std::optional<Frozen>> lay_out(const std::vector<Part>& wanted);
    /// Rows from now on: what was taken as files does not count.
    void read_rows(std::string why);
    /// False when the part is gone.
    Result<bool> take(const Part& part, const std::map<std::string, Content>& contents);
    Result<bool> still_there(const std::string& part);
    /// Whether this listing's parts are taken as files.
    bool as_files() const {
        return frozen_ != nullptr || (options_.method == policy::ClickHouseMethod::backup && not_frozen_.empty());
    }
    /// Those that have to be read; the others are in the snapshot now.
    std::vector<Part> not_known(std::vector<Part> wanted);
    /// Bytes read; nothing is left in the snapshot when there are none.
    Result<std::uint64_t> stream(const std::string& query, const std::string& file);
    Result<Content> content_of_all();
    std::string file_of(const std::string& name) const { return options_.below + "/" + file_name_of(name) + ".native"; }
    std::string folder_of(const std::string& name) const { return options_.below + "/" + name; }
    std::string title() const { return table_.database + "." + table_.name; }

    Client& client_;
    vault::Backup& backup_;
    const std::vector<Column>& columns_;
    const TakeOptions& options_;
    const Table& table_;
    std::string from_;
    std::map<std::string, TakenFile> taken_;
    const Frozen* frozen_ = nullptr;    // of the current listing
    std::string not_frozen_;
};

Result<std::map<std::string, Content>> Taker::ask(const std::vector<Part>& parts) {
    std::map<std::string, Content> contents;
    if (options_.proof == policy::Proof::none) {
        for (const auto& part : parts) contents[part.name] = {part.rows, 0};
        return contents;
    }
    for (std::size_t begin = 0; begin < parts.size(); begin += k_parts_per_question) {
        std::string names;
        for (std::size_t i = begin; i < std::min(parts.size(), begin + k_parts_per_question); ++i)
            names += (names.empty() ? "" : ", ") + quoted_text(parts[i].name);
        HF_TRY(const auto rows, client_.rows("SELECT _part, " + content_expression(columns_, options_.proof) + from_ +
                                             " WHERE _part IN (" + names + ") GROUP BY _part"));
        for (const auto& row : rows)
            if (row.size() == 3) contents[row[0]] = {number(row[1]), number(row[2])};
    }
    return contents;
}

Result<bool> Taker::still_there(const std::string& name) {
    HF_TRY(const auto listing, list_parts(client_, table_.database, table_.holder()));
    return std::ranges::any_of(listing.parts, [&](const Part& part) { return part.name == name; });
}

Result<bool> Taker::take(const Part& part, const std::map<std::string, Content>& contents) {
    const auto content = contents.find(part.name);
    if (content == contents.end()) {
        // Either merged away, or every row of it is marked as deleted: then there is nothing to take.
        if (!part.with_deleted_rows) {
            HF_TRY(const bool hidden, still_there(part.name));
            if (!hidden) return false;
            return fail(ErrorCode::store,
                        fmt::format("part {} of {} has {} rows, but none can be read", part.name, title(), part.rows),
                        "use a user without row policies");
        }
        HF_TRY(const bool empty, still_there(part.name));
        if (empty) taken_[part.name].name = part.name;
        return empty;
    }
    if (content->second.rows != part.rows && !part.with_deleted_rows)
        return fail(ErrorCode::store,
                    fmt::format("part {} of {} has {} rows, but only {} can be read", part.name, title(), part.rows,
                                content->second.rows),
                    "use a user without row policies");
    if (frozen_ != nullptr) {
        if (!os::exists(frozen_->folder() + "/" + part.name)) return false;
        const std::string folder = folder_of(part.name);
        vault::PathOptions paths;
        paths.base = frozen_->folder();
        paths.under = options_.folder + "/" + options_.below;
        HF_TRY(const auto summary, backup_.add_path(frozen_->folder() + "/" + part.name, paths));
        if (!summary.unreadable.empty()) return fail(summary.unreadable[0].second);
        taken_[part.name] = {part.name,     folder,          content->second.rows, content->second.digest,
                             summary.bytes, part.identity(), part.partition,       true};
        return true;
    }
    const std::string file = file_of(part.name);
    HF_TRY(const auto bytes, stream("SELECT " + column_list(columns_) + from_ +
                                        " WHERE _part = " + quoted_text(part.name) + " FORMAT Native",
                                    file));
    if (bytes == 0) return false;
    taken_[part.name] = {part.name,       file,          content->second.rows, content->second.digest, bytes,
                         part.identity(), part.partition};
    return true;
}

Result<std::uint64_t> Taker::stream(const std::string& query, const std::string& file) {
    HF_TRY(auto writer, backup_.start_stream(options_.folder + "/" + file));
    std::uint64_t bytes = 0;
    HF_DO(client_.read(
        query,
        [&](ByteView piece) {
            bytes += piece.size();
            return writer->write(piece);
        },
        k_in_order));
    if (bytes == 0) return 0;    // not finished: nothing appears in the snapshot
    HF_TRY(const auto receipt, writer->finish());
    if (receipt.size != bytes)
        return fail(ErrorCode::internal, fmt::format("{}: {} bytes read, {} stored", file, bytes, receipt.size));
    return bytes;
}

std::vector<Part> Taker::not_known(std::vector<Part> wanted) {
    if (options_.earlier == nullptr) return wanted;
    // Lightweight updates lie in parts of their own and change what is read of others.
    if (std::ranges::any_of(wanted, [](const Part& part) { return part.name.starts_with("patch-"); })) return wanted;
    std::vector<Part> left;
    for (Part& part : wanted) {
        const auto known = options_.earlier->parts.find(part.identity());
        const bool same = known != options_.earlier->parts.end() && known->second.folder == as_files() &&
                          !part.with_deleted_rows &&
                          (!part.hash.empty() || part.made_at + 1 < options_.earlier->asked_at);
        const std::string file = as_files() ? folder_of(part.name) : file_of(part.name);
        if (!same) {
            left.push_back(std::move(part));
        } else if (const auto reused = backup_.reuse(options_.earlier->tree, options_.folder + "/" + known->second.file,
                                                     options_.folder + "/" + file);
                   !reused) {
            log_debug("a part is read again",
                      {{"table", title()}, {"part", part.name}, {"why", reused.error().message}});
            left.push_back(std::move(part));
        } else {
            TakenFile& taken = taken_[part.name] = known->second;
            taken.name = part.name;
            taken.file = file;
            taken.partition = part.partition;
            taken.reused = true;
        }
    }
    return left;
}

Result<Taker::Links> Taker::freeze_parts(std::vector<Part>& listed) {
    if (options_.method != policy::ClickHouseMethod::freeze || listed.empty() || !not_frozen_.empty()) return Links{};
    auto frozen = freeze(client_, table_, listed);
    if (!frozen && frozen.error().code == ErrorCode::unsupported) {
        read_rows(frozen.error().message);
        return Links{};
    }
    if (!frozen) return fail(frozen.error());
    HF_TRY(const auto names, os::list_folder(frozen->folder()));
    const std::set<std::string> there(names.begin(), names.end());
    // The instant is that of FREEZE: what was merged before it does not count, what came before it must be in the listing.
    std::erase_if(listed, [&](const Part& part) { return !there.contains(part.name); });
    std::set<std::string_view> known;
    for (const Part& part : listed) known.insert(part.name);
    for (const std::string& name : names) {
        if (known.contains(name)) continue;
        if (rows_in_part(frozen->folder() + "/" + name) != 0u) return Links{false, {}};
    }
    // Where the server tells no hash, the list of its files' checksums is as good.
    for (Part& part : listed) {
        if (!part.hash.empty()) continue;
        HF_TRY(const auto sums, os::read_file(frozen->folder() + "/" + part.name + "/checksums.txt", k_checksums_max));
        format::Sha256 sum;
        sum.update(sums);
        part.hash = sum.finish().hex();
    }
    return Links{true, *std::move(frozen)};
}

void Taker::read_rows(std::string why) {
    not_frozen_ = std::move(why);
    for (const auto& [name, file] : taken_) backup_.forget_path(options_.folder + "/" + file.file);
    taken_.clear();
}

Result<std::optional<Frozen>> Taker::lay_out(const std::vector<Part>& wanted) {
    if (options_.method != policy::ClickHouseMethod::backup || !not_frozen_.empty() || wanted.empty())
        return std::optional<Frozen>();
    auto laid_out = back_up_by_server(client_, table_, wanted, options_.backups);
    if (laid_out) return std::optional<Frozen>(*std::move(laid_out));
    if (laid_out.error().code != ErrorCode::unsupported) return fail(laid_out.error());
    read_rows(laid_out.error().message);
    return std::optional<Frozen>();
}

Result<TakenRows> Taker::parts() {
    for (int attempt = 0; attempt < k_listings_max; ++attempt) {
        HF_TRY(auto listing, list_parts(client_, table_.database, table_.holder()));
        if (options_.after_listing) options_.after_listing();
        // Lightweight updates lie in parts of their own, which cannot be attached to another table.
        if (options_.method != policy::ClickHouseMethod::http && not_frozen_.empty() &&
            std::ranges::any_of(listing.parts, [](const Part& part) { return part.name.starts_with("patch-"); }))
            read_rows("it has lightweight updates");
        HF_TRY(const Links links, freeze_parts(listing.parts));
        if (!links.current) continue;
        frozen_ = links.frozen ? &*links.frozen : nullptr;
        std::vector<Part> wanted;
        for (const auto& part : listing.parts)
            if (!taken_.contains(part.name)) wanted.push_back(part);
        wanted = not_known(std::move(wanted));
        const bool files = as_files();
        HF_TRY(const auto laid_out, lay_out(wanted));
        if (files && !as_files()) continue;    // it cannot be: all of them as rows
        if (laid_out) frozen_ = &*laid_out;
        HF_TRY(const auto contents, ask(wanted));
        bool whole = true;
        for (const auto& part : wanted) {
            HF_TRY(const bool there, take(part, contents));
            whole = whole && there;
        }
        if (!whole) {
            log_debug("parts were merged away; listing again", {{"table", title()}});
            continue;
        }
        TakenRows rows;
        rows.asked_at = listing.asked_at;
        rows.not_frozen = not_frozen_;
        for (const auto& part : listing.parts) {
            const auto node = taken_.extract(part.name);
            const TakenFile& file = node.mapped();
            rows.rows += file.rows;
            rows.digest += file.digest;
            if (!file.file.empty()) rows.files.push_back(file);
        }
        // What is left was taken under an earlier listing; its rows are in a newer part, which has been read.
        for (const auto& [name, file] : taken_)
            if (!file.file.empty()) backup_.forget_path(options_.folder + "/" + file.file);
        return rows;
    }
    return fail(
        ErrorCode::changed,
        fmt::format("the parts of {} were merged faster than they could be read, {} times", title(), k_listings_max),
        "back up when fewer merges run, or SYSTEM STOP MERGES " + title() + " meanwhile");
}

Result<Content> Taker::content_of_all() {
    if (options_.proof == policy::Proof::none) return Content{};
    HF_TRY(const auto rows, client_.rows("SELECT " + content_expression(columns_, options_.proof) + from_));
    if (rows.size() != 1 || rows[0].size() != 2) return fail(ErrorCode::store, "no count of " + title());
    return Content{number(rows[0][0]), number(rows[0][1])};
}

Result<TakenRows> Taker::whole() {
    for (int attempt = 0; attempt < k_reads_max; ++attempt) {
        HF_TRY(const Content before, content_of_all());
        if (options_.after_listing) options_.after_listing();
        HF_TRY(const auto bytes, stream("SELECT " + column_list(columns_) + from_ + " FORMAT Native", file_of("all")));
        HF_TRY(const Content after, content_of_all());
        if (before != after) {
            backup_.forget_path(options_.folder + "/" + file_of("all"));
            continue;
        }
        TakenRows rows{before.rows, before.digest, {}, 0, {}};
        if (bytes > 0) rows.files.push_back({"all", file_of("all"), before.rows, before.digest, bytes, {}, {}, false});
        return rows;
    }
    return fail(ErrorCode::changed, fmt::format("rows came into {} during each of {} reads", title(), k_reads_max),
                "back it up when nothing writes to it");
}

}    // namespace

Result<TakenRows> take_rows(Client& client, vault::Backup& backup, const Table& table, std::string_view engine,
                            const std::vector<Column>& columns, const TakeOptions& options) {
    Taker taker(client, backup, table, columns, options);
    switch (holding_of(engine)) {
        case Holding::parts:
            return taker.parts();
        case Holding::whole:
            return taker.whole();
        case Holding::nothing:
            break;
    }
    return TakenRows{};
}

}    // namespace holdfast::source::clickhouse
