// hf-bench-redis: whole copies, increments and restores of a Redis, each beside what the server's own tools take, in turns.

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <string_view>
#include <thread>

#include "../vault/measure.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/testing/redis_server.hpp"

namespace holdfast::bench {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view k_help =
    R"(usage: hf-bench-redis HOLDFAST [--keys N] [--rounds N] [--work DIR] [--append-only 1]
  HOLDFAST    the program
  --keys      of 100 bytes (1,000,000); one per cent of them changes between a whole copy and an increment
  --rounds    in turns (5)
  --work      on the disk to measure (/var/tmp)
  --append-only 1   the server has appendonly yes, its own start is from a log that was just rewritten
)";

struct Options {
    std::string holdfast, work = "/var/tmp";
    unsigned keys = 1'000'000, rounds = 5;
    bool append_only = false;
};

double median(std::vector<double> values) {
    std::ranges::sort(values);
    return values.empty() ? 0 : values[values.size() / 2];
}

class Bench {
public:
    Bench(Options options, os::TempFolder folder, testing::RedisServer server)
        : options_(std::move(options)), folder_(std::move(folder)), server_(std::move(server)) {}

    Status run() {
        HF_DO(write_config());
        HF_DO(fill(0, options_.keys, "first"));
        for (unsigned round = 0; round < options_.rounds; ++round) {
            fmt::print(stderr, "round {} of {}\n", round + 1, options_.rounds);
            HF_DO(backups(round));
            HF_DO(restores());
        }
        print();
        return {};
    }

private:
    std::string at(std::string_view name) const { return fmt::format("{}/{}", folder_.path(), name); }

    Status write_config() const {
        return os::write_file(
            at("holdfast.toml"),
            as_bytes(fmt::format("stack = \"bench\"\n[repository]\nlocation = \"{}\"\npassword_file = \"{}\"\n"
                                 "[[redis]]\nport = {}\ndata_folder = \"{}\"\nstart_command = "
                                 "[\"redis-server\", \"{}\", \"--daemonize\", \"yes\"]\nappend_only = {}\n",
                                 at("vault"), at("key"), server_.port(), server_.data_folder(), server_.config_file(),
                                 options_.append_only)));
    }

    // Values that do not compress to nothing, made in the server.
    Status fill(unsigned from, unsigned to, const std::string& seed) {
        for (unsigned begin = from; begin < to; begin += 50'000) {
            const std::string first = std::to_string(begin), last = std::to_string(std::min(begin + 50'000, to) - 1);
            HF_TRY(const auto ignored,
                   server_.talk({{"EVAL",
                                  "for i=ARGV[1],ARGV[2] do local h=redis.sha1hex(ARGV[3]..i) "
                                  "redis.call('SET','key:'..i,h..string.reverse(h)..string.sub(h,1,20)) end",
                                  "0", first, last, seed}}));
            static_cast<void>(ignored);
        }
        return {};
    }

    Result<Sample> holdfast(std::vector<std::string> arguments) const {
        arguments.insert(arguments.begin(), {options_.holdfast, "--quiet", "--config", at("holdfast.toml")});
        return measure({arguments, {}, folder_.path(), {}});
    }
    Status timed(std::vector<double>& walls, std::vector<double>& cpus, Result<Sample> sample) {
        if (!sample) return fail(std::move(sample).error());
        walls.push_back(sample->wall_s);
        cpus.push_back(sample->cpu_s());
        return {};
    }

    Status backups(unsigned round) {
        HF_DO(os::remove_tree(at("vault")));
        HF_DO(os::remove_tree(at("key")));
        HF_TRY(const Sample made,
               measure({{options_.holdfast, "--repo", at("vault"), "init", "--generate-key", at("key")},
                        {},
                        folder_.path(),
                        {}}));
        static_cast<void>(made);
        const auto own = [&]() -> Status {
            return timed(
                rdb_, rdb_cpu_,
                measure(
                    {{"redis-cli", "-p", std::to_string(server_.port()), "--rdb", at("rdb")}, {}, folder_.path(), {}}));
        };
        if (round % 2 == 0) HF_DO(own());
        HF_DO(timed(whole_, whole_cpu_, holdfast({"backup", "--full"})));
        if (round % 2 == 1) HF_DO(own());
        HF_TRY(const std::uint64_t before, folder_bytes(at("vault")));
        const unsigned changed = options_.keys / 100, from = round * changed % (options_.keys - changed + 1);
        HF_DO(fill(from, from + changed, fmt::format("round {}", round)));
        HF_DO(timed(increment_, increment_cpu_, holdfast({"backup"})));
        HF_TRY(const std::uint64_t after, folder_bytes(at("vault")));
        whole_stored_.push_back(double(before));
        increment_stored_.push_back(double(after - before));
        return {};
    }

    // From the start of the command until the server answers.
    Result<double> until_ping(const std::function<Status()>& command) {
        const auto started = std::chrono::steady_clock::now();
        double took = 0;
        std::jthread watcher([&](const std::stop_token& stop) {
            while (!stop.stop_requested()) {
                if (server_.talk({{"PING"}})) {
                    took = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
                    return;
                }
                std::this_thread::sleep_for(5ms);
            }
        });
        const Status done = command();
        watcher.request_stop();
        watcher.join();
        if (!done) return fail(done.error());
        return took;
    }

    Status restores() {
        // The server's own: the same data, out of its own RDB.
        if (options_.append_only) {
            HF_DO(rewrite_log());
        } else {
            HF_DO(server_.save());
        }
        server_.kill();
        HF_TRY(const double own, until_ping([&] { return server_.restart(); }));
        load_.push_back(own);
        server_.kill();
        HF_TRY(const std::string ids, list_ids());
        for (auto* walls : {&restore_whole_, &restore_increment_}) {
            HF_DO(server_.wipe());
            const std::string id = walls == &restore_whole_ ? ids.substr(0, 8) : "latest";
            HF_TRY(const double took, until_ping([&]() -> Status {
                       HF_TRY(const Sample ignored, holdfast({"restore", id, "--yes"}));
                       static_cast<void>(ignored);
                       return {};
                   }));
            walls->push_back(took);
            static_cast<void>(server_.talk({{"SHUTDOWN", "NOSAVE"}}));
            while (server_.talk({{"PING"}})) std::this_thread::sleep_for(5ms);
        }
        return server_.restart();    // with what was restored
    }

    Status rewrite_log() {
        HF_TRY([[maybe_unused]] const auto begun, server_.talk({{"BGREWRITEAOF"}}));
        for (;;) {
            HF_TRY(const auto info, server_.talk({{"INFO", "persistence"}}));
            if (info.find("aof_rewrite_in_progress:0") != info.npos &&
                info.find("aof_rewrite_scheduled:0") != info.npos)
                return {};
            std::this_thread::sleep_for(20ms);
        }
    }

    // The older one first.
    Result<std::string> list_ids() const {
        HF_TRY(const auto names, os::list_folder(at("vault/snapshots")));
        if (names.size() != 2) return fail(ErrorCode::mismatch, fmt::format("{} snapshots and not 2", names.size()));
        HF_TRY(const struct stat a, os::status_of(at("vault/snapshots/" + names[0])));
        HF_TRY(const struct stat b, os::status_of(at("vault/snapshots/" + names[1])));
        const bool a_first =
            std::pair(a.st_mtim.tv_sec, a.st_mtim.tv_nsec) < std::pair(b.st_mtim.tv_sec, b.st_mtim.tv_nsec);
        return names[a_first ? 0 : 1];
    }

    static std::string ratio(const std::vector<double>& of, const std::vector<double>& to) {
        std::vector<double> each;
        for (std::size_t i = 0; i < of.size(); ++i) each.push_back(of[i] / to[i]);
        return fmt::format("{:.3f}", median(each));
    }
    void line(std::string_view what, const std::vector<double>& of, std::string_view unit, std::string_view beside,
              const std::vector<double>& to, std::string_view target) const {
        fmt::print("| {} | {:.2f} {} | {} {:.2f} {} | {} | {} |\n", what, median(of), unit, beside, median(to), unit,
                   ratio(of, to), target);
    }
    void print() const {
        fmt::print(
            "{} keys; medians of {} rounds, ratios inside a round\n\n| what | measured | beside | ratio | target |\n"
            "|---|---|---|---|---|\n",
            options_.keys, options_.rounds);
        line("whole copy, wall", whole_, "s", "redis-cli --rdb", rdb_, "1.2");
        line("whole copy, CPU", whole_cpu_, "s", "redis-cli --rdb", rdb_cpu_, "");
        line("increment of 1 %, wall", increment_, "s", "whole", whole_, "0.05");
        line("increment of 1 %, CPU", increment_cpu_, "s", "whole", whole_cpu_, "");
        line("increment of 1 %, stored", increment_stored_, "B", "whole", whole_stored_, "0.05");
        line("restore of the whole copy until PING", restore_whole_, "s", "the server's own start", load_, "1.1");
        line("restore of the increment until PING", restore_increment_, "s", "the server's own start", load_, "1.1");
    }

    const Options options_;
    const os::TempFolder folder_;
    testing::RedisServer server_;
    std::vector<double> rdb_, rdb_cpu_, whole_, whole_cpu_, increment_, increment_cpu_, whole_stored_,
        increment_stored_;
    std::vector<double> load_, restore_whole_, restore_increment_;
};

Status run(const Options& options) {
    ::setenv("TMPDIR", options.work.c_str(), 1);    // for the server, too: on the same disk
    HF_TRY(os::TempFolder folder, os::TempFolder::create("holdfast-bench", options.work));
    // A run that was stopped must not stand in the next one's way as an interrupted restore.
    ::setenv("XDG_STATE_HOME", (folder.path() + "/state").c_str(), 1);
    HF_TRY(testing::RedisServer server,
           testing::RedisServer::start({"repl-backlog-size 256mb", "repl-backlog-ttl 0",
                                        options.append_only ? "appendonly yes" : "appendonly no"}));
    return Bench(options, std::move(folder), std::move(server)).run();
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
        const unsigned long number = std::strtoul(argv[i + 1], nullptr, 10);
        if (name == "--work")
            options.work = os::absolute_path(argv[i + 1]);
        else if (name == "--keys" && number >= 100)
            options.keys = static_cast<unsigned>(number);
        else if (name == "--append-only")
            options.append_only = number > 0;
        else if (name == "--rounds" && number > 0)
            options.rounds = static_cast<unsigned>(number);
        else
            good = false;
    }
    if (!good) {
        fmt::print(stderr, "{}", bench::k_help);
        return 2;
    }
    const Status done = bench::run(options);
    if (!done) fmt::print(stderr, "hf-bench-redis: {}\n{}\n", done.error().message, done.error().hint);
    return done ? 0 : 1;
}
