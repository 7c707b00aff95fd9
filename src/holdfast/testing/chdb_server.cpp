#include "holdfast/testing/chdb_server.hpp"

#include <fmt/core.h>
#include <signal.h>

#include "holdfast/os/host.hpp"
#include "holdfast/os/socket.hpp"
#include "holdfast/testing/http_ready.hpp"

namespace holdfast::testing {

namespace {

// `default` may see and make whatever there is; users cannot be made: libchdb keeps none but those of this file.
constexpr std::string_view k_config = R"(<clickhouse>
  <users>
    <default>
      <password></password><networks><ip>::/0</ip></networks><profile>default</profile><quota>default</quota>
      <access_management>1</access_management><named_collection_control>1</named_collection_control>
      <show_named_collections>1</show_named_collections><show_named_collections_secrets>1</show_named_collections_secrets>
    </default>
    <trader>
      <password_sha256_hex>65e84be33532fb784c48129675f9eff3a682b27168c0ea744b2cf58ee02337c5</password_sha256_hex>
      <networks><ip>::/0</ip></networks><profile>default</profile><quota>default</quota>
    </trader>
  </users>
  <user_directories><users_xml><path>{0}/config.xml</path></users_xml></user_directories>
  <profiles><default></default></profiles><quotas><default></default></quotas>
  <backups><allowed_path>{0}/backups/</allowed_path></backups>
  <display_secrets_in_show_and_select>1</display_secrets_in_show_and_select>
</clickhouse>
)";

}    // namespace

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
    HF_DO(os::make_folders(folder.path() + "/backups"));
    HF_DO(os::write_file(folder.path() + "/config.xml", as_bytes(fmt::format(k_config, folder.path()))));
    ChdbServer server(std::move(folder), front, library, port);
    HF_DO(server.restart());
    return server;
}

std::string ChdbServer::backups() const { return folder_.path() + "/backups"; }

std::string ChdbServer::url() const { return fmt::format("http://127.0.0.1:{}", port_); }

Status ChdbServer::restart() {
    HF_DO(os::make_folders(data_));
    os::Command command;
    command.arguments = {front_, library_, data_, std::to_string(port_)};
    command.environment = {
        {"HF_FRONT_KEY", "guarded-key"}, {"TZ", "UTC"}, {"HF_FRONT_CONFIG", folder_.path() + "/config.xml"}};
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
