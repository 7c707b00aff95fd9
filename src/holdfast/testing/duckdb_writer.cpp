#include "holdfast/testing/duckdb_writer.hpp"

#include <fmt/core.h>

#include <charconv>
#include <chrono>
#include <mutex>
#include <thread>

#include "holdfast/os/file.hpp"
#include "holdfast/os/process.hpp"

namespace holdfast::testing {
namespace {

using namespace std::chrono_literals;

std::string program() { return os::parent_folder(os::own_program()) + "/holdfast-duckdb-writer"; }

// "1 4711": false for anything else.
bool parse_lane(std::string_view line, std::map<int, std::int64_t>& lanes) {
    int lane = 0;
    std::int64_t sequence = 0;
    const char* end = line.data() + line.size();
    const auto first = std::from_chars(line.data(), end, lane);
    if (first.ec != std::errc() || first.ptr == end || *first.ptr != ' ') return false;
    if (std::from_chars(first.ptr + 1, end, sequence).ec != std::errc()) return false;
    lanes[lane] = sequence;
    return true;
}

// Cuts whole lines off the front of `text`.
void take_lines(std::string& text, std::map<int, std::int64_t>& lanes) {
    std::size_t begin = 0;
    for (std::size_t end; (end = text.find('\n', begin)) != text.npos; begin = end + 1)
        parse_lane(std::string_view(text).substr(begin, end - begin), lanes);
    text.erase(0, begin);
}

}    // namespace

struct DuckDbWriter::State {
    explicit State(os::Process p) : process(std::move(p)) {}
    os::Process process;
    mutable std::mutex mutex;
    std::map<int, std::int64_t> lanes;    // guarded by mutex
    bool ended = false;    // guarded by mutex
    std::thread reader;

    void read_lines() {
        std::string text;
        Bytes buffer(64 << 10);
        while (true) {
            const auto got = os::read_some(process.output(), buffer);
            const std::lock_guard lock(mutex);
            if (!got || *got == 0) {
                ended = true;
                return;
            }
            text += as_text(ByteView(buffer).first(*got));
            take_lines(text, lanes);
        }
    }
};

DuckDbWriter::DuckDbWriter(std::unique_ptr<State> state) : state_(std::move(state)) {}
DuckDbWriter::DuckDbWriter(DuckDbWriter&&) noexcept = default;

DuckDbWriter::~DuckDbWriter() {
    if (!state_) return;
    kill();
}

Result<DuckDbWriter> DuckDbWriter::start(const std::string& file, Load load, const std::vector<std::string>& settings) {
    os::Command command;
    command.arguments = {program(), file, load == Load::mixed ? "mixed" : "inserts"};
    command.arguments.insert(command.arguments.end(), settings.begin(), settings.end());
    HF_TRY(os::Process process, os::Process::start(command));
    auto state = std::make_unique<State>(std::move(process));
    state->reader = std::thread([&s = *state] { s.read_lines(); });
    DuckDbWriter writer(std::move(state));
    const auto deadline = std::chrono::steady_clock::now() + 30s;
    while (std::chrono::steady_clock::now() < deadline) {
        {
            const std::lock_guard lock(writer.state_->mutex);
            if (writer.state_->ended) break;
            for (const auto& [lane, sequence] : writer.state_->lanes)
                if (sequence >= 20) return writer;
        }
        std::this_thread::sleep_for(10ms);
    }
    writer.kill();
    return fail(ErrorCode::store, "the DuckDB writer does not commit: " + writer.state_->process.errors());
}

std::map<int, std::int64_t> DuckDbWriter::acknowledged() const {
    const std::lock_guard lock(state_->mutex);
    return state_->lanes;
}

int DuckDbWriter::pid() const { return state_->process.pid(); }

void DuckDbWriter::kill() {
    if (!state_->reader.joinable()) return;
    state_->process.kill(9);
    state_->reader.join();
    (void)state_->process.wait();
}

Result<std::map<int, std::int64_t>> check_writer_copy(const std::string& file) {
    os::Command command;
    command.arguments = {program(), file, "check"};
    HF_TRY(os::Finished finished, os::run(command, {}, 120s));
    if (!finished.status.ok())
        return fail(ErrorCode::mismatch, fmt::format("{}: {} {}", file, finished.status.text(), finished.errors));
    std::map<int, std::int64_t> lanes;
    take_lines(finished.output, lanes);
    return lanes;
}

Status run_duckdb(const std::string& file, const std::string& sql, const std::vector<std::string>& settings) {
    os::Command command;
    command.arguments = {program(), file, "sql"};
    command.arguments.insert(command.arguments.end(), settings.begin(), settings.end());
    HF_TRY(const os::Finished finished, os::run(command, sql, 120s));
    if (!finished.status.ok())
        return fail(ErrorCode::store, fmt::format("{}: {} {}", file, finished.status.text(), finished.errors));
    return {};
}

}    // namespace holdfast::testing
