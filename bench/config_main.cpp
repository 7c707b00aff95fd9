// hf-bench-config: how long it takes until a configuration is good again (EA-15: below 1 s; our aim: 50 ms), beside what the disk
// needs for one small durable file. Times are wall clock, in turns; medians and the slowest of --rounds.

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <vector>

#include "holdfast/keep/in_place.hpp"
#include "holdfast/keep/keeper.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"

using namespace holdfast;

namespace {

std::string settings(int round, std::size_t size) {
    std::string text = fmt::format("{{\n  \"round\": {}", round);
    for (int i = 0; text.size() + 40 < size; ++i)
        text += fmt::format(",\n  \"symbol_{:04}\": {{\"lots\": 0.{}}}", i, i % 9 + 1);
    return text + "\n}\n";
}

struct Times {
    std::vector<double> all;
    void add(Duration took) { all.push_back(seconds(took) * 1e3); }
    std::string text() {
        std::ranges::sort(all);
        return fmt::format("median {:6.2f} ms, slowest {:6.2f} ms", all[all.size() / 2], all.back());
    }
};

}    // namespace

int main(int count, char** words) {
    const int rounds = count > 1 ? std::max(std::atoi(words[1]), 1) : 200;
    os::SystemClock clock;
    const os::TempFolder folder = os::TempFolder::create("hf-bench-config", count > 2 ? words[2] : "").value();
    keep::KeptFile file;
    file.path = folder.path() + "/ea.json";
    file.versions = keep::versions_folder(file.path);
    const keep::Versions versions(file.versions, file.path);
    Times disk, keep, load, restore;
    for (int round = 0; round < rounds; ++round) {
        const std::string good = settings(round, 10 << 10), bad = good.substr(0, good.size() / 2);
        const auto timed = [&](Times& times, auto&& work) {
            const Instant from = clock.instant();
            if (!work()) std::abort();
            times.add(clock.instant() - from);
        };
        timed(disk, [&] { return os::write_file(folder.path() + "/plain", as_bytes(good)).has_value(); });
        timed(keep, [&] { return versions.keep(good, clock.now(), 5).has_value(); });
        if (!keep::put(file.path, bad)) std::abort();
        timed(load, [&] {
            const auto present = os::read_text(file.path).value_or("");
            return !keep::judge(file, present).good() && versions.newest_valid(file.format).value().has_value();
        });
        timed(restore, [&] { return keep::restore_newest(file, bad, clock.now()).has_value(); });
    }
    fmt::print("a JSON file of 10 KiB, 5 versions, {} rounds\n", rounds);
    fmt::print("write one file, durable         {}\n", disk.text());
    fmt::print("keep a version                  {}\n", keep.text());
    fmt::print("load past a bad file            {}\n", load.text());
    fmt::print("put the good one back, durable  {}\n", restore.text());
    return 0;
}
