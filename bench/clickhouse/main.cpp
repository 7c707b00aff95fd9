// hf-bench-clickhouse: a first backup of a ClickHouse, and the next one after 1 % of new parts.

#include <fmt/core.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>

#include "../vault/measure.hpp"
#include "holdfast/db/clickhouse.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/testing/clickhouse_server.hpp"

namespace holdfast::bench {
namespace {

constexpr std::string_view k_help =
    R"(usage: hf-bench-clickhouse HOLDFAST [--parts N] [--rows N] [--rounds N] [--method M] [--work DIR]
  HOLDFAST    the program
  --parts     of one table (100); one per cent of them is new at the second backup
  --rows      of each part (50,000)
  --rounds    in turns (3)
  --method    http or freeze (http)
  --work      on the disk to measure (/var/tmp)
)";

struct Options {
    std::string holdfast, work = "/var/tmp", method = "http";
    unsigned parts = 100, rows = 50'000, rounds = 3;
};

double median(std::vector<double> values) {
    std::ranges::sort(values);
    return values.empty() ? 0 : values[values.size() / 2];
}

class Bench {
public:
    Bench(Options options, os::TempFolder folder, testing::ClickHouseServer server, db::clickhouse::Client client)
        : options_(std::move(options)),
          folder_(std::move(folder)),
          server_(std::move(server)),
          client_(std::move(client)) {}

    Status run() {
        HF_DO(os::write_file(at("holdfast.toml"),
                             as_bytes(fmt::format("stack = \"bench\"\n[repository]\nlocation = \"{}\"\npassword_file = "
                                                  "\"{}\"\n[[clickhouse]]\nurl = \"{}\"\nmethod = \"{}\"\n",
                                                  at("vault"), at("key"), server_.url(), options_.method))));
        HF_DO(client_.execute("CREATE DATABASE bench"));
        HF_DO(client_.execute(
            "CREATE TABLE bench.fills (id UInt64, at DateTime, symbol String, price Float64, size UInt32, "
            "text String) ENGINE = MergeTree ORDER BY id"));
        HF_DO(client_.execute("SYSTEM STOP MERGES bench.fills"));
        HF_DO(add_parts(options_.parts));
        for (unsigned round = 0; round < options_.rounds; ++round) {
            fmt::print(stderr, "round {} of {}\n", round + 1, options_.rounds);
            HF_DO(one_round());
        }
        print();
        return {};
    }

private:
    std::string at(std::string_view name) const { return fmt::format("{}/{}", folder_.path(), name); }

    Status add_parts(unsigned count) {
        for (unsigned i = 0; i < count; ++i, ++parts_)
            HF_DO(client_.execute(fmt::format(
                "INSERT INTO bench.fills SELECT number + {0}, toDateTime(1700000000 + number), concat('SYM', "
                "toString(number % 50)), (cityHash64(number, {0}) % 100000) / 100, number % 1000, "
                "hex(cityHash64(number, {0}, 1)) FROM system.numbers LIMIT {1}",
                std::uint64_t{parts_} * options_.rows, options_.rows)));
        return {};
    }

    Result<Sample> holdfast(std::vector<std::string> arguments) const {
        arguments.insert(arguments.begin(), {options_.holdfast, "--quiet", "--config", at("holdfast.toml")});
        return measure({arguments, {}, folder_.path(), {}});
    }

    Status one_round() {
        HF_DO(os::remove_tree(at("vault")));
        HF_DO(os::remove_tree(at("key")));
        HF_TRY([[maybe_unused]] const Sample made,
               measure({{options_.holdfast, "--repo", at("vault"), "init", "--generate-key", at("key")},
                        {},
                        folder_.path(),
                        {}}));
        // A part is known again once it is older than the second to which this server tells its age.
        HF_DO(client_.execute("SELECT sleep(3)"));
        HF_TRY(const Sample first, holdfast({"backup"}));
        HF_TRY(const std::uint64_t whole, folder_bytes(at("vault")));
        HF_DO(add_parts(std::max(1u, options_.parts / 100)));
        HF_TRY(const Sample second, holdfast({"backup"}));
        HF_TRY(const std::uint64_t both, folder_bytes(at("vault")));
        first_.push_back(first.wall_s);
        first_cpu_.push_back(first.cpu_s());
        second_.push_back(second.wall_s);
        second_cpu_.push_back(second.cpu_s());
        first_stored_.push_back(static_cast<double>(whole));
        second_stored_.push_back(static_cast<double>(both - whole));
        return {};
    }

    static void line(std::string_view what, const std::vector<double>& first, const std::vector<double>& second,
                     std::string_view unit, std::string_view target) {
        std::vector<double> each;
        for (std::size_t i = 0; i < first.size(); ++i) each.push_back(second[i] / first[i]);
        fmt::print("| {} | {:.3f} {} | {:.3f} {} | {:.3f} | {} |\n", what, median(first), unit, median(second), unit,
                   median(each), target);
    }
    void print() const {
        fmt::print(
            "{} parts of {} rows, {}; medians of {} rounds, ratios inside a round\n\n| | first | with 1 % of new parts "
            "| "
            "ratio | target |\n|---|---|---|---|---|\n",
            options_.parts, options_.rows, options_.method, options_.rounds);
        line("wall", first_, second_, "s", "0.05");
        line("CPU of holdfast", first_cpu_, second_cpu_, "s", "");
        line("stored", first_stored_, second_stored_, "B", "0.05");
    }

    const Options options_;
    const os::TempFolder folder_;
    testing::ClickHouseServer server_;
    db::clickhouse::Client client_;
    unsigned parts_ = 0;
    std::vector<double> first_, first_cpu_, second_, second_cpu_, first_stored_, second_stored_;
};

Status run(const Options& options) {
    ::setenv("TMPDIR", options.work.c_str(), 1);    // for the server, too: on the same disk
    HF_TRY(os::TempFolder folder, os::TempFolder::create("holdfast-bench", options.work));
    HF_TRY(testing::ClickHouseServer server, testing::ClickHouseServer::start());
    db::clickhouse::Server where;
    where.url = server.url();
    HF_TRY(auto client, db::clickhouse::Client::connect(std::move(where)));
    return Bench(options, std::move(folder), std::move(server), std::move(client)).run();
}

}    // namespace
}    // namespace holdfast::bench

int main(int argc, char** argv) {
    using namespace holdfast;
    bench::Options options;
    bool good = argc >= 2 && argc % 2 == 0;
    if (good) options.holdfast = os::absolute_path(argv[1]);
    for (int i = 2; good && i + 1 < argc; i += 2) {
        const std::string_view name = argv[i];
        const auto number = static_cast<unsigned>(std::strtoul(argv[i + 1], nullptr, 10));
        if (name == "--work")
            options.work = os::absolute_path(argv[i + 1]);
        else if (name == "--method")
            options.method = argv[i + 1];
        else if (name == "--parts" && number > 0)
            options.parts = number;
        else if (name == "--rows" && number > 0)
            options.rows = number;
        else if (name == "--rounds" && number > 0)
            options.rounds = number;
        else
            good = false;
    }
    if (!good) {
        fmt::print(stderr, "{}", bench::k_help);
        return 2;
    }
    const Status done = bench::run(options);
    if (!done) fmt::print(stderr, "hf-bench-clickhouse: {}\n{}\n", done.error().message, done.error().hint);
    return done ? 0 : 1;
}
