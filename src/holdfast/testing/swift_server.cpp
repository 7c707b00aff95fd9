#include "holdfast/testing/swift_server.hpp"

#include <fmt/core.h>

#include "holdfast/os/host.hpp"
#include "holdfast/os/socket.hpp"
#include "holdfast/storage/http_client.hpp"

namespace holdfast::testing {
namespace {

using namespace std::chrono_literals;

constexpr const char* k_filters[] = {
    "catch_errors", "proxy-logging", "cache", "listing_formats",  "bulk",   "s3api", "tempauth",
    "copy",         "slo",           "dlo",   "versioned_writes", "symlink"};

std::string common(const std::string& folder) {
    return fmt::format("user = {}\nswift_dir = {}/etc\nworkers = 0\nlog_level = ERROR\n", os::user_name(), folder);
}

std::string proxy_config(const std::string& folder, std::uint16_t port, std::uint16_t memcached) {
    std::string pipeline, filters;
    for (const std::string filter : k_filters) {
        pipeline += filter + " ";
        std::string egg = filter, more;
        if (filter == "cache") {
            egg = "memcache";
            more = fmt::format("memcache_servers = 127.0.0.1:{}\n", memcached);
        } else if (filter == "proxy-logging") {
            egg = "proxy_logging";
        } else if (filter == "tempauth") {
            more = "user_test_tester = testing .admin\n";
        } else if (filter == "s3api") {
            more = "location = us-east-1\nstorage_domain = s3.localhost\n";
        } else if (filter == "versioned_writes") {
            more = "allow_object_versioning = true\n";
        }
        filters += fmt::format("[filter:{}]\nuse = egg:swift#{}\n{}", filter, egg, more);
    }
    return fmt::format(
        "[DEFAULT]\nbind_ip = 127.0.0.1\nbind_port = {}\n{}[pipeline:main]\npipeline = {}proxy-server\n"
        "[app:proxy-server]\nuse = egg:swift#proxy\naccount_autocreate = true\n{}",
        port, common(folder), pipeline, filters);
}

// A login passes with all storage servers dead: only a container that was made shows that they work.
Status wait_for_container(const std::string& url, const ServerSet& servers) {
    storage::HttpClient client({.connections = 1, .connect_max = 5s, .silence_max = 20s});
    os::SystemClock clock;
    const Instant deadline = clock.instant() + 180s;
    while (clock.instant() < deadline) {
        auto login = client.send({.url = url + "/auth/v1.0",
                                  .headers = {{"X-Auth-User", "test:tester"}, {"X-Auth-Key", "testing"}},
                                  .what = "login"});
        if (login && login->header("X-Auth-Token")) {
            const auto made = client.send({.method = "PUT",
                                           .url = url + "/v1/AUTH_test/ready",
                                           .headers = {{"X-Auth-Token", std::string(*login->header("X-Auth-Token"))}},
                                           .what = "container"});
            if (made && made->ok()) return {};
        }
        clock.sleep(50ms);
    }
    return fail(ErrorCode::store, "Swift takes no container within 180 s: " + servers.log_tail());
}

}    // namespace

std::string SwiftServer::url() const { return fmt::format("http://127.0.0.1:{}", port_); }

storage::AwsCredentials SwiftServer::credentials() {
    return {.access_key = "test:tester", .secret_key = Secret("testing")};
}

Result<SwiftServer> SwiftServer::start() {
    for (const char* program : {"swift-proxy-server", "swift-object-server", "swift-ring-builder", "memcached"})
        if (os::find_program(program).empty())
            return fail(ErrorCode::not_found, fmt::format("{} is not installed", program),
                        "apt-get install swift-proxy swift-account swift-container swift-object memcached");
    HF_TRY(auto servers, ServerSet::create("swift"));
    const std::string& at = servers.folder();
    const std::string etc = at + "/etc";
    HF_DO(os::make_folders(etc));
    HF_DO(os::make_folders(at + "/dev/d1"));
    HF_DO(os::write_file(etc + "/swift.conf",
                         as_bytes("[swift-hash]\nswift_hash_path_prefix = a\nswift_hash_path_suffix = b\n")));
    HF_TRY(const auto port, os::free_port());
    HF_TRY(const auto cache_port, os::free_port());
    HF_DO(servers.start("memcached", {"memcached", "-u", os::user_name(), "-l", "127.0.0.1", "-p",
                                      std::to_string(cache_port), "-U", "0", "-m", "16"}));
    for (const std::string kind : {"account", "container", "object"}) {
        HF_TRY(const auto kind_port, os::free_port());
        const std::string ring = fmt::format("{}/{}.builder", etc, kind);
        HF_DO(servers.run({"swift-ring-builder", ring, "create", "4", "1", "0"}));
        HF_DO(servers.run({"swift-ring-builder", ring, "add", fmt::format("r1z1-127.0.0.1:{}/d1", kind_port), "1"}));
        // Exit status 1 is only a warning (one replica).
        if (auto built = servers.run({"swift-ring-builder", ring, "rebalance"});
            !built && !os::exists(fmt::format("{}/{}.ring.gz", etc, kind)))
            return fail(std::move(built).error());
        const std::string config = fmt::format("{}/{}.conf", etc, kind);
        const std::string text = fmt::format(
            "[DEFAULT]\nbind_ip = 127.0.0.1\nbind_port = {}\n{}devices = {}/dev\nmount_check = false\n"
            "fallocate_reserve = 0\n[pipeline:main]\npipeline = {}-server\n[app:{}-server]\nuse = egg:swift#{}\n",
            kind_port, common(at), at, kind, kind, kind);
        HF_DO(os::write_file(config, as_bytes(text)));
        HF_DO(servers.start(kind, {fmt::format("swift-{}-server", kind), config}));
    }
    HF_DO(os::write_file(etc + "/proxy.conf", as_bytes(proxy_config(at, port, cache_port))));
    HF_DO(servers.start("proxy", {"swift-proxy-server", etc + "/proxy.conf"}));
    HF_DO(wait_for_container(fmt::format("http://127.0.0.1:{}", port), servers));
    return SwiftServer(std::move(servers), port);
}

}    // namespace holdfast::testing
