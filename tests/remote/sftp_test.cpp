// NS-06: copies on another host over SSH. A real OpenSSH server throughout.

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <sys/time.h>

#include "holdfast/format/crypto.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/storage/retry.hpp"
#include "holdfast/testing/fault_proxy.hpp"
#include "holdfast/testing/sim_clock.hpp"
#include "remote.hpp"

namespace holdfast::testing {
namespace {

using storage::FileKind;
using storage::FileName;
using namespace std::chrono_literals;
using ::testing::HasSubstr;

FileName pack_named(std::string_view content) { return {FileKind::pack, format::sha256(as_bytes(content))}; }

class Sftp : public ::testing::Test {
protected:
    std::string root() const { return folder_.path() + "/deep/repo"; }
    std::unique_ptr<storage::Backend> backend(const storage::BackendOptions& options = sftp_options()) const {
        auto opened = storage::open_backend(ssh().location(root()), options);
        EXPECT_TRUE(opened) << error_text(opened.error());
        return *std::move(opened);
    }
    static Error error_of(const storage::BackendOptions& options) {
        return storage::open_backend(ssh().location("/nowhere"), options).value()->size({FileKind::config, {}}).error();
    }
    os::TempFolder folder_ = os::TempFolder::create("hf-sftp").value();
};

TEST_F(Sftp, LaysOutWhatResticExpectsInPrivateFiles) {
    const auto b = backend();
    HF_OK(b->create_layout());
    HF_OK(b->create_layout());    // again is no error
    HF_OK(b->put(pack_named("x"), as_bytes("x")));
    HF_OK(b->sync());
    const auto st = os::status_of(root() + '/' + storage::relative_path(pack_named("x")));
    HF_OK(st);
    EXPECT_EQ(st->st_mode & 07777, 0400u);
    for (const char* folder : {"", "/data", "/index", "/keys", "/locks", "/snapshots"})
        EXPECT_EQ(os::status_of(root() + folder).value().st_mode & 07777, 0700u) << folder;
    EXPECT_THAT(os::list_folder(os::parent_folder(root() + '/' + storage::relative_path(pack_named("x")))).value(),
                ::testing::SizeIs(1));
}

TEST_F(Sftp, CarriesLargeFilesWhole) {
    const auto b = backend();
    HF_OK(b->create_layout());
    const std::string content = noise((5 << 20) + 12345);
    auto upload = b->start(FileKind::pack);
    HF_OK(upload);
    HF_OK((*upload)->write(as_bytes(content)));
    HF_OK((*upload)->commit(pack_named(content).id));
    EXPECT_EQ(as_text(b->read(pack_named(content)).value()), content);
    Bytes part(3 << 20);
    HF_OK(b->read_at(pack_named(content), 777'777, part));
    EXPECT_EQ(as_text(part), content.substr(777'777, part.size()));
}

TEST_F(Sftp, RefusesAHostThatIsNotKnownAndSaysWhatToDo) {
    const auto empty = folder_.path() + "/known";
    ASSERT_TRUE(os::write_file(empty, {}));
    auto options = sftp_options();
    options.extended.emplace_back("sftp.known-hosts", empty);
    const Error error = error_of(options);
    EXPECT_EQ(error.code, ErrorCode::denied);
    EXPECT_THAT(error.message, HasSubstr("is not known: it shows ssh-ed25519 SHA256:"));
    EXPECT_THAT(error.hint, HasSubstr(fmt::format("ssh-keyscan -p {} 127.0.0.1 >> {}", ssh().port(), empty)));
}

TEST_F(Sftp, RefusesAHostWhoseKeyHasChanged) {
    const auto wrong = folder_.path() + "/known";
    const std::string other = os::read_text(ssh().other_identity() + ".pub").value();
    ASSERT_TRUE(os::write_file(wrong, as_bytes(fmt::format("[127.0.0.1]:{} {}", ssh().port(), other))));
    auto options = sftp_options();
    options.extended.emplace_back("sftp.known-hosts", wrong);
    const Error error = error_of(options);
    EXPECT_EQ(error.code, ErrorCode::denied);
    EXPECT_THAT(error.message, HasSubstr("is NOT the one in"));
}

TEST_F(Sftp, SaysWhichKeyIsNotAccepted) {
    auto options = sftp_options();
    options.extended.emplace_back("sftp.identity", ssh().other_identity());
    const Error error = error_of(options);
    EXPECT_EQ(error.code, ErrorCode::denied);
    EXPECT_THAT(error.hint, HasSubstr(ssh().other_identity()));
    options.extended.emplace_back("sftp.identity", folder_.path() + "/absent");
    EXPECT_EQ(error_of(options).code, ErrorCode::not_found);
}

TEST_F(Sftp, RefusesOptionsThatItDoesNotKnow) {
    auto options = sftp_options();
    options.extended.emplace_back("sftp.identiti", "x");
    const auto opened = storage::open_backend(ssh().location("/x"), options);
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code, ErrorCode::usage);
    EXPECT_THAT(opened.error().hint, HasSubstr("identity"));
}

TEST_F(Sftp, SaysWhatAServerWithoutSftpSaid) {
    storage::BackendOptions options;
    options.extended = {{"sftp.command", "sh -c 'echo Welcome to the machine; cat'"}};
    EXPECT_EQ(error_of(options).code, ErrorCode::corrupt);
    options.extended = {{"sftp.command", "false"}};
    EXPECT_EQ(error_of(options).code, ErrorCode::unreachable);
}

TEST_F(Sftp, MakesNoRepositoryWhereThereIsNone) {
    EXPECT_EQ(backend()->put(pack_named("x"), as_bytes("x")).error().code, ErrorCode::not_found);
    EXPECT_FALSE(os::exists(root()));
}

TEST_F(Sftp, SaysWhenTheServersDiskIsFull) {
    const std::string disk = folder_.path() + "/disk";
    HF_OK(os::make_folders(disk));
    os::Command mount;
    mount.arguments = {"mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk};
    const auto mounted = os::run(mount);
    ASSERT_TRUE(mounted && mounted->status.ok()) << "this test needs root";
    {
        const auto b = storage::open_backend(ssh().location(disk + "/repo"), sftp_options()).value();
        HF_OK(b->create_layout());
        const std::string content = noise(4 << 20);
        const auto status = b->put(pack_named(content), as_bytes(content));
        EXPECT_EQ(status.error().code, ErrorCode::disk_full) << error_text(status.error());
        int found = 0;
        HF_OK(b->list(FileKind::pack, [&](const Id&, std::uint64_t) { ++found; }));
        EXPECT_EQ(found, 0);
        HF_OK(b->put(pack_named("small"), as_bytes("small")));    // nothing of the large one was left
    }
    mount.arguments = {"umount", "-l", disk};
    HF_OK(os::run(mount));
}

TEST_F(Sftp, MakesADeadConnectionAnew) {
    auto server = SshServer::start();
    HF_OK(server);
    const auto bare = storage::open_backend(server->location(root()), sftp_options(*server)).value();
    HF_OK(bare->create_layout());
    server->kill();
    EXPECT_EQ(bare->put(pack_named("x"), as_bytes("x")).error().code, ErrorCode::unreachable);
    HF_OK(server->restart());
    HF_OK(bare->put(pack_named("x"), as_bytes("x")));
}

TEST_F(Sftp, LeavesNothingHalfWhenTheLineBreaksInAnUpload) {
    auto proxy = FaultProxy::start(ssh().port());
    HF_OK(proxy);
    HF_OK(ssh().trust_port((*proxy)->port()));
    HF_OK(backend()->create_layout());
    auto b = storage::open_backend(SshServer::location_at((*proxy)->port(), root()), sftp_options()).value();
    const std::string content = noise(2 << 20);
    (*proxy)->plan([](unsigned) { return LineFaults{.cut_up = 1 << 20, .cut_down = {}, .refuse = false}; });
    const auto status = b->put(pack_named(content), as_bytes(content));
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code, ErrorCode::unreachable) << error_text(status.error());
    int found = 0;
    HF_OK(backend()->list(FileKind::pack, [&](const Id&, std::uint64_t) { ++found; }));
    EXPECT_EQ(found, 0);
    // The next call that gets through sweeps the half file away, and the upload works.
    (*proxy)->plan({});
    HF_OK(b->put(pack_named(content), as_bytes(content)));
    EXPECT_THAT(os::list_folder(os::parent_folder(root() + '/' + storage::relative_path(pack_named(content)))).value(),
                ::testing::SizeIs(1));
}

TEST_F(Sftp, SweepsUpWhatKilledUploadsLeftOnceItIsOld) {
    const auto b = backend();
    HF_OK(b->create_layout());
    HF_OK(b->put(pack_named("x"), as_bytes("x")));
    const std::string file = root() + '/' + storage::relative_path(pack_named("x"));
    const Timestamp now = os::SystemClock().now();
    const auto leave = [&](const std::string& path, std::chrono::hours age) {
        ASSERT_TRUE(os::write_file(path, as_bytes("half")));
        const timeval at{static_cast<time_t>((now - age).nanoseconds / 1'000'000'000), 0};
        const timeval times[2] = {at, at};
        ASSERT_EQ(::utimes(path.c_str(), times), 0);
    };
    const std::string old = file + "-tmp-0123456789abcdef", young = file + "-tmp-fedcba9876543210";
    leave(old, std::chrono::hours(48));
    leave(young, std::chrono::hours(1));
    const std::string index = root() + "/index/" + pack_named("y").id.hex() + "-tmp-0123456789abcdef";
    leave(index, std::chrono::hours(48));
    const std::string foreign = root() + "/index/notes-tmp-1";    // not of our making
    leave(foreign, std::chrono::hours(48));
    const auto swept = b->remove_leftovers(now - std::chrono::hours(24));
    HF_OK(swept);
    EXPECT_EQ(*swept, 2u);
    EXPECT_FALSE(os::exists(old));
    EXPECT_FALSE(os::exists(index));
    EXPECT_TRUE(os::exists(young));
    EXPECT_TRUE(os::exists(foreign));
    EXPECT_EQ(as_text(b->read(pack_named("x")).value()), "x");
}

// The clock is moved by the waiting alone: as long as the rate says, and each byte is paid for once.
TEST_F(Sftp, KeepsToItsRateInsideOneFile) {
    SimClock clock;
    storage::BackendOptions options = sftp_options();
    options.upload_max = 64 << 10;
    options.download_max = 128 << 10;
    const auto b = storage::open_backend(ssh().location(root()), options, clock).value();
    HF_OK(b->create_layout());
    const std::string content = noise(1 << 20);
    const storage::FileName name{storage::FileKind::pack, format::sha256(as_bytes(content))};
    const Duration before = clock.elapsed();
    HF_OK(b->put(name, as_bytes(content)));
    const Duration sent = clock.elapsed() - before;
    EXPECT_GE(sent, 15500ms);
    EXPECT_LE(sent, 20s);    // 16 s, and what the protocol adds
    EXPECT_EQ(as_text(b->read(name).value()), content);
    EXPECT_GE(clock.elapsed() - before - sent, 7500ms);
    EXPECT_LE(clock.elapsed() - before - sent, 10s);
}

TEST_F(Sftp, GivesUpOnAServerThatHasGoneSilentAndSucceedsWhenItIsBack) {
    auto proxy = FaultProxy::start(ssh().port());
    HF_OK(proxy);
    HF_OK(ssh().trust_port((*proxy)->port()));
    auto options = sftp_options();
    options.extended.emplace_back("sftp.timeout", "1");
    auto b = storage::open_backend(SshServer::location_at((*proxy)->port(), root()), options).value();
    HF_OK(b->create_layout());
    (*proxy)->hang(true);
    const std::string content = noise(2 << 20);
    const auto status = b->put(pack_named(content), as_bytes(content));
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code, ErrorCode::unreachable) << error_text(status.error());
    EXPECT_THAT(status.error().message, HasSubstr("no answer in time"));
    (*proxy)->hang(false);
    HF_OK(b->put(pack_named(content), as_bytes(content)));
    EXPECT_EQ(as_text(b->read(pack_named(content)).value()), content);
}

}    // namespace
}    // namespace holdfast::testing
