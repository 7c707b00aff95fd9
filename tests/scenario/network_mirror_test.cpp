// A vault on a disk with mirrors over REST (one of them append-only), SFTP and S3 at once, on real servers: copied after each
// backup, over lines that break, healed from, tidied up late. Covers NS-05, NS-06, NS-16.

#include <gmock/gmock.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <thread>

#include "holdfast/os/host.hpp"
#include "holdfast/os/socket.hpp"
#include "holdfast/testing/fault_proxy.hpp"
#include "network.hpp"

namespace holdfast::scenario {
namespace {

using testing::FaultProxy;
using ::testing::HasSubstr;
using testing::LineFaults;
using ::testing::Not;

class NetworkMirrors : public Scenario {
protected:
    struct Place {
        std::string name, location;
        std::uint16_t port;
        std::string more;    // lines of its [[mirror]]
    };

    NetworkMirrors()
        : open_(serve("served-open", {"--no-auth"})), locked_(serve("served-locked", {"--no-auth", "--append-only"})) {
        make_cheap_repository();
        make_files(at("source"), 10);
        write(at("bucket.env"), "# the mirror's own\nAWS_ACCESS_KEY_ID=AKTEST\nAWS_SECRET_ACCESS_KEY=sk/test+1\n",
              0600);
        for (const Serving* server : {&open_, &locked_}) {
            const auto port = static_cast<std::uint16_t>(std::stoi(server->url.substr(server->url.rfind(':') + 1)));
            places_.push_back(
                {server == &open_ ? "near" : "locked", "", port, server == &open_ ? "" : "append_only = true\n"});
        }
        std::string options;
        for (const std::string& option : sftp_options()) options += '"' + option + "\", ";
        places_.push_back({"ssh", "", ssh().port(), "options = [" + options + "]\n"});
        places_.push_back({"bucket", "", gateway().port(), "credentials_file = \"" + at("bucket.env") + "\"\n"});
        bucket_ = new_bucket();
        for (Place& place : places_) lead(place, place.port);
        configure();
    }
    // Its location through a port that leads to it.
    void lead(Place& place, std::uint16_t port) const {
        if (place.name == "ssh")
            place.location = testing::SshServer::location_at(port, at("over-ssh"));
        else if (place.name == "bucket")
            place.location = fmt::format("s3:http://127.0.0.1:{}/{}/desk", port, bucket_);
        else
            place.location = fmt::format("rest:http://127.0.0.1:{}/desk/", port);
    }
    void configure(const std::string& more_of_each = "") const { configure(places_, more_of_each); }
    void configure(const std::vector<Place>& places, const std::string& more_of_each = "") const {
        std::string text = fmt::format(
            "state_folder = \"{}\"\n[repository]\nlocation = \"{}\"\npassword_file = \"{}\"\npack_size_mib = 4\n",
            at("state"), repository(), password_file());
        for (const Place& place : places)
            text += fmt::format("[[mirror]]\nname = \"{}\"\nlocation = \"{}\"\nconnections = 1\n{}{}", place.name,
                                place.location, place.more, more_of_each);
        write(at("holdfast.toml"), text);
    }
    Answer configured(std::vector<std::string> arguments, const Environment& environment = {}) const {
        arguments.insert(arguments.end(), {"--config", at("holdfast.toml")});
        return holdfast_bare(std::move(arguments), environment);
    }
    // The names and hashes of all files there (what a killed upload left over SFTP is no file of a repository); of a bucket
    // `mirror verify` says as much.
    std::string content(const std::string& folder) const {
        return run({"sh", "-c",
                    "cd \"$0\" && find . -type f ! -path './locks/*' ! -name '*-tmp-*' | sort | xargs sha256sum",
                    folder})
            .output;
    }
    void expect_all_equal() const {
        const std::string here = content(repository());
        EXPECT_EQ(content(at("served-open/desk")), here);
        EXPECT_EQ(content(at("over-ssh")), here);
        const Answer verified = configured({"mirror", "verify"});
        EXPECT_EQ(verified.exit, 0) << verified.output << verified.errors;
        for (const json::Value& mirror : states()) {
            EXPECT_EQ(mirror["files_missing"].integer(-1), 0) << json::dump(mirror, 2);
            EXPECT_FALSE(mirror["stale"].boolean(true));
        }
    }
    std::vector<json::Value> states() const {
        const json::Value all = configured({"mirror", "status", "--json"}).json();
        const auto& items = all["mirrors"].items();
        return {items.begin(), items.end()};
    }
    json::Value synced(const std::string& name) const {
        const Answer answer = configured({"mirror", "sync", name, "--json"});
        EXPECT_EQ(answer.exit, 0) << name << answer.output << answer.errors;
        return answer.json()["mirrors"].items().at(0);
    }

    Serving open_, locked_;
    std::string bucket_;
    std::vector<Place> places_;
};

TEST_F(NetworkMirrors, GetEveryBackupAndCountAsCopies) {
    // NS-05, NS-06.
    configure("off_site = true\n");
    const Answer saved = configured({"backup", at("source")});
    ASSERT_EQ(saved.exit, 0) << saved.output << saved.errors;
    for (const Place& place : places_) EXPECT_THAT(saved.output, HasSubstr("mirror " + place.name + ": "));
    EXPECT_EQ(content(at("served-locked/desk")), content(repository()));
    expect_all_equal();
    const Answer copies = configured({"status", "--copies", "--json"});
    EXPECT_EQ(copies.exit, 0) << copies.output << copies.errors;
    EXPECT_TRUE(copies.json()["satisfied"].boolean());

    // What one of them lacks is said, and travels later.
    ASSERT_TRUE(os::remove_tree(at("source")));
    make_files(at("source"), 2, 7);
    ASSERT_EQ(configured({"backup", at("source"), "--no-mirror"}).exit, 0);
    for (const json::Value& mirror : states())
        EXPECT_EQ(mirror["snapshots_missing"].natural(), 1u) << json::dump(mirror, 2);
    ASSERT_EQ(configured({"mirror", "sync"}).exit, 0);
    expect_all_equal();

    // The machine is gone: what is left are the servers and the password.
    ASSERT_TRUE(os::remove_tree(repository()));
    const Answer back =
        holdfast({"restore", "latest", "--target", at("back"), "--repo", places_[3].location}, s3_keys());
    EXPECT_EQ(back.exit, 0) << back.errors;
    expect_equal_trees(at("source"), at("back") + at("source"));
}

TEST_F(NetworkMirrors, HealWhatIsDamagedHere) {
    // NS-05, NS-16: each kind of server alone.
    ASSERT_EQ(configured({"backup", at("source")}).exit, 0);
    const std::string before = content(repository());
    for (const Place& place : places_) {
        configure({place});
        const std::string victim = largest_in("data");
        ASSERT_EQ(::truncate(victim.c_str(), 1000), 0);
        ASSERT_EQ(::unlink(largest_in("index").c_str()), 0);
        const Answer healed = configured({"heal", "--no-live-files", "--json"});
        EXPECT_EQ(healed.exit, 0) << place.name << healed.output << healed.errors;
        EXPECT_TRUE(healed.json()["well"].boolean());
        EXPECT_EQ(content(repository()), before) << place.name;
    }
    EXPECT_EQ(run({"restic", "--no-cache", "check", "--read-data"}).exit, 0);
}

TEST_F(NetworkMirrors, GetThroughLinesThatBreak) {
    ASSERT_EQ(configured({"backup", at("source"), "--no-mirror"}).exit, 0);
    std::vector<std::unique_ptr<FaultProxy>> proxies;
    std::vector<Place> broken = places_;
    for (Place& place : broken) {
        proxies.push_back(FaultProxy::start(place.port).value());
        if (place.name == "ssh") {
            ASSERT_TRUE(ssh().trust_port(proxies.back()->port()));
        }
        lead(place, proxies.back()->port());
        // The first connections end in the middle of a pack, the others hold.
        proxies.back()->plan([](unsigned number) {
            LineFaults faults;
            if (number < 2) faults.cut_up = 3'000'000;
            return faults;
        });
    }
    configure(broken);
    const Answer sent = configured({"mirror", "sync"});
    EXPECT_EQ(sent.exit, 0) << sent.output << sent.errors;
    EXPECT_THAT(sent.errors, HasSubstr("trying again in"));
    for (const auto& proxy : proxies) EXPECT_GE(proxy->cuts(), 1u);
    configure();
    EXPECT_EQ(content(at("served-locked/desk")), content(repository()));
    expect_all_equal();
}

TEST_F(NetworkMirrors, GoOnWhereADeadRunEnded) {
    ASSERT_EQ(configured({"backup", at("source"), "--no-mirror"}).exit, 0);
    for (Place place : places_) {
        const auto proxy = FaultProxy::start(place.port).value();
        if (place.name == "ssh") {
            ASSERT_TRUE(ssh().trust_port(proxy->port()));
        }
        lead(place, proxy->port());
        configure({place});
        // A pack gets through, then the line is dead, and somebody loses patience.
        proxy->plan([](unsigned number) {
            LineFaults faults;
            if (number == 0) faults.cut_up = 7'000'000;
            faults.refuse = number > 0;
            return faults;
        });
        auto running = os::Process::start(command({"mirror", "sync", "--config", at("holdfast.toml")}));
        ASSERT_TRUE(running);
        while (proxy->cuts() < 2 && os::process_exists(running->pid()))
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        running->kill(SIGKILL);
        EXPECT_TRUE(running->wait());
        EXPECT_GE(proxy->cuts(), 2u) << running->errors();
        proxy->plan({});
        const json::Value report = synced(place.name);
        EXPECT_GE(report["files_there"].natural(), 3u) << json::dump(report, 2);    // key, config, a pack at least
        EXPECT_GE(report["files_sent"].natural(), 2u) << json::dump(report, 2);
        EXPECT_TRUE(report["complete"].boolean());
    }
    configure();
    expect_all_equal();
}

TEST_F(NetworkMirrors, KeepWhatWasDeletedHereUntilTheGraceIsOver) {
    ASSERT_EQ(configured({"backup", at("source")}).exit, 0);
    ASSERT_TRUE(os::remove_tree(at("source")));
    make_files(at("source"), 3, 9);
    ASSERT_EQ(configured({"backup", at("source")}).exit, 0);
    const Answer forgotten = configured({"forget", "--keep-last", "1", "--prune", "--group-by", ""});
    ASSERT_EQ(forgotten.exit, 0) << forgotten.errors;
    for (const Place& place : places_) {
        const json::Value report = synced(place.name);
        EXPECT_EQ(report["removed"].natural(9), 0u) << json::dump(report, 2);
        EXPECT_GE(report["waiting"].natural(), 3u) << json::dump(report, 2);
    }
    // Two weeks later, as this machine has counted them.
    const Answer older = run(
        {"sh", "-c", "sed -i -E 's/\"seconds\": ?[0-9]+/\"seconds\": 1300000/' \"$0\"/mirrors/*.json", at("state")});
    ASSERT_EQ(older.exit, 0) << older.errors;
    for (const Place& place : places_) {
        const json::Value report = synced(place.name);
        if (place.name == "locked")
            EXPECT_EQ(report["removed"].natural(9), 0u) << json::dump(report, 2);
        else
            EXPECT_GE(report["removed"].natural(), 3u) << place.name << json::dump(report, 2);
    }
    expect_all_equal();
    // Never there: what the machine deletes stays.
    const Answer listed = holdfast({"snapshots", "--json", "--repo", places_[1].location});
    EXPECT_EQ(listed.exit, 0) << listed.errors;
    EXPECT_EQ(listed.json()["snapshots"].items().size(), 2u) << listed.output;
    EXPECT_EQ(holdfast({"check", "--read-data", "--repo", places_[1].location}).exit, 0);
}

TEST_F(NetworkMirrors, HaveKeysOfTheirOwn) {
    configure({places_[3]});
    // Those of the repository's storage would make a pair that fits nowhere.
    const Environment foreign = {{"AWS_SESSION_TOKEN", "foreign-token-5"}, {"AWS_ACCESS_KEY_ID", "AKFOREIGN"}};
    const Answer saved = configured({"backup", at("source")}, foreign);
    EXPECT_EQ(saved.exit, 0) << saved.errors;
    EXPECT_EQ(configured({"mirror", "verify"}, foreign).exit, 0);

    ASSERT_EQ(::chmod(at("bucket.env").c_str(), 0644), 0);
    const Answer open = configured({"mirror", "sync"});
    EXPECT_NE(open.exit, 0);
    EXPECT_THAT(open.errors, HasSubstr("chmod 600 " + at("bucket.env")));

    write(at("bucket.env"), "AWS_ACCESS_KEY_ID=AKTEST\nwr0ng-secret\n", 0600);
    const Answer garbled = configured({"mirror", "sync"});
    EXPECT_NE(garbled.exit, 0);
    EXPECT_THAT(garbled.errors, HasSubstr("bucket.env:2"));
    EXPECT_THAT(garbled.errors + garbled.output, Not(HasSubstr("wr0ng")));

    write(at("bucket.env"), "AWS_ACCESS_KEY_ID=AKTEST\nAWS_SECRET_ACCESS_KEY=wr0ng-secret\n", 0600);
    const Answer wrong = configured({"backup", at("source")});
    EXPECT_EQ(wrong.exit, 3);    // nobody waits for keys to become right
    EXPECT_THAT(wrong.errors, HasSubstr("SignatureDoesNotMatch"));
    EXPECT_THAT(wrong.errors + wrong.output, Not(HasSubstr("wr0ng")));
}

TEST_F(NetworkMirrors, ThatAreDeadCostAWarningAndLittleTime) {
    ASSERT_EQ(configured({"backup", at("source")}).exit, 0);
    const std::uint16_t nobody = os::free_port().value();
    std::vector<Place> dead = {places_[0], places_[3]};
    for (Place& place : dead) lead(place, nobody);
    configure(dead, "first_contact_max_seconds = 0\n");
    // The memory of a mirror goes by its location: at a new one nothing was ever complete.
    const Answer unknown = configured({"backup", at("source")});
    EXPECT_EQ(unknown.exit, 3);
    EXPECT_THAT(unknown.errors, HasSubstr("did not answer even once"));
    EXPECT_THAT(unknown.errors, Not(HasSubstr("trying again")));
    configure();
    open_.process.kill(SIGKILL);
    EXPECT_TRUE(open_.process.wait());
    configure({places_[0]}, "first_contact_max_seconds = 0\n");
    const Answer away = configured({"backup", at("source")});
    EXPECT_EQ(away.exit, 0) << away.errors;    // up to date a moment ago: a warning
    EXPECT_THAT(away.errors, HasSubstr("mirror near"));
    const Answer status = configured({"mirror", "status"});
    EXPECT_EQ(status.exit, 3);
    EXPECT_THAT(status.output, HasSubstr("near"));
}

}    // namespace
}    // namespace holdfast::scenario
