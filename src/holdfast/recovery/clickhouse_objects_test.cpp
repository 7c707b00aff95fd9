// Functions, named collections, users and what is granted to them: into the vault with their secrets, nowhere else; back beside what is there.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <map>
#include <regex>
#include <set>

#include "holdfast/recovery/clickhouse_fixture_test.hpp"
#include "holdfast/source/clickhouse_objects.hpp"
#include "holdfast/testing/scripted_http.hpp"

namespace holdfast::recovery {
namespace {

using source::clickhouse::list_objects;
using ::testing::HasSubstr;
using ::testing::Not;

class ClickHouseObjects : public ClickHouseRestore {
protected:
    std::map<std::string, std::string> objects(bool of_files = false) {
        const auto found = list_objects(*client_, of_files);
        EXPECT_TRUE(found) << found.error().message;
        std::map<std::string, std::string> by_title;
        if (found)
            for (const auto& object : found->objects) by_title[object.kind + " " + object.name] = object.ddl;
        return by_title;
    }
    // The server, and what one that keeps users would have listed.
    void back_up_with(std::vector<source::clickhouse::ServerObject> objects) {
        ASSERT_TRUE(repository_->load_index(true));
        auto backup = vault::Backup::start(*repository_, {});
        ASSERT_TRUE(backup);
        source::CaptureContext capture{**backup, clock_, "clickhouse", folder_.path()};
        auto facts = source::capture_clickhouse(config_, capture);
        ASSERT_TRUE(facts);
        facts_ = *std::move(facts);
        ASSERT_TRUE(source::clickhouse::add_objects({std::move(objects), {}}, **backup, "clickhouse", facts_));
        ASSERT_TRUE((*backup)->commit());
        backup->reset();
        ASSERT_TRUE(repository_->load_index(true));
        snapshot_ = repository_->find_snapshot("latest").value();
    }
};

INSTANTIATE_TEST_SUITE_P(Generations, ClickHouseObjects,
                         ::testing::Values(ClickHouseGeneration::v18, ClickHouseGeneration::v26),
                         [](const auto& p) { return p.param == ClickHouseGeneration::v18 ? "v18" : "v26"; });

// EA-06: the view needs a function, which needs another one; the collection holds a password.
TEST_P(ClickHouseObjects, FunctionsAndCollectionsComeBackBeforeWhatUsesThem) {
    run("CREATE TABLE d.t (n UInt64) ENGINE = MergeTree ORDER BY n");
    run("INSERT INTO d.t VALUES (1), (2)");
    if (!modern()) {    // it has none of them, and a backup says nothing of them
        back_up();
        EXPECT_TRUE(facts_["objects"].items().empty());
        EXPECT_TRUE(facts_["objects_left_out"].items().empty());
        return;
    }
    run("CREATE FUNCTION z_fee AS x -> x * 3");
    run("CREATE FUNCTION a_fee AS x -> z_fee(x) + 1");
    run("CREATE NAMED COLLECTION store AS host = 'h', password = 'do-not-tell'");
    run("CREATE VIEW d.v AS SELECT a_fee(n) AS fee FROM d.t");
    const auto before = objects();
    ASSERT_EQ(before.size(), 3u);
    EXPECT_THAT(before.at("named collection store"), HasSubstr("do-not-tell"));
    back_up();
    EXPECT_THAT(json::dump(facts_), Not(HasSubstr("do-not-tell")));    // a manifest holds no secret
    lose_the_disk();
    ASSERT_TRUE(objects().empty());
    const auto plan = plan_clickhouse(config_, context());
    ASSERT_TRUE(plan) << plan.error().message;
    EXPECT_THAT((*plan)[0].what, HasSubstr("2 functions, 1 named collection"));
    expect_restored();
    EXPECT_EQ(objects(), before);
    EXPECT_EQ(value("SELECT sum(fee) FROM d.v"), "11");
    EXPECT_EQ(result_["objects"]["made"].items().size(), 3u);
    EXPECT_TRUE(result_["objects"]["skipped"].items().empty());
    EXPECT_THAT(json::dump(result_) + said_, Not(HasSubstr("do-not-tell")));
}

TEST_P(ClickHouseObjects, WhatIsThereUnderTheSameNameStaysAndIsTold) {
    if (!modern()) return;
    run("CREATE FUNCTION fee AS x -> x * 3");
    run("CREATE FUNCTION other AS x -> x");
    back_up();
    run("DROP FUNCTION fee");
    run("CREATE FUNCTION fee AS x -> x * 4");
    expect_restored();
    EXPECT_EQ(value("SELECT fee(1)"), "4");
    ASSERT_EQ(result_["objects"]["skipped"].items().size(), 1u);
    EXPECT_EQ(result_["objects"]["skipped"].items()[0]["name"].text(), "fee");
    EXPECT_THAT(said_, HasSubstr("function fee"));
    EXPECT_TRUE(result_["objects"]["made"].items().empty());
}

// A dictionary's source has a password: newer servers leave it out of what they show, and a restore of that would be a broken dictionary.
TEST_P(ClickHouseObjects, ADictionaryComesBackWithThePasswordOfItsSource) {
    if (!modern()) return;
    run("CREATE TABLE d.src (id UInt64, v String) ENGINE = MergeTree ORDER BY id");
    run("CREATE DICTIONARY d.dict (id UInt64, v String) PRIMARY KEY id SOURCE(CLICKHOUSE(DB 'd' TABLE 'src' USER "
        "'default' PASSWORD "
        "'do-not-tell')) LAYOUT(FLAT()) LIFETIME(0)");
    const db::clickhouse::Settings shown{{"format_display_secrets_in_show_and_select", "1"}};
    const auto before = client_->text("SHOW CREATE DICTIONARY d.dict FORMAT TSVRaw", shown);
    ASSERT_TRUE(before);
    ASSERT_THAT(*before, HasSubstr("do-not-tell"));
    ASSERT_THAT(value("SHOW CREATE DICTIONARY d.dict"), HasSubstr("[HIDDEN]"));
    back_up();
    EXPECT_THAT(json::dump(facts_), Not(HasSubstr("do-not-tell")));
    EXPECT_TRUE(facts_["objects_left_out"].items().empty()) << json::dump(facts_["objects_left_out"]);
    run("DROP DICTIONARY d.dict");
    run("CREATE DICTIONARY d.dict (id UInt64, v String) PRIMARY KEY id SOURCE(CLICKHOUSE(DB 'd' TABLE 'src' USER "
        "'default' PASSWORD "
        "'not-this-either')) LAYOUT(FLAT()) LIFETIME(0)");
    expect_restored(WhenExisting::switch_over);
    EXPECT_THAT(json::dump(result_) + said_, Not(HasSubstr("not-this-either")));
    lose_the_disk();
    expect_restored();
    const auto after = client_->text("SHOW CREATE DICTIONARY d.dict FORMAT TSVRaw", shown);
    ASSERT_TRUE(after);
    EXPECT_EQ(*after, *before);
    EXPECT_THAT(json::dump(result_) + said_, Not(HasSubstr("do-not-tell")));
}

// Of the server's file, as libchdb keeps no others: the statements are those that a server with users made by SQL gives.
TEST_P(ClickHouseObjects, UsersAreListedWithTheHashesOfTheirPasswordsAndTheirRights) {
    if (!modern()) return;
    EXPECT_TRUE(objects(false).empty());    // what files say belongs to the files
    const auto found = objects(true);
    EXPECT_THAT(found.at("user trader"), HasSubstr("IDENTIFIED WITH sha256_hash BY '65E84BE3"));
    EXPECT_THAT(found.at("grants user trader"), HasSubstr("GRANT "));
    EXPECT_THAT(found.at("settings profile default"), HasSubstr("CREATE SETTINGS PROFILE"));
    EXPECT_THAT(found.at("quota default"), HasSubstr("CREATE QUOTA"));
}

// A server that takes no users keeps the tables that came back; what it lacks is told, without a word of the statement.
TEST_P(ClickHouseObjects, UsersThatCannotBeMadeAreToldAndTheTablesAreThere) {
    if (!modern()) return;
    run("CREATE TABLE d.t (n UInt64) ENGINE = MergeTree ORDER BY n");
    run("INSERT INTO d.t VALUES (1), (2)");
    back_up_with({{"role", "desk", "CREATE ROLE desk"},
                  {"user", "alice", "CREATE USER alice IDENTIFIED WITH sha256_hash BY 'ABCDEF0123' SETTINGS nonsense"},
                  {"user", "trader", "CREATE USER trader IDENTIFIED WITH sha256_hash BY 'ABCDEF0123'"},
                  {"grants", "user trader", "GRANT desk TO trader"}});
    run("DROP TABLE d.t");
    expect_restored();
    EXPECT_EQ(value("SELECT count() FROM d.t"), "2");
    EXPECT_EQ(result_["objects"]["skipped"].items().size(), 4u);    // the user who is there keeps his rights
    EXPECT_TRUE(result_["objects"]["made"].items().empty());
    EXPECT_THAT(said_, HasSubstr("role desk: the server refused it (code 514)"));
    EXPECT_THAT(said_, HasSubstr("user trader: the server has another one"));
    EXPECT_THAT(json::dump(result_) + said_, Not(HasSubstr("ABCDEF0123")));
}

// Neither engine here keeps users made by SQL. This is the engine behind a line that does: what the engine understands, and
// refuses for want of a place (code 514) or of somebody whom it has no place for (511, 192), is accepted once all whom it
// names were made.
class KeepsUsers {
public:
    explicit KeepsUsers(const std::string& engine)
        : engine_(engine), line_([this](const auto& r) { return reply(r); }) {}
    std::string url() const { return line_.url(); }
    std::vector<std::string> accepted;

private:
    testing::ScriptedHttp::Reply reply(const std::string& request) {
        const std::string answer = pass_on(request);
        const std::string statement = request.substr(request.find("\r\n\r\n") + 4);
        std::smatch words;
        static const std::regex role("CREATE ROLE (\\w+)"), user("CREATE USER (\\w+) .*?(?:DEFAULT ROLE (\\w+))?"),
            grant("GRANT (?:(\\w+)|SELECT ON .*) TO (\\w+)");
        std::vector<std::string> needed;
        std::string made;
        if (std::regex_match(statement, words, role)) {
            made = words.str(1);
        } else if (std::regex_match(statement, words, user)) {
            made = words.str(1);
            needed = {words.str(2)};
        } else if (std::regex_match(statement, words, grant)) {
            needed = {words.str(1), words.str(2)};
        } else {
            return {answer, testing::ScriptedHttp::Then::close};
        }
        using testing::ScriptedHttp;
        for (const std::string& name : needed)
            if (!name.empty() && !names_.contains(name)) return {answer, ScriptedHttp::Then::close};
        EXPECT_THAT(answer, ::testing::ContainsRegex("Code: (514|511|192)")) << statement;
        if (!made.empty()) names_.insert(made);
        accepted.push_back(statement);
        return {ScriptedHttp::answer(200)};
    }

    std::string pass_on(std::string request) const {
        request.insert(request.find("\r\n") + 2, "Connection: close\r\n");
        const os::Fd line(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        address.sin_port = htons(static_cast<std::uint16_t>(std::stoi(engine_.substr(engine_.rfind(':') + 1))));
        EXPECT_EQ(::connect(line.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
        EXPECT_EQ(::send(line.get(), request.data(), request.size(), MSG_NOSIGNAL), std::ssize(request));
        std::string answer(64 << 10, '\0');
        std::size_t got = 0;
        for (ssize_t n; (n = ::recv(line.get(), answer.data() + got, answer.size() - got, 0)) > 0;) {
            got += static_cast<std::size_t>(n);
            if (got == answer.size()) answer.resize(2 * got);
        }
        answer.resize(got);
        return answer;
    }

    const std::string engine_;
    std::set<std::string> names_;
    testing::ScriptedHttp line_;
};

// MT-06: in an order in which none of the first can be made yet.
TEST_P(ClickHouseObjects, UsersRolesAndGrantsAreMadeWhereTheServerKeepsThem) {
    if (!modern()) return;
    run("CREATE TABLE d.t (n UInt64) ENGINE = MergeTree ORDER BY n");
    const std::string alice =
        "CREATE USER alice IDENTIFIED WITH sha256_hash BY '" + std::string(64, 'A') + "' DEFAULT ROLE desk";
    back_up_with({{"user", "alice", alice},
                  {"role", "desk", "CREATE ROLE desk"},
                  {"role", "all", "CREATE ROLE all"},
                  {"grants", "role all", "GRANT desk TO all"},
                  {"grants", "user alice", "GRANT all TO alice\nGRANT SELECT ON d.t TO alice"}});
    run("DROP TABLE d.t");
    KeepsUsers server(engine_->url());
    config_.url = server.url();
    expect_restored();
    EXPECT_EQ(value("SELECT count() FROM d.t"), "0");
    EXPECT_THAT(server.accepted, ::testing::ElementsAre("CREATE ROLE desk", "CREATE ROLE all", "GRANT desk TO all",
                                                        alice, "GRANT all TO alice", "GRANT SELECT ON d.t TO alice"));
    EXPECT_EQ(result_["objects"]["made"].items().size(), 5u);
    EXPECT_TRUE(result_["objects"]["skipped"].items().empty()) << json::dump(result_);
    EXPECT_THAT(json::dump(result_) + said_, Not(HasSubstr("AAAA")));
}

}    // namespace
}    // namespace holdfast::recovery
