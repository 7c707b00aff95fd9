#include "holdfast/testing/rados_gateway.hpp"

#include <fmt/core.h>

#include <array>

#include "holdfast/os/host.hpp"
#include "holdfast/os/socket.hpp"

namespace holdfast::testing {
namespace {

// {0} folder, {1} fsid, {2} monitor's port, {3} first of the other ports, {4} last of them, {5} the gateway's.
constexpr std::string_view k_config = R"([global]
fsid = {1}
mon host = [v2:127.0.0.1:{2}/0]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind msgr1 = false
ms bind port min = {3}
ms bind port max = {4}
auth cluster required = none
auth service required = none
auth client required = none
osd pool default size = 1
osd pool default min size = 1
mon allow pool size one = true
osd crush chooseleaf type = 0
osd pool default pg num = 4
osd pool default pgp num = 4
osd pool default pg autoscale mode = off
admin socket = {0}/run/$name.asok
pid file = {0}/run/$name.pid
log file = {0}/log/$name.log
mon cluster log file = {0}/log/cluster.log
mon data = {0}/mon
mgr data = {0}/mgr
osd data = {0}/osd
keyring = {0}/keyring
mon data avail warn = 1
mon data avail crit = 1
osd objectstore = memstore
memstore device bytes = 4294967296
[client.rgw]
rgw frontends = beast endpoint=127.0.0.1:{5} tcp_nodelay=1
rgw data = {0}/rgw
ms mon client mode = crc
rgw dns name = s3.localhost
rgw crypt require ssl = false
rgw crypt s3 kms backend = testing
rgw crypt s3 kms encryption keys = testkey-1=YmluCmJvb3N0CmJvb3N0LWJ1aWxkCmNlcGguY29uZgo=
)";

std::string random_uuid() {
    std::array<std::byte, 16> bytes;
    os::random_bytes(bytes);
    const std::string hex = to_hex(bytes);
    return fmt::format("{}-{}-4{}-a{}-{}", hex.substr(0, 8), hex.substr(8, 4), hex.substr(13, 3), hex.substr(17, 3),
                       hex.substr(20));
}

}    // namespace

std::string RadosGateway::url() const { return fmt::format("http://127.0.0.1:{}", port_); }

storage::AwsCredentials RadosGateway::credentials() {
    return {.access_key = "AKTEST", .secret_key = Secret("sk/test+1")};
}

Result<RadosGateway> RadosGateway::start() {
    for (const char* program : {"ceph-mon", "ceph-osd", "radosgw", "ceph"})
        if (os::find_program(program).empty())
            return fail(ErrorCode::not_found, fmt::format("{} is not installed", program),
                        "apt-get install radosgw ceph-mon ceph-osd");
    HF_TRY(auto servers, ServerSet::create("radosgw"));
    HF_TRY(const auto mon_port, os::free_port());
    HF_TRY(const auto port, os::free_port());
    // Below the ports that the kernel hands out; those in use are passed over.
    std::array<std::byte, 2> chance;
    os::random_bytes(chance);
    const unsigned low = 20'000 + load_le<std::uint16_t>(chance.data()) % 10'000;
    const std::string& at = servers.folder();
    const std::string fsid = random_uuid(), osd = random_uuid();
    for (const char* name : {"mon", "mgr", "osd", "rgw", "log", "run"}) HF_DO(os::make_folders(at + '/' + name));
    const std::string config = at + "/ceph.conf";
    HF_DO(os::write_file(config, as_bytes(fmt::format(k_config, at, fsid, mon_port, low, low + 400, port))));
    HF_DO(os::write_file(at + "/keyring", {}));

    HF_DO(servers.run({"monmaptool", "--create", "--clobber", "--fsid", fsid, "--addv", "a",
                       fmt::format("[v2:127.0.0.1:{}]", mon_port), at + "/monmap"}));
    HF_DO(servers.run({"ceph-mon", "-c", config, "--mkfs", "-i", "a", "--monmap", at + "/monmap"}));
    HF_DO(servers.start("mon", {"ceph-mon", "-c", config, "-f", "-i", "a"}));
    HF_DO(servers.run({"ceph", "-c", config, "osd", "new", osd}));
    HF_DO(servers.run({"ceph-osd", "-c", config, "-i", "0", "--mkfs", "--osd-uuid", osd}));
    HF_DO(servers.start("osd", {"ceph-osd", "-c", config, "-f", "-i", "0"}));
    RadosGateway gateway(std::move(servers), port);
    HF_DO(gateway.restart());
    HF_DO(gateway.servers_.run({"radosgw-admin", "-c", config, "-n", "client.rgw", "--admin-socket=", "user", "create",
                                "--uid=test", "--display-name=test", "--access-key=AKTEST", "--secret-key=sk/test+1"}));
    return gateway;
}

Status RadosGateway::restart() {
    HF_DO(servers_.start("rgw", {"radosgw", "-c", servers_.folder() + "/ceph.conf", "-f", "-n", "client.rgw"}));
    return servers_.wait_for_answer(url() + "/");
}

}    // namespace holdfast::testing
