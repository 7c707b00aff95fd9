#include "holdfast/testing/chdb_server.hpp"

#include <fmt/core.h>
#include <signal.h>

#include "holdfast/os/host.hpp"
#include "holdfast/os/socket.hpp"
#include "holdfast/testing/http_ready.hpp"

namespace holdfast::testing {

ChdbServer::ChdbServer(os::TempFolder folder, std::string front, std::string library, std::uint16_t port)
    : folder_(std::move(folder)),
      data_(folder_.path() + "/data"),
      front_(std::move(front)),
      library_(std::move(library)),
      port_(port) {}

Result<ChdbServer> ChdbServer::start(const std::string& front) {
    const std::string home = os::environment("HOME").value_or("/root");
    const std::string library = os::environment("HF_ENGINES").value_or(home + "/.cache/holdfast") + "/chdb/libchdb.so";
    if (!os::exists(library))
        return fail(ErrorCode::not_found, "there is no " + library, "run `scripts/fetch-engines.sh --with-chdb`");
    HF_TRY(auto folder, os::TempFolder::create("hf-chdb-"));
    HF_TRY(const auto port, os::free_port());
    ChdbServer server(std::move(folder), front, library, port);
    HF_DO(server.restart());
    return server;
}

std::string ChdbServer::url() const { return fmt::format("http://127.0.0.1:{}", port_); }

Status ChdbServer::restart() {
    HF_DO(os::make_folders(data_));
    os::Command command;
    command.arguments = {front_, library_, data_, std::to_string(port_)};
    command.environment = {{"HF_FRONT_KEY", "guarded-key"}, {"TZ", "UTC"}};
    command.folder = folder_.path();
    command.output_file = folder_.path() + "/output.log";
    command.errors = os::Stream::null;
    HF_TRY(auto process, os::Process::start(command));
    process_ = std::move(process);
    if (Status ready = wait_for_ping(port_, *process_); !ready) {
        const auto log = os::read_text(folder_.path() + "/output.log");
        return fail(ErrorCode::store, ready.error().message + "\n" + log.value_or(""));
    }
    return {};
}

void ChdbServer::kill() {
    if (!process_) return;
    process_->kill(SIGKILL);
    (void)process_->wait();
    process_.reset();
}

Status ChdbServer::wipe() {
    kill();
    return os::remove_tree(data_);
}

}    // namespace holdfast::testing
