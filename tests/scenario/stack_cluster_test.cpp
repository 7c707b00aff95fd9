// A PostgreSQL cluster by its files, as a user has it: saved while it runs, wrecked, put back by the real program, which
// stops and starts the server; and laid out by restic, with no holdfast at hand.

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include "holdfast/testing/postgres_server.hpp"
#include "scenario.hpp"

namespace holdfast::scenario {
namespace {

using ::testing::HasSubstr;

class Cluster : public Scenario {
protected:
    void SetUp() override {
        auto started = testing::PostgresServer::start();
        ASSERT_TRUE(started) << started.error().message;
        server_.emplace(*std::move(started));
        write(at("postgres.password"), server_->password() + "\n", 0600);
        write(at("holdfast.toml"), fmt::format(R"(stack = "desk"
[[postgres]]
name = "dumps"
host = "127.0.0.1"
port = {0}
password_file = "{1}"
[[postgres]]
name = "cluster"
method = "physical"
host = "127.0.0.1"
port = {0}
password_file = "{1}"
data_folder = "{2}"
stop_command = [{3}, "stop", "-m", "fast"]
start_command = [{3}, "-l", "{4}/started.log", "-o", "-p {0} -k {4} -c listen_addresses=127.0.0.1 -c fsync=off", "start"]
)",
                                               server_->port(), at("postgres.password"), server_->data_folder(),
                                               quoted(pg_ctl()), server_->socket_folder()));
        make_repository();
    }
    void TearDown() override {
        auto stop = pg_ctl();
        stop.insert(stop.end(), {"stop", "-m", "immediate"});
        static_cast<void>(run(stop));
    }
    std::vector<std::string> as_owner() const {
        if (::geteuid() == 0) return {"runuser", "-u", "postgres", "--"};
        return {};
    }
    std::vector<std::string> pg_ctl() const {
        auto words = as_owner();
        words.insert(words.end(), {"/usr/lib/postgresql/15/bin/pg_ctl", "-w", "-D", server_->data_folder()});
        return words;
    }
    static std::string quoted(const std::vector<std::string>& words) {
        std::string all;
        for (const std::string& word : words) all += fmt::format("{}\"{}\"", all.empty() ? "" : ", ", word);
        return all;
    }
    Answer on_stack(std::vector<std::string> arguments) const {
        arguments.insert(arguments.end(), {"--config", at("holdfast.toml")});
        return holdfast(std::move(arguments));
    }
    std::string sql(std::string_view script, const std::string& database = "postgres") const {
        return server_->sql(database, script).value_or("no answer");
    }

    std::optional<testing::PostgresServer> server_;
};

// MT-16, MT-19, EA-17, NS-08
TEST_F(Cluster, WreckedComesBackWithItsRolesAndEveryDatabase) {
    sql("CREATE DATABASE trading; CREATE ROLE desk LOGIN PASSWORD 'x'");
    sql("CREATE TABLE trades AS SELECT n AS id, n % 7 AS quantity FROM generate_series(1, 20000) n", "trading");
    const std::string sums = "SELECT count(*), sum(id * quantity) FROM trades", before = sql(sums, "trading");
    EXPECT_THAT(before, HasSubstr("20000|"));
    const Answer saved = on_stack({"backup", "--json"});
    ASSERT_EQ(saved.exit, 0) << saved.errors;
    const Answer again = on_stack({"backup", "--only", "cluster", "--json"});
    ASSERT_EQ(again.exit, 0) << again.errors;

    sql("DROP DATABASE trading");
    sql("DROP ROLE desk");
    const Answer refused = on_stack({"restore", "latest", "--only", "cluster", "--yes"});
    EXPECT_NE(refused.exit, 0);
    EXPECT_THAT(refused.errors, HasSubstr("--replace"));
    const Answer planned = on_stack({"restore", "latest", "--only", "cluster", "--replace", "--dry-run"});
    EXPECT_EQ(planned.exit, 0) << planned.errors;
    EXPECT_THAT(planned.output, HasSubstr("with stop_command"));
    EXPECT_EQ(sql("SELECT 1"), "1\n");    // still the old one

    const Answer restored = on_stack({"restore", "latest", "--only", "cluster", "--replace", "--yes"});
    ASSERT_EQ(restored.exit, 0) << restored.errors;
    EXPECT_THAT(restored.output, HasSubstr("digests equal"));
    EXPECT_THAT(restored.output, HasSubstr("the old cluster is kept: " + server_->data_folder() + ".replaced-"));
    EXPECT_EQ(sql(sums, "trading"), before);
    EXPECT_EQ(sql("SELECT rolcanlogin FROM pg_roles WHERE rolname = 'desk'"), "t\n");
    // NS-08: and it goes back, servers and all.
    const Answer undone = on_stack({"restore", "--undo", "--yes"});
    ASSERT_EQ(undone.exit, 0) << undone.output << undone.errors;
    EXPECT_EQ(sql("SELECT count(*) FROM pg_database WHERE datname = 'trading'"), "0\n");
    EXPECT_THAT(undone.output, HasSubstr("the restored cluster is kept: " + server_->data_folder() + ".undone-"));
    ASSERT_EQ(on_stack({"restore", "--commit", "--yes"}).exit, 0);
    EXPECT_EQ(on_stack({"restore", "latest", "--only", "cluster", "--replace", "--yes"}).exit, 0);
    EXPECT_EQ(sql(sums, "trading"), before);
    // It can be backed up again, and a dump of it, too.
    const Answer next = on_stack({"backup", "--json"});
    EXPECT_EQ(next.exit, 0) << next.errors;
}

TEST_F(Cluster, LaidOutByResticStartsWithoutHoldfast) {
    sql("CREATE TABLE t AS SELECT n AS id FROM generate_series(1, 1000) n");
    const Answer saved = on_stack({"backup", "--only", "cluster"});
    ASSERT_EQ(saved.exit, 0) << saved.errors;
    const std::string back = server_->socket_folder() + "/back";
    const Answer restored = run({"restic", "restore", "latest", "--target", back, "--include", "/cluster"});
    ASSERT_EQ(restored.exit, 0) << restored.errors;
    ASSERT_EQ(::chmod(back.c_str(), 0755), 0);
    const auto verified = server_->run_tool({"pg_verifybackup", back + "/cluster/data"});
    EXPECT_TRUE(verified) << verified.error().message;
    auto other = testing::PostgresServer::start({.settings = {}, .data_folder = back + "/cluster/data"});
    ASSERT_TRUE(other) << other.error().message;
    EXPECT_EQ(other->sql("postgres", "SELECT sum(id) FROM t").value_or(""), "500500\n");
}

}    // namespace
}    // namespace holdfast::scenario
