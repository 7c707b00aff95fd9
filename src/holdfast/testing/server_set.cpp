#include "holdfast/testing/server_set.hpp"

#include <fmt/core.h>
#include <signal.h>

#include "holdfast/os/host.hpp"
#include "holdfast/storage/http_client.hpp"

namespace holdfast::testing {

using namespace std::chrono_literals;

Result<ServerSet> ServerSet::create(std::string_view name) {
    HF_TRY(auto folder, os::TempFolder::create(fmt::format("hf-{}-", name)));
    return ServerSet(std::move(folder));
}

ServerSet::~ServerSet() { kill(); }

Result<std::string> ServerSet::run(std::vector<std::string> arguments) const {
    os::Command command;
    command.arguments = std::move(arguments);
    command.folder = folder();
    const std::string name = command.arguments[0];
    HF_TRY(const auto finished, os::run(std::move(command), {}, 120s));
    if (!finished.status.ok())
        return fail(ErrorCode::store,
                    fmt::format("{}: {}: {}{}", name, finished.status.text(), finished.errors, finished.output));
    return finished.output;
}

Status ServerSet::start(const std::string& name, std::vector<std::string> arguments,
                        std::vector<std::pair<std::string, std::string>> environment) {
    os::Command command;
    command.arguments = std::move(arguments);
    command.environment = std::move(environment);
    command.folder = folder();
    command.output_file = fmt::format("{}/{}.log", folder(), name);
    command.errors = os::Stream::null;
    HF_TRY(auto process, os::Process::start(command));
    running_.push_back({name, std::move(process)});
    return {};
}

Status ServerSet::wait_for_answer(const std::string& url) const {
    storage::HttpClient client({.connections = 1, .connect_max = 5s, .silence_max = 20s});
    os::SystemClock clock;
    const Instant deadline = clock.instant() + 180s;
    while (clock.instant() < deadline) {
        const auto answer = client.send({.url = url, .what = "waiting for " + url});
        if (answer && answer->status < 500) return {};
        if (!running_.empty() && !os::process_exists(running_.back().process.pid()))
            return fail(ErrorCode::store, running_.back().name + " ended before it answered: " + log_tail());
        clock.sleep(30ms);
    }
    return fail(ErrorCode::store, fmt::format("no answer from {} within 180 s: {}", url, log_tail()));
}

void ServerSet::kill() {
    while (!running_.empty()) {
        running_.back().process.kill(SIGKILL);
        (void)running_.back().process.wait();
        running_.pop_back();
    }
}

void ServerSet::kill(const std::string& name) {
    std::erase_if(running_, [&](Running& running) {
        if (running.name != name) return false;
        running.process.kill(SIGKILL);
        (void)running.process.wait();
        return true;
    });
}

std::string ServerSet::log_tail() const {
    std::string text;
    for (const Running& running : running_) {
        const auto content = os::read_text(fmt::format("{}/{}.log", folder(), running.name));
        if (content && !content->empty())
            text += fmt::format("\n--- {}\n{}", running.name,
                                content->size() > 1500 ? content->substr(content->size() - 1500) : *content);
    }
    return text;
}

}    // namespace holdfast::testing
