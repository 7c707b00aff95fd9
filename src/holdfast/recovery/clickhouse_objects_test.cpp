// Functions, named collections, users and what is granted to them: into the vault with their secrets, nowhere else; back beside what is there.

#include <map>

#include "holdfast/recovery/clickhouse_fixture_test.hpp"
#include "holdfast/source/clickhouse_objects.hpp"

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
    ASSERT_TRUE(repository_->load_index(true));
    auto backup = vault::Backup::start(*repository_, {});
    ASSERT_TRUE(backup);
    source::CaptureContext capture{**backup, clock_, "clickhouse", folder_.path()};
    auto facts = source::capture_clickhouse(config_, capture);
    ASSERT_TRUE(facts);
    facts_ = *std::move(facts);
    const source::clickhouse::ServerObjects saved{
        {{"role", "desk", "CREATE ROLE desk"},
         {"user", "alice", "CREATE USER alice IDENTIFIED WITH sha256_hash BY 'ABCDEF0123' SETTINGS nonsense"},
         {"user", "trader", "CREATE USER trader IDENTIFIED WITH sha256_hash BY 'ABCDEF0123'"},
         {"grants", "user trader", "GRANT desk TO trader"}},
        {}};
    ASSERT_TRUE(source::clickhouse::add_objects(saved, **backup, "clickhouse", facts_));
    ASSERT_TRUE((*backup)->commit());
    backup->reset();
    ASSERT_TRUE(repository_->load_index(true));
    snapshot_ = repository_->find_snapshot("latest").value();
    run("DROP TABLE d.t");
    expect_restored();
    EXPECT_EQ(value("SELECT count() FROM d.t"), "2");
    EXPECT_EQ(result_["objects"]["skipped"].items().size(), 4u);    // the user who is there keeps his rights
    EXPECT_TRUE(result_["objects"]["made"].items().empty());
    EXPECT_THAT(said_, HasSubstr("role desk: the server refused it (code 514)"));
    EXPECT_THAT(said_, HasSubstr("user trader: the server has another one"));
    EXPECT_THAT(json::dump(result_) + said_, Not(HasSubstr("ABCDEF0123")));
}

}    // namespace
}    // namespace holdfast::recovery
