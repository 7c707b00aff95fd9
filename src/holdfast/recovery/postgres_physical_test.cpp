#include <fcntl.h>
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <pwd.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "holdfast/db/postgres.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/os/process.hpp"
#include "holdfast/os/socket.hpp"
#include "holdfast/recovery/postgres_folder.hpp"
#include "holdfast/recovery/postgres_proof.hpp"
#include "holdfast/recovery/restore_store.hpp"
#include "holdfast/source/capture_fixture_test.hpp"
#include "holdfast/testing/postgres_server.hpp"
#include "holdfast/vault/restore.hpp"

namespace holdfast::recovery {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

using Captured = source::CapturedAlone;

class PostgresPhysicalRestore : public ::testing::Test {
protected:
    void SetUp() override {
        os::install_signal_handlers();
        auto started = testing::PostgresServer::start();
        ASSERT_TRUE(started) << started.error().message;
        server_.emplace(*std::move(started));
        repository_ = source::make_test_repository(folder_.path() + "/vault", clock_);
        ASSERT_TRUE(repository_);
        config_.method = policy::PostgresMethod::physical;
        config_.host = server_->socket_folder();
        config_.port = server_->port();
        // Clusters of these tests lie where the user postgres can go.
        place_ = server_->socket_folder() + "/place";
        ASSERT_TRUE(server_->run_tool({"mkdir", place_}));
        config_.data_folder = place_ + "/cluster";
        if (::geteuid() == 0) config_.owner = "postgres";
    }
    void TearDown() override {
        if (os::exists(config_.data_folder + "/postmaster.pid")) static_cast<void>(pg_ctl({"stop", "-m", "immediate"}));
    }
    std::string sql(std::string_view script, const std::string& database = "postgres") {
        return sql_of(*server_, script, database);
    }
    static std::string sql_of(const testing::PostgresServer& server, std::string_view script,
                              const std::string& database = "postgres") {
        auto done = server.sql(database, script);
        EXPECT_TRUE(done) << done.error().message;
        std::string text = done.value_or("");
        while (!text.empty() && text.back() == '\n') text.pop_back();
        return text;
    }
    Result<Captured> capture() {
        return source::capture_alone(
            *repository_, clock_, "postgres", folder_.path() + "/scratch",
            [&](source::CaptureContext& context) { return source::capture_postgres(config_, context); });
    }
    RestoreContext context(const Captured& captured, WhenExisting existing) {
        return {*repository_,   captured.snapshot,
                captured.facts, clock_,
                "postgres",     folder_.path(),
                existing,       [this](std::string_view sentence) { said_ += std::string(sentence) + '\n'; }};
    }
    Result<json::Value> restore(const Captured& captured, WhenExisting existing = WhenExisting::refuse) {
        return restore_postgres(config_, context(captured, existing));
    }
    Result<std::vector<PlanStep>> plan(const Captured& captured, WhenExisting existing = WhenExisting::refuse) {
        return plan_postgres(config_, context(captured, existing));
    }
    static Result<testing::PostgresServer> start_on(const std::string& data) {
        return testing::PostgresServer::start({.settings = {}, .data_folder = data});
    }
    // As a person's stop_command and start_command would.
    std::vector<std::string> pg_ctl_arguments(const std::vector<std::string>& words) {
        std::vector<std::string> all;
        if (::geteuid() == 0) all = {"runuser", "-u", "postgres", "--"};
        all.insert(all.end(), {"/usr/lib/postgresql/15/bin/pg_ctl", "-w", "-D", config_.data_folder});
        all.insert(all.end(), words.begin(), words.end());
        return all;
    }
    Result<os::Finished> pg_ctl(const std::vector<std::string>& words) {
        os::Command command;
        command.arguments = pg_ctl_arguments(words);
        command.folder = "/";
        return os::run(std::move(command));
    }
    std::vector<std::string> start_words() {
        return {"-l", place_ + "/log", "-o",
                fmt::format("-p {} -k {} -c listen_addresses=", config_.port, server_->socket_folder()), "start"};
    }
    // All names in a folder, but what PostgreSQL itself may put there.
    static std::string names_in(const std::string& folder) {
        std::string all;
        const auto names = os::list_folder(folder);
        if (names)
            for (const std::string& name : *names) all += (all.empty() ? "" : " ") + name;
        return all;
    }

    os::SystemClock clock_;
    os::TempFolder folder_ = *os::TempFolder::create("hf-postgres-restore-");
    std::optional<testing::PostgresServer> server_;
    std::unique_ptr<vault::Repository> repository_;
    policy::PostgresConfig config_;
    std::string place_, said_;
};

// MT-16, EA-17
TEST_F(PostgresPhysicalRestore, IntoAnEmptyPlaceIsAConsistentClusterOnANewTimeline) {
    sql("CREATE DATABASE trading; CREATE ROLE desk LOGIN PASSWORD 'x'");
    sql("CREATE TABLE t AS SELECT n AS id, md5(n::text) AS a FROM generate_series(1, 30000) n", "trading");
    const auto captured = capture();
    ASSERT_TRUE(captured) << captured.error().message;
    sql("DROP TABLE t", "trading");
    const auto planned = plan(*captured);
    ASSERT_TRUE(planned) << planned.error().message;
    EXPECT_FALSE(planned->back().replaces);
    EXPECT_FALSE(os::exists(config_.data_folder));
    const auto restored = restore(*captured);
    ASSERT_TRUE(restored) << restored.error().message;
    EXPECT_EQ((*restored)["timeline"].integer(), 2);
    EXPECT_EQ((*restored)["databases"].items().size(), 3u);    // with template1
    EXPECT_EQ((*restored)["files"].natural(), captured->facts["files"].natural());
    EXPECT_EQ(names_in(place_), "cluster");    // nothing of the work is left
    auto server = start_on(config_.data_folder);
    ASSERT_TRUE(server) << server.error().message;
    EXPECT_EQ(sql_of(*server, "SELECT count(*), sum(id) FROM t", "trading"), "30000|450015000");
    const auto checked = server->run_tool({"pg_amcheck", "--all", "--install-missing", "--heapallindexed",
                                           "--host=" + server->socket_folder(),
                                           fmt::format("--port={}", server->port()), "--username=postgres"});
    EXPECT_TRUE(checked) << checked.error().message;
    EXPECT_EQ(sql_of(*server, "SELECT pg_is_in_recovery(), current_setting('archive_mode')"), "f|off");
    EXPECT_EQ(sql_of(*server, "SELECT rolname FROM pg_roles WHERE rolname = 'desk'"), "desk");
}

TEST_F(PostgresPhysicalRestore, SwitchesALiveClusterAndKeepsTheOldOneWhole) {
    sql("CREATE TABLE t AS SELECT 1 AS a");
    const auto captured = capture();
    ASSERT_TRUE(captured) << captured.error().message;
    ASSERT_TRUE(restore(*captured));
    const auto port = os::free_port();
    ASSERT_TRUE(port);
    config_.port = *port;
    ASSERT_TRUE(pg_ctl(start_words())->status.ok());
    const db::PostgresAccess access{{config_.host, config_.port, "postgres", "postgres"}, Secret()};
    ASSERT_TRUE(access.connect("postgres")->execute("UPDATE t SET a = 2"));

    Error error = restore(*captured).error();
    EXPECT_EQ(error.code, ErrorCode::exists);
    EXPECT_THAT(error.hint, HasSubstr("--replace"));
    error = plan(*captured, WhenExisting::switch_over).error();
    EXPECT_EQ(error.code, ErrorCode::locked);
    EXPECT_THAT(error.hint, HasSubstr("stop_command"));
    EXPECT_EQ(access.connect("postgres")->query("SELECT a FROM t").value()[0].text(0), "2");    // it runs on

    config_.stop_command = pg_ctl_arguments({"stop", "-m", "fast"});
    config_.start_command = pg_ctl_arguments(start_words());
    // The folder is asked from the server, which is up.
    const std::string folder = std::exchange(config_.data_folder, "");
    const auto planned = plan(*captured, WhenExisting::switch_over);
    ASSERT_TRUE(planned) << planned.error().message;
    EXPECT_TRUE(std::any_of(planned->begin(), planned->end(), [](const PlanStep& step) { return step.replaces; }));
    const auto restored = restore(*captured, WhenExisting::switch_over);
    config_.data_folder = folder;
    ASSERT_TRUE(restored) << restored.error().message;
    EXPECT_EQ(access.connect("postgres")->query("SELECT a FROM t").value()[0].text(0), "1");
    ASSERT_TRUE(pg_ctl({"stop", "-m", "fast"})->status.ok());
    const std::string old = (*restored)["old_one_is_at"].text();
    EXPECT_TRUE(old.starts_with(folder + ".replaced-2")) << old;
    auto server = start_on(old);
    ASSERT_TRUE(server) << server.error().message;
    EXPECT_EQ(sql_of(*server, "SELECT a FROM t"), "2");
}

TEST_F(PostgresPhysicalRestore, PutsTablespacesIntoFoldersOfTheirOwn) {
    const std::string fast = place_ + "/fast";
    ASSERT_TRUE(server_->run_tool({"mkdir", fast}));
    sql(fmt::format("CREATE TABLESPACE fast LOCATION '{}'", fast));
    sql("CREATE TABLE t TABLESPACE fast AS SELECT 1 AS a");
    const auto captured = capture();
    ASSERT_TRUE(captured) << captured.error().message;
    sql("UPDATE t SET a = 2");
    for (const std::string& elsewhere : {std::string(), place_ + "/spaces"}) {
        config_.tablespace_folder = elsewhere;
        const auto restored = restore(*captured, WhenExisting::switch_over);
        ASSERT_TRUE(restored) << restored.error().message;
        const std::string folder = (*restored)["tablespaces"].items().at(0)["folder"].text();
        EXPECT_TRUE(folder.starts_with((elsewhere.empty() ? fast : elsewhere) + "/")) << folder;
        auto server = start_on(config_.data_folder);
        ASSERT_TRUE(server) << server.error().message;
        EXPECT_EQ(sql_of(*server, "SELECT a FROM t"), "1");
        EXPECT_EQ(sql_of(*server, "SELECT pg_tablespace_location(oid) FROM pg_tablespace WHERE spcname = 'fast'"),
                  folder);
        EXPECT_EQ(sql("SELECT a FROM t"), "2");    // the live one is untouched
        ASSERT_TRUE(server->stop());
    }
}

// MT-18: planted damage is found before anything is replaced.
TEST_F(PostgresPhysicalRestore, FindsDamageBeforeAnythingIsReplaced) {
    sql("CREATE TABLE t AS SELECT n AS id, md5(n::text) AS a FROM generate_series(1, 20000) n");
    const auto captured = capture();
    ASSERT_TRUE(captured) << captured.error().message;
    // In what was laid out.
    const std::string laid = place_ + "/laid";
    vault::RestoreOptions options;
    options.target = laid;
    options.subfolder = "/postgres/data";
    ASSERT_TRUE(vault::restore(*repository_, captured->snapshot, options));
    constexpr std::uint64_t k_segment = 16u << 20;
    ASSERT_TRUE(verify_cluster_files(laid, k_segment));
    const auto names = os::list_folder(laid + "/pg_wal");
    ASSERT_TRUE(names);
    const std::string segment = names->front();
    const std::string relation = sql("SELECT pg_relation_filepath('t')");
    const auto damaged = [&](const std::string& file, auto&& damage) {
        const std::string path = laid + "/" + file;
        const auto before = os::read_file(path);
        EXPECT_TRUE(before);
        damage(path);
        const auto verified = verify_cluster_files(laid, k_segment);
        EXPECT_FALSE(verified) << file;
        EXPECT_TRUE(os::write_file(path, *before));
        return verified ? Error{} : verified.error();
    };
    const auto flip = [](std::uint64_t at) {
        return [at](const std::string& path) {
            const auto file = os::open_file(path, O_RDWR);
            ASSERT_TRUE(file);
            Bytes byte(1);
            ASSERT_TRUE(os::pread_full(file->get(), byte, at));
            byte[0] ^= std::byte(1);
            ASSERT_TRUE(os::pwrite_all(file->get(), byte, at));
        };
    };
    const auto cut = [](const std::string& path) { ASSERT_EQ(::truncate(path.c_str(), 100), 0); };
    const auto remove = [](const std::string& path) { ASSERT_EQ(::unlink(path.c_str()), 0); };
    EXPECT_THAT(damaged(relation, flip(12345)).message, HasSubstr(relation + " has another content"));
    EXPECT_THAT(damaged(relation, cut).message, HasSubstr("100 bytes instead of"));
    EXPECT_THAT(damaged("global/pg_control", remove).message, HasSubstr("global/pg_control is missing"));
    EXPECT_THAT(damaged("pg_wal/" + segment, remove).message,
                HasSubstr(segment + " of the write-ahead log is missing"));
    EXPECT_THAT(damaged("pg_wal/" + segment, cut).message, HasSubstr(segment + " of the write-ahead log is damaged"));
    EXPECT_THAT(damaged("pg_wal/" + segment, flip(9)).message,
                HasSubstr(segment + " of the write-ahead log is damaged"));
    EXPECT_EQ(damaged("backup_manifest", flip(200)).code, ErrorCode::corrupt);
    ASSERT_TRUE(os::write_file(laid + "/base/intruder", {}));
    EXPECT_THAT(verify_cluster_files(laid, k_segment).error().message, HasSubstr("base/intruder is in no manifest"));
    ASSERT_TRUE(os::remove_tree(laid));

    // In the repository: each pack, at a place of its content.
    const std::string data = folder_.path() + "/vault/data";
    const auto folders = os::list_folder(data);
    ASSERT_TRUE(folders);
    for (const std::string& folder : *folders) {
        const auto packs = os::list_folder(data + "/" + folder);
        for (const std::string& pack : *packs) {
            const std::string path = data + "/" + folder + "/" + pack;
            ASSERT_EQ(::chmod(path.c_str(), 0600), 0);
            const auto size = os::status_of(path)->st_size;
            flip(static_cast<std::uint64_t>(size / 3))(path);
        }
    }
    const auto restored = restore(*captured);
    ASSERT_FALSE(restored);
    EXPECT_EQ(restored.error().code, ErrorCode::corrupt) << restored.error().message;
    EXPECT_EQ(names_in(place_), "");
}

TEST_F(PostgresPhysicalRestore, RefusesACopyOfAnotherCluster) {
    auto captured = capture();
    ASSERT_TRUE(captured);
    captured->facts.set("system_identifier", "4711");
    const auto restored = restore(*captured);
    ASSERT_FALSE(restored);
    EXPECT_EQ(restored.error().code, ErrorCode::mismatch);
    EXPECT_EQ(names_in(place_), "");
}

// A file system that holds half of it.
TEST_F(PostgresPhysicalRestore, OnAFullDiskLeavesWhatWasThere) {
    if (::geteuid() != 0) GTEST_SKIP() << "mounts a file system";
    auto captured = capture();
    ASSERT_TRUE(captured);
    ASSERT_EQ(::mount("tmpfs", place_.c_str(), "tmpfs", 0, "size=20m"), 0);
    struct Unmount {
        const std::string& place;
        ~Unmount() { ::umount2(place.c_str(), MNT_DETACH); }
    } unmount{place_};
    ASSERT_TRUE(os::make_folders(config_.data_folder));
    ASSERT_TRUE(os::write_file(config_.data_folder + "/old", as_bytes("old")));
    Error error = restore(*captured, WhenExisting::switch_over).error();
    EXPECT_EQ(error.code, ErrorCode::disk_full);
    EXPECT_THAT(error.message, HasSubstr("is free"));
    captured->facts.set("bytes", 1);    // the disk fills while it is written
    error = restore(*captured, WhenExisting::switch_over).error();
    EXPECT_EQ(error.code, ErrorCode::disk_full) << error.message;
    EXPECT_EQ(names_in(place_), "cluster");
    EXPECT_EQ(names_in(config_.data_folder), "old");
}

// Killed at any moment: the old cluster or the whole new one has the name, and the next restore works.
TEST_F(PostgresPhysicalRestore, KilledAtAnyMomentLeavesAWholeCluster) {
    sql("CREATE TABLE t AS SELECT n AS id FROM generate_series(1, 10000) n");
    const auto captured = capture();
    ASSERT_TRUE(captured) << captured.error().message;
    const auto whole = restore(*captured);
    ASSERT_TRUE(whole) << whole.error().message;
    // How long one takes here and now; kills spread over that, and beyond.
    const auto began = std::chrono::steady_clock::now();
    ASSERT_TRUE(restore(*captured, WhenExisting::switch_over));
    const auto took = std::chrono::steady_clock::now() - began;
    constexpr int k_kills = 6;
    for (int i = 0; i < k_kills; ++i) {
        const pid_t child = ::fork();
        ASSERT_GE(child, 0);
        if (child == 0) {
            const auto done = restore(*captured, WhenExisting::switch_over);
            if (!done) std::fprintf(stderr, "restore %d: %s\n", i, done.error().message.c_str());
            ::_exit(done ? 0 : 1);
        }
        std::this_thread::sleep_for(took * (i + 1) / k_kills);
        ::kill(child, SIGKILL);
        int status = 0;
        ASSERT_EQ(::waitpid(child, &status, 0), child);
        EXPECT_FALSE(WIFEXITED(status) && WEXITSTATUS(status) != 0);
        // What has the name has a cluster's last file, and no mark stands beside a half one of that name.
        EXPECT_TRUE(os::exists(config_.data_folder + "/global/pg_control"));
    }
    const auto again = restore(*captured, WhenExisting::switch_over);
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_THAT(names_in(place_), Not(HasSubstr("holdfast")));
    auto server = start_on(config_.data_folder);
    ASSERT_TRUE(server) << server.error().message;
    EXPECT_EQ(sql_of(*server, "SELECT count(*) FROM t"), "10000");
}

TEST(NewCluster, ClearsWhatAKillLeftAndNothingElse) {
    const os::TempFolder folder = *os::TempFolder::create("hf-new-cluster-");
    const std::string target = folder.path() + "/data", staged = target + ".holdfast-restore";
    const std::string mark = staged + ".unfinished", space = folder.path() + "/restored-x",
                      other = folder.path() + "/live";
    const auto put = [](const std::string& path, std::string_view text) {
        ASSERT_TRUE(os::make_folders(path));
        ASSERT_TRUE(os::write_file(path + "/content", as_bytes(text)));
    };
    const auto content = [](const std::string& path) { return os::read_text(path + "/content").value_or("none"); };
    put(target, "live");
    // While it was written: the mark tells that all of this is half.
    put(staged, "half");
    put(space, "half");
    put(other, "somebody's");
    ASSERT_TRUE(os::write_file(mark, as_bytes(space + "\n" + other + "\n")));
    {
        auto cluster = NewCluster::begin(target);
        ASSERT_TRUE(cluster) << cluster.error().message;
        EXPECT_FALSE(os::exists(staged));
        EXPECT_FALSE(os::exists(space));
        EXPECT_EQ(content(other), "somebody's");    // not a name of ours
        EXPECT_EQ(NewCluster::begin(target).error().code, ErrorCode::locked);
        put(cluster->staged(), "new");
    }
    EXPECT_FALSE(os::exists(staged) || os::exists(mark));    // left without taking the place
    EXPECT_EQ(content(target), "live");
    {
        auto cluster = NewCluster::begin(target);
        ASSERT_TRUE(cluster);
        put(cluster->staged(), "new");
        const auto aside = cluster->take_place(os::SystemClock().now());
        ASSERT_TRUE(aside) << aside.error().message;
        EXPECT_EQ(content(target), "new");
        EXPECT_EQ(content(aside->value()), "live");
        ASSERT_TRUE(os::remove_tree(aside->value()));
    }
    // Between the switch and the old one's new name: without a mark, whatever has our name is whole, and kept.
    put(staged, "the one before");
    {
        auto cluster = NewCluster::begin(target);
        ASSERT_TRUE(cluster);
    }
    const auto names = os::list_folder(folder.path());
    ASSERT_TRUE(names);
    ASSERT_EQ(names->size(), 3u);
    EXPECT_EQ(content(folder.path() + "/" + names->at(1)), "the one before") << names->at(1);
    EXPECT_EQ(content(target), "new");
}

}    // namespace
}    // namespace holdfast::recovery
