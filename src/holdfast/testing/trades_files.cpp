#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "holdfast/os/file.hpp"
#include "holdfast/os/process.hpp"
#include "holdfast/testing/trades.hpp"
#include "holdfast/testing/trades_stores.hpp"

namespace holdfast::testing {
namespace {

std::string log_lines(const Desk& desk, std::uint64_t begin, std::uint64_t end) {
    std::string text;
    for (std::uint64_t i = begin; i < end; ++i) {
        const Order o = desk.order(i);
        fmt::format_to(
            std::back_inserter(text),
            R"({{"time":"{}Z","level":"info","event":"execution report","order":{},"symbol":"{}","side":"{}"}})"
            "\n",
            sql_time(o.updated_at), o.id, o.symbol, o.side);
    }
    return text;
}

Status append_to(const std::string& path, std::string_view text) {
    HF_TRY(const os::Fd fd, os::open_file(path, O_WRONLY | O_APPEND | O_CREAT, 0640));
    return os::write_all(fd.get(), as_bytes(text));
}

}    // namespace

Status fill_files(const std::string& config, const std::string& logs, const TradeAmounts& amounts) {
    const Desk desk(amounts.seed);
    HF_DO(os::make_folders(config + "/strategies", 0755));
    HF_DO(os::make_folders(logs, 0750));
    for (unsigned i = 0; i < 12; ++i)
        HF_DO(os::write_file(fmt::format("{}/strategies/strategy-{:02}.toml", config, i),
                             as_bytes(fmt::format("name = \"strategy-{:02}\"\nsymbol = \"{}\"\nsize_max = {}\n", i,
                                                  Desk::symbol_name(i), (i + 1) * 10'000)),
                             0644));
    HF_DO(os::write_file(config + "/risk.json",
                         as_bytes(R"({"loss_max": 25000, "positions_max": 40})"
                                  "\n"),
                         0644));
    HF_DO(os::write_file(config + "/broker.key", as_bytes(uuid(mixed(amounts.seed, 1), mixed(amounts.seed, 2)) + "\n"),
                         0600));
    if (::symlink("strategies/strategy-03.toml", (config + "/current.toml").c_str()) != 0)
        return fail(errno_error(errno, "cannot make a link in " + config));
    const std::uint64_t half = amounts.log_lines / 2;
    HF_DO(append_to(logs + "/engine.jsonl.1", log_lines(desk, 0, half)));
    return append_to(logs + "/engine.jsonl", log_lines(desk, half, amounts.log_lines));
}

Status change_files(const std::string& config, const std::string& logs, const TradeAmounts& amounts) {
    HF_DO(os::write_file(config + "/risk.json",
                         as_bytes(R"({"loss_max": 30000, "positions_max": 40})"
                                  "\n"),
                         0644));
    return append_to(logs + "/engine.jsonl",
                     log_lines(Desk(amounts.seed), amounts.log_lines, amounts.log_lines + amounts.log_lines / 100));
}

Result<Counted> count_files(const std::string& what, const std::string& folder) {
    os::Command command;
    command.arguments = {
        "bash", "-c",
        "set -e; cd \"$1\"; find . -type f | wc -l; { find . -printf '%y %m %p %l\\n' | LC_ALL=C sort; "
        "find . -type f -print0 | LC_ALL=C sort -z | xargs -0r sha256sum; } | sha256sum",
        "bash", folder};
    HF_TRY(const os::Finished done, os::run(std::move(command)));
    const auto line_end = done.output.find('\n');
    if (!done.status.ok() || done.output.size() < line_end + 65)
        return fail(ErrorCode::io, fmt::format("cannot count the files in {}: {}", folder, done.errors));
    return Counted{what, std::stoull(done.output), done.output.substr(line_end + 1, 64)};
}

}    // namespace holdfast::testing
