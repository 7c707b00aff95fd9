#include "holdfast/testing/clickhouse_server.hpp"

#include <fmt/core.h>
#include <signal.h>

#include "holdfast/os/host.hpp"
#include "holdfast/os/socket.hpp"
#include "holdfast/testing/http_ready.hpp"

namespace holdfast::testing {

namespace {

// Every path lies in the test's folder; {1} to {3} are ports, {4} is what makes it a replica. Without mark_cache_size the server takes 5 GiB for it.
constexpr std::string_view k_config = R"(<yandex>
  <logger><level>information</level><log>{0}/server.log</log><errorlog>{0}/error.log</errorlog></logger>
  <http_port>{1}</http_port><tcp_port>{2}</tcp_port><interserver_http_port>{3}</interserver_http_port>
  <listen_host>127.0.0.1</listen_host><interserver_http_host>127.0.0.1</interserver_http_host>
  <path>{0}/data/</path><tmp_path>{0}/data/tmp/</tmp_path><user_files_path>{0}/data/user_files/</user_files_path>
  <users_config>{0}/users.xml</users_config>
  <default_profile>default</default_profile><default_database>default</default_database>
  <mark_cache_size>8388608</mark_cache_size><uncompressed_cache_size>0</uncompressed_cache_size>
  <max_concurrent_queries>50</max_concurrent_queries><keep_alive_timeout>10</keep_alive_timeout>
  <timezone>UTC</timezone>{4}
</yandex>
)";

constexpr std::string_view k_users = R"(<yandex>
  <profiles>
    <default><max_memory_usage>2000000000</max_memory_usage></default>
    <reading><readonly>2</readonly></reading>
  </profiles>
  <users>
    <default><password></password><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>q</quota></default>
    <guarded><password>guarded-key</password><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>q</quota></guarded>
    <reader><password></password><networks><ip>127.0.0.1</ip></networks><profile>reading</profile><quota>q</quota></reader>
  </users>
  <quotas><q></q></quotas>
</yandex>
)";

}    // namespace

ClickHouseServer::ClickHouseServer(os::TempFolder folder, std::uint16_t port)
    : folder_(std::move(folder)), data_(folder_.path() + "/data"), port_(port) {}

Result<ClickHouseServer> ClickHouseServer::start(const std::string& in, const ClickHouseReplica& replica) {
    HF_TRY(auto folder, os::TempFolder::create("hf-clickhouse-", in));
    HF_TRY(const auto http, os::free_port());
    HF_TRY(const auto tcp, os::free_port());
    HF_TRY(const auto interserver, os::free_port());
    const std::string& path = folder.path();
    const std::string replication =
        replica.name.empty()
            ? ""
            : fmt::format(
                  "\n  <zookeeper><node><host>127.0.0.1</host><port>{}</port></node><session_timeout_ms>5000"
                  "</session_timeout_ms></zookeeper><macros><replica>{}</replica></macros>",
                  replica.zookeeper_port, replica.name);
    HF_DO(os::write_file(path + "/config.xml",
                         as_bytes(fmt::format(k_config, path, http, tcp, interserver, replication))));
    HF_DO(os::write_file(path + "/users.xml", as_bytes(k_users)));
    ClickHouseServer server(std::move(folder), http);
    HF_DO(server.restart());
    return server;
}

std::string ClickHouseServer::url() const { return fmt::format("http://127.0.0.1:{}", port_); }

Status ClickHouseServer::restart() {
    HF_DO(os::make_folders(data_));
    os::Command command;
    command.arguments = {os::find_program("clickhouse-server", {"/usr/sbin", "/usr/bin"}),
                         "--config-file=" + folder_.path() + "/config.xml"};
    if (command.arguments[0].empty())
        return fail(ErrorCode::not_found, "clickhouse-server is not installed", "apt-get install clickhouse-server");
    command.folder = folder_.path();
    command.output_file = folder_.path() + "/output.log";
    command.errors = os::Stream::null;
    HF_TRY(auto process, os::Process::start(command));
    process_ = std::move(process);
    if (Status ready = wait_for_ping(port_, *process_); !ready)
        return fail(ErrorCode::store, ready.error().message + "\n" + log_tail());
    return {};
}

std::string ClickHouseServer::log_tail() const {
    std::string text;
    for (const char* name : {"/error.log", "/output.log"}) {
        const auto content = os::read_text(folder_.path() + name);
        if (content) text += content->size() > 2000 ? content->substr(content->size() - 2000) : *content;
    }
    return text;
}

void ClickHouseServer::kill() {
    if (!process_) return;
    process_->kill(SIGKILL);
    (void)process_->wait();
    process_.reset();
}

Status ClickHouseServer::wipe() {
    kill();
    return os::remove_tree(data_);
}

}    // namespace holdfast::testing
