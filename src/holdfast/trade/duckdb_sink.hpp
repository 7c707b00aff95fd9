#pragma once
// DuckDB as the trade history on this host: every order, every execution, what failed, and settings, in one file of one account.
// The watermark is committed with the rows.
//
//   damage    a file that is missing is made; one that is damaged is set aside under another name, and the next watermark is 0:
//             the history is then written anew from the journal. Its health is first looked at in a child process
//   errors    locked: another process has the file open; config: it belongs to another account; unsupported: its tables are of
//             an earlier shape
//   threads   any; one call at a time goes on
//   source    docs/formats/trade-stores.md

#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "holdfast/db/duckdb_library.hpp"
#include "holdfast/policy/config.hpp"
#include "holdfast/trade/failed_syncs.hpp"
#include "holdfast/trade/sink.hpp"

namespace holdfast::trade {

struct DuckDbSinkOptions {
    std::string path;
    std::string account;
    std::string journal;    // whose watermark it is: Journal::identity()
    db::DuckDb::Settings settings = {{"memory_limit", "256MB"}, {"threads", "1"}};
};

class DuckDbSink final : public Sink, public FailedSyncs {
public:
    DuckDbSink(DuckDbSinkOptions options, const Clock& clock) : options_(std::move(options)), clock_(clock) {}

    std::string_view name() const override { return "duckdb"; }
    std::size_t batch_max() const override { return 10'000; }
    Result<ledger::Sequence> watermark() override;
    Status apply(ledger::Sequence after, std::span<const ledger::Change> changes) override {
        return apply_as(options_.journal, after, changes);
    }
    /// The same under another journal's watermark: this file has one owner, and one of it only.
    Status apply_as(const std::string& journal, ledger::Sequence after, std::span<const ledger::Change> changes);

    Status put(const FailedSync& failed) override;
    Status clear(std::string_view sink) override;
    Result<std::vector<FailedSync>> all() override;

    /// The table `configuration`: settings that outlive the process.
    Status configure(const std::string& name, const std::string& value);
    Result<std::map<std::string, std::string>> configuration();
    /// For reports and reconciliation. Cast columns that are not plain numbers or texts to VARCHAR: the C API that gives values
    /// as text crashes on some types (seen with UUID and TIMESTAMP_NS).
    Result<db::DuckDbRows> query(const std::string& sql);

    /// Where the last damaged file was set aside; empty: none was.
    std::string set_aside() const;

private:
    Status open();
    Status move_aside(const Error& why);
    template <class Work>
    auto with_database(const Work& work) -> decltype(work());
    Result<ledger::Sequence> read_mark(const std::string& journal);
    Status write(const std::string& journal, ledger::Sequence mark, std::span<const ledger::Change> changes);

    DuckDbSinkOptions options_;
    const Clock& clock_;
    mutable std::mutex mutex_;
    std::optional<db::DuckDb> database_;
    std::string set_aside_;
};

/// Where else the rows of a DuckDB are: as its [[duckdb.rebuild]] says; without it, for an account's history, what the engine writes into the
/// account's other stores. What those lack comes from the journal, by the watermark.
std::vector<policy::DuckDbRebuildConfig> duckdb_rebuild_rules(const policy::Config& config,
                                                              const policy::DuckDbConfig& duckdb);

/// "SELECT …" of all orders (executions), with values as trade/rows.hpp reads them, then the version.
std::string duckdb_select_orders(std::string_view where);
std::string duckdb_select_executions(std::string_view where);

}    // namespace holdfast::trade
